//! What an answer leans on: v2's citations with their sources inside, v1's with ids of documents that stand beside them.
//!
//! One of ours has one source, one of Cohere's several: they are split, not joined.

use serde_json::{Value, json};

use super::{each, string};
use crate::{dialect::put, llm::Citation};

/// Reads one of v2's: <https://docs.cohere.com/docs/rag-citations>.
pub(super) fn read_v2(wire: &Value, out: &mut Vec<Citation>) {
    let plain = place(wire);
    let sources = each(wire.get("sources"));
    if sources.is_empty() {
        out.push(plain);
        return;
    }
    for source in sources {
        let mut citation = plain.clone();
        if let Some(document) = source.get("document") {
            describe(document, &mut citation);
        }
        citation.source = filled(string(source, "id"));
        out.push(citation);
    }
}

/// Reads one of v1's, with the documents told so far.
pub(super) fn read_v1(wire: &Value, documents: &[Value], out: &mut Vec<Citation>) {
    let plain = place(wire);
    let ids = each(wire.get("document_ids"));
    if ids.is_empty() {
        out.push(plain);
        return;
    }
    for id in ids.iter().filter_map(Value::as_str) {
        let mut citation = plain.clone();
        if let Some(document) = documents.iter().find(|known| string(known, "id") == id) {
            describe(document, &mut citation);
        }
        citation.source = filled(id);
        out.push(citation);
    }
}

fn place(wire: &Value) -> Citation {
    Citation {
        start: wire.get("start").and_then(Value::as_u64),
        end: wire.get("end").and_then(Value::as_u64),
        ..Citation::default()
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A document is whatever the client or a connector made it; these names are the usual ones.
fn describe(document: &Value, citation: &mut Citation) {
    citation.url = filled(string(document, "url"));
    citation.title = filled(string(document, "title"));
    citation.cited_text =
        filled(string(document, "snippet")).or_else(|| filled(string(document, "text")));
}

/// The source of a citation as a document of Cohere's.
fn document(citation: &Citation, id: &str) -> Value {
    let mut document = json!({"id": id});
    for (key, text) in [
        ("title", &citation.title),
        ("url", &citation.url),
        ("snippet", &citation.cited_text),
    ] {
        if let Some(text) = text {
            put(&mut document, key, text.clone());
        }
    }
    document
}

/// Writes a citation's place in `text`, the answer.
fn written(citation: &Citation, text: &str) -> Value {
    let mut wire = json!({});
    if let (Some(start), Some(end)) = (citation.start, citation.end) {
        put(&mut wire, "start", start);
        put(&mut wire, "end", end);
        let (start, end) = (
            usize::try_from(start).unwrap_or(usize::MAX),
            usize::try_from(end).unwrap_or(usize::MAX),
        );
        let words: String = text
            .chars()
            .skip(start)
            .take(end.saturating_sub(start))
            .collect();
        put(&mut wire, "text", words);
    }
    wire
}

/// The id of a citation's source, made up where it has none.
fn id(citation: &Citation, number: usize) -> String {
    citation
        .source
        .clone()
        .unwrap_or_else(|| format!("doc_{number}"))
}

/// Writes v2's citation number `number`.
pub(super) fn write_v2(citation: &Citation, number: usize, text: &str) -> Value {
    let mut wire = written(citation, text);
    let id = id(citation, number);
    let source = json!({"type": "document", "id": id, "document": document(citation, &id)});
    put(&mut wire, "sources", json!([source]));
    put(&mut wire, "type", "TEXT_CONTENT");
    wire
}

/// Writes v1's citation number `number`, and the document that it names.
pub(super) fn write_v1(citation: &Citation, number: usize, text: &str) -> (Value, Value) {
    let mut wire = written(citation, text);
    let id = id(citation, number);
    put(&mut wire, "document_ids", json!([id]));
    (wire, document(citation, &id))
}
