use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderMap;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Any,
    trace::v1::Span as Wire,
};
use prost::Message;
use serde_json::json;

use super::{
    asked, json, protobuf,
    span::{self, Span, Value},
    told,
};
use crate::{
    exchange::{
        Exchange, Ledger, MOST, Observer, Recorder, Redactor,
        trace::{Sampler, Tracing},
    },
    llm::{Event, Kind},
};

fn one() -> Span {
    Span {
        trace: [1; 16],
        id: [2; 8],
        parent: Some([3; 8]),
        remote: true,
        flags: 1,
        state: "v=1".into(),
        name: "chat m".into(),
        kind: span::Kind::Client,
        start: 1_700_000_000_123_456_789,
        end: 1_700_000_001_000_000_000,
        attributes: vec![
            ("text".into(), "é".into()),
            ("empty".into(), "".into()),
            ("yes".into(), true.into()),
            ("no".into(), false.into()),
            ("int".into(), Value::Int(300)),
            ("zero".into(), Value::Int(0)),
            ("less".into(), Value::Int(-1)),
            ("double".into(), Value::Double(-0.5)),
            ("texts".into(), vec!["a".to_owned(), String::new()].into()),
            ("none".into(), Vec::<String>::new().into()),
        ],
        failed: Some("why".into()),
    }
}

/// Reads a request with the code that is generated from OpenTelemetry's definitions.
fn read(bytes: &[u8]) -> Vec<Wire> {
    let request = ExportTraceServiceRequest::decode(bytes).unwrap();
    let [resource] = &request.resource_spans[..] else {
        panic!("{request:?}");
    };
    let named = resource.resource.as_ref().unwrap();
    assert_eq!(named.attributes[0].key, "service.name");
    let [scope] = &resource.scope_spans[..] else {
        panic!("{request:?}");
    };
    let named = scope.scope.as_ref().unwrap();
    assert_eq!((&*named.name, &*named.version), ("s", "1"));
    scope.spans.clone()
}

