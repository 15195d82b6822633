//! What a text leans on: <https://platform.openai.com/docs/api-reference/responses/object>.
//!
//! Clients check these against the kinds they know: a source with a URL is a `url_citation`, any other a `file_citation`. What these have
//! no field for stands beside (`cited_text`, the end in a file's).

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    dialect::{put, text::Text},
    llm::Citation,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotation<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    filename: Text<'a>,
    #[serde(borrow)]
    file_id: Text<'a>,
    #[serde(borrow)]
    cited_text: Text<'a>,
    start_index: Option<u64>,
    end_index: Option<u64>,
}

/// Reads one that stands in a text which begins at `offset` of the answer's.
pub(super) fn read(raw: &RawValue, offset: u64) -> Option<Citation> {
    let wire: Annotation<'_> = serde_json::from_str(raw.get()).ok()?;
    let known = [
        "url_citation",
        "file_citation",
        "container_file_citation",
        "file_path",
    ];
    if !known.contains(&wire.kind.0.as_deref()?) {
        return None;
    }
    let own = |text: Text<'_>| text.filled().map(std::borrow::Cow::into_owned);
    let placed = (wire.start_index, wire.end_index) != (Some(0), Some(0));
    let at = |index: Option<u64>| {
        index
            .filter(|_| placed)
            .map(|index| index.saturating_add(offset))
    };
    Some(Citation {
        url: own(wire.url),
        title: own(wire.title).or(own(wire.filename)),
        cited_text: own(wire.cited_text),
        start: at(wire.start_index),
        end: at(wire.end_index),
        source: own(wire.file_id),
    })
}

/// Writes one into a text that begins at `offset` of the answer's.
pub(super) fn write(citation: &Citation, offset: u64) -> Value {
    let at = |index: Option<u64>| index.map(|index| index.saturating_sub(offset));
    let (start, end) = (at(citation.start), at(citation.end));
    let title = citation.title.as_deref().unwrap_or_default();
    let mut json = match &citation.url {
        Some(url) => json!({"type": "url_citation", "url": url, "title": title,
            "start_index": start.unwrap_or_default(), "end_index": end.unwrap_or_default()}),
        None => json!({"type": "file_citation", "filename": title,
            "file_id": citation.source.as_deref().unwrap_or_default(), "index": end.or(start).unwrap_or_default()}),
    };
    let beside = [
        ("cited_text", citation.cited_text.as_deref()),
        ("file_id", citation.source.as_deref()),
    ];
    for (key, value) in beside {
        if let Some(value) = value {
            put(&mut json, key, value);
        }
    }
    if citation.url.is_none() {
        for (key, index) in [("start_index", start), ("end_index", end)] {
            if let Some(index) = index {
                put(&mut json, key, index);
            }
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_survive_a_round_trip() {
        for citation in [
            Citation {
                url: Some("https://example.com/a".into()),
                title: Some("A".into()),
                start: Some(30),
                end: Some(42),
                ..Citation::default()
            },
            Citation {
                url: Some("https://example.com/b".into()),
                source: Some("3".into()),
                ..Citation::default()
            },
            Citation {
                title: Some("report.pdf".into()),
                cited_text: Some("Sales grew.".into()),
                source: Some("2".into()),
                start: Some(30),
                end: Some(31),
                ..Citation::default()
            },
        ] {
            let json = write(&citation, 25).to_string();
            let raw = RawValue::from_string(json).unwrap();
            assert_eq!(read(&raw, 25), Some(citation));
        }
        let raw = RawValue::from_string(r#"{"type":"new","url":"u"}"#.into()).unwrap();
        assert_eq!(read(&raw, 0), None);
    }
}
