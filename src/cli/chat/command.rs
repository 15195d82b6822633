//! What a line of a session means.

/// A line, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// Nothing.
    Nothing,
    /// For the model.
    Text(&'a str),
    /// `/help`.
    Help,
    /// `/profile [NAME]`.
    Profile(Option<&'a str>),
    /// `/model [NAME]`.
    Model(Option<&'a str>),
    /// `/system [TEXT]`.
    System(Option<&'a str>),
    /// `/clear`.
    Clear,
    /// `/save FILE`.
    Save(Option<&'a str>),
    /// `/quit`.
    Quit,
    /// A slash, and no command.
    Unknown(&'a str),
}

/// The commands with their words for `/help`.
pub(super) const COMMANDS: &[(&str, &str, &str)] = &[
    ("/help", "", "this list"),
    ("/profile", " [NAME]", "ask another profile, or list them"),
    (
        "/model",
        " [NAME]",
        "ask for another model, or the profile's own",
    ),
    ("/system", " [TEXT]", "set the system message, or drop it"),
    ("/clear", "", "forget the conversation"),
    (
        "/save",
        " FILE",
        "write the conversation's messages as JSON",
    ),
    ("/quit", "", "leave (also Ctrl-D)"),
];

/// Reads a line. A message that begins with a slash is written with two.
pub(super) fn read(line: &str) -> Said<'_> {
    let text = line.trim();
    if text.is_empty() {
        return Said::Nothing;
    }
    let Some(command) = text.strip_prefix('/') else {
        return Said::Text(text);
    };
    if command.starts_with('/') {
        return Said::Text(command);
    }
    let (word, rest) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    let rest = Some(rest.trim()).filter(|rest| !rest.is_empty());
    match word {
        "help" | "?" => Said::Help,
        "profile" => Said::Profile(rest),
        "model" => Said::Model(rest),
        "system" => Said::System(rest),
        "clear" => Said::Clear,
        "save" => Said::Save(rest),
        "quit" | "exit" => Said::Quit,
        _ => Said::Unknown(word),
    }
}

/// `/help`.
pub(super) fn help() -> String {
    let width = COMMANDS
        .iter()
        .map(|(name, takes, _)| name.len() + takes.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for (name, takes, what) in COMMANDS {
        text.push_str(&format!("  {:width$}  {what}\n", format!("{name}{takes}")));
    }
    text.push_str(
        "A line that ends with \\ goes on in the next; pasted lines stay together; // begins a message with a slash.\n\
         Ctrl-C stops an answer.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands_or_text() {
        for (line, expected) in [
            ("", Said::Nothing),
            ("  \n", Said::Nothing),
            (" hello\nyou ", Said::Text("hello\nyou")),
            ("/help", Said::Help),
            ("/profile", Said::Profile(None)),
            ("/profile  openai ", Said::Profile(Some("openai"))),
            ("/model gpt 5", Said::Model(Some("gpt 5"))),
            ("/system be\nkind", Said::System(Some("be\nkind"))),
            ("/clear", Said::Clear),
            ("/save a b.json", Said::Save(Some("a b.json"))),
            ("/save", Said::Save(None)),
            ("/exit", Said::Quit),
            ("/etc/passwd is what?", Said::Unknown("etc/passwd")),
            ("//etc/passwd is what?", Said::Text("/etc/passwd is what?")),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
        for (name, ..) in COMMANDS {
            assert!(!matches!(read(name), Said::Unknown(_) | Said::Text(_)));
            assert!(help().contains(name));
        }
    }
}
