//! A request or an answer at one stage, and the form of its body.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, value::RawValue};

/// A request or an answer at one stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StageTold {
    /// Its name: `client`, `request-transformed`, `sent`, `received`, `response-transformed`, `returned`.
    pub stage: String,
    /// A request's method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A request's URL; of the client's, path and query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// An answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Names and values; a name that comes several times has a list of values. A secret is `(secret)`.
    pub headers: Map<String, Value>,
    /// Bytes of the whole body, kept or not.
    pub size: u64,
    /// Not all of the body was kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The earlier stage whose body this one's is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// The body: an object or array of JSON as it is, other text as a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyTold>,
    /// A body that is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// The blanks before and after a body that is an object or array of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub around: Option<(String, String)>,
}

impl StageTold {
    /// Puts a body in.
    pub fn set_body(&mut self, bytes: &[u8]) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.body_base64 = Some(STANDARD.encode(bytes));
            return;
        };
        let told = BodyTold::of(text);
        if let BodyTold::Json(json) = &told
            && let Some((before, after)) = text.split_once(json.get())
            && !(before.is_empty() && after.is_empty())
        {
            self.around = Some((before.to_owned(), after.to_owned()));
        }
        self.body = Some(told);
    }

    /// The body's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(BodyTold::Text(text)), _) => text.clone().into_bytes(),
            (Some(BodyTold::Json(json)), _) => {
                let around = self.around.as_ref();
                let (before, after) = around.map_or(("", ""), |(before, after)| (before, after));
                [before, json.get(), after].concat().into_bytes()
            }
            (None, Some(coded)) => STANDARD.decode(coded).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }
}

/// A body that is text. A stream's is hundreds of kilobytes: it becomes a string of JSON only where JSON is written.
#[derive(Clone)]
pub enum BodyTold {
    /// An object or array, as it is.
    Json(Box<RawValue>),
    /// Other text.
    Text(String),
}

impl BodyTold {
    fn of(text: &str) -> BodyTold {
        if text.trim_start().starts_with(['{', '['])
            && let Ok(json) = RawValue::from_string(text.trim().to_owned())
        {
            return BodyTold::Json(json);
        }
        BodyTold::Text(text.to_owned())
    }

    /// Its length, about as it is written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_str().len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn as_str(&self) -> &str {
        match self {
            BodyTold::Json(json) => json.get(),
            BodyTold::Text(text) => text,
        }
    }
}

impl PartialEq for BodyTold {
    fn eq(&self, other: &BodyTold) -> bool {
        matches!(self, BodyTold::Json(_)) == matches!(other, BodyTold::Json(_))
            && self.as_str() == other.as_str()
    }
}

/// A length says enough: the text is somebody's conversation.
impl fmt::Debug for BodyTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyTold({} bytes)", self.len())
    }
}

impl Serialize for BodyTold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            BodyTold::Json(json) => json.serialize(serializer),
            BodyTold::Text(text) => text.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BodyTold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(BodyTold::from)
    }
}

impl From<Box<RawValue>> for BodyTold {
    fn from(json: Box<RawValue>) -> Self {
        match serde_json::from_str(json.get()) {
            Ok(text) => BodyTold::Text(text),
            Err(_) => BodyTold::Json(json),
        }
    }
}

/// A body as JSON: an object or array as it is, other text as a string. `None` if it is no text.
#[must_use]
pub fn body(bytes: &[u8]) -> Option<Box<RawValue>> {
    match BodyTold::of(std::str::from_utf8(bytes).ok()?) {
        BodyTold::Json(json) => Some(json),
        BodyTold::Text(text) => serde_json::value::to_raw_value(&text).ok(),
    }
}
