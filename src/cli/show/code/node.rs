//! `--node`.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Call, Piece, variables};
use crate::diff::pretty;

/// A program for Node 18 and later, which needs no package.
pub(super) fn program(call: &Call<'_>) -> String {
    let mut out = String::new();
    for name in variables(call) {
        out.push_str(&format!("const {name} = process.env.{name} ?? \"\";\n"));
    }
    out.push_str("(async () => {\n");
    out.push_str(&format!(
        "  const response = await fetch({}, {{\n    method: {},\n",
        text(&call.url),
        literal(call.method)
    ));
    if !call.headers.is_empty() {
        out.push_str("    headers: [\n");
        for (name, value) in &call.headers {
            out.push_str(&format!("      [{}, {}],\n", literal(name), text(value)));
        }
        out.push_str("    ],\n");
    }
    if !call.body.is_empty() {
        out.push_str(&format!("    body: {},\n", body(call)));
    }
    out.push_str("  });\n");
    out.push_str(
        "  console.error(response.status, response.headers.get(\"x-aiproxy-exchange\") ?? \"\");\n",
    );
    out.push_str(
        "  for await (const chunk of response.body ?? []) process.stdout.write(chunk);\n})();\n",
    );
    out
}

fn body(call: &Call<'_>) -> String {
    match (call.json(), call.text()) {
        (Some(json), _) if is_safe(json) => {
            // JSON is an expression, indented to where it stands.
            let pretty = pretty(json.as_bytes()).unwrap_or_else(|| json.to_owned());
            let indented = pretty.trim_end().replace('\n', "\n    ");
            format!("JSON.stringify({indented})")
        }
        (_, Some(text)) => literal(text),
        (_, None) => format!(
            "Buffer.from({}, \"base64\")",
            literal(&STANDARD.encode(call.body))
        ),
    }
}

/// Whether JSON means the same in JavaScript: numbers have 53 bits there, and `__proto__` is no key.
fn is_safe(json: &str) -> bool {
    if json.contains("__proto__") {
        return false;
    }
    let mut digits = 0;
    let mut inside = false;
    let mut escaped = false;
    for c in json.chars() {
        match c {
            '"' if !escaped => inside = !inside,
            '0'..='9' if !inside => digits += 1,
            _ if !inside && c != '.' => digits = 0,
            _ => {}
        }
        escaped = inside && c == '\\' && !escaped;
        if digits > 15 {
            return false;
        }
    }
    true
}

/// A string, or a template where there are variables.
fn text(pieces: &[Piece]) -> String {
    if let [Piece::Text(text)] = pieces {
        return literal(text);
    }
    let inside: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text
                .replace('\\', "\\\\")
                .replace('`', "\\`")
                .replace("${", "\\${"),
            Piece::Variable(name) => format!("${{{name}}}"),
        })
        .collect();
    format!("`{inside}`")
}

/// A string: JSON's are JavaScript's.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
