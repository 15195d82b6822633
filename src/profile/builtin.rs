//! The profiles that are compiled into the binary: the files of `profiles/`.

/// Name and text of each, by name.
pub const ALL: &[(&str, &str)] = &[
    ("anthropic", include_str!("../../profiles/anthropic.toml")),
    ("azure", include_str!("../../profiles/azure.toml")),
    ("bedrock", include_str!("../../profiles/bedrock.toml")),
    ("cerebras", include_str!("../../profiles/cerebras.toml")),
    ("cohere", include_str!("../../profiles/cohere.toml")),
    ("dashscope", include_str!("../../profiles/dashscope.toml")),
    ("databricks", include_str!("../../profiles/databricks.toml")),
    ("deepseek", include_str!("../../profiles/deepseek.toml")),
    ("fireworks", include_str!("../../profiles/fireworks.toml")),
    ("gemini", include_str!("../../profiles/gemini.toml")),
    ("groq", include_str!("../../profiles/groq.toml")),
    (
        "huggingface",
        include_str!("../../profiles/huggingface.toml"),
    ),
    (
        "huggingface-classic",
        include_str!("../../profiles/huggingface-classic.toml"),
    ),
    ("llama2", include_str!("../../profiles/llama2.toml")),
    ("llamacpp", include_str!("../../profiles/llamacpp.toml")),
    ("lmstudio", include_str!("../../profiles/lmstudio.toml")),
    ("mistral", include_str!("../../profiles/mistral.toml")),
    ("mock", include_str!("../../profiles/mock.toml")),
    (
        "mock-request-transformer",
        include_str!("../../profiles/mock-request-transformer.toml"),
    ),
    (
        "mock-response-transformer",
        include_str!("../../profiles/mock-response-transformer.toml"),
    ),
    (
        "mock-transformers",
        include_str!("../../profiles/mock-transformers.toml"),
    ),
    ("ollama", include_str!("../../profiles/ollama.toml")),
    ("openai", include_str!("../../profiles/openai.toml")),
    ("openrouter", include_str!("../../profiles/openrouter.toml")),
    ("together", include_str!("../../profiles/together.toml")),
    ("vertex", include_str!("../../profiles/vertex.toml")),
    ("vllm", include_str!("../../profiles/vllm.toml")),
    ("xai", include_str!("../../profiles/xai.toml")),
];

/// The text of a built-in profile.
#[must_use]
pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}
