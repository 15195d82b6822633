//! Transformers in the request log (SPEC §4.6).

use serde_json::Value;

use crate::{
    Plugin, asking,
    support::{
        Ask, PATIENCE, ProfileText, Server, Upstream, chat, completion, json_response, soon,
    },
};

async fn line(server: &Server) -> Value {
    let path = server.world.path("home/requests.log");
    let written = async {
        loop {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if text.ends_with('\n') {
                return serde_json::from_str(&text).unwrap();
            }
            tokio::time::sleep(PATIENCE / 1000).await;
        }
    };
    soon("the log's line", written).await
}

fn logging(plugin: Plugin) -> &'static str {
    match plugin {
        Plugin::Request => "ai-request-transformer.llm.logging",
        Plugin::Response => "ai-response-transformer.llm.logging",
    }
}

#[tokio::test]
async fn every_call_has_its_part_and_the_cost_is_of_all() {
    let upstream = Upstream::answering(json_response(200, completion("apple"))).await;
    let first = Upstream::answering(json_response(200, completion(&chat("")))).await;
    let second = Upstream::answering(json_response(200, completion("pear"))).await;
    let mut profile = ProfileText::openai(&upstream)
        .line("ai-proxy.logging", "log_statistics = true")
        .line("ai-proxy.model.options", "input_cost = 1000000.0")
        .line("ai-proxy.model.options", "output_cost = 1000000.0");
    for (plugin, llm) in [(Plugin::Request, &first), (Plugin::Response, &second)] {
        let (_, options) = plugin.more_tables();
        profile = asking(profile, plugin, llm)
            .line(logging(plugin), "log_statistics = true")
            .line(logging(plugin), "log_payloads = true")
            .line(options, "input_cost = 1000000.0")
            .line(options, "output_cost = 1000000.0");
    }
    let setup = Server::setup().profile("up", &profile);
    let server = setup.args(["--log-file", "requests.log"]).start();
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert_eq!(reply.text(), "pear");
    let line = line(&server).await;
    for (key, asked, said) in [
        ("ai-request-transformer", "hi", "messages"),
        ("ai-response-transformer", "apple", "pear"),
    ] {
        let part = &line["ai"][key];
        assert_eq!(part["meta"]["provider_name"], "openai");
        assert_eq!(part["meta"]["request_model"], "gpt-4");
        assert_eq!(part["meta"]["response_model"], "m1");
        assert_eq!(part["usage"]["total_tokens"], 5);
        assert_eq!(part["usage"]["cost"], 5.0);
        let payload = &part["payload"];
        assert!(
            payload["request"].as_str().unwrap().contains(asked),
            "{part}"
        );
        assert!(
            payload["response"].as_str().unwrap().contains(said),
            "{part}"
        );
    }
    assert_eq!(line["ai"]["proxy"]["usage"]["cost"], 5.0);
    assert_eq!(line["ai"]["proxy"].get("payload"), None);
    assert_eq!(line["cost"], 15.0);
    assert_eq!(line["response"]["size"], "pear".len());
}

#[tokio::test]
async fn a_call_that_failed_is_logged_without_its_key() {
    let upstream = Upstream::answering(json_response(200, "{}")).await;
    let error = r#"{"error":{"message":"bad key llm-key-012345","type":"x"}}"#;
    let llm = Upstream::answering(json_response(401, error)).await;
    let profile = asking(ProfileText::openai(&upstream), Plugin::Request, &llm)
        .line(logging(Plugin::Request), "log_payloads = true");
    let setup = Server::setup().profile("up", &profile);
    let server = setup.args(["--log-file", "requests.log"]).start();
    assert_eq!(Ask::chat(chat("")).whole(&server).await.status, 400);
    let line = line(&server).await;
    let text = line.to_string();
    assert!(!text.contains("llm-key-012345"), "{text}");
    assert!(
        line["error"].as_str().unwrap().contains("401: bad key ***"),
        "{text}"
    );
    let payload = &line["ai"]["ai-request-transformer"]["payload"];
    assert!(
        payload["response"]
            .as_str()
            .unwrap()
            .contains("bad key ***"),
        "{text}"
    );
    assert!(upstream.seen().is_empty());
}
