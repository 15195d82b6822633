use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{
    browser::Browser,
    exchange,
    support::{Ask, ProfileText, Server, Upstream, json_response},
};

/// An answer whose prompt was read from a cache so far.
fn answer(prompt: u64, cached: u64) -> String {
    json!({
        "id": "c1", "object": "chat.completion", "created": 1_700_000_000, "model": "m1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": 9, "total_tokens": prompt + 9, "prompt_tokens_details": {"cached_tokens": cached}},
    })
    .to_string()
}

/// A conversation of so many turns, with this system prompt.
fn turns(system: &str, count: usize) -> Ask {
    let mut messages = vec![json!({"role": "system", "content": system})];
    for turn in 0..count {
        messages.push(json!({"role": "user", "content": format!("turn {turn}")}));
        messages.push(json!({"role": "assistant", "content": "Done."}));
    }
    messages.pop();
    Ask::chat(json!({"model": "m1", "messages": messages}).to_string())
        .header("user-agent", "an-agent/1.0")
}

#[tokio::test]
async fn charts_are_drawn() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let upstream = Upstream::answering(json_response(200, answer(100, 0))).await;
    let server = Server::setup()
        .profile(
            "up",
            &ProfileText::openai(&upstream)
                .line("ai-proxy.model.options", "input_cost = 10")
                .line("ai-proxy.model.options", "output_cost = 20"),
        )
        .built_in("mock")
        .start();
    for _ in 0..3 {
        exchange(&server, turns("s", 1)).await;
    }
    exchange(&server, Ask::chat("{")).await;
    let mock = r#"{"model":"mock","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    exchange(&server, Ask::post("/mock/v1/chat/completions", mock)).await;
    browser.page(&server, "#/charts").await;
    browser.shows("#totals tr[data-profile=up]", "up4300").await;
    let row = browser
        .run("return [...document.querySelectorAll('#totals tr[data-profile=up] td')].map((cell) => cell.textContent).join('|')")
        .await;
    let row = row.as_str().unwrap();
    assert!(row.starts_with("up|4|300|27|$0.0035|"), "{row}");
    assert!(row.ends_with("|1"), "one error: {row}");
    // Both profiles' colours are in the chart of requests.
    let drawn = "const canvas = document.querySelector('#chart-requests canvas'); \
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data; \
        const seen = new Set(); for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) seen.add(`${data[at]},${data[at + 1]},${data[at + 2]}`); \
        return ['47,126,216', '229,96,46'].map((colour) => seen.has(colour)).join(' ')";
    assert_eq!(browser.run(drawn).await, "true true");
    for chart in ["tokens", "cost", "first", "speed", "errors"] {
        let selector = format!("return !!document.querySelector('#chart-{chart} canvas')");
        assert_eq!(browser.run(&selector).await, true, "{chart}");
    }
    browser.click(".profiles .key:nth-child(1)").await;
    let drawn = browser
        .until(format!(
            "const found = (() => {{ {drawn} }})(); return found !== 'true true' && found"
        ))
        .await;
    assert_eq!(drawn, "false true", "the other profile alone");
    let link = browser.run("return location.hash").await;
    assert_eq!(link, "#/charts?range=1h&without=mock");
}

