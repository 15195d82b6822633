use std::time::Instant;

use serde_json::json;

use crate::{
    browser::Browser,
    exchange,
    support::{Ask, Client, ProfileText, Server, Upstream},
};

/// How many exchanges the page has to be at ease with.
const MANY: usize = 10_000;

/// Connections that ask at once.
const LANES: usize = 8;

#[tokio::test]
async fn ten_thousand_exchanges() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let server = Server::setup().built_in("mock").start();
    let ask = |number: usize| {
        let body = json!({"model": "mock-fast", "messages": [{"role": "user", "content": format!("number {number}.")}], "max_tokens": 1});
        Ask::post("/mock/v1/chat/completions", body.to_string())
    };
    exchange(&server, ask(0)).await;
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let mut client = Client::connect(&server).await;
        let asks: Vec<Vec<u8>> = (1..MANY)
            .filter(|number| number % LANES == lane)
            .map(|number| ask(number).bytes())
            .collect();
        lanes.spawn(async move {
            for bytes in asks {
                client.write(bytes).await;
                let reply = client.reply().await.clean().await;
                assert_eq!(reply.status, 200, "{}", reply.text());
                client = reply.client();
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
    let began = Instant::now();
    browser.page(&server, "").await;
    browser.shows("#found", "10,000 exchanges").await;
    eprintln!("10,000 exchanges were listed after {:?}", began.elapsed());
    let elements = browser
        .run("return document.querySelectorAll('*').length")
        .await;
    assert!(
        elements.as_u64().unwrap() < 2000,
        "only what is seen is on the page: {elements}"
    );
    browser.press("\u{e010}").await;
    browser.shows(".row .c-text", "number 0.").await;
    // A search through all, and how long a frame takes with it.
    browser.types("#search", "number 4242.").await;
    browser.shows("#found", "1 of 10,000").await;
    browser.types("#search", "").await;
    browser.press("\u{e003}").await;
    browser.page(&server, "#/charts").await;
    browser
        .shows("#totals tr[data-profile=mock]", "10,000")
        .await;
    browser.page(&server, "#/sessions").await;
    browser
        .shows(".view-sessions .bar", "in the last 1,000 exchanges")
        .await;
}

#[tokio::test]
async fn a_body_of_a_megabyte() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    // In one line, in very many, and both changed on the way.
    let long: String = "A line of the prompt, which goes on and on.\n".repeat(16_000);
    let many: Vec<String> = (0..20_000).map(|number| format!("item {number}")).collect();
    let answer = json!({
        "id": "c1", "object": "chat.completion", "created": 1_700_000_000, "model": "m1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": long}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    });
    let upstream =
        Upstream::answering(crate::support::json_response(200, answer.to_string())).await;
    let profile =
        ProfileText::openai(&upstream).line("ai-proxy.model.options", "temperature = 0.5");
    let server = Server::of(&profile);
    let body = json!({"model": "m1", "metadata": {"many": many}, "messages": [{"role": "user", "content": format!("{long}the end")}]});
    let body = body.to_string();
    assert!((800_000..1 << 20).contains(&body.len()), "{}", body.len());
    let id = exchange(&server, Ask::chat(body)).await;
    browser.page(&server, &format!("#/x/{id}/stages")).await;
    browser.shows("[data-stage=client] .code", "item 3").await;
    browser
        .run("const find = document.querySelector('[data-stage=client] input'); find.value = 'the end'; find.dispatchEvent(new Event('input'))")
        .await;
    browser
        .shows("[data-stage=client] .line.hit", "the end")
        .await;
    let elements = browser
        .run("return document.querySelectorAll('*').length")
        .await;
    assert!(elements.as_u64().unwrap() < 5000, "{elements}");
    browser.press("d").await;
    browser.shows("#diff-body .side.new", "temperature").await;
    browser.press("1").await;
    browser.shows("#answer", "goes on and on").await;
}
