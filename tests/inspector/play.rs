use crate::{
    browser::Browser,
    support::{ProfileText, STREAM_HEAD, Server, Upstream, delta, role, stop},
};

#[tokio::test]
async fn a_prompt_through_several_profiles() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let mut one = Upstream::start().await;
    let anthropic = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"usage\":{\"input_tokens\":4,\"output_tokens\":1}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"From the second.\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    let two = Upstream::answering(format!("{STREAM_HEAD}{anthropic}")).await;
    let native = ProfileText::at(&format!("http://{}", two.address))
        .line("ai-proxy", r#"llm_format = "anthropic""#)
        .line("ai-proxy.model", r#"provider = "anthropic""#)
        .line("ai-proxy.model", r#"name = "c""#)
        .line(
            "ai-proxy.model.options",
            r#"anthropic_version = "2023-06-01""#,
        )
        .line("ai-proxy.model.options", "max_tokens = 10");
    let server = Server::setup()
        .profile(
            "one",
            &ProfileText::openai(&one).line("ai-proxy.model", r#"name = "o""#),
        )
        .profile("two", &native)
        .start();
    browser.page(&server, "#/").await;
    browser.press("p").await;
    browser.click("#play-profiles input[value=two]").await;
    browser.types("#play-system", "Be brief.").await;
    browser.types("#play-prompt", "Who answers?").await;
    browser.click("#play-send").await;
    let mut call = one.call().await;
    let sent = call.json();
    assert_eq!(sent["messages"][0]["content"], "Be brief.");
    assert_eq!(sent["messages"][1]["content"], "Who answers?");
    call.write(format!("{STREAM_HEAD}{}{}", role(), delta("From the ")))
        .await;
    // Both are there while one still streams.
    browser
        .shows(".talk:nth-child(1) .answer", "From the ")
        .await;
    browser
        .shows(".talk.done:nth-child(2) .answer", "From the second.")
        .await;
    browser
        .shows(".talk:nth-child(2) .talkhead", "7 tokens")
        .await;
    call.write(format!("{}{}data: [DONE]\n\n", delta("first."), stop()))
        .await;
    call.finish().await;
    browser
        .shows(".talk.done:nth-child(1) .answer", "From the first.")
        .await;
    let beside = browser
        .run("const [a, b] = [...document.querySelectorAll('.talk')].map((one) => one.getBoundingClientRect()); return a.right <= b.left && a.top === b.top")
        .await;
    assert_eq!(beside, true, "side by side");
    let seen: serde_json::Value = serde_json::from_slice(&two.seen()[0].body).unwrap();
    assert!(seen["system"].to_string().contains("Be brief."), "{seen}");

    browser.click(".talk:nth-child(1) .exchange").await;
    browser.shows("#prompt", "Who answers?").await;
    browser.shows("#answer", "From the first.").await;
}
