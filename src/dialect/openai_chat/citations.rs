//! `annotations`: <https://platform.openai.com/docs/api-reference/chat/object>.
//!
//! Chat knows one kind, `url_citation`, and clients check answers against it: a document without a URL is one whose `url` is empty, and
//! every field of OpenAI's is there. What OpenAI has no field for stands beside them (`cited_text`, `source`).

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::wire::read as lenient;
use crate::{
    dialect::{
        put,
        text::{Text, count},
    },
    llm::Citation,
};

#[derive(Deserialize)]
struct Annotation<'a> {
    #[serde(borrow)]
    url_citation: Option<Source<'a>>,
    #[serde(borrow)]
    file_citation: Option<Source<'a>>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default, alias = "filename")]
    title: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    start_index: u64,
    #[serde(default, deserialize_with = "count")]
    end_index: u64,
    /// OpenRouter calls it `content`, Perplexity `snippet`.
    #[serde(borrow, default, alias = "content", alias = "snippet")]
    cited_text: Text<'a>,
    #[serde(borrow, default, alias = "file_id")]
    source: Text<'a>,
}

impl From<Source<'_>> for Citation {
    fn from(wire: Source<'_>) -> Citation {
        let own = |text: Text<'_>| text.filled().map(std::borrow::Cow::into_owned);
        let placed = (wire.start_index, wire.end_index) != (0, 0);
        Citation {
            url: own(wire.url),
            title: own(wire.title),
            cited_text: own(wire.cited_text),
            start: placed.then_some(wire.start_index),
            end: placed.then_some(wire.end_index),
            source: own(wire.source),
        }
    }
}

/// Reads a message's annotations.
pub(super) fn read(raw: Option<&RawValue>) -> Vec<Citation> {
    lenient::<Vec<Annotation<'_>>>(raw)
        .into_iter()
        .flatten()
        .filter_map(|annotation| annotation.url_citation.or(annotation.file_citation))
        .map(Into::into)
        .collect()
}

/// Reads Perplexity's lists: of sources, or of bare URLs.
pub(super) fn read_sources(results: Option<&RawValue>, urls: Option<&RawValue>) -> Vec<Citation> {
    if let Some(sources) = lenient::<Vec<Source<'_>>>(results).filter(|list| !list.is_empty()) {
        return sources.into_iter().map(Into::into).collect();
    }
    let urls = lenient::<Vec<Text<'_>>>(urls).into_iter().flatten();
    urls.filter_map(Text::filled)
        .map(|url| Citation {
            url: Some(url.into_owned()),
            ..Citation::default()
        })
        .collect()
}

/// Writes one.
pub(super) fn write(citation: &Citation) -> Value {
    let mut source = json!({
        "url": citation.url.as_deref().unwrap_or_default(),
        "title": citation.title.as_deref().unwrap_or_default(),
        "start_index": citation.start.unwrap_or_default(),
        "end_index": citation.end.unwrap_or_default(),
    });
    for (key, value) in [
        ("cited_text", &citation.cited_text),
        ("source", &citation.source),
    ] {
        if let Some(value) = value {
            put(&mut source, key, value.as_str());
        }
    }
    json!({"type": "url_citation", "url_citation": source})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &Value) -> Box<RawValue> {
        RawValue::from_string(json.to_string()).unwrap()
    }

    #[test]
    fn citations_survive_a_round_trip() {
        for citation in [
            Citation {
                url: Some("https://example.com/a".into()),
                title: Some("A".into()),
                start: Some(0),
                end: Some(12),
                ..Citation::default()
            },
            Citation {
                title: Some("report.pdf".into()),
                cited_text: Some("Sales grew.".into()),
                source: Some("2".into()),
                ..Citation::default()
            },
        ] {
            let json = json!([write(&citation)]);
            assert_eq!(read(Some(&raw(&json))), [citation]);
            let source = &json[0]["url_citation"];
            assert!(source["url"].is_string() && source["start_index"].is_u64());
        }
    }

    #[test]
    fn other_spellings_are_read() {
        let json = json!([
            {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "content": "c", "start_index": 1, "end_index": 2}},
            {"type": "file_citation", "file_citation": {"file_id": "f", "filename": "n"}},
            {"type": "unknown"},
        ]);
        let read_back = read(Some(&raw(&json)));
        assert_eq!(read_back.len(), 2);
        assert_eq!(read_back[0].cited_text.as_deref(), Some("c"));
        assert_eq!(
            (
                read_back[1].source.as_deref(),
                read_back[1].title.as_deref()
            ),
            (Some("f"), Some("n"))
        );
        let results =
            raw(&json!([{"title": "t", "url": "u", "date": "2026-01-01", "snippet": "s"}]));
        assert_eq!(
            read_sources(Some(&results), None)[0].url.as_deref(),
            Some("u")
        );
        let urls = raw(&json!(["a", "b"]));
        assert_eq!(read_sources(None, Some(&urls)).len(), 2);
        assert!(read_sources(None, None).is_empty() && read(None).is_empty());
    }
}
