//! The shapes that both directions share. Google takes field names in camel case and in snake case; it answers in camel case.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dialect::text::Text;

/// A part as it is read: one of its fields says what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    pub text: Text<'a>,
    /// The text is reasoning.
    #[serde(default)]
    pub thought: Option<bool>,
    #[serde(borrow, default, alias = "thought_signature")]
    pub thought_signature: Text<'a>,
    #[serde(borrow, alias = "inline_data")]
    pub inline_data: Option<Blob<'a>>,
    #[serde(borrow, alias = "file_data")]
    pub file_data: Option<FileData<'a>>,
    #[serde(borrow, alias = "function_call")]
    pub function_call: Option<FunctionCall<'a>>,
    #[serde(borrow, alias = "function_response")]
    pub function_response: Option<FunctionResponse<'a>>,
    #[serde(borrow, alias = "executable_code")]
    pub executable_code: Option<&'a RawValue>,
    #[serde(borrow, alias = "code_execution_result")]
    pub code_execution_result: Option<&'a RawValue>,
    #[serde(borrow, alias = "tool_call")]
    pub tool_call: Option<&'a RawValue>,
    #[serde(borrow, alias = "tool_response")]
    pub tool_response: Option<&'a RawValue>,
}

impl<'a> Part<'a> {
    /// What only Gemini knows: tools that Google itself runs.
    pub(super) fn opaque(&self) -> Option<(&'static str, &'a RawValue)> {
        [
            ("executableCode", self.executable_code),
            ("codeExecutionResult", self.code_execution_result),
            ("toolCall", self.tool_call),
            ("toolResponse", self.tool_response),
        ]
        .into_iter()
        .find_map(|(name, raw)| Some((name, raw?)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob<'a> {
    #[serde(borrow, default, alias = "mime_type")]
    pub mime_type: Text<'a>,
    #[serde(borrow, default)]
    pub data: Text<'a>,
    #[serde(borrow, default, alias = "display_name")]
    pub display_name: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData<'a> {
    #[serde(borrow, default, alias = "file_uri")]
    pub file_uri: Text<'a>,
    #[serde(borrow, default, alias = "mime_type")]
    pub mime_type: Text<'a>,
    #[serde(borrow, default, alias = "display_name")]
    pub display_name: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow, default)]
    pub id: Text<'a>,
    #[serde(borrow, default)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub args: Option<&'a RawValue>,
}

impl FunctionCall<'_> {
    /// The arguments as the model wrote them; `{}` if it wrote none (TRAPS 1.2).
    pub(super) fn arguments(&self) -> &str {
        self.args
            .map(RawValue::get)
            .filter(|args| *args != "null")
            .unwrap_or("{}")
    }
}

#[derive(Deserialize)]
pub(super) struct FunctionResponse<'a> {
    #[serde(borrow, default)]
    pub id: Text<'a>,
    #[serde(borrow, default)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub response: Option<&'a RawValue>,
    #[serde(borrow)]
    pub parts: Option<Vec<Part<'a>>>,
}

/// A turn as it is written.
#[derive(Serialize)]
pub(super) struct OutContent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    pub parts: Vec<OutPart<'a>>,
}

/// A part as it is written.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum OutPart<'a> {
    Known(Box<Known<'a>>),
    Opaque(&'a RawValue),
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Known<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline_data: Option<OutBlob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_data: Option<OutFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<OutCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_response: Option<OutResult<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutBlob<'a> {
    pub mime_type: Cow<'a, str>,
    pub data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutFile<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<Cow<'a, str>>,
    pub file_uri: Cow<'a, str>,
}

#[derive(Serialize)]
pub(super) struct OutCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    pub name: Cow<'a, str>,
    pub args: Box<RawValue>,
}

#[derive(Serialize)]
pub(super) struct OutResult<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    pub name: Cow<'a, str>,
    pub response: Box<RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<OutPart<'a>>,
}

impl<'a> OutPart<'a> {
    pub(super) fn known(known: Known<'a>) -> OutPart<'a> {
        OutPart::Known(Box::new(known))
    }

    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> OutPart<'a> {
        OutPart::known(Known {
            text: Some(text.into()),
            ..Known::default()
        })
    }

    /// Reasoning. Without text it is the signature of an answer's last part, which stands in a part of its own.
    pub(super) fn thinking(text: &'a str, signature: Option<&'a str>) -> Option<OutPart<'a>> {
        if text.is_empty() && signature.is_none() {
            return None;
        }
        Some(OutPart::known(Known {
            text: Some(text.into()),
            thought: (!text.is_empty()).then_some(true),
            thought_signature: signature.map(Cow::Borrowed),
            ..Known::default()
        }))
    }

    /// A call. The arguments have to be an object: others go in one, visibly.
    pub(super) fn call(
        id: Option<&'a str>,
        name: impl Into<Cow<'a, str>>,
        arguments: &str,
        signature: Option<Cow<'a, str>>,
    ) -> OutPart<'a> {
        OutPart::known(Known {
            function_call: Some(OutCall {
                id,
                name: name.into(),
                args: object(arguments)
                    .unwrap_or_else(|| raw(&serde_json::json!({"arguments": arguments}))),
            }),
            thought_signature: signature,
            ..Known::default()
        })
    }
}

/// A text that is a JSON object, as it is; an empty one is an empty object.
pub(super) fn object(text: &str) -> Option<Box<RawValue>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(raw(&serde_json::json!({})));
    }
    if !text.starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// A value as JSON text.
pub(super) fn raw(value: &impl Serialize) -> Box<RawValue> {
    // A value without maps of odd keys always has a JSON form.
    serde_json::value::to_raw_value(value).unwrap_or_default()
}
