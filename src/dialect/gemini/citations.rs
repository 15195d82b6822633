//! Citations: `citationMetadata` and `groundingMetadata`, <https://ai.google.dev/api/generate-content#GroundingMetadata>.
//!
//! Google counts bytes of the answer's text, the canonical model characters.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{dialect::put, dialect::text::Text, llm::Citation};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CitationMetadata<'a> {
    /// The Gemini API's name.
    #[serde(borrow, default)]
    citation_sources: Vec<Source<'a>>,
    /// Vertex AI's.
    #[serde(borrow, default)]
    citations: Vec<Source<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source<'a> {
    start_index: Option<u64>,
    end_index: Option<u64>,
    #[serde(borrow, default)]
    uri: Text<'a>,
    #[serde(borrow, default)]
    title: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroundingMetadata<'a> {
    #[serde(borrow, default)]
    grounding_chunks: Vec<Chunk<'a>>,
    #[serde(default)]
    grounding_supports: Vec<Support>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow)]
    web: Option<Place<'a>>,
    #[serde(borrow)]
    retrieved_context: Option<Place<'a>>,
    #[serde(borrow)]
    maps: Option<Place<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place<'a> {
    #[serde(borrow, default)]
    uri: Text<'a>,
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    document_name: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Support {
    segment: Option<Segment>,
    #[serde(default)]
    grounding_chunk_indices: Vec<usize>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Segment {
    start_index: Option<u64>,
    end_index: Option<u64>,
}

/// Reads them into `found`, which may hold some from before. `text` is the answer's so far.
pub(super) fn decode(
    cited: Option<CitationMetadata<'_>>,
    grounded: Option<GroundingMetadata<'_>>,
    text: &str,
    found: &mut Vec<Citation>,
) {
    let own = |text: Text<'_>| text.filled().map(Into::into);
    let mut add = |citation: Citation| {
        if !found.contains(&citation) {
            found.push(citation);
        }
    };
    for source in cited
        .into_iter()
        .flat_map(|cited| cited.citation_sources.into_iter().chain(cited.citations))
    {
        add(Citation {
            url: own(source.uri),
            title: own(source.title),
            start: source
                .end_index
                .map(|_| chars(text, source.start_index.unwrap_or_default())),
            end: source.end_index.map(|end| chars(text, end)),
            ..Citation::default()
        });
    }
    let Some(grounded) = grounded else {
        return;
    };
    for (number, chunk) in grounded.grounding_chunks.into_iter().enumerate() {
        let Some(place) = chunk.web.or(chunk.retrieved_context).or(chunk.maps) else {
            continue;
        };
        let citation = Citation {
            url: own(place.uri),
            title: own(place.title),
            cited_text: own(place.text),
            source: own(place.document_name),
            ..Citation::default()
        };
        let mut supports = grounded
            .grounding_supports
            .iter()
            .filter(|support| support.grounding_chunk_indices.contains(&number))
            .filter_map(|support| support.segment)
            .peekable();
        if supports.peek().is_none() {
            add(citation.clone());
        }
        for segment in supports {
            add(Citation {
                // Zero is left out.
                start: Some(chars(text, segment.start_index.unwrap_or_default())),
                end: segment.end_index.map(|end| chars(text, end)),
                ..citation.clone()
            });
        }
    }
}

/// Characters in the first `bytes` bytes.
fn chars(text: &str, bytes: u64) -> u64 {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    text.char_indices()
        .take_while(|(at, _)| *at < bytes)
        .count() as u64
}

/// Bytes in the first `chars` characters.
fn bytes(text: &str, chars: u64) -> usize {
    let chars = usize::try_from(chars).unwrap_or(usize::MAX);
    text.char_indices()
        .nth(chars)
        .map_or(text.len(), |(at, _)| at)
}

/// Writes `groundingMetadata`; `None` if there is nothing to tell.
pub(super) fn encode(citations: &[Citation], text: &str) -> Option<Value> {
    if citations.is_empty() {
        return None;
    }
    let (mut chunks, mut supports) = (Vec::new(), Vec::new());
    for (index, citation) in citations.iter().enumerate() {
        let mut place = json!({});
        let mut kind = "web";
        if let Some(url) = &citation.url {
            put(&mut place, "uri", url.clone());
        }
        if let Some(title) = &citation.title {
            put(&mut place, "title", title.clone());
        }
        if let Some(text) = &citation.cited_text {
            kind = "retrievedContext";
            put(&mut place, "text", text.clone());
        }
        if let Some(source) = &citation.source {
            kind = "retrievedContext";
            put(&mut place, "documentName", source.clone());
        }
        chunks.push(json!({kind: place}));
        if citation.start.is_none() && citation.end.is_none() {
            continue;
        }
        let start = bytes(text, citation.start.unwrap_or_default());
        let mut segment = json!({"startIndex": start});
        if let Some(end) = citation.end {
            let end = bytes(text, end);
            put(&mut segment, "endIndex", end);
            put(
                &mut segment,
                "text",
                text.get(start..end).unwrap_or_default(),
            );
        }
        supports.push(json!({"segment": segment, "groundingChunkIndices": [index]}));
    }
    let mut grounding = json!({"groundingChunks": chunks});
    if !supports.is_empty() {
        put(&mut grounding, "groundingSupports", supports);
    }
    Some(grounding)
}
