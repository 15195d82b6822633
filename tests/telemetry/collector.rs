//! The other end of OTLP: what a collector gets, read with the code that is generated from OpenTelemetry's own definitions.

use std::{collections::BTreeMap, io::Read, time::Instant};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    trace::v1::Span as Wire,
};
use prost::Message;
use serde_json::{Value, json};

use crate::support::{Call, Headers, PATIENCE, Setup, Upstream, json_response};

/// A collector that takes everything.
pub(crate) struct Collector(pub(crate) Upstream);

/// A span in plain words.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty if it has none.
    pub(crate) parent: String,
    pub(crate) state: String,
    pub(crate) name: String,
    /// `server`, `client`.
    pub(crate) kind: &'static str,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) flags: u32,
    /// Why it failed, if it did.
    pub(crate) failed: Option<String>,
    pub(crate) attributes: BTreeMap<String, Value>,
}

impl Span {
    /// An attribute; null if it has none of this name.
    pub(crate) fn get(&self, name: &str) -> Value {
        self.attributes.get(name).cloned().unwrap_or_default()
    }
}

impl Collector {
    pub(crate) async fn start() -> Collector {
        Collector(Upstream::answering(json_response(200, "{}")).await)
    }

    /// One that does the same with every request.
    pub(crate) async fn playing<F, R>(play: F) -> Collector
    where
        F: Fn(Call) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Collector(Upstream::playing(play).await)
    }

    /// Its URL, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Points a server at it, and has it send at once.
    pub(crate) fn of(&self, setup: Setup) -> Setup {
        setup
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url())
            .variable("OTEL_BSP_SCHEDULE_DELAY", "20")
    }

    /// The requests so far: headers, and bodies inflated.
    pub(crate) fn requests(&self) -> Vec<(Headers, Vec<u8>)> {
        let seen = self.0.seen().into_iter();
        seen.map(|seen| {
            assert!(
                seen.head.starts_with("POST /v1/traces HTTP/1.1\r\n"),
                "{}",
                seen.head
            );
            let headers = Headers::parse(&seen.head);
            let mut body = seen.body;
            if headers.get("content-encoding") == Some("gzip") {
                let mut inflated = Vec::new();
                let mut child = std::process::Command::new("gzip")
                    .arg("-dc")
                    .stdin(std::process::Stdio::piped())
                    .stdout(std::process::Stdio::piped())
                    .spawn()
                    .unwrap();
                std::io::Write::write_all(&mut child.stdin.take().unwrap(), &body).unwrap();
                child
                    .stdout
                    .take()
                    .unwrap()
                    .read_to_end(&mut inflated)
                    .unwrap();
                assert!(child.wait().unwrap().success());
                body = inflated;
            }
            (headers, body)
        })
        .collect()
    }

    /// All that came, decoded.
    pub(crate) fn messages(&self) -> Vec<ExportTraceServiceRequest> {
        let requests = self.requests().into_iter();
        requests
            .map(|(_, body)| ExportTraceServiceRequest::decode(&*body).unwrap())
            .collect()
    }

    /// The spans that came so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let resources = self.messages().into_iter();
        resources
            .flat_map(|message| message.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .map(span)
            .collect()
    }

    /// The spans, once there are so many.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Span> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let spans = self.spans();
            if spans.len() >= count {
                assert_eq!(spans.len(), count, "{spans:#?}");
                return spans;
            }
            assert!(
                Instant::now() < deadline,
                "{} spans, not {count}: {spans:#?}",
                spans.len()
            );
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Bytes of all that came, headers included, for what must not be in them.
    pub(crate) fn everything(&self) -> String {
        let requests = self.requests();
        let seen = self.0.seen();
        let heads = seen.iter().map(|seen| seen.head.clone());
        let bodies = requests
            .iter()
            .map(|(_, body)| String::from_utf8_lossy(body).into_owned());
        heads.chain(bodies).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn span(wire: Wire) -> Span {
    Span {
        trace: hex(&wire.trace_id),
        id: hex(&wire.span_id),
        parent: hex(&wire.parent_span_id),
        state: wire.trace_state.clone(),
        name: wire.name.clone(),
        kind: match wire.kind {
            2 => "server",
            3 => "client",
            other => panic!("span kind {other}"),
        },
        start: wire.start_time_unix_nano,
        end: wire.end_time_unix_nano,
        flags: wire.flags,
        failed: wire.status.map(|status| {
            assert_eq!(status.code, 2);
            status.message
        }),
        attributes: attributes(wire.attributes),
    }
}

/// Attributes as JSON.
pub(crate) fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let count = pairs.len();
    let all: BTreeMap<String, Value> = pairs
        .into_iter()
        .map(|pair| (pair.key, plain(pair.value)))
        .collect();
    assert_eq!(all.len(), count, "an attribute is there twice: {all:?}");
    all
}

fn plain(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => text.into(),
        Some(Any::BoolValue(flag)) => flag.into(),
        Some(Any::IntValue(number)) => number.into(),
        Some(Any::DoubleValue(number)) => json!({"double": number}),
        Some(Any::ArrayValue(list)) => list
            .values
            .into_iter()
            .map(|one| plain(Some(one)))
            .collect(),
        other => panic!("{other:?}"),
    }
}
