//! Where nothing asks for spans, nothing is sent, and no header is read, added or changed.

use std::process::Command;

use crate::{
    Collector, end, ended,
    support::{
        Ask, Process, ProfileText, Server, Upstream, World, chat, completion, json_response,
    },
};

const TRACEPARENT: &str = "00-0AF7-as the client-wrote it-zz";

#[tokio::test]
async fn without_variables_headers_pass_as_they_are() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    Ask::chat(chat("")).whole(&server).await;
    Ask::chat(chat(""))
        .header("traceparent", TRACEPARENT)
        .header("tracestate", "a=1")
        .header("tracestate", "b=2")
        .whole(&server)
        .await;
    let seen = upstream.seen();
    let head = seen[0].head.to_lowercase();
    assert!(!head.contains("traceparent") && !head.contains("tracestate"));
    let head = &seen[1].head;
    for line in [
        format!("traceparent: {TRACEPARENT}\r\n"),
        "tracestate: a=1\r\n".to_owned(),
        "tracestate: b=2\r\n".to_owned(),
    ] {
        assert!(head.contains(&line), "{head}");
    }
}

#[tokio::test]
async fn what_is_switched_off_is_off() {
    for (name, value, said) in [
        ("OTEL_SDK_DISABLED", "true", ""),
        ("OTEL_TRACES_EXPORTER", "none", ""),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            "no spans are sent: OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "nowhere",
            "no spans are sent: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no URL",
        ),
    ] {
        let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
        let mut collector = Collector::start().await;
        let profile = ProfileText::openai(&upstream);
        let setup = Server::setup()
            .profile("up", &profile)
            .variable(name, value);
        let server = collector.of(setup).start();
        Ask::chat(chat("")).whole(&server).await;
        assert!(!upstream.seen()[0].head.contains("traceparent"), "{name}");
        let finished = ended(server).await;
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
        assert!(
            !finished.stderr.contains("spans go to"),
            "{}",
            finished.stderr
        );
        collector.0.was_not_called();
    }
}

/// What `doctor` says of telemetry.
async fn examined(setup: impl Fn(&mut Command)) -> String {
    let world = World::new();
    let mut command = world.aiproxy(["doctor", "--profile", "mock", "--json"]);
    setup(&mut command);
    let finished = end(Process::start(command)).await;
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    let own = checks.filter(|check| check["name"] == "telemetry");
    let lines = own.map(|check| {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        format!(
            "{} {}: {}\n",
            text("status"),
            text("subject"),
            text("message")
        )
    });
    lines.collect()
}

#[tokio::test]
async fn the_doctor_says_where_spans_go() {
    let collector = Collector::start().await;
    let told = examined(|_| {}).await;
    assert_eq!(told, "");
    let url = collector.url();
    let told = examined(|command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url);
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=otlp-key-W4-canary");
    })
    .await;
    assert_eq!(
        told,
        format!("ok {url}/v1/traces: spans go there, as http/protobuf, without what was said\n")
    );
    let sent = collector.requests();
    assert_eq!(sent.len(), 1);
    assert!(collector.spans().is_empty());
    let nobody = Upstream::nobody().await;
    let told = examined(|command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{nobody}"));
        command.env("OTEL_TRACES_SAMPLER", "dice");
    })
    .await;
    assert!(
        told.starts_with("warn environment: OTEL_TRACES_SAMPLER is `dice`")
            && told.contains(&format!(
                "warn http://{nobody}/v1/traces: spans are not taken: "
            )),
        "{told}"
    );
    // Nothing over the network, where that is not wanted.
    let told = examined(|command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{nobody}"));
        command.arg("--offline");
    })
    .await;
    assert!(told.starts_with("ok http://"), "{told}");
}
