mod answers;
mod brought;
mod foreign;
mod requests;
mod streams;

use std::fmt::Write as _;

use serde_json::Value;

/// A stream of events, named by their types.
fn sse(events: &[Value]) -> Vec<u8> {
    let mut out = String::new();
    for (event, number) in events.iter().zip(0..) {
        let mut event = event.clone();
        event["sequence_number"] = number.into();
        let name = event["type"].as_str().unwrap();
        write!(out, "event: {name}\ndata: {event}\n\n").unwrap();
    }
    out.into_bytes()
}

/// The data of a stream's events, whose names and numbers are as they should be.
fn told(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    assert!(text.ends_with("\n\n") && !text.contains("[DONE]"));
    let all: Vec<Value> = text
        .trim_end()
        .split("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect();
    for (event, number) in all.iter().zip(0u64..) {
        assert_eq!(event["sequence_number"], number, "{event}");
    }
    all
}

/// The types of events, repetitions of deltas left out.
fn order(events: &[Value]) -> Vec<&str> {
    let mut types: Vec<&str> = events
        .iter()
        .map(|event| {
            event["type"]
                .as_str()
                .unwrap()
                .trim_start_matches("response.")
        })
        .collect();
    types.dedup_by(|next, last| next == last && next.ends_with("delta"));
    types
}

/// Holds a stream against the rules that clients rely on: an item is added before anything is told of it, what is begun is ended, deltas
/// make up the whole, and the last event's output is what was told item by item.
fn check(events: &[Value]) {
    let mut added: Vec<(Value, bool, String)> = Vec::new();
    for event in events {
        let kind = event["type"].as_str().unwrap();
        let index = event["output_index"]
            .as_u64()
            .map(|n| usize::try_from(n).unwrap());
        match (kind, index) {
            ("response.output_item.added", Some(index)) => {
                assert_eq!(index, added.len(), "{event}");
                added.push((event["item"]["id"].clone(), false, String::new()));
            }
            ("response.output_item.done", Some(index)) => {
                assert_eq!(added[index].0, event["item"]["id"], "{event}");
                assert!(!std::mem::replace(&mut added[index].1, true), "{event}");
            }
            (kind, Some(index)) => {
                let (id, done, text) = &mut added[index];
                assert_eq!(*id, event["item_id"], "{event}");
                if kind != "response.output_text.annotation.added" {
                    assert!(!*done, "{event}");
                }
                if kind.ends_with(".delta") {
                    text.push_str(event["delta"].as_str().unwrap());
                }
                for key in ["text", "refusal", "arguments", "input"] {
                    if kind.ends_with(".done") && event[key].is_string() {
                        assert_eq!(event[key], *text, "{event}");
                        text.clear();
                    }
                }
            }
            _ => {}
        }
    }
    let last = events.last().unwrap();
    let dones: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    if last["type"] == "response.completed" || last["type"] == "response.incomplete" {
        assert!(added.iter().all(|(_, done, _)| *done));
        let output = last["response"]["output"].as_array().unwrap();
        let ids = |items: Vec<&Value>| -> Vec<String> {
            let mut ids: Vec<String> = items.iter().map(|item| item["id"].to_string()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(output.iter().collect()), ids(dones));
    }
}
