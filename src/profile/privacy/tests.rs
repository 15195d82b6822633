use proptest::prelude::*;

use super::*;
use crate::profile::{Origin, describe, load::Input};

/// Nothing gives it away but its place.
const SECRET: &str = "violet-harbour-7";

/// Files with a secret in the right place or a wrong one, and a mistake beside or in it.
const HOSTILE: &[(&str, &str)] = &[
    (
        "toml",
        "[ai-proxy]\nroute_type = 1\n[ai-proxy.auth]\nheader_value = \"SECRET\"\nheader_name = 5\n",
    ),
    (
        "toml",
        "ai-proxy.auth.header_value = \"SECRET\"\nai-proxy.auth.header_nam = 1\n",
    ),
    (
        "toml",
        "ai-proxy = { auth = { header_value = \"SECRET\", x = 1 }, route_type = 5 }\n",
    ),
    (
        "toml",
        "[ai-proxy.auth]\nheader_value = \"\"\"\nBearer\nSECRET\nmore\"\"\"\nallow_override = \"SECRET\"\n",
    ),
    ("toml", "[ai-proxy.auth]\nheader_value = \"SECRET\n"),
    ("toml", "[ai-proxy.auth]\nheader_value = SECRET\n"),
    ("toml", "[ai-proxy.auth]\nheader_value = \"\"\"\nSECRET\n"),
    ("toml", "[ai-proxy.auth]\nheader_value = \"a\" \"SECRET\"\n"),
    (
        "toml",
        "[ai-proxy.auth]\nheader_value = \"SECRET\"\nheader_value = \"SECRET\"\n",
    ),
    ("toml", "[ai-proxy.auth]\n\"SECRET\" = 1\n"),
    ("toml", "[ai-proxy.auth]\nSECRET\n"),
    ("toml", "[ai-proxy.auth.SECRET]\n"),
    (
        "toml",
        "[ai-proxy.auth]\nheader_value = \"{vault://SECRET/x}\"\nparam_value = \"{vault://env/x SECRET\"\n",
    ),
    (
        "toml",
        "[ai-proxy.auth]\nparam_location = \"SECRET\"\nheader_name = \"a b SECRET\"\nheader_value = \"x\\nSECRET\"\n",
    ),
    (
        "toml",
        "[ai-proxy.atuh]\nheader_value = \"SECRET\"\n[ai-proxy.aut]\nkey = \"SECRET\"\nrest = { a = \"SECRET\" }\n",
    ),
    (
        "toml",
        "[ai-proxy]\nheader_value = \"SECRET\"\napi_key = \"SECRET\"\nauthorization = [\"SECRET\"]\n",
    ),
    (
        "toml",
        "[upstream]\nurl = \"https://user:SECRET@example.com\"\nurll = 1\n",
    ),
    (
        "toml",
        "[upstream]\nurl = \"https://example.com/?key=SECRET\"\n[aiproxy]\nhttp2 = 1\nbase_url = \"http://a/ b\"\n",
    ),
    (
        "toml",
        "[ai-proxy]\nroute_type = \"Bearer SECRET\"\nmodel.provider = \"sk-SECRET\"\nmodel.nam = \"sk-SECRET\"\n",
    ),
    (
        "yaml",
        "ai-proxy:\n  route_type: 5\n  auth: {header_value: SECRET, header_nam: SECRET}\n  model: 1\n",
    ),
    (
        "yaml",
        "ai-proxy:\n  auth:\n    header_value: |\n      Bearer\n      SECRET\n    allow_override: SECRET\n",
    ),
    (
        "yaml",
        "ai-proxy:\n  auth:\n    header_value: >-\n      SECRET\n\n      SECRET\n  rout_type: x\n",
    ),
    (
        "yaml",
        "ai-proxy:\n  auth:\n    header_value: \"SECRET\n      SECRET\", x: 1\n",
    ),
    ("yaml", "ai-proxy:\n  auth:\n    header_value: 'SECRET\n"),
    ("yaml", "ai-proxy:\n  auth:\n    header_value: SECRET: x\n"),
    ("yaml", "ai-proxy:\n  auth:\n    SECRET\n"),
    (
        "yaml",
        "ai-proxy:\n  auth:\n    SECRET: 1\n    ? SECRET\n    : 2\n",
    ),
    ("yaml", "ai-proxy:\n  auth: SECRET\n"),
    ("yaml", "ai-proxy:\n  auth: [SECRET]\n"),
    (
        "yaml",
        "ai-proxy:\n  auth: &SECRET {header_value: *SECRET}\n",
    ),
    ("yaml", "ai-proxy:\n  auth:\n    header_value: *SECRET\n"),
    ("yaml", "ai-proxy:\n  auth:\n    header_value: !SECRET x\n"),
    (
        "yaml",
        "ai-proxy:\n  auth: {header_value: SECRET, header_value: SECRET}\n",
    ),
    (
        "yaml",
        "ai-proxy: {auth: {header_value: SECRET}, route_type: chat, modl: 1, model: {provider: sk-SECRET}}\n",
    ),
    ("yaml", "%SECRET x\n---\nai-proxy: 1\n"),
    (
        "yaml",
        "ai-proxy:\n  auth:\n   header_value: \"\\qSECRET\"\n",
    ),
    (
        "json",
        "{\"ai-proxy\": {\"route_type\": 5, \"auth\": {\"header_value\": \"SECRET\", \"x\": 1}}, \"y\": 2}",
    ),
    (
        "json",
        "{\"ai-proxy\": {\"auth\": {\"header_value\": \"SECRET\n\"}}}",
    ),
    (
        "json",
        "{\"ai-proxy\": {\"auth\": {\"header_value\": \"SECRET",
    ),
    (
        "json",
        "{\"ai-proxy\": {\"auth\": {\"header_value\": SECRET}}}",
    ),
    (
        "json",
        "{\"ai-proxy\": {\"auth\": {\"header_value\": \"SECRET\" \"SECRET\"}}}",
    ),
    (
        "json",
        "{\"ai-proxy\": {\"auth\": {\"header_value\": \"\\qSECRET\"}}}",
    ),
    (
        "json",
        "{\"ai-proxy\": {\"auth\": {\"SECRET\": {}, \"header_value\": [\"SECRET\"]}}}",
    ),
    ("json", "{\"ai-proxy\": {\"auth\": \"SECRET\"}}"),
];

