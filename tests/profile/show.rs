//! `profile show`: goldens in `show/`, one for each built-in profile. `UPDATE_GOLDENS=1` writes them anew.

use super::{Home, built_in};

#[test]
fn built_in_profiles() {
    let home = Home::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/profile/show");
    for name in built_in() {
        let shown = home.run(&["profile", "show", &name]).out();
        let golden = folder.join(format!("{name}.toml"));
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(&golden, &shown).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(shown, expected, "{name}");
    }
}

#[test]
fn what_is_shown_can_be_read_back() {
    let home = Home::new();
    for name in built_in() {
        let shown = home.run(&["profile", "show", &name]).out();
        home.profile(&format!("again-{name}.toml"), &shown);
        let again = home
            .run(&["profile", "show", &format!("again-{name}")])
            .out();
        let config = |text: &str| {
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(config(&again), config(&shown), "{name}");
    }
}

#[test]
fn as_json_with_endpoints_and_secrets() {
    let home = Home::new().with_variable("MY_KEY", "q7Zp04mXw9");
    home.profile("gpt.toml", super::GPT);
    let shown = home.run(&["profile", "show", "gpt", "--json"]).json();
    assert_eq!(shown["name"], "gpt");
    assert_eq!(shown["origin"], "HOME/config/aiproxy/profiles/gpt.toml");
    assert_eq!(shown["ai-proxy"]["model"]["name"], "gpt-5");
    assert_eq!(
        shown["endpoints"][0],
        serde_json::json!({
            "table": "ai-proxy",
            "operation": "llm/v1/chat",
            "url": "https://api.openai.com/v1/chat/completions",
            "problem": null
        })
    );
    assert_eq!(
        shown["secrets"],
        serde_json::json!([{
            "key": "ai-proxy.auth.header_value",
            "reference": "{vault://env/my-key}",
            "resolves": true,
            "reason": null
        }])
    );
}

#[test]
fn where_requests_go() {
    let home = Home::new();
    let section = |text: &str| {
        home.profile("x.toml", text);
        let shown = home.run(&["profile", "show", "x"]).out();
        let from = shown.find("# where requests go\n").unwrap();
        let section = &shown[from..];
        section[..section.find("\n\n").unwrap_or(section.len())]
            .trim_end()
            .to_owned()
    };
    assert_eq!(
        section(
            r#"
[ai-proxy]
route_type = "llm/v1/chat"
[ai-proxy.model]
provider = "openai"
[ai-proxy.model.options]
upstream_url = "https://$(headers.x-region).example.com:$(headers.port)/chat?key=q7Zp04mXw9"
"#
        ),
        "# where requests go\n#   llm/v1/chat  https://$(headers.x-region).example.com:$(headers.port)/chat?***"
    );
    assert_eq!(
        section(
            r#"
[ai-proxy]
route_type = "preserve"
[ai-proxy.model]
provider = "openai"
"#
        ),
        "# where requests go\n#   preserve  https://api.openai.com/..."
    );
    assert_eq!(
        section(
            r#"
[upstream]
url = "http://127.0.0.1:9000/base"
[ai-response-transformer]
prompt = "p"
[ai-response-transformer.llm]
route_type = "llm/v1/chat"
[ai-response-transformer.llm.model]
provider = "mistral"
options.mistral_format = "openai"
"#
        ),
        "# where requests go\n#   ai-response-transformer.llm  https://api.mistral.ai/v1/chat/completions\n#   every path                   http://127.0.0.1:9000/base/..."
    );
}

#[test]
fn a_name_that_there_is_not() {
    let done = Home::new().run(&["profile", "show", "opnai"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(
        done.err
            .starts_with("error: no profile `opnai`\nhint: there are openai, "),
        "{}",
        done.err
    );
}
