//! What a request needs before it can go to a provider of another format.

use serde_json::{Map, Value, value::RawValue};

use super::decode::contents;
use crate::{
    dialect::Error,
    llm::{ChatRequest, Extra, Format, Part},
};

/// The longest id of an end user that OpenAI takes. Coding agents put whole objects there.
const LONGEST_USER: usize = 64;

/// Makes a request ready for the others.
///
/// # Errors
///
/// [`Error::Unsupported`] for a tool that runs at Anthropic, or whose schema it alone knows.
pub(super) fn leave(request: &mut ChatRequest) -> Result<(), Error> {
    if let Some(tool) = native_tool(request) {
        let text = |key: &str| tool.get(key).and_then(Value::as_str).unwrap_or("unknown");
        let text = |key: &str| text(key).chars().take(64).collect::<String>();
        return Err(Error::Unsupported {
            what: format!(
                "the tool `{}` of type `{}`, which Anthropic alone has",
                text("name"),
                text("type")
            ),
        });
    }
    if request
        .user
        .as_ref()
        .is_some_and(|user| user.chars().count() > LONGEST_USER)
    {
        let user = request.user.take();
        let extra = request.extra.get_or_insert_with(|| Extra {
            from: Format::Anthropic,
            fields: Map::new(),
        });
        extra.fields.entry("metadata").or_insert(user.into());
    }
    for message in &mut request.messages {
        unfold(&mut message.parts).map_err(Error::Malformed)?;
    }
    Ok(())
}

fn native_tool(request: &ChatRequest) -> Option<&Value> {
    request.extra.as_ref()?.fields.get("tools")?.get(0)
}

/// Puts the contents of frames in their place, those inside results of tools too.
fn unfold(parts: &mut Vec<Part>) -> Result<(), String> {
    let mut all = Vec::with_capacity(parts.len());
    for mut part in parts.drain(..) {
        match &mut part {
            Part::Opaque { json, .. } if unfolded(json, &mut all)? => continue,
            Part::ToolResult { parts, .. } => unfold(parts)?,
            _ => {}
        }
        all.push(part);
    }
    *parts = all;
    Ok(())
}

/// Takes the contents out of blocks that are no more than a frame around them: a document of blocks, and what a search found.
fn unfolded(raw: &RawValue, parts: &mut Vec<Part>) -> Result<bool, String> {
    #[derive(serde::Deserialize)]
    struct Frame<'a> {
        #[serde(rename = "type")]
        kind: Option<String>,
        title: Option<String>,
        context: Option<String>,
        #[serde(borrow)]
        source: Option<&'a RawValue>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
    }
    #[derive(serde::Deserialize)]
    struct Source<'a> {
        #[serde(rename = "type")]
        kind: Option<String>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
    }
    let Ok(frame) = serde_json::from_str::<Frame<'_>>(raw.get()) else {
        return Ok(false);
    };
    let source = frame.source.map(RawValue::get);
    let (content, whence) = match frame.kind.as_deref() {
        Some("document") => {
            let source = source.and_then(|text| serde_json::from_str::<Source<'_>>(text).ok());
            match source {
                Some(source) if source.kind.as_deref() == Some("content") => (source.content, None),
                _ => return Ok(false),
            }
        }
        Some("search_result") => (
            frame.content,
            source.and_then(|text| serde_json::from_str::<String>(text).ok()),
        ),
        _ => return Ok(false),
    };
    let head: Vec<String> = [frame.title, whence, frame.context]
        .into_iter()
        .flatten()
        .filter(|line| !line.is_empty())
        .collect();
    if !head.is_empty() {
        parts.push(Part::Text(head.join("\n")));
    }
    contents(content, parts)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::{Ingress, anthropic::Anthropic};

    fn read(body: &Value) -> ChatRequest {
        Anthropic
            .decode_request(body.to_string().as_bytes())
            .unwrap()
    }

    #[test]
    fn frames_are_unfolded_wherever_they_stand() {
        let found = json!({"type": "search_result", "source": "https://a.test", "title": "A",
            "content": [{"type": "text", "text": "found"}]});
        let document = json!({"type": "document", "title": "D", "context": "why",
            "source": {"type": "content", "content": "inside"}});
        let plain = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}});
        let mut request = read(&json!({"messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [found]}, document, plain,
        ]}]}));
        leave(&mut request).unwrap();
        let [
            Part::ToolResult { parts, .. },
            Part::Text(head),
            Part::Text(inside),
            Part::File { .. },
        ] = request.messages[0].parts.as_slice()
        else {
            panic!("{:?}", request.messages);
        };
        assert_eq!((head.as_str(), inside.as_str()), ("D\nwhy", "inside"));
        let texts: Vec<&str> = parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts, ["A\nhttps://a.test", "found"]);
    }

    #[test]
    fn a_users_id_that_others_refuse_is_lost() {
        for (length, kept) in [(64, true), (65, false)] {
            let id = "u".repeat(length);
            let mut request = read(&json!({"messages": [], "metadata": {"user_id": id}}));
            leave(&mut request).unwrap();
            assert_eq!(request.user.is_some(), kept);
            let lost = request
                .extra
                .is_some_and(|extra| extra.fields.contains_key("metadata"));
            assert_eq!(lost, !kept);
        }
    }

    #[test]
    fn tools_of_anthropics_own_are_named_in_the_refusal() {
        for (tool, expected) in [
            (json!({"name": "f", "input_schema": {}}), None),
            (
                json!({"type": "custom", "name": "f", "input_schema": {}}),
                None,
            ),
            (
                json!({"type": "bash_20250124", "name": "bash"}),
                Some("the tool `bash` of type `bash_20250124`, which Anthropic alone has"),
            ),
            (
                json!({"type": "mcp_toolset", "mcp_server_name": "x"}),
                Some("the tool `unknown` of type `mcp_toolset`, which Anthropic alone has"),
            ),
        ] {
            let mut request = read(&json!({"messages": [], "tools": [tool]}));
            let refused = leave(&mut request).err().map(|error| match error {
                Error::Unsupported { what } => what,
                Error::Malformed(why) => why,
            });
            assert_eq!(refused.as_deref(), expected);
        }
    }

    #[test]
    fn what_to_cache_is_told_once_and_what_tools_say_more_too() {
        let mark = json!({"type": "ephemeral", "ttl": "1h"});
        let text = json!({"type": "text", "text": "x", "cache_control": mark});
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": [text]});
        for body in [
            json!({"system": [text], "messages": []}),
            json!({"messages": [{"role": "user", "content": [text]}]}),
            json!({"messages": [{"role": "user", "content": [result]}]}),
            json!({"messages": [], "tools": [{"name": "f", "input_schema": {}, "cache_control": mark}]}),
        ] {
            let fields = read(&body).extra.unwrap().fields;
            assert_eq!(fields.get("cache_control"), Some(&mark), "{body}");
        }
        let body = json!({"messages": [], "tools": [{"name": "f", "input_schema": {}, "input_examples": [{}], "defer_loading": false}]});
        let fields = read(&body).extra.unwrap().fields;
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["tools.input_examples"]);
        assert!(
            read(&json!({"messages": [{"role": "user", "content": "x"}]}))
                .extra
                .is_none()
        );
    }
}
