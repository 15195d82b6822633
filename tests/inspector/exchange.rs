use crate::{
    asking,
    browser::Browser,
    exchange, streaming,
    support::{
        Ask, DONE, ProfileText, STREAM_HEAD, Server, Upstream, completion, delta, json_response,
        response, role, stop, usage,
    },
};

/// A stream of these words.
fn stream(words: &[&str]) -> String {
    let words: String = words.iter().map(|word| delta(word)).collect();
    format!(
        "{STREAM_HEAD}{}{words}{}{}{DONE}",
        role(),
        stop(),
        usage(5, 3)
    )
}

#[tokio::test]
async fn an_exchange_is_opened_and_its_stages_compared() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let upstream = Upstream::answering(stream(&["Herons ", "wade ", "here."])).await;
    let profile = ProfileText::openai(&upstream)
        .line("ai-proxy.model", r#"name = "heron-2""#)
        .line("ai-proxy.model.options", "temperature = 0.5");
    let server = Server::of(&profile);
    let ask = Ask::chat(
        r#"{"stream":true,"seed":12345678901234567890123,"messages":[{"role":"user","content":"Where do herons wade?"}]}"#,
    );
    let id = exchange(&server, ask.header("x-from", "a heron")).await;
    browser.page(&server, "").await;
    browser.click(".row[data-id]").await;
    browser.shows("#title", &id).await;
    browser.shows("#outcome-of", "ok 200").await;
    browser.shows("#prompt", "Where do herons wade?").await;
    browser.shows("#answer", "Herons wade here.").await;
    browser.shows(".facts", "5 in, 3 out").await;
    let link = browser.run("return location.hash").await;
    assert_eq!(link, format!("#/x/{id}"));

    browser.press("2").await;
    let stages = browser
        .until("const all = [...document.querySelectorAll('.stage')].map((one) => one.dataset.stage).join(' '); return all")
        .await;
    assert_eq!(stages, "client sent received returned");
    // The very digits, where JavaScript's numbers would have others.
    browser
        .shows("[data-stage=client] .code", "12345678901234567890123")
        .await;
    browser
        .shows("[data-stage=sent] .code", "\"temperature\": 0.5")
        .await;
    browser
        .shows("[data-stage=received] .code", "Herons ")
        .await;
    let beside = browser
        .run("const [a, b] = ['client', 'sent'].map((name) => document.querySelector(`[data-stage=${name}]`).getBoundingClientRect()); return a.right <= b.left && a.top === b.top")
        .await;
    assert_eq!(beside, true, "side by side");

    browser.press("d").await;
    browser.shows("#diff-body .side.new", "heron-2").await;
    browser.shows("#diff-body .side.new", "temperature").await;
    browser
        .shows("#diff-head .side", "/v1/chat/completions")
        .await;
    browser.shows("#diff-body .changes", "differ").await;
    browser.run("const pick = document.querySelector('#diff-right'); pick.value = 'client'; pick.dispatchEvent(new Event('change'))").await;
    browser.shows("#diff-body .changes", "no difference").await;
    let link = browser.run("return location.hash").await;
    assert_eq!(link, format!("#/x/{id}/diff?right=client"));

    browser.press("4").await;
    browser.shows("[data-stage=client] dd", "a heron").await;

    browser.press("5").await;
    browser.shows(".moment .said", "wade ").await;
    browser.click("#events-raw").await;
    browser.shows(".moment .said", "data: {\"id\"").await;
    let drawn = browser
        .run("const strip = document.querySelector('#strip'); return strip.getContext('2d').getImageData(0, 0, strip.width, strip.height).data.some((one) => one > 0)")
        .await;
    assert_eq!(drawn, true, "moments are drawn");

    // A link leads there without the list.
    browser.page(&server, &format!("#/x/{id}/stages")).await;
    browser.shows("[data-stage=sent] h2", "sent").await;
    browser.page(&server, "#/x/0000000000").await;
    browser.shows(".problem", "no exchange `0000000000`").await;
    assert_eq!(quiet(browser.log().await), [""; 0]);
}

/// What the console says beside answers that are errors, which the page shows.
fn quiet(log: Vec<String>) -> Vec<String> {
    log.into_iter()
        .filter(|line| !line.contains("Failed to load resource"))
        .collect()
}

