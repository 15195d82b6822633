//! The order of every stream's events, client by client, as the formats' documentation has it: `sequences/*.txt`, one line an event. It is
//! the same behind every foreign provider, and behind the mock in its place.

mod wires;

use std::rc::Rc;

use serde_json::{Value, json};
use tokio::task::{JoinSet, LocalSet};

use crate::{
    chunks::chunks,
    message::events,
    providers,
    support::{Ask, ProfileText, STREAM_HEAD, Server, Upstream},
};
use wires::{End, Piece, anthropic, chat, gemini};

/// A client's format: its name, its path, its goldens, and how an event is one line of them.
struct Client {
    name: &'static str,
    path: &'static str,
    golden: &'static str,
    told: fn(&str) -> Vec<String>,
}

const CLIENTS: &[Client] = &[
    Client {
        name: "chat",
        path: "/v1/chat/completions",
        golden: include_str!("sequences/chat.txt"),
        told: |stream| chunks(stream).iter().map(chunk).collect(),
    },
    Client {
        name: "messages",
        path: "/v1/messages",
        golden: include_str!("sequences/messages.txt"),
        told: |stream| of_events(stream, message),
    },
    Client {
        name: "responses",
        path: "/v1/responses",
        golden: include_str!("sequences/responses.txt"),
        told: |stream| of_events(stream, response),
    },
];

/// A provider's stream.
type Wire = fn(&[Piece], End) -> String;

/// Profiles, with the wire format behind them and the client whose own it is.
const WIRES: &[(&str, &str, Wire)] = &[
    ("mistral", "chat", chat),
    ("anthropic", "messages", anthropic),
    ("gemini", "", gemini),
];

const ROME: Piece = Piece::Call("get_weather", r#"{"city":"Rome"}"#);

/// What is told: the golden's name, the answer, and the model of the mock that gives one like it.
const KINDS: &[(&str, &[Piece], End, &str)] = &[
    (
        "text",
        &[Piece::Text("I "), Piece::Text("see")],
        End::Stop,
        "mock-fast",
    ),
    (
        "text, usage not asked for",
        &[Piece::Text("I "), Piece::Text("see")],
        End::Stop,
        "mock-fast",
    ),
    (
        "reasoning and text",
        &[Piece::Think("hm"), Piece::Text("I see")],
        End::Stop,
        "mock-reasoning",
    ),
    (
        "signed reasoning and text",
        &[
            Piece::Think("hm"),
            Piece::Sign("c2ln"),
            Piece::Text("I see"),
        ],
        End::Stop,
        "mock-reasoning",
    ),
    ("one tool", &[ROME], End::Calls, "mock-tools"),
    (
        "text and a tool",
        &[Piece::Text("I look"), ROME],
        End::Calls,
        "",
    ),
    (
        "parallel tools, one without arguments",
        &[ROME, Piece::Call("now", "")],
        End::Calls,
        "mock-tools-parallel",
    ),
    (
        "max tokens",
        &[Piece::Text("I "), Piece::Text("see")],
        End::Length,
        "mock-fast",
    ),
    (
        "content filter",
        &[Piece::Text("I "), Piece::Text("see")],
        End::Filter,
        "",
    ),
    ("refusal", &[Piece::Refuse("I will not")], End::Stop, ""),
    (
        "error",
        &[Piece::Text("I "), Piece::Text("see")],
        End::Fails,
        "mock-error-stream",
    ),
];

/// Whether a provider's format can tell it.
fn is_told(profile: &str, kind: &str) -> bool {
    match kind {
        "signed reasoning and text" => profile == "anthropic",
        "refusal" => profile == "mistral",
        _ => true,
    }
}

impl Client {
    /// The lines of a kind behind a profile; `None`: clients of this format have none of their own.
    fn golden(&self, kind: &str, profile: &str) -> Option<Vec<&'static str>> {
        let section = |name: &str| {
            let mut lines = self.golden.lines();
            lines.find(|line| line.strip_prefix("# ") == Some(name))?;
            Some(lines.take_while(|line| !line.is_empty()).collect())
        };
        section(&format!("{kind}, of {profile}")).or_else(|| section(kind))
    }

    fn ask(&self, profile: &str, kind: &str, model: &str) -> Ask {
        let most = if kind == "max tokens" { 3 } else { 900 };
        let user = json!([{"role": "user", "content": "How warm is it in Rome?"}]);
        let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let none = json!({"type": "object", "properties": {}});
        let calls = model.starts_with("mock-tools");
        let tools = [("get_weather", &city), ("now", &none)]
            .into_iter()
            .filter(|_| calls);
        let mut body = match self.name {
            "messages" => {
                let tools =
                    tools.map(|(name, schema)| json!({"name": name, "input_schema": schema}));
                json!({"messages": user, "max_tokens": most, "tools": tools.collect::<Vec<_>>()})
            }
            "responses" => {
                let tools = tools.map(|(name, schema)| {
                    json!({"type": "function", "name": name, "parameters": schema})
                });
                json!({"input": user, "max_output_tokens": most, "tools": tools.collect::<Vec<_>>()})
            }
            _ => {
                let tools = tools.map(|(name, schema)| {
                    json!({"type": "function", "function": {"name": name, "parameters": schema}})
                });
                json!({"messages": user, "max_tokens": most, "tools": tools.collect::<Vec<_>>()})
            }
        };
        if !calls {
            body.as_object_mut().unwrap().remove("tools");
        }
        if self.name == "chat" && kind != "text, usage not asked for" {
            body["stream_options"] = json!({"include_usage": true});
        }
        body["model"] = model.into();
        body["stream"] = true.into();
        Ask::post(&format!("/{profile}{}", self.path), body.to_string())
    }
}

