use super::*;
use crate::profile::load::tests::load_text;

const PROFILE: &str = r#"
description = "GPT"
[ai-proxy]
route_type = "llm/v1/chat"
[ai-proxy.auth]
header_name = "Authorization"
header_value = "Bearer {vault://env/openai-api-key}"
param_name = "q7Zp04mXw9"
param_value = "q7Zp04mXw9"
param_location = "query"
[ai-proxy.model]
provider = "openai"
name = "gpt-$(headers.x-size)"
options.temperature = 0.5
"#;

#[test]
fn a_profile_is_shown_whole_and_without_secrets() {
    let view = view(&load_text("gpt.toml", PROFILE).unwrap());
    let expected = r#"{
  "name": "gpt",
  "origin": "profiles/gpt.toml",
  "description": "GPT",
  "ai-proxy": {
    "route_type": "llm/v1/chat",
    "auth": {
      "header_name": "Authorization",
      "header_value": "Bearer {vault://env/openai-api-key}",
      "param_name": "***",
      "param_value": "***",
      "param_location": "query",
      "azure_use_managed_identity": false,
      "gcp_use_service_account": false,
      "allow_override": false
    },
    "model": {
      "provider": "openai",
      "name": "gpt-$(headers.x-size)",
      "options": {
        "temperature": 0.5
      }
    },
    "logging": {
      "log_statistics": false,
      "log_payloads": false
    },
    "response_streaming": "allow",
    "llm_format": "openai",
    "genai_category": "text/generation",
    "max_request_body_size": 67108864,
    "model_name_header": true
  },
  "aiproxy": {
    "options": "enforce",
    "ask_usage": "auto",
    "stream_transform": "buffer",
    "other_paths": "refuse",
    "path": "/",
    "connect_timeout": 10000,
    "first_byte_timeout": 600000,
    "idle_timeout": 300000,
    "http2": true
  }
}"#;
    assert_eq!(serde_json::to_string_pretty(&view).unwrap(), expected);
}

#[test]
fn every_key_is_described() {
    let sections = reference();
    let tables: Vec<&str> = sections
        .iter()
        .map(|section| section.table.as_str())
        .collect();
    assert_eq!(
        tables[..4],
        ["", "ai-proxy", "ai-proxy.auth", "ai-proxy.model"]
    );
    assert_eq!(tables.last(), Some(&"aiproxy"));
    for row in sections.iter().flat_map(|section| &section.rows) {
        assert!(
            row.doc.ends_with('.') && !row.doc.contains("  "),
            "{}: {}",
            row.key,
            row.doc
        );
        assert!(!(row.required && row.default.is_some()), "{}", row.key);
    }
    let row = |table: &str, key: &str| {
        let section = sections
            .iter()
            .find(|section| section.table == table)
            .unwrap();
        section
            .rows
            .iter()
            .find(|row| row.key == key)
            .unwrap()
            .clone()
    };
    assert!(row("ai-proxy", "route_type").required);
    assert_eq!(
        row("ai-proxy", "response_streaming").kind,
        "`allow`, `deny`, `always`"
    );
    assert_eq!(
        row("aiproxy", "connect_timeout").default.as_deref(),
        Some("10000")
    );
    assert!(
        row("ai-request-transformer.llm", "model")
            .doc
            .ends_with("The same keys as `[ai-proxy.model]`.")
    );
}

#[test]
fn the_schema_is_for_editors() {
    let schema = schema_json();
    let auth = &schema["properties"]["ai-proxy"]["properties"]["auth"];
    assert_eq!(auth["additionalProperties"], false);
    assert_eq!(
        auth["properties"]["param_location"]["enum"],
        json!(["query", "body"])
    );
    let proxy = &schema["properties"]["ai-proxy"];
    assert_eq!(proxy["required"], json!(["route_type", "model"]));
    assert_eq!(
        proxy["properties"]["max_request_body_size"],
        json!({
            "description": "Largest request body in bytes; 0 means no limit. Kong's own default is 1048576.",
            "type": "integer", "minimum": 0, "default": 67_108_864_u64
        })
    );
}

#[test]
fn a_key_in_a_query_is_not_shown() {
    let text = "upstream.url = \"https://example.com/x?a=1&key=q7\"\n";
    let view = view(&load_text("query.toml", text).unwrap());
    assert_eq!(view["upstream"]["url"], "https://example.com/x?***");
}