#[tokio::test]
async fn warnings_and_failures_are_told() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let answer =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"the herons are tired"}}"#;
    let json = [("content-type", "application/json")];
    let upstream = Upstream::answering(response(529, &json, answer)).await;
    let profile = ProfileText::at(&format!("http://{}", upstream.address))
        .line("ai-proxy.model", r#"provider = "anthropic""#)
        .line(
            "ai-proxy.model.options",
            r#"anthropic_version = "2023-06-01""#,
        )
        .line("ai-proxy.model.options", "max_tokens = 10");
    let server = Server::of(&profile);
    let ask = Ask::chat(r#"{"model":"m1","seed":3,"messages":[{"role":"user","content":"hi"}]}"#);
    let id = exchange(&server, ask).await;
    browser.page(&server, &format!("#/x/{id}")).await;
    browser.shows(".problem", "the herons are tired").await;
    browser.shows(".warnings", "dropped:seed").await;
    browser.shows("#outcome-of", "failed 529").await;
}

#[tokio::test]
async fn a_request_is_sent_again() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let upstream = Upstream::answering(stream(&["Again ", "and again."])).await;
    let other = Upstream::answering(json_response(200, completion("Elsewhere."))).await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .profile(
            "other",
            &ProfileText::openai(&other).line("ai-proxy.model", r#"name = "o1""#),
        )
        .start();
    let body = r#"{"model": "m1", "n": 1.00, "stream": true, "messages": [{"role": "user", "content": "Say it"}]}"#;
    let ask = Ask::chat(body)
        .header("authorization", "Bearer sk-a-secret-of-mine")
        .header("x-mine", "kept");
    let id = exchange(&server, ask).await;
    browser.page(&server, &format!("#/x/{id}")).await;
    browser.shows("#title", &id).await;
    browser.press("r").await;
    browser.click("#replay-send").await;
    browser
        .shows(".talk.done .answer", "Again and again.")
        .await;
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].body, seen[0].body, "byte for byte");
    assert!(seen[1].head.contains("x-mine: kept"), "{}", seen[1].head);

    browser
        .run("document.querySelector('#replay-profile').value = 'other'")
        .await;
    browser.click("#replay-send").await;
    browser.shows(".talk.done .answer", "Elsewhere.").await;
    let seen = other.seen();
    let sent: serde_json::Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(sent["model"], "o1", "the other profile's own");
    assert!(String::from_utf8_lossy(&seen[0].body).contains("1.00"));

    // The first below: the last one is on top.
    browser.click(".talk:last-child .foot a:last-child").await;
    browser.shows("#diff-body", "no difference").await;
    browser.press("\u{e00c}").await;
    browser.shows("#found", "3 exchanges").await;
}

#[tokio::test]
async fn a_request_is_copied_as_a_program() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let upstream = Upstream::answering(json_response(200, completion("ok"))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let prompt = r#"it's "$HOME" `id` \ and
a line"#;
    let ask = asking(prompt).header("authorization", "Bearer sk-a-secret-of-mine");
    let id = exchange(&server, ask).await;
    browser.page(&server, &format!("#/x/{id}")).await;
    browser.shows("#title", &id).await;
    browser
        .run("window.copied = ''; navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
        .await;
    let mut sent = 1;
    for (button, program, args) in [
        ("#copy-curl", "curl", &["sh", "-c"][..]),
        ("#copy-node", "node", &["node", "--input-type=module", "-e"]),
        ("#copy-python", "python3", &["python3", "-c"]),
    ] {
        browser.run("window.copied = ''").await;
        browser.click(button).await;
        let code = browser.until("return window.copied").await;
        let code = code.as_str().unwrap();
        assert!(!code.contains("sk-a-secret"), "{code}");
        assert!(code.contains("OPENAI_API_KEY"), "{code}");
        // It runs, where its program is there.
        let mut there = server.world.command(program);
        there.arg("--version");
        let is_there = there.output().is_ok_and(|out| out.status.success());
        let httpx = program != "python3"
            || server
                .world
                .command("python3")
                .args(["-c", "import httpx"])
                .output()
                .is_ok_and(|out| out.status.success());
        if !is_there || !httpx {
            if program == "python3" {
                let compiles = format!("compile({code:?}, 'it', 'exec')");
                let compiled = server
                    .world
                    .command("python3")
                    .args(["-c", &compiles])
                    .status();
                assert!(compiled.is_ok_and(|status| status.success()), "{code}");
            }
            continue;
        }
        let mut command = server.world.command(args[0]);
        command
            .args(&args[1..])
            .arg(code)
            .env("OPENAI_API_KEY", "k");
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        let ran = ran.unwrap().unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        assert!(
            ran.status.success() && out.contains("\"ok\""),
            "{code}\n{out}\n{err}"
        );
        sent += 1;
        let seen = upstream.seen();
        assert_eq!(seen.len(), sent, "{code}");
        assert_eq!(seen[sent - 1].body, seen[0].body, "{code}");
    }
    // The answer to a stream is streamed, and so on.
    let id = exchange(&server, streaming("hi")).await;
    browser.page(&server, &format!("#/x/{id}")).await;
    browser.shows("#title", &id).await;
}