#[tokio::test]
async fn events_come_in_the_documented_order_behind_every_provider() {
    let mut upstream = Upstream::start().await;
    let at = |provider: &str, path: &str| {
        ProfileText::at(&format!("http://{}{path}", upstream.address))
            .line("ai-proxy.model", format!("provider = \"{provider}\""))
    };
    let mistral = at("mistral", "/v1");
    let anthropic = at("anthropic", "");
    let server = Server::setup()
        .profile(
            "mistral",
            &mistral.line("ai-proxy.model.options", r#"mistral_format = "openai""#),
        )
        .profile(
            "anthropic",
            &anthropic.line(
                "ai-proxy.model.options",
                r#"anthropic_version = "2023-06-01""#,
            ),
        )
        .profile("gemini", &at("gemini", ""))
        .start();
    let mut wrong = Vec::new();
    for client in CLIENTS {
        for (kind, pieces, end, _) in KINDS {
            let mut met = 0;
            for (profile, own, wire) in WIRES {
                let Some(golden) = client.golden(kind, profile) else {
                    continue;
                };
                if *own == client.name || !is_told(profile, kind) {
                    continue;
                }
                let reply = client.ask(profile, kind, "m1").send(&server).await;
                let mut call = upstream.call().await;
                call.write(STREAM_HEAD).await;
                call.write(wire(pieces, *end)).await;
                call.finish().await;
                let reply = reply.reply().await.clean().await;
                assert_eq!(reply.status, 200, "{}", reply.text());
                let told = (client.told)(&reply.text());
                if told != golden {
                    wrong.push(format!(
                        "{} through {profile}, {kind}:\n{}",
                        client.name,
                        told.join("\n")
                    ));
                }
                met += 1;
            }
            let alone = matches!(*kind, "signed reasoning and text" | "refusal");
            let least = match client.golden(kind, "") {
                None => 0,
                Some(_) => 2 - usize::from(alone),
            };
            assert!(met >= least, "{}, {kind}: behind {met}", client.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn the_mock_tells_the_same_order_in_every_providers_place() {
    let server = Rc::new(providers::server());
    let (local, mut all) = (LocalSet::new(), JoinSet::new());
    for client in CLIENTS {
        for (profile, ..) in WIRES.iter().filter(|(_, own, _)| *own != client.name) {
            all.spawn_local_on(mocked(Rc::clone(&server), client, profile), &local);
        }
    }
    local.run_until(all.join_all()).await;
}

/// Holds the mock's streams to the goldens, but for the texts.
async fn mocked(server: Rc<Server>, client: &'static Client, profile: &'static str) {
    for (kind, _, _, model) in KINDS.iter().filter(|(.., model)| !model.is_empty()) {
        let (Some(golden), own) = (client.golden(kind, ""), client.golden(kind, profile)) else {
            continue;
        };
        // The mock signs where Anthropic does; calls side by side come in pieces of their own.
        let signs = profile == "anthropic" && *kind == "reasoning and text";
        if signs || own.as_ref() != Some(&golden) || !is_told(profile, kind) {
            continue;
        }
        let reply = client.ask(profile, kind, model).whole(&server).await;
        assert_eq!(reply.status, 200, "{profile}, {kind}: {}", reply.text());
        let told = (client.told)(&reply.text());
        let told = told.iter().map(String::as_str);
        assert_eq!(
            shape(told),
            shape(golden.iter().copied()),
            "{} through {profile}, {kind}",
            client.name
        );
    }
}

/// The lines without what differs from answer to answer: numbers and texts, and how many deltas a text comes in.
fn shape<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in lines {
        let line = line.split(" \"").next().unwrap_or_default();
        let is_count = |word: &&str| word.parse::<u64>().is_ok();
        let mut words: Vec<&str> = line.split(' ').collect();
        // An event's number, and the tokens at its end.
        if words.len() > 1 && is_count(&words[0]) {
            words.remove(0);
        }
        if !matches!(
            words.first(),
            Some(
                &("content_block_start"
                    | "content_block_delta"
                    | "content_block_stop"
                    | "tool_calls")
            )
        ) && !words.iter().any(|word| {
            word.starts_with("response.output_item") || word.starts_with("response.function")
        }) {
            while words.last().is_some_and(is_count) {
                words.pop();
            }
        }
        // Why it failed is the provider's.
        let line = match words.split_first() {
            Some((&"error" | &"response.failed", _)) => words[0].to_owned(),
            _ => words.join(" "),
        };
        if all.last() != Some(&line) {
            all.push(line);
        }
    }
    all
}

fn of_events(stream: &str, line: fn(&str, &Value) -> String) -> Vec<String> {
    let events = events(stream).into_iter();
    events.map(|(name, data)| line(&name, &data)).collect()
}

/// An event of OpenAI's chat.
fn chunk(chunk: &Value) -> String {
    if chunk.is_null() {
        return "[DONE]".into();
    }
    if chunk.get("error").is_some() {
        return "error".into();
    }
    let choice = &chunk["choices"][0];
    if choice.is_null() {
        let usage = &chunk["usage"];
        return format!(
            "usage {} {}",
            usage["prompt_tokens"], usage["completion_tokens"]
        );
    }
    assert!(chunk["usage"].is_null() && choice["index"] == 0, "{chunk}");
    let delta = choice["delta"].as_object().unwrap();
    if let Some(reason) = choice["finish_reason"].as_str() {
        assert!(delta.is_empty(), "{chunk}");
        return format!("finish {reason}");
    }
    if delta.contains_key("role") {
        assert_eq!(choice["delta"], json!({"role": "assistant", "content": ""}));
        return "role".into();
    }
    let (key, value) = delta.iter().next().unwrap();
    assert_eq!(delta.len(), 1, "{chunk}");
    let first = &value[0];
    match key.as_str() {
        "tool_calls" => {
            let function = &first["function"];
            let name = function["name"].as_str().map(|name| format!("{name} "));
            let name = name.unwrap_or_default();
            format!("{key} {} {name}{}", first["index"], function["arguments"])
        }
        "thinking_blocks" => format!(
            "{key} {} {}",
            first["index"],
            first["type"].as_str().unwrap()
        ),
        _ => format!("{key} {value}"),
    }
}

/// An event of Anthropic's Messages.
fn message(name: &str, data: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let index = &data["index"];
    match name {
        "content_block_start" => {
            let block = &data["content_block"];
            let tool = block["name"].as_str().map(|name| format!(" {name}"));
            format!(
                "{name} {index} {}{}",
                text(&block["type"]),
                tool.unwrap_or_default()
            )
        }
        "content_block_delta" => {
            let delta = data["delta"].as_object().unwrap();
            let (_, told) = delta.iter().find(|(key, _)| *key != "type").unwrap();
            format!("{name} {index} {} {told}", text(&data["delta"]["type"]))
        }
        "content_block_stop" => format!("{name} {index}"),
        "message_delta" => {
            let usage = |key: &str| data["usage"][key].to_string();
            let (new, cached) = (usage("input_tokens"), usage("cache_read_input_tokens"));
            let reason = text(&data["delta"]["stop_reason"]);
            format!("{name} {reason} {new} {cached} {}", usage("output_tokens"))
        }
        "error" => format!("{name} {}", text(&data["error"]["type"])),
        _ => name.to_owned(),
    }
}

/// An event of OpenAI's Responses.
fn response(name: &str, data: &Value) -> String {
    let mut words = vec![data["sequence_number"].to_string(), name.to_owned()];
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let response = &data["response"];
    if response.is_object() {
        words.extend(word(&response["status"]));
        words.extend(word(&response["incomplete_details"]["reason"]));
        words.extend(word(&response["error"]["code"]));
        if response["usage"].is_object() {
            let usage = |key: &str| response["usage"][key].to_string();
            words.extend([usage("input_tokens"), usage("output_tokens")]);
        }
        return words.join(" ");
    }
    let within = ["content_index", "summary_index"];
    let within = within.iter().find_map(|key| data.get(*key));
    words.push(match within {
        Some(within) => format!("{}.{within}", data["output_index"]),
        None => data["output_index"].to_string(),
    });
    let item = &data["item"];
    for value in [
        &item["type"],
        &item["status"],
        &item["name"],
        &data["part"]["type"],
    ] {
        words.extend(word(value));
    }
    if item["encrypted_content"].is_string() {
        words.push("sealed".into());
    }
    let told = ["delta", "text", "arguments", "refusal"];
    words.extend(
        told.iter()
            .find_map(|key| data.get(*key))
            .map(Value::to_string),
    );
    words.join(" ")
}
