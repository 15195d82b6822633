//! W3C trace context: from the client, and on to upstreams.

use serde_json::json;

use crate::{
    Collector, pair,
    support::{Ask, ProfileText, Server, Upstream, chat, completion, json_response},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

#[tokio::test]
async fn the_clients_trace_goes_on_to_the_upstream() {
    let mut upstream = Upstream::start().await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    let client = Ask::chat(chat(""))
        .header("traceparent", &traceparent("01"))
        .header("tracestate", "vendor=1")
        .header("baggage", "user=me")
        .send(&server)
        .await;
    let mut call = upstream.call().await;
    let sent = call.headers.all("traceparent").join("|");
    assert_eq!(call.headers.all("tracestate"), ["vendor=1"]);
    assert_eq!(call.headers.all("baggage"), ["user=me"]);
    call.write(json_response(200, completion("fine"))).await;
    client.reply().await.whole().await;
    let spans = collector.wait(2).await;
    let (own, request) = pair(&spans);
    assert_eq!((own.trace.as_str(), own.parent.as_str()), (TRACE, PARENT));
    // The client is another program.
    assert_eq!((own.flags & 0x301, request.flags & 0x301), (0x301, 0x101));
    assert_eq!(own.state, "vendor=1");
    assert_eq!(sent, format!("00-{TRACE}-{}-01", request.id));
}

#[tokio::test]
async fn a_trace_begins_here_where_the_client_has_none_that_is_sound() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    Ask::chat(chat(""))
        .header("traceparent", "00-nonsense-01")
        .header("tracestate", "vendor=1")
        .whole(&server)
        .await;
    let spans = collector.wait(2).await;
    let (own, request) = pair(&spans);
    assert_eq!((own.parent.as_str(), own.state.as_str()), ("", ""));
    let head = upstream.seen()[0].head.clone();
    let expected = format!("traceparent: 00-{}-{}-0", own.trace, request.id);
    assert!(head.contains(&expected), "{head}");
    assert!(
        !head.contains("nonsense") && !head.contains("tracestate"),
        "{head}"
    );
}

#[tokio::test]
async fn who_began_the_trace_decides_whether_it_is_recorded() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let setup = Server::setup()
        .profile("up", &profile)
        .variable("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    let server = collector.of(setup).start();
    for flags in [None, Some("00"), Some("01")] {
        let mut ask = Ask::chat(chat(""));
        if let Some(flags) = flags {
            ask = ask.header("traceparent", &traceparent(flags));
        }
        ask.whole(&server).await;
    }
    // The third alone.
    let spans = collector.wait(2).await;
    let (own, _) = pair(&spans);
    assert_eq!(own.parent, PARENT);
    let seen = upstream.seen();
    let ends: Vec<&str> = seen
        .iter()
        .map(|seen| {
            let (_, rest) = seen.head.split_once("traceparent: 00-").unwrap();
            rest.lines().next().unwrap()
        })
        .collect();
    // Upstreams are told either way. An id that was made here is random.
    assert!(ends[0].ends_with("-02"), "{ends:?}");
    assert!(ends[1].starts_with(TRACE) && ends[1].ends_with("-00"));
    assert!(ends[2].starts_with(TRACE) && ends[2].ends_with("-01"));
}