#[test]
fn what_is_written_is_read_by_the_generated_code() {
    let resource = [("service.name".into(), Value::from("x"))];
    let bare = Span {
        parent: None,
        remote: false,
        state: String::new(),
        attributes: Vec::new(),
        failed: None,
        kind: span::Kind::Server,
        ..one()
    };
    let bytes = protobuf::request(&resource, ("s", "1"), &[one(), bare]);
    let spans = read(&bytes);
    let [first, second] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(first.trace_id, [1; 16]);
    assert_eq!(
        (&first.span_id[..], &first.parent_span_id[..]),
        (&[2; 8][..], &[3; 8][..])
    );
    assert_eq!((&*first.trace_state, &*first.name), ("v=1", "chat m"));
    assert_eq!((first.kind, first.flags), (3, 0x301));
    assert_eq!(first.start_time_unix_nano, 1_700_000_000_123_456_789);
    assert_eq!(first.end_time_unix_nano, 1_700_000_001_000_000_000);
    let status = first.status.as_ref().unwrap();
    assert_eq!((status.code, &*status.message), (2, "why"));
    let values: Vec<(String, Any)> = first
        .attributes
        .iter()
        .map(|pair| {
            let value = pair.value.as_ref().unwrap().value.clone();
            (pair.key.clone(), value.unwrap())
        })
        .collect();
    for (key, expected) in [
        ("text", Any::StringValue("é".into())),
        ("empty", Any::StringValue(String::new())),
        ("yes", Any::BoolValue(true)),
        ("no", Any::BoolValue(false)),
        ("int", Any::IntValue(300)),
        ("zero", Any::IntValue(0)),
        ("less", Any::IntValue(-1)),
        ("double", Any::DoubleValue(-0.5)),
    ] {
        assert!(
            values.contains(&(key.into(), expected)),
            "{key}: {values:?}"
        );
    }
    let texts = |name: &str| {
        let found = values.iter().find(|(key, _)| key == name);
        match found.map(|(_, value)| value) {
            Some(Any::ArrayValue(list)) => list
                .values
                .iter()
                .map(|one| match &one.value {
                    Some(Any::StringValue(text)) => text.clone(),
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(texts("texts"), ["a", ""]);
    assert_eq!(texts("none"), Vec::<String>::new());
    assert_eq!((second.kind, second.flags), (2, 0x101));
    assert!(second.parent_span_id.is_empty() && second.status.is_none());
}

#[test]
fn json_is_written_as_the_standard_has_it() {
    let bytes = json::request(&[], ("s", "1"), &[one()]);
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let span = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    for (key, expected) in [
        ("traceId", json!("01010101010101010101010101010101")),
        ("spanId", json!("0202020202020202")),
        ("parentSpanId", json!("0303030303030303")),
        ("traceState", json!("v=1")),
        ("kind", json!(3)),
        ("flags", json!(0x301)),
        ("startTimeUnixNano", json!("1700000000123456789")),
        ("status", json!({"code": 2, "message": "why"})),
    ] {
        assert_eq!(span[key], expected, "{key}");
    }
    let attributes = span["attributes"].as_array().unwrap();
    for expected in [
        json!({"key": "less", "value": {"intValue": "-1"}}),
        json!({"key": "double", "value": {"doubleValue": -0.5}}),
        json!({"key": "none", "value": {"arrayValue": {"values": []}}}),
    ] {
        assert!(attributes.contains(&expected), "{attributes:#?}");
    }
}

#[test]
fn settings_are_found_in_every_format() {
    let told = |body: serde_json::Value| {
        let mut span = Span {
            attributes: Vec::new(),
            ..one()
        };
        asked::put(&mut span, body.to_string().as_bytes());
        span.attributes
            .into_iter()
            .map(|(name, value)| {
                let name = name.replace("gen_ai.request.", "");
                (name, value)
            })
            .collect::<std::collections::BTreeMap<String, Value>>()
    };
    let gemini = told(json!({"generationConfig": {
        "temperature": 1, "topP": 0.5, "topK": 40, "maxOutputTokens": 9, "stopSequences": ["a", "b"],
        "candidateCount": 2, "responseMimeType": "application/json",
        "thinkingConfig": {"thinkingLevel": "low"},
    }}));
    assert_eq!(gemini["temperature"], Value::Double(1.0));
    assert_eq!(gemini["top_k"], Value::Int(40));
    assert_eq!(gemini["max_tokens"], Value::Int(9));
    assert_eq!(gemini["choice.count"], Value::Int(2));
    assert_eq!(gemini["reasoning.level"], "low".into());
    assert_eq!(gemini["gen_ai.output.type"], "json".into());
    assert_eq!(
        gemini["stop_sequences"],
        vec!["a".to_owned(), "b".to_owned()].into()
    );
    let bedrock = told(json!({"inferenceConfig": {"maxTokens": 5, "topP": 0.1}}));
    assert_eq!(bedrock["max_tokens"], Value::Int(5));
    let ollama = told(json!({"options": {"num_predict": 3}, "format": {"type": "object"}}));
    assert_eq!(ollama["max_tokens"], Value::Int(3));
    assert_eq!(ollama["gen_ai.output.type"], "json".into());
    let responses = told(json!({
        "reasoning": {"effort": "high"}, "previous_response_id": "resp_1",
        "text": {"format": {"type": "text"}}, "input": "hi",
    }));
    assert_eq!(responses["reasoning.level"], "high".into());
    assert_eq!(responses["previous_response.id"], "resp_1".into());
    assert_eq!(responses["gen_ai.output.type"], "text".into());
    for odd in [
        json!([]),
        json!("x"),
        json!({"temperature": "hot", "stop": null, "n": 1}),
    ] {
        assert!(told(odd.clone()).is_empty(), "{odd}");
    }
}

/// Keeps what it is told. What was said is part of it.
#[derive(Clone, Default)]
struct Keeps(Arc<Mutex<Vec<Span>>>);

impl Observer for Keeps {
    fn closed(&self, exchange: &Arc<Exchange>, redactor: &Arc<Redactor>) {
        self.0
            .lock()
            .unwrap()
            .extend(told::spans(exchange, redactor));
    }

    fn tracing(&self) -> Option<Tracing> {
        Some(Tracing {
            sampler: Sampler::On,
            parent_based: true,
            propagates: true,
            content: true,
        })
    }
}

/// The spans of an exchange.
fn spans_of(run: impl FnOnce(Recorder)) -> Vec<Span> {
    let keeps = Keeps::default();
    let ledger = Ledger::keeping(vec![Box::new(keeps.clone())], 8 << 20);
    ledger.hide_value("sk-0123456789");
    let recorder = ledger.open("up".into());
    recorder.trace(&HeaderMap::new());
    run(recorder);
    let mut spans = keeps.0.lock().unwrap();
    std::mem::take(&mut *spans)
}

fn value(span: &Span, name: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.clone())
}

#[test]
fn a_request_that_was_sent_again_says_how_often() {
    let counts: [(u32, &[Option<Value>]); 2] = [
        (0, &[None]),
        (2, &[None, Some(Value::Int(1)), Some(Value::Int(2))]),
    ];
    for (resent, expected) in counts {
        let spans = spans_of(|mut recorder| {
            recorder.routed("openai", "llm/v1/chat", "m");
            recorder.sent();
            recorder.answered(200, Some((Duration::ZERO, resent)));
            recorder.responding(200);
            recorder.close();
        });
        let (own, attempts) = spans.split_first().unwrap();
        let told = attempts.iter();
        let told: Vec<_> = told
            .map(|span| value(span, "http.request.resend_count"))
            .collect();
        assert_eq!(told, expected, "{spans:?}");
        // The last one got its answer, and no two have one name.
        let (last, unsent) = attempts.split_last().unwrap();
        assert!(last.failed.is_none() && unsent.iter().all(|span| span.failed.is_some()));
        let names: std::collections::HashSet<_> = spans.iter().map(|span| span.id).collect();
        assert_eq!(names.len(), spans.len());
        assert!(attempts.iter().all(|span| span.parent == Some(own.id)));
    }
}

#[test]
fn providers_go_by_the_names_of_the_conventions() {
    for (provider, operation, name, expected) in [
        ("openai", "llm/v1/chat", "chat m", "openai"),
        ("azure", "llm/v1/responses", "chat m", "azure.ai.openai"),
        ("gemini", "llm/v1/embeddings", "embeddings m", "gcp.gemini"),
        (
            "mistral",
            "llm/v1/completions",
            "text_completion m",
            "mistral_ai",
        ),
        ("xai", "llm/v1/chat", "chat m", "x_ai"),
        ("huggingface", "llm/v1/chat", "chat m", "huggingface"),
    ] {
        let spans = spans_of(|mut recorder| {
            recorder.routed(provider, operation, "m");
            recorder.close();
        });
        assert_eq!(spans[0].name, name);
        assert_eq!(
            value(&spans[0], "gen_ai.provider.name"),
            Some(Value::from(expected))
        );
    }
}

#[test]
fn an_answer_that_is_cut_does_not_end_with_a_secrets_beginning() {
    let spans = spans_of(|mut recorder| {
        recorder.routed("openai", "llm/v1/chat", "m");
        let kind = Kind::Text;
        recorder.observe(&Event::Open {
            part: 0,
            choice: 0,
            kind,
        });
        // There is no room for the rest.
        for text in ["the key is sk-0123", &"4".repeat(MOST)] {
            let text = text.into();
            recorder.observe(&Event::Text { part: 0, text });
        }
        recorder.close();
    });
    let Some(Value::Text(said)) = value(&spans[0], "gen_ai.output.messages") else {
        panic!("nothing was said");
    };
    assert!(said.contains("\"the key is ***\""), "{said}");
}
