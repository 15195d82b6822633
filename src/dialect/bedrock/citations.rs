//! What an answer's text leans on: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Citation.html>.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    dialect::{put, text::Text},
    llm,
};

/// A citation, whole or as it comes in a stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Citation<'a> {
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    source: Text<'a>,
    #[serde(borrow, default)]
    source_content: Option<Vec<SourceContent<'a>>>,
    #[serde(default)]
    location: Option<Location>,
}

#[derive(Deserialize)]
struct SourceContent<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
}

/// Where in which source; only one is set.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    web: Option<Web>,
    document_char: Option<Place>,
    document_page: Option<Place>,
    document_chunk: Option<Place>,
    search_result_location: Option<Place>,
}

#[derive(Deserialize)]
struct Web {
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    #[serde(alias = "searchResultIndex")]
    document_index: Option<u64>,
}

impl Citation<'_> {
    /// The citation of a statement that stands at these characters of the answer's text.
    pub(super) fn at(self, start: u64, end: u64) -> llm::Citation {
        let own = |text: Text<'_>| text.filled().map(std::borrow::Cow::into_owned);
        let (mut url, mut index) = (None, None);
        if let Some(location) = self.location {
            url = location.web.and_then(|web| web.url);
            index = location
                .document_char
                .or(location.document_page)
                .or(location.document_chunk)
                .or(location.search_result_location)
                .and_then(|place| place.document_index);
        }
        let cited: String = self
            .source_content
            .into_iter()
            .flatten()
            .map(|content| content.text.or_empty())
            .collect();
        llm::Citation {
            url,
            title: own(self.title),
            cited_text: (!cited.is_empty()).then_some(cited),
            start: Some(start),
            end: Some(end),
            source: own(self.source).or(index.map(|index| index.to_string())),
        }
    }
}

/// Writes a citation, whole or for a stream: both have the same shape.
pub(super) fn encode(citation: &llm::Citation) -> Value {
    let mut json = json!({});
    if let Some(title) = &citation.title {
        put(&mut json, "title", title.clone());
    }
    if let Some(source) = &citation.source {
        put(&mut json, "source", source.clone());
    }
    if let Some(text) = &citation.cited_text {
        put(&mut json, "sourceContent", json!([{"text": text}]));
    }
    if let Some(url) = &citation.url {
        put(&mut json, "location", json!({"web": {"url": url}}));
    }
    json
}
