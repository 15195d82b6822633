//! How spans get there, and what happens where they do not.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use crate::{
    Collector, end, ended,
    support::{
        Ask, Process, ProfileText, Server, Setup, Upstream, World, chat, completion, json_response,
        response,
    },
};

async fn fine() -> Upstream {
    Upstream::answering(json_response(200, completion("fine"))).await
}

/// A server that sends nothing by itself before it ends.
fn patient(setup: Setup) -> Setup {
    setup.variable("OTEL_BSP_SCHEDULE_DELAY", "600000")
}

#[tokio::test]
async fn json_compressed_and_with_headers() {
    let upstream = fine().await;
    let collector = Collector::start().await;
    let setup = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")
        .variable("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .variable("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b,x-other=1")
        .variable("OTEL_SERVICE_NAME", "mine");
    let server = collector.of(setup).start();
    Ask::chat(chat(r#""n":2"#)).whole(&server).await;
    let finished = ended(server).await;
    assert!(
        finished
            .stderr
            .contains(&format!("spans go to {}/v1/traces", collector.url())),
        "{}",
        finished.stderr
    );
    let requests = collector.requests();
    let (headers, body) = &requests[0];
    for (name, expected) in [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("x-tenant", "a b"),
        ("x-other", "1"),
        ("user-agent", concat!("aiproxy/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(headers.get(name), Some(expected));
    }
    let json: Value = serde_json::from_slice(body).unwrap();
    let all = &json["resourceSpans"][0];
    let named = all["resource"]["attributes"].as_array().unwrap();
    assert!(named.contains(&json!({"key": "service.name", "value": {"stringValue": "mine"}})));
    let spans = all["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0]["traceId"].as_str().unwrap().len(), 32);
    assert_eq!(spans[1]["parentSpanId"], spans[0]["spanId"]);
    assert_eq!(
        (&spans[0]["kind"], &spans[0]["name"]),
        (&json!(3), &json!("chat m1"))
    );
    let nanos: u64 = spans[0]["startTimeUnixNano"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(nanos > 1_600_000_000_000_000_000);
    let attributes = spans[0]["attributes"].as_array().unwrap();
    for (key, value) in [
        ("gen_ai.request.choice.count", json!({"intValue": "2"})),
        (
            "gen_ai.response.finish_reasons",
            json!({"arrayValue": {"values": [{"stringValue": "stop"}]}}),
        ),
    ] {
        assert!(
            attributes.contains(&json!({"key": key, "value": value})),
            "{key}: {attributes:#?}"
        );
    }
}

#[tokio::test]
async fn variables_of_an_env_file_count_too() {
    let collector = Collector::start().await;
    let text = format!("OTEL_EXPORTER_OTLP_ENDPOINT={}\n", collector.url());
    let setup = Server::setup().built_in("mock").file("otel.env", &text);
    let file = setup.folder().join("otel.env");
    let server = setup.args(["--env-file", file.to_str().unwrap()]).start();
    Ask::post("/mock/v1/chat/completions", chat(""))
        .whole(&server)
        .await;
    ended(server).await;
    assert_eq!(collector.spans().len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_that_is_run_has_spans_too() {
    let collector = Collector::start().await;
    let world = World::new();
    let lines = r#""$AIPROXY" chat "Hello there""#;
    let mut command = world.aiproxy(["run", "--profile", "mock", "--", "sh", "-c", lines]);
    command
        .env("AIPROXY", env!("CARGO_BIN_EXE_aiproxy"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    end(Process::start(command)).await.exits(0);
    let spans = collector.spans();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].get("gen_ai.provider.name"), json!("mock"));
}

#[tokio::test]
async fn what_waits_is_sent_at_the_end() {
    let upstream = fine().await;
    let collector = Collector::start().await;
    let setup = Server::setup().profile("up", &ProfileText::openai(&upstream));
    let server = patient(collector.of(setup)).start();
    for _ in 0..3 {
        Ask::chat(chat("")).whole(&server).await;
    }
    assert!(collector.spans().is_empty());
    let finished = ended(server).await;
    assert_eq!(collector.spans().len(), 6);
    assert_eq!(collector.requests().len(), 1);
    assert!(!finished.stderr.contains("not all"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_batch_is_sent_when_it_is_full() {
    let upstream = fine().await;
    let collector = Collector::start().await;
    let setup = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4");
    let server = patient(collector.of(setup)).start();
    for _ in 0..4 {
        Ask::chat(chat("")).whole(&server).await;
    }
    collector.wait(8).await;
    for message in collector.messages() {
        assert!(message.resource_spans[0].scope_spans[0].spans.len() <= 4);
    }
    ended(server).await;
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_said_once_and_slows_nobody() {
    let upstream = fine().await;
    let nobody = Upstream::nobody().await;
    let setup = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{nobody}"))
        .variable("OTEL_BSP_SCHEDULE_DELAY", "1")
        .variable("OTEL_BSP_EXPORT_TIMEOUT", "1");
    let mut server = setup.start();
    for _ in 0..5 {
        let reply = Ask::chat(chat("")).whole(&server).await;
        assert_eq!(reply.status, 200);
    }
    let said = "spans are not taken by http://";
    while !server.process.stderr().contains(said) {
        assert!(server.process.runs());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let finished = ended(server).await;
    assert_eq!(
        finished.stderr.matches(said).count(),
        1,
        "{}",
        finished.stderr
    );
    assert!(
        finished
            .stderr
            .contains("the spans of 5 exchanges were dropped"),
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn an_endpoint_that_comes_back_gets_what_waited() {
    let upstream = fine().await;
    let down = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&down);
    let collector = Collector::playing(move |mut call| {
        let down = flag.load(Ordering::SeqCst);
        async move {
            let answer = if down {
                response(503, &[("retry-after", "1")], "busy\u{1b}[2J")
            } else {
                json_response(200, "{}")
            };
            call.write(answer).await;
            call.finish().await;
        }
    })
    .await;
    let setup = Server::setup().profile("up", &ProfileText::openai(&upstream));
    let server = collector.of(setup).start();
    Ask::chat(chat("")).whole(&server).await;
    while collector.0.seen().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    down.store(false, Ordering::SeqCst);
    while collector.0.seen().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let spans = collector.spans();
    // The same spans, twice.
    assert_eq!((spans.len(), &spans[0].id), (4, &spans[2].id));
    let finished = ended(server).await;
    let stderr = &finished.stderr;
    assert!(stderr.contains("it answered 503: busy [2J"), "{stderr:?}");
    assert!(stderr.contains("spans are taken again by"), "{stderr}");
    assert!(!stderr.contains("dropped"), "{stderr}");
}

#[tokio::test]
async fn what_cannot_be_taken_is_not_sent_again() {
    let upstream = fine().await;
    let collector = Collector::playing(|mut call| async move {
        let body = r#"{"message":"no such tenant"}"#;
        call.write(json_response(400, body)).await;
        call.finish().await;
    })
    .await;
    let setup = Server::setup().profile("up", &ProfileText::openai(&upstream));
    let server = patient(collector.of(setup)).start();
    Ask::chat(chat("")).whole(&server).await;
    let finished = ended(server).await;
    assert_eq!(collector.requests().len(), 1);
    for said in [
        "it answered 400: no such tenant",
        "the spans of 1 exchanges were dropped",
        "not all spans were sent",
    ] {
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn what_is_refused_though_the_rest_is_taken_is_said() {
    let upstream = fine().await;
    let collector = Collector::playing(|mut call| async move {
        // ExportTracePartialSuccess{rejected_spans: 1, error_message: "too old"}
        let body = b"\x0a\x0b\x08\x01\x12\x07too old";
        let headers = [("content-type", "application/x-protobuf")];
        call.write(response(200, &headers, body)).await;
        call.finish().await;
    })
    .await;
    let setup = Server::setup().profile("up", &ProfileText::openai(&upstream));
    let server = collector.of(setup).start();
    for count in [2, 4] {
        Ask::chat(chat("")).whole(&server).await;
        collector.wait(count).await;
    }
    let finished = ended(server).await;
    let said = "did not take 1 spans: too old";
    assert_eq!(
        finished.stderr.matches(said).count(),
        1,
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn an_endpoint_that_hangs_holds_up_neither_requests_nor_the_end() {
    let upstream = fine().await;
    let collector = Collector::playing(|call| async move {
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
        drop(call);
    })
    .await;
    let setup = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .variable("OTEL_BSP_MAX_QUEUE_SIZE", "2");
    let server = collector.of(setup).start();
    Ask::chat(chat("")).whole(&server).await;
    while collector.0.seen().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for _ in 0..5 {
        assert_eq!(Ask::chat(chat("")).whole(&server).await.status, 200);
    }
    let finished = ended(server).await;
    let full = "telemetry cannot keep up: spans are dropped";
    assert_eq!(
        finished.stderr.matches(full).count(),
        1,
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("not all spans were sent"),
        "{}",
        finished.stderr
    );
}
