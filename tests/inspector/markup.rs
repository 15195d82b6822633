use serde_json::{Value, json};

use crate::{
    browser::Browser,
    exchange,
    support::{Ask, ProfileText, STREAM_HEAD, Server, Upstream, delta, role, stop},
};

/// What would run if any of it became markup.
const EVIL: &str = r#"<img src=x onerror="window.owned=1"><script>window.owned=1</script><svg onload=owned=1><a href="javascript:owned=1">"#;

/// Nothing of it did.
async fn is_text(browser: &Browser, view: &str) {
    let found = browser
        .run("return [window.owned ?? 0, document.querySelectorAll('body img, body script, body svg, body [onerror], body [onload], [href^=\"javascript\"]').length].join(' ')")
        .await;
    assert_eq!(found, "0 0", "{view}");
}

/// Markup in a prompt, an answer, a model's name, a header, an error and a tool's name stays text in every view.
#[tokio::test]
async fn markup_stays_text() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let model = Value::from(format!("m {EVIL}"));
    let call = json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": format!("tool{EVIL}"), "arguments": "{}"}}]}}]});
    let answer = format!(
        "{STREAM_HEAD}{}{}data: {call}\n\n{}data: [DONE]\n\n",
        role(),
        delta(&format!("answer {EVIL}")),
        stop()
    )
    .replace("\"model\":\"m1\"", &format!("\"model\":{model}"));
    let upstream = Upstream::answering(answer).await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .built_in("mock")
        .start();
    let ask = |text: &str| {
        let body = json!({"model": model, "stream": true, "messages": [{"role": "user", "content": format!("prompt {EVIL}")}, {"role": EVIL, "content": text}]});
        Ask::chat(body.to_string())
            .header("x-evil", EVIL)
            .header("user-agent", EVIL)
    };
    let id = exchange(&server, ask("one")).await;
    let next = exchange(&server, ask(EVIL)).await;
    let wrong = json!({"model": EVIL, "messages": []}).to_string();
    let failed = exchange(&server, Ask::post("/mock/v1/chat/completions", wrong)).await;

    let start = "<img src=x onerror";
    let views = [
        (String::new(), ".row .c-text"),
        (
            format!("#/?q={start}&model={start}"),
            "#title, .row .c-model",
        ),
        (format!("#/x/{id}"), "#answer"),
        (format!("#/x/{id}"), "#prompt, #answer .part-text"),
        (format!("#/x/{id}"), ".facts"),
        (format!("#/x/{id}/stages"), "[data-stage=client] .code"),
        (format!("#/x/{id}/stages"), "[data-stage=returned] .code"),
        (format!("#/x/{id}/diff"), "#diff-body"),
        (
            format!("#/x/{id}/diff?left=received&right=returned"),
            "#diff-body",
        ),
        (
            format!("#/x/{id}/diff?with={next}&left=client"),
            "#diff-body .side.new",
        ),
        (format!("#/x/{id}/headers"), "[data-stage=client] dd"),
        (format!("#/x/{id}/events"), ".moment .said"),
        ("#/sessions".to_owned(), "#sessions"),
    ];
    for (view, selector) in views {
        browser.page(&server, &view).await;
        browser.shows(selector, start).await;
        is_text(&browser, &view).await;
    }
    browser.page(&server, &format!("#/x/{failed}")).await;
    browser.shows("#title", &failed).await;
    is_text(&browser, "a failure").await;
    // What an address says is not markup either.
    let evil: String = url::form_urlencoded::byte_serialize(EVIL.as_bytes()).collect();
    let evil = evil.replace('+', "%20");
    for view in [
        format!("#/x/{evil}"),
        format!("#/{evil}/{evil}"),
        format!("#/x/{id}/diff?left={evil}&with={evil}"),
        format!("#/sessions/{evil}"),
        format!("#/charts?range={evil}&without={evil}"),
        format!("#/play?prompt={evil}&profiles={evil}"),
    ] {
        browser.page(&server, &view).await;
        is_text(&browser, &view).await;
    }
    // Nor what comes back to the page itself.
    browser.page(&server, &format!("#/x/{id}")).await;
    browser.shows("#title", &id).await;
    browser.press("r").await;
    browser.click("#replay-send").await;
    browser.shows(".talk.done .answer", start).await;
    is_text(&browser, "a replay").await;
    // Even if somebody tried: the browser knows no way from text to markup here.
    let tried = browser
        .run("try { document.body.insertAdjacentHTML('beforeend', '<b>'); return 'done' } catch (error) { return error.name }")
        .await;
    assert_eq!(tried, "TypeError");
}
