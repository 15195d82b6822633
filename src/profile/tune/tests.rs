use std::path::PathBuf;

use super::*;

const TOML: &str = r#"# What it is for.
[ai-proxy]
route_type = "llm/v1/chat"
[ai-proxy.model]
provider = "mock"     # no key
name = "mock-echo"

[ai-request-transformer]
prompt = "Old."   # be brief
[ai-request-transformer.llm]
route_type = "llm/v1/chat"
model = { provider = "mock", name = "mock" }
"#;

fn text(syntax: Syntax, text: &str) -> Text {
    Text {
        name: "p".into(),
        origin: Origin::File(PathBuf::from("p.toml")),
        syntax,
        bytes: text.as_bytes().to_vec(),
    }
}

fn tuned(settings: &[&str]) -> Result<Tuned, String> {
    tuned_of(&text(Syntax::Toml, TOML), settings)
}

fn tuned_of(text: &Text, settings: &[&str]) -> Result<Tuned, String> {
    let settings: Vec<Setting> = settings.iter().map(|set| set.parse().unwrap()).collect();
    text.tuned(&settings).map_err(|error| error.to_string())
}

#[test]
fn keys_of_the_profiles_own_are_set() {
    for key in ["models.claude-3.5-*", "aiproxy.models.claude-3.5-*"] {
        let tuned = tuned(&[&format!("{key}=true")]).unwrap();
        let found = tuned.profile.aiproxy.models.of("claude-3.5-sonnet");
        assert_eq!(found, Some(("claude-3.5-*", "true")), "{key}");
        assert!(tuned.toml.contains("[aiproxy.models]"), "{}", tuned.toml);
    }
}

#[test]
fn keys_are_set_and_comments_stay() {
    let tuned = tuned(&[
        "prompt=New: \"x\".",
        "transformation_extract_pattern=\\{(.|\\n)*\\}",
        "ai-proxy.model.options.temperature=0.5",
        "ai-request-transformer.llm.model.name=mock-echo",
        "ai-request-transformer.http_timeout=5000",
        "ai-request-transformer.https_verify=false",
    ])
    .unwrap();
    let expected = TOML
        .replace("\"Old.\"", "'New: \"x\".'")
        .replace("name = \"mock\" }", "name = \"mock-echo\" }")
        .replace(
            "be brief\n",
            "be brief\ntransformation_extract_pattern = '\\{(.|\\n)*\\}'\nhttp_timeout = 5000\nhttps_verify = false\n",
        )
        .replace(
            "name = \"mock-echo\"\n\n",
            "name = \"mock-echo\"\n[ai-proxy.model.options]\ntemperature = 0.5\n\n",
        );
    let normal = |text: &str| text.replace("\n\n", "\n");
    assert_eq!(normal(&tuned.toml), normal(&expected));
    let transformer = tuned.profile.ai_request_transformer.unwrap();
    assert_eq!(transformer.prompt, "New: \"x\".");
    assert_eq!(transformer.http_timeout.as_millis(), 5000);
    let options = tuned.profile.ai_proxy.unwrap().model.options;
    assert_eq!(options.temperature, Some(0.5));
}

#[test]
fn nothing_takes_a_key_out() {
    let tuned = tuned(&["ai-proxy.model.name=", "ai-proxy.model.options.top_p="]).unwrap();
    assert!(tuned.profile.ai_proxy.unwrap().model.name.is_none());
    assert!(!tuned.toml.contains("options"));
}

#[test]
fn an_ambiguous_key_names_its_candidates() {
    let error = tuned(&["model.name=x"]).unwrap_err();
    assert!(
        error.starts_with(
            "--set: `model.name` could be `ai-proxy.model.name` or `ai-request-transformer.llm.model.name`"
        ),
        "{error}"
    );
}

#[test]
fn mistakes_are_those_of_a_file() {
    for (set, words) in [
        ("ai-proxy.model.provider=opnai", "did you mean `openai`?"),
        ("ai-request-transformer.http_timeout=soon", "must be"),
        ("ai-request-transformer.promt=x", "did you mean `prompt`?"),
        (
            "transformation_extract_pattern=(",
            "missing closing parenthesis",
        ),
        ("prompt=", "required key `prompt` is missing"),
    ] {
        let error = tuned(&[set]).unwrap_err();
        assert!(error.starts_with("p.toml with --set:"), "{error}");
        assert!(error.contains(words), "{set}: {error}");
    }
    assert!(
        tuned(&["ai-proxy.route_type.x=1"])
            .unwrap_err()
            .contains("is no table")
    );
}

#[test]
fn a_secret_is_not_repeated() {
    let error = tuned(&["ai-proxy.auth.header_value=Bearer sk-not-to-be-seen"]).unwrap_err();
    assert!(!error.contains("sk-not"), "{error}");
    let setting: Setting = "a=sk-not-to-be-seen".parse().unwrap();
    assert!(!format!("{setting:?}").contains("sk-not"));
}

#[test]
fn the_other_syntaxes_can_be_tuned_too() {
    let yaml = "ai-proxy:\n  route_type: llm/v1/chat\n  model: {provider: mock, name: ~, options: {top_k: 5, temperature: 1.0}}\n";
    let json = r#"{"ai-proxy": {"route_type": "llm/v1/chat", "model": {"provider": "mock", "options": {"top_k": 5, "temperature": 1.0}}}}"#;
    for text in [text(Syntax::Yaml, yaml), text(Syntax::Json, json)] {
        let tuned = tuned_of(&text, &["temperature=0.25"]).unwrap();
        let options = tuned.profile.ai_proxy.unwrap().model.options;
        assert_eq!((options.temperature, options.top_k), (Some(0.25), Some(5)));
    }
    let broken = text(Syntax::Yaml, "ai-proxy: [1]\n");
    assert!(
        tuned_of(&broken, &["temperature=1"])
            .unwrap_err()
            .contains("must be a table")
    );
}
