//! `--curl`.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Call, Piece};

/// Linux takes 128 KiB in one argument; more comes through stdin.
const ARGUMENT: usize = 100 << 10;

/// A command for any POSIX shell.
pub(super) fn program(call: &Call<'_>) -> String {
    let has_body = !call.body.is_empty();
    let mut lines = vec![format!("curl {}", quoted(&call.url))];
    if call.stream {
        lines.push("  --no-buffer".to_owned());
    }
    // With a body, curl sends POST by itself.
    if call.method != if has_body { "POST" } else { "GET" } {
        lines.push(format!("  -X {}", word(call.method)));
    }
    for (name, value) in &call.headers {
        let mut pieces = vec![Piece::Text(format!("{name}: "))];
        pieces.extend(value.iter().cloned());
        lines.push(format!("  -H {}", quoted(&pieces)));
    }
    // Else curl calls the body a form.
    if has_body && call.header("content-type").is_none() {
        lines.push("  -H 'content-type;'".to_owned());
    }
    if !has_body {
        return lines.join(" \\\n") + "\n";
    }
    match call.text() {
        Some(text) if text.len() <= ARGUMENT && !text.contains('\0') => {
            lines.push(format!("  --data-raw {}", single(text)));
            lines.join(" \\\n") + "\n"
        }
        Some(text) if call.json().is_some() => {
            lines.push(format!("  --data-binary @- <<'{END}'"));
            // The line end in front of the last line is no harm to JSON.
            format!("{}\n{text}\n{END}\n", lines.join(" \\\n"))
        }
        _ => {
            lines.push("  --data-binary @-".to_owned());
            let coded = STANDARD.encode(call.body);
            // `base64` takes no argument of this length.
            format!(
                "base64 -d <<'{END}' | {}\n{coded}\n{END}\n",
                lines.join(" ")
            )
        }
    }
}

/// Ends a text on stdin. JSON holds no such line: it would be no JSON.
const END: &str = "END_OF_BODY";

/// A text for the shell; its variables are expanded.
fn quoted(pieces: &[Piece]) -> String {
    let plain = |text: &str| !text.contains(['\\', '"', '$', '`', '!']);
    let has_variable = pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Variable(_)));
    let simple = pieces.iter().all(|piece| match piece {
        Piece::Text(text) => plain(text),
        Piece::Variable(_) => true,
    });
    if has_variable && simple {
        let inside: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Variable(name) => format!("${{{name}}}"),
            })
            .collect();
        return format!("\"{inside}\"");
    }
    if !has_variable {
        let whole: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) | Piece::Variable(text) => text.as_str(),
            })
            .collect();
        return word(&whole);
    }
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => single(text),
            Piece::Variable(name) => format!("\"${{{name}}}\""),
        })
        .collect()
}

/// A word: in quotes if it needs some.
fn word(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        single(text)
    }
}

/// In single quotes, where nothing means anything but their end.
fn single(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
