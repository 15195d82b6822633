//! A profile for each wire format that the mock answers in.

use crate::support::{ProfileText, Server};

/// Name, provider, lines of `model.options`, what stands behind the mock's origin in `base_url`.
pub(crate) const PROVIDERS: &[(&str, &str, &[&str], &str)] = &[
    ("openai", "openai", &[], "/v1"),
    (
        "anthropic",
        "anthropic",
        &[r#"anthropic_version = "2023-06-01""#],
        "",
    ),
    (
        "mistral",
        "mistral",
        &[r#"mistral_format = "openai""#],
        "/v1",
    ),
    ("gemini", "gemini", &[], ""),
    (
        "vertex",
        "gemini",
        &[
            r#"gemini.api_endpoint = "europe-west4-aiplatform.googleapis.com""#,
            r#"gemini.project_id = "p""#,
            r#"gemini.location_id = "europe-west4""#,
        ],
        "",
    ),
    (
        "bedrock",
        "bedrock",
        &[r#"bedrock.aws_region = "us-east-1""#],
        "",
    ),
    ("cohere", "cohere", &[], ""),
    (
        "cohere-v2",
        "cohere",
        &[r#"upstream_path = "/v2/chat""#],
        "",
    ),
    ("ollama", "ollama", &[], ""),
    ("huggingface", "huggingface", &[], ""),
    (
        "azure",
        "azure",
        &[r#"azure_instance = "i""#, r#"azure_deployment_id = "d""#],
        "",
    ),
    (
        "mistral-ollama",
        "mistral",
        &[r#"mistral_format = "ollama""#],
        "",
    ),
    (
        "llama2",
        "llama2",
        &[
            r#"llama2_format = "raw""#,
            r#"upstream_path = "/models/$(headers.x-model)""#,
        ],
        "",
    ),
];

/// A server of all of them, with the mock in every provider's place.
pub(crate) fn server() -> Server {
    let mut setup = Server::setup().args(["--mock"]);
    for (name, provider, options, path) in PROVIDERS {
        let mut text = ProfileText::at(&format!("http://127.0.0.1:9{path}"))
            .line("ai-proxy.model", format!("provider = \"{provider}\""));
        for option in *options {
            text = text.line("ai-proxy.model.options", *option);
        }
        if *provider == "bedrock" {
            text = text
                .line("ai-proxy.auth", r#"aws_access_key_id = "mock-key""#)
                .line("ai-proxy.auth", r#"aws_secret_access_key = "mock-secret""#);
        }
        if *name == "vertex" {
            text = text.key("Authorization", "Bearer mock");
        }
        setup = setup.profile(name, &text);
    }
    setup.start()
}
