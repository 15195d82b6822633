use super::*;
use crate::profile::{Origin, Text, source::Syntax};

fn profile(toml: &str) -> Profile {
    let text = Text {
        name: "p".into(),
        origin: Origin::BuiltIn,
        syntax: Syntax::Toml,
        bytes: toml.as_bytes().to_vec(),
    };
    text.load().unwrap()
}

fn llm(route_type: &str) -> Profile {
    profile(&format!(
        "[ai-proxy]\nroute_type = \"{route_type}\"\n[ai-proxy.model]\nprovider = \"openai\"\n"
    ))
}

#[test]
fn text_becomes_what_the_profile_takes() {
    let plain = profile("[upstream]\nurl = \"http://127.0.0.1:9\"\n");
    let chat = r#"{"messages":[{"content":"hi","role":"user"}]}"#;
    let sorted = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(
        sorted(&of_text("hi", &llm("llm/v1/chat"), false)),
        sorted(chat)
    );
    assert_eq!(
        of_text("hi", &llm("llm/v1/completions"), false),
        r#"{"prompt":"hi"}"#
    );
    assert_eq!(
        of_text("hi", &llm("llm/v1/embeddings"), false),
        r#"{"input":"hi"}"#
    );
    for (profile, response) in [(&plain, false), (&plain, true), (&llm("preserve"), false)] {
        assert_eq!(of_text("hi", profile, response), "hi");
    }
    let answer = sorted(&of_text("hi", &llm("llm/v1/chat"), true));
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    assert_eq!(
        of_text(" {\"a\":1}", &llm("llm/v1/chat"), false),
        " {\"a\":1}"
    );
    assert!(of_text("5", &llm("llm/v1/chat"), false).contains("\"5\""));
}

#[test]
fn headers_of_the_command_line() {
    let (name, value) = header("X-A:  b: c ").unwrap();
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-a", "b: c"));
    for wrong in ["nothing", "a b: c", "a: b\u{7}"] {
        let error = header(wrong).unwrap_err();
        assert!(!error.contains(wrong), "{error}");
    }
}
