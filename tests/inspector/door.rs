use crate::{
    asking,
    browser::Browser,
    exchange,
    support::{Ask, ProfileText, Server, Upstream, completion, json_response},
};

#[tokio::test]
async fn the_page_is_served_with_its_rules() {
    let server = Server::setup().built_in("mock").start();
    let page = Ask::get("/_aiproxy/ui").whole(&server).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.headers.get("content-type"),
        Some("text/html; charset=utf-8")
    );
    for path in [
        "/_aiproxy/ui",
        "/_aiproxy/ui/app.js",
        "/_aiproxy/ui/app.css",
        "/_aiproxy/ui/licences",
    ] {
        let file = Ask::get(path).whole(&server).await;
        assert_eq!(file.status, 200, "{path}");
        let policy = file.headers.get("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(file.headers.get("x-content-type-options"), Some("nosniff"));
        assert_eq!(file.headers.get("referrer-policy"), Some("no-referrer"));
        assert_eq!(file.headers.get("access-control-allow-origin"), None);
        let tag = file.headers.get("etag").unwrap();
        let again = Ask::get(path)
            .header("if-none-match", tag)
            .whole(&server)
            .await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    let text = page.text();
    for word in ["<style", "onload", "http:", "https:", "//"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    let licences = Ask::get("/_aiproxy/ui/licences")
        .whole(&server)
        .await
        .text();
    for name in ["uplot", "@tanstack/virtual-core", "prismjs", "diff "] {
        assert!(licences.contains(&format!("\n{name}")), "{name}");
    }
    for path in ["/_aiproxy", "/_aiproxy/"] {
        let way = Ask::get(path).whole(&server).await;
        assert_eq!(way.status, 307, "{path}");
        assert_eq!(way.headers.get("location"), Some("/_aiproxy/ui"));
    }
    let posted = Ask::post("/_aiproxy/ui", "").whole(&server).await;
    assert_eq!(posted.status, 405);
    let none = Ask::get("/_aiproxy/ui/../secrets").whole(&server).await;
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn a_token_opens_the_page() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let upstream = Upstream::answering(json_response(200, completion("Welcome."))).await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .args(["--token", "sesame & co"])
        .start();
    let id = exchange(&server, asking("hi").header("x-api-key", "sesame & co")).await;
    // Without it the page is there, and nothing else.
    browser.go(&format!("{}/_aiproxy/ui", server.url())).await;
    browser.shows("#link", "token needed").await;
    let rows = "return document.querySelectorAll('.row[data-id]').length";
    assert_eq!(browser.run(rows).await, 0);
    browser.types("#token", "wrong").await;
    browser.press("\u{e007}").await;
    browser
        .shows("#door .problem", "this token is not the server's")
        .await;
    browser.types("#token", "sesame & co").await;
    browser.press("\u{e007}").await;
    browser.shows(".row .c-id", &id).await;

    // A link brings it along, and it does not stay in the address.
    browser.run("sessionStorage.clear()").await;
    browser.page(&server, "#token=sesame%20%26%20co").await;
    browser.shows(".row .c-id", &id).await;
    let address = browser.run("return location.href").await;
    assert_eq!(address, format!("{}/_aiproxy/ui#/", server.url()));
    // Replays take it, and the upstream never sees it.
    browser.click(".row[data-id]").await;
    browser.shows("#title", &id).await;
    browser.press("r").await;
    browser.click("#replay-send").await;
    browser.shows(".talk.done .answer", "Welcome.").await;
    for seen in upstream.seen() {
        assert!(!seen.head.contains("sesame"), "{}", seen.head);
    }
    let elsewhere = browser
        .run("return performance.getEntriesByType('resource').filter((one) => new URL(one.name).origin !== location.origin).map((one) => one.name).join(' ')")
        .await;
    assert_eq!(elsewhere, "", "nothing is fetched from elsewhere");
    let blocked = browser.log().await;
    assert!(
        !blocked
            .iter()
            .any(|line| line.contains("Content Security Policy")),
        "{blocked:?}"
    );
}

#[tokio::test]
async fn what_the_page_asks_for_holds_no_secret() {
    let upstream = Upstream::answering(json_response(200, completion("ok"))).await;
    let profile = ProfileText::openai(&upstream)
        .key("authorization", "Bearer sk-of-the-profile")
        .line("ai-proxy.model", r#"name = "m1""#);
    let server = Server::setup()
        .profile("up", &profile)
        .built_in("openai")
        .built_in("mock")
        .start();
    let body = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"say sk-of-the-profile"}]}"#;
    let ask = Ask::chat(body).header("user-agent", "an-agent/1.0");
    let id = exchange(&server, ask).await;
    exchange(&server, Ask::chat("{")).await;

    let profiles = Ask::get("/_aiproxy/profiles").whole(&server).await;
    assert!(!profiles.text().contains("sk-of"), "{}", profiles.text());
    let told = profiles.json();
    let up = &told["profiles"][0];
    assert_eq!(up["name"], "up");
    assert_eq!(up["model"], "m1");
    assert_eq!(up["format"], "openai");
    assert_eq!(up["chat"], true);
    let missing = told["profiles"][1]["missing"].as_str().unwrap();
    assert!(missing.contains("OPENAI_API_KEY"), "{missing}");

    let prompts = Ask::get("/_aiproxy/prompts").whole(&server).await;
    assert!(!prompts.text().contains("sk-of"), "{}", prompts.text());
    let told = prompts.json();
    assert_eq!(told["prompts"][0]["items"].as_array().unwrap().len(), 0);
    let prompt = &told["prompts"][1];
    assert_eq!(prompt["id"], id);
    assert_eq!(prompt["client"], "an-agent/1.0");
    assert_eq!(prompt["items"][0]["role"], "system");
    assert_eq!(prompt["items"][1]["role"], "user");
    let few = Ask::get("/_aiproxy/prompts?limit=1").whole(&server).await;
    assert_eq!(few.json()["prompts"].as_array().unwrap().len(), 1);
    assert!(few.json()["next"].is_string());
    let wrong = Ask::get("/_aiproxy/prompts?colour=red")
        .whole(&server)
        .await;
    wrong.fails_with(400, "`colour` is no filter of exchanges");
}
