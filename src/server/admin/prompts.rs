//! `/_aiproxy/prompts`: what the prompts in memory are made of, without their texts. Who compares two of them sees how far they begin alike: how
//! an agent's context grows, and where a provider's cache of it ends.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use http::Response;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{bad_query, exchanges::off_thread, json_answer};
use crate::{
    dialect::Fault,
    exchange::{
        Filter, Found, Ledger,
        told::{Detail, Summary},
    },
    server::app::refuse,
    transport::Body,
};

/// Prompts of one page, unless the query says otherwise, and at most.
const PAGE: usize = 200;
const LONGEST_PAGE: usize = 1000;

/// The longest name of a client.
const LONGEST_NAME: usize = 80;

#[derive(Serialize)]
struct Page {
    /// The youngest first.
    prompts: Vec<Prompt>,
    /// What to ask for `before` for the next page.
    next: Option<String>,
}

#[derive(Serialize)]
struct Prompt {
    /// The exchange.
    id: String,
    began: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<String>,
    /// How the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// In the order in which the model reads them; none if the request is no prompt, or was not kept whole.
    items: Vec<Item>,
}

/// A message, or what stands before the first.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Item {
    /// Whose it is: `tools`, `system`, `user`, ...
    role: String,
    /// Equal for equal contents.
    hash: String,
    /// Bytes of it as JSON.
    bytes: usize,
}

/// A page of them.
pub(super) async fn list(ledger: &Arc<Ledger>, query: Option<&str>) -> Response<Body> {
    let mut filter = match Filter::of_query(query) {
        Ok(filter) => filter,
        Err(why) => return bad_query(why),
    };
    filter.limit.get_or_insert(PAGE);
    let page = off_thread(ledger, move |ledger| {
        let (exchanges, more) = ledger.list(&filter, LONGEST_PAGE);
        let last = exchanges.last().filter(|_| more);
        let next = last.map(|summary| summary.id.clone());
        let prompts = exchanges.into_iter().map(|summary| prompt(ledger, summary));
        serde_json::to_string(&Page {
            prompts: prompts.collect(),
            next,
        })
    });
    match page.await {
        Some(Ok(json)) => json_answer(json),
        _ => refuse(Fault::upstream(500, "the prompts cannot be listed")),
    }
}

fn prompt(ledger: &Ledger, summary: Summary) -> Prompt {
    let detail = match ledger.find(&summary.id) {
        Found::One(detail) => Some(detail),
        // Forgotten meanwhile.
        Found::Many(_) | Found::None => None,
    };
    let body = detail.as_ref().and_then(|detail| detail.body("client"));
    Prompt {
        id: summary.id,
        began: summary.began,
        client_ip: summary.client_ip,
        client: detail.as_deref().and_then(client),
        items: body.map_or_else(Vec::new, |body| items(&body)),
    }
}

fn client(detail: &Detail) -> Option<String> {
    let headers = &detail.stage("client")?.headers;
    let name = headers.get("user-agent")?.as_str()?;
    Some(name.chars().take(LONGEST_NAME).collect())
}

/// The parts of a prompt in any of the formats.
fn items(body: &[u8]) -> Vec<Item> {
    let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    let mut items = Vec::new();
    for (name, role) in [
        ("tools", "tools"),
        ("system", "system"),
        ("instructions", "instructions"),
        ("systemInstruction", "system"),
        ("system_instruction", "system"),
    ] {
        if let Some(value) = body.get_mut(name) {
            items.push(item(role, value));
        }
    }
    let said = ["messages", "contents", "input", "prompt"];
    let Some(said) = said.into_iter().find_map(|name| body.remove(name)) else {
        return Vec::new();
    };
    match said {
        Value::Array(list) => items.extend(list.into_iter().map(|mut one| {
            let role = one.get("role").or_else(|| one.get("type"));
            let role = role.and_then(Value::as_str).unwrap_or("user").to_owned();
            item(&role, &mut one)
        })),
        mut one => items.push(item("user", &mut one)),
    }
    items
}

fn item(role: &str, value: &mut Value) -> Item {
    let bytes = value.to_string().len();
    plain(value);
    let mut hasher = DefaultHasher::new();
    hasher.write(value.to_string().as_bytes());
    Item {
        role: role.chars().take(LONGEST_NAME).collect(),
        hash: format!("{:016x}", hasher.finish()),
        bytes,
    }
}

/// Takes away what says nothing to the model: marks for the cache, which move on with each turn, and a text's being a list of one.
fn plain(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(plain),
        Value::Object(map) => {
            map.shift_remove("cache_control");
            map.values_mut().for_each(plain);
            if let Some(content) = map.get_mut("content")
                && let Some(text) = only_text(content)
            {
                *content = Value::String(text);
            }
        }
        _ => {}
    }
}

fn only_text(content: &Value) -> Option<String> {
    let Value::Array(blocks) = content else {
        return None;
    };
    let [Value::Object(block)] = blocks.as_slice() else {
        return None;
    };
    let is_text = |block: &Map<String, Value>| {
        block.len() == 2 && block.get("type").and_then(Value::as_str) == Some("text")
    };
    let text = is_text(block).then(|| block.get("text")).flatten()?;
    text.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(body: &str) -> Vec<String> {
        items(body.as_bytes())
            .into_iter()
            .map(|item| item.role)
            .collect()
    }

    #[test]
    fn prompts_of_all_formats() {
        for (body, expected) in [
            (
                r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"tools":[]}"#,
                &["tools", "system", "user"][..],
            ),
            (
                r#"{"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":"u"}]}"#,
                &["system", "user"],
            ),
            (
                r#"{"instructions":"i","input":[{"role":"user","content":"u"},{"type":"function_call_output","output":"o"}]}"#,
                &["instructions", "user", "function_call_output"],
            ),
            (r#"{"input":"u"}"#, &["user"]),
            (r#"{"contents":[{"role":"model","parts":[]}]}"#, &["model"]),
            (r#"{"prompt":"u"}"#, &["user"]),
            (r#"{"tools":[]}"#, &[]),
            ("[1]", &[]),
            ("{", &[]),
        ] {
            assert_eq!(roles(body), expected, "{body}");
        }
    }

    #[test]
    fn marks_of_the_cache_are_no_difference() {
        let marked = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"u","cache_control":{"type":"ephemeral"}}]}]}"#;
        let bare = r#"{"messages":[{"role":"user","content":"u"}]}"#;
        let other = r#"{"messages":[{"role":"user","content":"v"}]}"#;
        let hash = |body: &str| items(body.as_bytes()).pop().unwrap().hash;
        assert_eq!(hash(marked), hash(bare));
        assert_ne!(hash(bare), hash(other));
    }
}