#[tokio::test]
async fn sessions_grow_and_lose_their_cache() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    // The fourth begins with another system prompt; the fifth goes on with that, and the provider forgot.
    let asked = [
        ("It is noon.", 1, 1000, 0),
        ("It is noon.", 2, 1200, 1000),
        ("It is noon.", 3, 1400, 1200),
        ("It is one.", 4, 1600, 0),
        ("It is one.", 5, 1800, 1600),
        ("It is one.", 6, 2000, 0),
    ];
    let mut ids = Vec::new();
    for (system, count, prompt, cached) in asked {
        let client = turns(system, count).send(&server).await;
        let mut call = upstream.call().await;
        call.write(json_response(200, answer(prompt, cached))).await;
        call.finish().await;
        let reply = client.reply().await.clean().await;
        ids.push(reply.headers.get("x-aiproxy-exchange").unwrap().to_owned());
    }
    // Somebody else.
    let other = turns("It is noon.", 1)
        .instead("user-agent", Some("another/1"))
        .send(&server)
        .await;
    let mut call = upstream.call().await;
    call.write(json_response(200, answer(1000, 0))).await;
    call.finish().await;
    other.reply().await.clean().await;

    browser.page(&server, "#/sessions").await;
    browser.shows("#sessions", "6 exchanges").await;
    browser.shows("#sessions", "an-agent/1.0").await;
    browser.shows("#sessions", "cache broke 2 ×").await;
    let sessions = browser
        .run("return document.querySelectorAll('.session').length")
        .await;
    assert_eq!(sessions, 1);
    let step = |id: &str| format!(".step[data-id='{id}']");
    browser.shows(&step(&ids[1]), "+2 items").await;
    let broke = browser
        .run("return [...document.querySelectorAll('.step.broke')].map((one) => one.dataset.id).join(' ')")
        .await;
    assert_eq!(broke, format!("{} {}", ids[3], ids[5]));
    browser
        .shows(
            &step(&ids[3]),
            "cache: 1,200 → 0 tokens; system (item 1 of 6) is another one",
        )
        .await;
    browser
        .shows(
            &step(&ids[5]),
            "cache: 1,600 → 0 tokens; the prompt only grew",
        )
        .await;
    // What changed is a link away.
    browser
        .click(&format!("{} a:last-child", step(&ids[3])))
        .await;
    browser.shows("#diff-body .side.new", "one").await;
}

#[tokio::test]
async fn dark_and_light_and_keys() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let upstream = Upstream::answering(json_response(200, answer(10, 0))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let first = exchange(&server, turns("s", 1)).await;
    let second = exchange(&server, turns("s", 2)).await;
    browser.page(&server, "").await;
    browser.shows("#found", "2 exchanges").await;
    let colour = "return getComputedStyle(document.body).backgroundColor";
    let before = browser.run(colour).await;
    browser.press("t").await;
    let after = browser.run(colour).await;
    assert_ne!(before, after);
    // It stays.
    browser.page(&server, "").await;
    assert_eq!(browser.run(colour).await, after);

    browser.shows("#found", "2 exchanges").await;
    browser.press("jj\u{e007}").await;
    browser.shows("#title", &first).await;
    browser.press("k").await;
    browser.shows("#title", &second).await;
    for (key, view) in [
        ("s", "#/sessions"),
        ("g", "#/charts"),
        ("p", "#/play"),
        ("l", "#/"),
    ] {
        browser.press(key).await;
        let script = format!("return location.hash.startsWith('{view}')");
        browser.until(script).await;
    }
    browser.press("?").await;
    browser
        .until("return document.querySelector('#help').open")
        .await;
}

/// The picture in the README: with `AIPROXY_SCREENSHOT=FILE` it is written there.
#[tokio::test]
async fn a_picture_for_the_readme() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let server = Server::setup()
        .built_in("mock")
        .built_in("anthropic")
        .built_in("gemini")
        .args(["--mock"])
        .start();
    let ask = |profile: &str, model: &str, prompt: &str, stream: bool| {
        let body = json!({"model": model, "stream": stream, "max_tokens": 40, "seed": 7, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]});
        Ask::post(&format!("/{profile}/v1/chat/completions"), body.to_string())
    };
    for (profile, model, prompt) in [
        ("mock", "mock", "Hello"),
        ("gemini", "gemini-3.6-flash", "Tell me a story"),
        ("mock", "mock", "What is the capital of Peru?"),
        ("anthropic", "claude-haiku-4-5", "Tell me a story"),
    ] {
        exchange(&server, ask(profile, model, prompt, true)).await;
    }
    exchange(&server, Ask::post("/mock/v1/chat/completions", "{")).await;
    let id = exchange(
        &server,
        ask(
            "anthropic",
            "claude-haiku-4-5",
            "Tell me a story about a heron",
            true,
        ),
    )
    .await;
    browser.page(&server, &format!("#/x/{id}/diff")).await;
    browser
        .run("document.documentElement.dataset.theme = 'light'")
        .await;
    browser.shows("#diff-body .side.new", "Be brief.").await;
    let picture = STANDARD.decode(browser.picture().await).unwrap();
    assert!(picture.starts_with(b"\x89PNG"), "a picture");
    if let Some(file) = std::env::var_os("AIPROXY_SCREENSHOT") {
        std::fs::write(file, picture).unwrap();
    }
}