#[tokio::test]
async fn a_transformers_call_has_a_span_of_its_own() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let llm = Upstream::answering(json_response(
        200,
        completion(r#"{"messages":[{"role":"user","content":"changed"}]}"#),
    ))
    .await;
    let after = Upstream::answering(json_response(500, r#"{"error":{"message":"no"}}"#)).await;
    let collector = Collector::start().await;
    let mut profile = ProfileText::openai(&upstream).line("ai-proxy.model", "name = \"m1\"");
    for (table, llm_table, model, options, llm) in [
        (
            "ai-request-transformer",
            "ai-request-transformer.llm",
            "ai-request-transformer.llm.model",
            "ai-request-transformer.llm.model.options",
            &llm,
        ),
        (
            "ai-response-transformer",
            "ai-response-transformer.llm",
            "ai-response-transformer.llm.model",
            "ai-response-transformer.llm.model.options",
            &after,
        ),
    ] {
        profile = profile
            .line(table, r#"prompt = "Change it""#)
            .line(llm_table, r#"route_type = "llm/v1/chat""#)
            .line(model, r#"provider = "openai""#)
            .line(model, r#"name = "gpt-4""#)
            .line(options, "temperature = 0.25")
            .line(
                options,
                format!("upstream_url = \"http://{}/llm\"", llm.address),
            );
    }
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    let body = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = Ask::chat(body)
        .header("traceparent", &traceparent("01"))
        .whole(&server)
        .await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    let spans = collector.wait(4).await;
    let [own, first, second, request] = &spans[..] else {
        panic!("{spans:#?}");
    };
    for span in [first, second, request] {
        assert_eq!((&span.trace, &span.parent), (&own.trace, &own.id));
    }
    assert_eq!((own.trace.as_str(), own.parent.as_str()), (TRACE, PARENT));
    for (span, plugin, llm) in [
        (first, "ai-request-transformer", &llm),
        (second, "ai-response-transformer", &after),
    ] {
        assert_eq!((span.name.as_str(), span.kind), ("chat gpt-4", "client"));
        assert_eq!(span.get("aiproxy.plugin"), json!(plugin));
        assert_eq!(span.get("gen_ai.operation.name"), json!("chat"));
        assert_eq!(span.get("gen_ai.request.model"), json!("gpt-4"));
        assert_eq!(
            span.get("gen_ai.request.temperature"),
            json!({"double": 0.25})
        );
        assert_eq!(span.get("server.port"), json!(llm.address.port()));
        let head = llm.seen()[0].head.clone();
        let expected = format!("traceparent: 00-{TRACE}-{}-01", span.id);
        assert!(head.contains(&expected), "{head}");
    }
    assert_eq!(first.get("gen_ai.usage.input_tokens"), json!(3));
    assert!(first.failed.is_none());
    assert_eq!(second.get("error.type"), json!("500"));
    assert!(second.failed.is_some());
    // One after the other, and the request upstream between them did not fail.
    assert!(first.end <= request.start && request.end <= second.start + 1000);
    assert!(request.failed.is_none(), "{request:?}");
    let head = upstream.seen()[0].head.clone();
    assert!(head.contains(&format!("-{}-01", request.id)), "{head}");
    assert_eq!(own.get("error.type"), json!("transformer"));
}

#[tokio::test]
async fn nothing_is_read_or_sent_where_the_environment_wants_no_trace_context() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let setup = Server::setup()
        .profile("up", &profile)
        .variable("OTEL_PROPAGATORS", "none");
    let server = collector.of(setup).start();
    Ask::chat(chat(""))
        .header("traceparent", &traceparent("01"))
        .whole(&server)
        .await;
    Ask::chat(chat("")).whole(&server).await;
    let spans = collector.wait(4).await;
    assert!(spans.iter().all(|span| span.trace != TRACE));
    let seen = upstream.seen();
    assert!(seen[0].head.contains(&traceparent("01")));
    assert!(!seen[1].head.contains("traceparent"));
}

#[tokio::test]
async fn a_signature_covers_the_trace_that_is_sent() {
    let upstream = Upstream::answering(json_response(500, "{}")).await;
    let collector = Collector::start().await;
    let profile = ProfileText::at(&format!("http://{}", upstream.address))
        .line("ai-proxy.model", "provider = \"bedrock\"")
        .line("ai-proxy.model", "name = \"anthropic.claude-v2\"")
        .line("ai-proxy.auth", "aws_access_key_id = \"AKIDEXAMPLE\"")
        .line(
            "ai-proxy.auth",
            "aws_secret_access_key = \"secret-access-key-1\"",
        )
        .line(
            "ai-proxy.model.options.bedrock",
            "aws_region = \"us-east-1\"",
        );
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    Ask::chat(r#"{"messages":[{"role":"user","content":"hi"}]}"#)
        .header("traceparent", &traceparent("01"))
        .whole(&server)
        .await;
    let spans = collector.wait(2).await;
    let (own, request) = pair(&spans);
    assert_eq!(own.get("gen_ai.provider.name"), json!("aws.bedrock"));
    let head = upstream.seen()[0].head.clone();
    let sent = format!("traceparent: 00-{TRACE}-{}-01", request.id);
    assert_eq!(head.matches("traceparent: ").count(), 1, "{head}");
    assert!(
        head.contains(&sent) && head.contains("AWS4-HMAC-SHA256"),
        "{head}"
    );
}
