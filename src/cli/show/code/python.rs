//! `--python`.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Call, Piece};
use crate::{diff::pretty, wire::envelope::Envelope};

/// An operation that OpenAI's SDK has.
struct Operation {
    /// The end of its path.
    path: &'static str,
    /// The SDK's method.
    method: &'static str,
    /// What the method needs; without it, the SDK refuses.
    needs: &'static [&'static str],
    /// What else the method takes by name. All other fields go through `extra_body`.
    takes: &'static [&'static str],
}

/// Fields by <https://platform.openai.com/docs/api-reference>.
const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/chat/completions",
        method: "chat.completions.create",
        needs: &["model", "messages"],
        takes: &[
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "max_completion_tokens",
            "max_tokens",
            "metadata",
            "n",
            "parallel_tool_calls",
            "presence_penalty",
            "reasoning_effort",
            "response_format",
            "seed",
            "stop",
            "stream",
            "stream_options",
            "temperature",
            "tool_choice",
            "tools",
            "top_logprobs",
            "top_p",
            "user",
        ],
    },
    Operation {
        path: "/completions",
        method: "completions.create",
        needs: &["model", "prompt"],
        takes: &[
            "max_tokens",
            "n",
            "seed",
            "stop",
            "stream",
            "suffix",
            "temperature",
            "top_p",
            "user",
        ],
    },
    Operation {
        path: "/embeddings",
        method: "embeddings.create",
        needs: &["model", "input"],
        takes: &["dimensions", "encoding_format", "user"],
    },
    Operation {
        path: "/responses",
        method: "responses.create",
        needs: &["model", "input"],
        takes: &[
            "instructions",
            "max_output_tokens",
            "metadata",
            "parallel_tool_calls",
            "previous_response_id",
            "reasoning",
            "store",
            "stream",
            "temperature",
            "text",
            "tool_choice",
            "tools",
            "top_p",
        ],
    },
];

/// A program: with OpenAI's SDK where it can say the same, else with httpx.
pub(super) fn program(call: &Call<'_>) -> String {
    openai(call).unwrap_or_else(|| httpx(call))
}

fn openai(call: &Call<'_>) -> Option<String> {
    let [Piece::Text(url)] = call.url.as_slice() else {
        return None;
    };
    let (operation, base) = OPERATIONS
        .iter()
        .find_map(|operation| Some((operation, url.strip_suffix(operation.path)?)))?;
    let envelope = Envelope::parse(call.body).ok()?;
    let fits = call.method == "POST" && operation.needs.iter().all(|name| envelope.has(name));
    if !fits {
        return None;
    }
    // The SDK sends its own key in a header of its own.
    let key = match call.header("authorization") {
        Some([Piece::Text(scheme), Piece::Variable(name)]) if scheme == "Bearer " => {
            format!("os.environ.get(\"{name}\") or \"unused\"")
        }
        Some(_) => return None,
        None => "\"unused\"".to_owned(),
    };
    let mut out = String::new();
    if key.contains("os.") {
        out.push_str("import os\n\n");
    }
    out.push_str("from openai import OpenAI\n\nclient = OpenAI(\n");
    out.push_str(&format!(
        "    base_url={},\n    api_key={key},\n",
        literal(base)
    ));
    let own = ["authorization", "content-type", "accept"];
    let others: Vec<_> = call
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(name))
        .collect();
    if !others.is_empty() {
        out.push_str("    default_headers={\n");
        for (name, value) in others {
            out.push_str(&format!("        {}: {},\n", literal(name), text(value)));
        }
        out.push_str("    },\n");
    }
    out.push_str(&format!(")\nanswer = client.{}(\n", operation.method));
    let mut extra = String::new();
    let mut streams = false;
    for name in envelope.keys() {
        let value = value(envelope.get(name)?, 1)?;
        if operation.needs.contains(&name) || operation.takes.contains(&name) {
            streams |= name == "stream" && value == "True";
            out.push_str(&format!("    {name}={value},\n"));
        } else {
            let value = self::value(envelope.get(name)?, 2)?;
            extra.push_str(&format!("        {}: {value},\n", literal(name)));
        }
    }
    if !extra.is_empty() {
        out.push_str(&format!("    extra_body={{\n{extra}    }},\n"));
    }
    out.push_str(")\n");
    out.push_str(if streams {
        "for event in answer:\n    print(event.model_dump_json(exclude_unset=True), flush=True)\n"
    } else {
        "print(answer.model_dump_json(indent=2, exclude_unset=True))\n"
    });
    Some(out)
}

fn httpx(call: &Call<'_>) -> String {
    let mut out = String::new();
    let text_body = call.text();
    if text_body.is_none() {
        out.push_str("import base64\n");
    }
    if !super::variables(call).is_empty() {
        out.push_str("import os\n");
    }
    out.push_str("import sys\n\nimport httpx\n\nrequest = {\n");
    out.push_str(&format!(
        "    \"method\": {},\n    \"url\": {},\n",
        literal(call.method),
        text(&call.url)
    ));
    if !call.headers.is_empty() {
        out.push_str("    \"headers\": [\n");
        for (name, value) in &call.headers {
            out.push_str(&format!("        ({}, {}),\n", literal(name), text(value)));
        }
        out.push_str("    ],\n");
    }
    let json = call.json().and_then(|json| value(json, 1));
    match (json, text_body) {
        _ if call.body.is_empty() => {}
        (Some(json), _) => out.push_str(&format!("    \"json\": {json},\n")),
        (None, Some(text)) => out.push_str(&format!("    \"content\": {},\n", literal(text))),
        (None, None) => out.push_str(&format!(
            "    \"content\": base64.b64decode({}),\n",
            literal(&STANDARD.encode(call.body))
        )),
    }
    out.push_str(
        "}\nwith httpx.stream(**request, timeout=600) as response:\n    \
         print(response.status_code, file=sys.stderr)\n    \
         for text in response.iter_text():\n        print(text, end=\"\", flush=True)\n",
    );
    out
}

/// A string, or an expression where there are variables.
fn text(pieces: &[Piece]) -> String {
    let pieces = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => literal(text),
        Piece::Variable(name) => format!("os.environ.get(\"{name}\", \"\")"),
    });
    pieces.collect::<Vec<_>>().join(" + ")
}

/// A string: JSON's escapes are Python's, but for two.
fn literal(text: &str) -> String {
    // What serde_json writes: `\"`, `\\`, `\n`, `\u001f`, ..., and no pair of surrogates.
    serde_json::Value::from(text).to_string()
}

/// A JSON value as Python writes it, with numbers as they are. `None` if one of its strings is no text.
fn value(json: &str, depth: usize) -> Option<String> {
    let pretty = pretty(json.as_bytes())?;
    let mut out = String::with_capacity(pretty.len());
    let mut rest = pretty.trim_end();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest)?,
            c if c.is_ascii_alphabetic() => rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len()),
            c if c == '-' || c.is_ascii_digit() => rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
                .unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at_checked(length)?;
        match token {
            "true" => out.push_str("True"),
            "false" => out.push_str("False"),
            "null" => out.push_str("None"),
            "\n" => {
                out.push('\n');
                out.push_str(&"    ".repeat(depth));
            }
            text if first == '"' => {
                out.push_str(&literal(&serde_json::from_str::<String>(text).ok()?));
            }
            other => out.push_str(other),
        }
        rest = after;
    }
    Some(out)
}

/// The length of the JSON string that a text begins with.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return Some(at + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}
