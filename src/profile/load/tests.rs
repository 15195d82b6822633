use std::path::PathBuf;

use super::*;

mod goldens;

pub(crate) fn load_text(file: &str, text: &str) -> Result<Profile, ProfileError> {
    let (name, extension) = file.rsplit_once('.').unwrap();
    let syntax = source::EXTENSIONS
        .iter()
        .find(|(known, _)| *known == extension)
        .unwrap()
        .1;
    let origin = Origin::File(PathBuf::from("profiles").join(file));
    load(Input {
        name,
        origin: &origin,
        syntax,
        bytes: text.as_bytes(),
    })
}

#[test]
fn errors_as_a_person_sees_them() {
    for (what, file, text, expected) in goldens::ERRORS {
        let error = load_text(file, text).map(|_| ()).unwrap_err().to_string();
        let error = error.replace(&crate::provider::NAMES.join(", "), "PROVIDERS");
        assert_eq!(error, expected.trim(), "{what}");
    }
}

#[test]
fn colours_are_asked_for() {
    let error = load_text("gpt.toml", "[upstream]\nurl = 5\n")
        .map(|_| ())
        .unwrap_err();
    assert!(error.render(true).contains('\u{1b}'));
    assert!(!error.render(false).contains('\u{1b}'));
}

#[test]
fn at_most_twenty_problems_are_told() {
    let text: String = (0..50).map(|n| format!("key{n} = 1\n")).collect();
    let error = load_text("many.toml", &text).map(|_| ()).unwrap_err();
    assert_eq!(error.problems().len(), 21);
    assert!(
        error
            .to_string()
            .ends_with("profiles/many.toml: 30 more problems")
    );
}

#[test]
fn a_long_line_is_shown_in_part() {
    let filler = "x".repeat(100_000);
    let text =
        format!("{{\"description\": \"{filler}\", \"upstrem\": {{}}, \"more\": \"{filler}\"}}");
    let error = load_text("long.json", &text)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean `upstream`?"), "{error}");
    assert!(error.len() < 2_000, "{}", error.len());
}

#[test]
fn text_that_is_not_utf_8_is_named() {
    let origin = Origin::File("profiles/latin.toml".into());
    let input = Input {
        name: "latin",
        origin: &origin,
        syntax: Syntax::Toml,
        bytes: b"description = \"\xe9\"",
    };
    assert_eq!(
        load(input).map(|_| ()).unwrap_err().to_string(),
        "profiles/latin.toml: the file is not UTF-8 text\nhint: save it as UTF-8"
    );
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_no_mistake() {
    let toml = "\u{feff}[upstream]\r\nurl = \"http://127.0.0.1:9000\"\r\n";
    let yaml = "\u{feff}upstream:\r\n  url: http://127.0.0.1:9000\r\n";
    let json = "\u{feff}{\"upstream\":\r\n{\"url\": \"http://127.0.0.1:9000\"}}\r\n";
    for (file, text) in [("w.toml", toml), ("w.yaml", yaml), ("w.json", json)] {
        let profile = load_text(file, text).unwrap();
        assert_eq!(
            profile.upstream.unwrap().url.as_str(),
            "http://127.0.0.1:9000",
            "{file}"
        );
    }
}

#[test]
fn null_is_absent_and_whole_floats_are_integers() {
    let text = r#"{"description": null, "ai-proxy": {"route_type": "llm/v1/chat", "auth": null,
        "model": {"provider": "openai", "name": null, "options": {"max_tokens": 512.0, "temperature": 1}}}}"#;
    let profile = load_text("nulls.json", text).unwrap();
    let model = profile.ai_proxy.unwrap().model;
    assert!(model.name.is_none());
    assert_eq!(model.options.max_tokens, Some(512));
    assert_eq!(model.options.temperature, Some(1.0));
}

#[test]
fn what_steers_a_terminal_is_spelled_out() {
    let text = "ai-proxy:\n  route_type: \"\u{9b}x\"\n  \"\\e[31m\": 1\n  model: {provider: openai, name: \"$(\\e[31m)\"}\n";
    let error = load_text("escape.yaml", text).map(|_| ()).unwrap_err();
    assert!(
        !error
            .to_string()
            .contains(|c: char| c.is_control() && c != '\n'),
        "{error:?}"
    );
}
