"""Every provider that aiproxy speaks to, as a profile in front of the mock, and what its format has.

`tests/sdk/run` drives the SDKs through them, and `tests/readme.py` holds README's table against them.
"""

import json

CHAT = ["completions", "embeddings", "image", "reasoning", "schema", "tool_choice", "tools", "usage"]


def without(*missing):
    return [feature for feature in CHAT if feature not in missing]


VERTEX = {
    "gemini.api_endpoint": "europe-west4-aiplatform.googleapis.com",
    "gemini.project_id": "p",
    "gemini.location_id": "europe-west4",
}

# name: provider, what it has, model.options, below the mock's origin. The base URL is what the provider's own SDK takes.
PROVIDERS = {
    "openai": ("openai", CHAT, {}, "/v1"),
    "mistral": ("mistral", without("usage"), {"mistral_format": "openai"}, "/v1"),
    "anthropic": ("anthropic", without("embeddings"), {"anthropic_version": "2023-06-01"}, ""),
    "gemini": ("gemini", without("completions"), {}, ""),
    "vertex": ("gemini", without("completions"), VERTEX, ""),
    "bedrock": ("bedrock", without("completions"), {"bedrock.aws_region": "us-east-1"}, ""),
    "cohere": ("cohere", without("image", "reasoning", "tool_choice"), {}, ""),
    "cohere-v2": ("cohere", ["image", "reasoning", "schema", "tools", "usage"], {"upstream_path": "/v2/chat"}, ""),
    "ollama": ("ollama", without("tool_choice"), {}, ""),
    "huggingface": ("huggingface", CHAT, {"huggingface.wait_for_model": True}, ""),
    "azure": ("azure", CHAT, {"azure_instance": "i", "azure_deployment_id": "d", "azure_api_version": "2024-10-21"}, ""),
    "mistral-ollama": ("mistral", without("tool_choice"), {"mistral_format": "ollama"}, ""),
    "llama2": ("llama2", ["completions", "schema", "usage"], {"llama2_format": "raw", "upstream_path": "/models/$(headers.x-model)"}, ""),
}

# What README's table calls those that their options do not tell apart well.
LABELS = {"vertex": "`gemini` with `gemini.project_id` (Vertex AI)", "llama2": '`llama2` with `llama2_format = "raw"`'}


def profiles(names, native):
    """What a script of checks takes as PROFILES; `native` names the one whose format is the SDK's own."""
    listed = []
    for name in names:
        has = [*PROVIDERS[name][1], "script", "exact"]
        listed.append({"name": name, "has": [*has, "native"] if name == native else has})
    return json.dumps(listed)


def toml(name, origin):
    """The profile's text."""
    provider, _, options, path = PROVIDERS[name]
    lines = ["[ai-proxy]", 'route_type = "llm/v1/chat"']
    if provider == "bedrock":
        lines += ["[ai-proxy.auth]", 'aws_access_key_id = "mock-key"', 'aws_secret_access_key = "mock-secret"']
    if name == "vertex":
        # A key of the profile's, so that nobody asks Google for a token.
        lines += ["[ai-proxy.auth]", 'header_name = "Authorization"', 'header_value = "Bearer mock"']
    lines += ["[ai-proxy.model]", f'provider = "{provider}"', "[ai-proxy.model.options]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    lines += ["[aiproxy]", f'base_url = "{origin}{path}"']
    return "\n".join(lines) + "\n"