/// Everything that could be shown after a file was read.
fn shown(extension: &str, text: &str) -> String {
    let (_, syntax) = super::super::source::EXTENSIONS
        .iter()
        .find(|(known, _)| *known == extension)
        .unwrap();
    let origin = Origin::File(format!("profiles/x.{extension}").into());
    let input = Input {
        name: "x",
        origin: &origin,
        syntax: *syntax,
        bytes: text.as_bytes(),
    };
    match super::super::load::load(input) {
        Ok(profile) => format!("{profile:?} {profile:#?} {}", describe::view(&profile)),
        Err(error) => format!("{error} {error:?} {}", error.render(true)),
    }
}

#[test]
fn hostile_files_show_no_secret() {
    for (extension, text) in HOSTILE {
        let shown = shown(extension, &text.replace("SECRET", SECRET));
        assert!(!shown.contains(SECRET), "{extension}\n{text}\n---\n{shown}");
    }
}

const SOUND: [(&str, &str); 3] = [
    (
        "toml",
        "description = \"d\"\n[ai-proxy]\nroute_type = \"llm/v1/chat\"\nauth.header_name = \"Authorization\"\nauth.header_value = \"Bearer SECRET\"\n[ai-proxy.model]\nprovider = \"openai\"\noptions = { temperature = 9 }\n",
    ),
    (
        "yaml",
        "description: d\nai-proxy:\n  route_type: llm/v1/chat\n  auth:\n    header_name: Authorization\n    header_value: |\n      Bearer\n      SECRET\n  model: {provider: openai, options: {temperature: 9}}\n",
    ),
    (
        "json",
        "{\"description\": \"d\",\n\"ai-proxy\": {\"route_type\": \"llm/v1/chat\",\n\"auth\": {\"header_name\": \"Authorization\",\n\"header_value\": \"Bearer SECRET\"},\n\"model\": {\"provider\": \"openai\", \"options\": {\"temperature\": 9}}}}\n",
    ),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A slip anywhere in a file: one character replaced, dropped or put in.
    #[test]
    fn a_slip_of_the_hand_shows_no_secret(which in 0..3_usize, at in 0.0..1.0_f64, what in 0..3, put in "[ -~\n\t]") {
        let (extension, sound) = SOUND[which];
        let text = sound.replace("SECRET", SECRET);
        let place = (at * text.len() as f64) as usize;
        let end = if what == 2 { place } else { place + 1 };
        let slipped = format!("{}{}{}", &text[..place], if what == 1 { "" } else { &put }, &text[end.min(text.len())..]);
        let shown = shown(extension, &slipped);
        prop_assert!(!shown.contains(SECRET), "{slipped}\n---\n{shown}");
    }

    #[test]
    fn bytes_never_panic(which in 0..3_usize, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (extension, _) = SOUND[which];
        shown(extension, &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn text_of_the_right_characters_never_panics(which in 0..3_usize, text in r#"[\[\]{}:,."'=#&*!|>%@ \n\t\\a-cé0-9-]{0,60}"#) {
        let (extension, _) = SOUND[which];
        shown(extension, &text);
    }
}

#[test]
fn a_wide_character_at_the_mistake_is_not_cut() {
    assert!(shown("yaml", "\u{85}\u{1}").contains("YAML syntax"));
    assert!(shown("json", "\u{1f600}").contains("expected a value"));
}

#[test]
fn deep_nesting_ends_early() {
    let deep = 100_000;
    for (extension, text) in [
        ("json", "{\"a\":".repeat(deep)),
        ("json", "[".repeat(deep)),
        ("yaml", "[".repeat(deep)),
        ("yaml", "{a: ".repeat(deep)),
        ("toml", format!("a = {}", "[".repeat(deep))),
        ("toml", format!("a = {}", "{b = ".repeat(deep))),
        ("toml", format!("{}z = 1", "a.".repeat(deep))),
        (
            "yaml",
            format!(
                "a: &a [x]\n{}",
                (0..40)
                    .map(|n| format!("b{n}: &b{n} [*a, *a, *a]\n"))
                    .collect::<String>()
            ),
        ),
    ] {
        shown(extension, &text);
    }
}

#[test]
fn aliases_do_not_multiply() {
    let mut text = String::from("a0: &a0 {k: v}\n");
    for n in 1..40 {
        let m = n - 1;
        text.push_str(&format!("a{n}: &a{n} {{x: *a{m}, y: *a{m}, z: *a{m}}}\n"));
    }
    let shown = shown("yaml", &text);
    assert!(shown.contains("expanded too far"), "{shown}");
}

#[test]
fn masks_all_but_known_words() {
    for (line, at, expected, moved) in [
        ("max_tokens = = 512", 13, "max_tokens = = 512", 13),
        ("name = gpt-4o", 7, "name = ***", 7),
        (
            "header_value = \"Bearer q7Zp04mXw9LtR2vK",
            39,
            "header_value = \"*** ***",
            23,
        ),
        ("[ai-proxy", 9, "[ai-proxy", 9),
        ("1234567", 3, "***", 0),
        ("é = 1", 0, "*** = 1", 0),
    ] {
        assert_eq!(mask_line(line, at), (expected.to_owned(), moved), "{line}");
    }
}

#[test]
fn knows_secrets_by_their_looks() {
    for text in [
        "sk-abc",
        "Bearer x",
        "https://a:b@c/d",
        "https://c/?key=x",
        "q7Zp04mXw9LtR2vK",
        "x hf_abc",
        "0123456789abcdef01234567",
    ] {
        assert!(is_secret_text(text), "{text}");
    }
    for text in [
        "gpt-4o-mini",
        "Qwen/Qwen2.5-1.5B-Instruct",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "http://127.0.0.1:9000/v1",
        "accounts/fireworks/models/gpt-oss-120b",
        "arn:aws:iam::123456789012:role/x",
        "europe-west4-aiplatform.googleapis.com",
        "a risk-free task-list",
        "me@example.com",
    ] {
        assert!(!is_secret_text(text), "{text}");
    }
}
