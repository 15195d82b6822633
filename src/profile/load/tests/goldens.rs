//! Every kind of mistake in a file, and what a person reads about it. `PROVIDERS` stands for the list of them.

/// What is wrong with a file, its text, and what a person reads.
pub(super) const ERRORS: &[(&str, &str, &str, &str)] = &[
    (
        "an unknown key has a near one, or all of them",
        "gpt.toml",
        r#"[ai-proxy]
route_type = "llm/v1/chat"
[ai-proxy.model]
provider = "openai"
[ai-proxy.model.options]
max_token = 512
[ai-proxy.logging]
verbose = 1
"#,
        r#"
profiles/gpt.toml:6:1: unknown key `max_token` in [ai-proxy.model.options]
  |
6 | max_token = 512
  | ^^^^^^^^^
hint: did you mean `max_tokens`?

profiles/gpt.toml:8:1: unknown key `verbose` in [ai-proxy.logging]
  |
8 | verbose = 1
  | ^^^^^^^
hint: valid keys are log_statistics, log_payloads
"#,
    ),
    (
        "a key in the wrong table is told where it belongs",
        "gpt.yaml",
        r#"route_type: llm/v1/chat
ai-proxy:
  route_type: llm/v1/chat
  temperature: 1
  model: {provider: openai}
"#,
        r#"
profiles/gpt.yaml:1:1: unknown key `route_type`
  |
1 | route_type: llm/v1/chat
  | ^^^^^^^^^^
hint: `route_type` belongs under `ai-proxy`

profiles/gpt.yaml:4:3: unknown key `temperature` in [ai-proxy]
  |
4 |   temperature: 1
  |   ^^^^^^^^^^^
hint: `temperature` belongs under `model.options`
"#,
    ),
    (
        "values of fixed sets, several mistakes at once",
        "gpt.yaml",
        r#"ai-proxy:
  route_type: chat
  response_streaming: alow
  model:
    provider: openia
    options: {max_tokens: lots, llama2_format: chatml}
"#,
        r#"
profiles/gpt.yaml:2:15: `ai-proxy.route_type` cannot be `chat`
  |
2 |   route_type: chat
  |               ^^^^
hint: it takes llm/v1/chat, llm/v1/completions, llm/v1/embeddings, llm/v1/responses, preserve, llm/v1/assistants, llm/v1/batches, llm/v1/files, audio/v1/audio/speech, audio/v1/audio/transcriptions, audio/v1/audio/translations, image/v1/images/generations, image/v1/images/edits, realtime/v1/realtime, video/v1/videos/generations

profiles/gpt.yaml:3:23: `ai-proxy.response_streaming` cannot be `alow`
  |
3 |   response_streaming: alow
  |                       ^^^^
hint: did you mean `allow`? it takes allow, deny, always

profiles/gpt.yaml:5:15: `ai-proxy.model.provider` cannot be `openia`
  |
5 |     provider: openia
  |               ^^^^^^
hint: did you mean `openai`? it takes PROVIDERS

profiles/gpt.yaml:6:27: `ai-proxy.model.options.max_tokens` must be a whole number of 0 or more, found the string `lots`
  |
6 |     options: {max_tokens: lots, llama2_format: chatml}
  |                           ^^^^

profiles/gpt.yaml:6:48: `ai-proxy.model.options.llama2_format` cannot be `chatml`
  |
6 |     options: {max_tokens: lots, llama2_format: chatml}
  |                                                ^^^^^^
hint: it takes raw, openai, ollama
"#,
    ),
    (
        "wrong types",
        "types.toml",
        r#"[ai-proxy]
route_type = 5
model = "gpt"
model_name_header = "true"
llm_format = ""
max_request_body_size = 1.5
[aiproxy]
connect_timeout = 0
idle_timeout = "300"
http2 = []
"#,
        r#"
profiles/types.toml:2:14: `ai-proxy.route_type` must be a string, found 5
  |
2 | route_type = 5
  |              ^
hint: put the value in quotes

profiles/types.toml:3:9: `ai-proxy.model` must be a table, found the string `gpt`
  |
3 | model = "gpt"
  |         ^^^^^

profiles/types.toml:4:21: `ai-proxy.model_name_header` must be true or false, found the string `true`
  |
4 | model_name_header = "true"
  |                     ^^^^^^
hint: leave out the quotes

profiles/types.toml:5:14: `ai-proxy.llm_format` must not be empty
  |
5 | llm_format = ""
  |              ^^
hint: leave the key out instead

profiles/types.toml:6:25: `ai-proxy.max_request_body_size` must be a whole number of 0 or more, found 1.5
  |
6 | max_request_body_size = 1.5
  |                         ^^^

profiles/types.toml:8:19: `aiproxy.connect_timeout` must be a whole number of milliseconds above 0, found 0
  |
8 | connect_timeout = 0
  |                   ^

profiles/types.toml:9:16: `aiproxy.idle_timeout` must be a whole number of milliseconds above 0, found the string `300`
  |
9 | idle_timeout = "300"
  |                ^^^^^
hint: leave out the quotes

profiles/types.toml:10:1: `aiproxy.http2` must be true or false, found a list
   |
10 | http2 = []
   | ^^^^^
"#,
    ),
    (
        "a date is a string in quotes",
        "claude.toml",
        r#"[ai-proxy]
route_type = "llm/v1/chat"
[ai-proxy.model]
provider = "anthropic"
[ai-proxy.model.options]
anthropic_version = 2023-06-01
"#,
        r#"
profiles/claude.toml:6:21: `ai-proxy.model.options.anthropic_version` must be a string, found a date
  |
6 | anthropic_version = 2023-06-01
  |                     ^^^^^^^^^^
hint: put the value in quotes
"#,
    ),
    (
        "required keys",
        "gpt.json",
        r#"{
  "ai-proxy": {
    "route_type": null,
    "model": {"name": "gpt-4"}
  }
}
"#,
        r#"
profiles/gpt.json:2:3: required key `route_type` is missing in [ai-proxy]
  |
2 |   "ai-proxy": {
  |   ^^^^^^^^^^
hint: one of llm/v1/chat, llm/v1/completions, llm/v1/embeddings, llm/v1/responses, preserve, llm/v1/assistants, llm/v1/batches, llm/v1/files, audio/v1/audio/speech, audio/v1/audio/transcriptions, audio/v1/audio/translations, image/v1/images/generations, image/v1/images/edits, realtime/v1/realtime, video/v1/videos/generations

profiles/gpt.json:4:5: required key `provider` is missing in [ai-proxy.model]
  |
4 |     "model": {"name": "gpt-4"}
  |     ^^^^^^^
hint: one of PROVIDERS
"#,
    ),
    (
        "a key that is set twice in yaml",
        "twice.yaml",
        r#"ai-proxy:
  route_type: llm/v1/chat
  route_type: preserve
  model: {provider: openai}
"#,
        r#"
profiles/twice.yaml:3:3: `route_type` is set twice
  |
3 |   route_type: preserve
  |   ^^^^^^^^^^
"#,
    ),
    (
        "a key that is set twice in json",
        "twice.json",
        r#"{"upstream": {"url": "http://127.0.0.1:9000",
              "url": "http://127.0.0.1:9001"}}
"#,
        r#"
profiles/twice.json:2:15: `url` is set twice
  |
2 |               "url": "http://127.0.0.1:9001"}}
  |               ^^^^^
"#,
    ),
    (
        "a key that is set twice in toml",
        "twice.toml",
        r#"[upstream]
url = "http://127.0.0.1:9000"
url = "http://127.0.0.1:9001"
"#,
        r#"
profiles/twice.toml:3:1: TOML syntax: duplicate key
  |
3 | url = "***:***.0.0.1:9001"
  | ^
"#,
    ),
    (
        "urls and paths",
        "urls.toml",
        r#"[upstream]
url = "ftp://files.example.com"
[aiproxy]
base_url = "https://me:hunter2@example.com/v1"
path = "chat"
"#,
        r#"
profiles/urls.toml:2:7: `upstream.url` must be an http or https URL
  |
2 | url = "ftp://files.example.com"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^
hint: such as https://api.example.com/v1

profiles/urls.toml:4:12: `aiproxy.base_url` must not hold a user name or password
hint: put credentials under `auth`

profiles/urls.toml:5:8: `aiproxy.path` must begin with `/`, or with `~` and a regular expression
  |
5 | path = "chat"
  |        ^^^^^^
hint: `/chat` is a prefix, `~/(?<tier>[a-z]+)/chat` a pattern
"#,
    ),
    (
        "templates",
        "templates.yaml",
        r#"ai-proxy:
  route_type: llm/v1/chat
  model:
    provider: openai
    name: $(cookies.model)
    options:
      upstream_url: $(headers.where)/v1
"#,
        r#"
profiles/templates.yaml:5:11: cannot parse expression for field '$(cookies.model)'
  |
5 |     name: $(cookies.model)
  |           ^^^^^^^^^^^^^^^^
hint: write $(headers.NAME), $(uri_captures.NAME) or $(query_params.NAME)

profiles/templates.yaml:7:7: `ai-proxy.model.options.upstream_url` must be an http or https URL
  |
7 |       upstream_url: $(headers.where)/v1
  |       ^^^^^^^^^^^^
hint: such as https://api.example.com/v1/chat/completions; a template can stand inside it
"#,
    ),
    (
        "under auth only the key is shown",
        "auth.toml",
        r#"[ai-proxy]
route_type = "llm/v1/chat"
model.provider = "openai"
[ai-proxy.auth]
header_name = "Authorization"
header_value = "Bearer {vault://evn/openai-api-key}"
param_location = "sk-hostile"
param_nam = "sk-hostile"
allow_override = "sk-hostile"
"#,
        r#"
profiles/auth.toml:6:1: `ai-proxy.auth.header_value`: unknown vault `evn`
hint: write {vault://env/some-name} for the variable SOME_NAME, {vault://file/PATH} or {vault://keyring/NAME}

profiles/auth.toml:7:1: `ai-proxy.auth.param_location` has a value that it cannot have
hint: it takes query, body

profiles/auth.toml:8:1: unknown key `param_nam` in [ai-proxy.auth]
hint: did you mean `param_name`?

profiles/auth.toml:9:1: `ai-proxy.auth.allow_override` must be true or false, found a string
"#,
    ),
    (
        "an empty file",
        "empty.toml",
        r#""#,
        r#"
profiles/empty.toml: a profile needs [ai-proxy] or [upstream]
hint: `aiproxy profile new` writes one
"#,
    ),
    (
        "neither ai-proxy nor upstream",
        "nothing.toml",
        r#"description = "a note"
"#,
        r#"
profiles/nothing.toml:1:1: a profile needs [ai-proxy] or [upstream]
  |
1 | description = "a note"
  | ^
hint: `aiproxy profile new` writes one
"#,
    ),
    (
        "a file that is no table",
        "list.json",
        r#"[1]"#,
        r#"
profiles/list.json:1:1: a profile must be a table, found a list
  |
1 | [1]
  | ^
"#,
    ),
    (
        "broken json",
        "broken.json",
        r#"{"ai-proxy": {"route_type": "llm/v1/chat",}}"#,
        r#"
profiles/broken.json:1:43: JSON syntax: expected a key in double quotes
  |
1 | {"ai-proxy": {"route_type": "llm/v1/chat",}}
  |                                           ^
"#,
    ),
    (
        "half of a json file",
        "half.json",
        r#"{"ai-proxy": "#,
        r#"
profiles/half.json:1:14: JSON syntax: the file ends where a value is expected
  |
1 | {"ai-proxy": 
  |              ^
"#,
    ),
    (
        "broken yaml",
        "broken.yaml",
        r#"ai-proxy:
	route_type: llm/v1/chat
"#,
        r#"
profiles/broken.yaml:2:2: YAML syntax: tabs disallowed within this context (block indentation)
  |
2 |     route_type: llm/v1/chat
  |     ^
"#,
    ),
    (
        "two yaml documents",
        "two.yaml",
        r#"upstream: {url: http://127.0.0.1:9000}
---
upstream: {url: http://127.0.0.1:9001}
"#,
        r#"
profiles/two.yaml:3:1: YAML syntax: more than one document in the file
  |
3 | upstream: {url: ***:***.0.0.1:9001}
  | ^
"#,
    ),
    (
        "a table that is not closed",
        "broken.toml",
        r#"[upstream
url = "http://127.0.0.1:9000"
"#,
        r#"
profiles/broken.toml:1:10: TOML syntax: unclosed table, expected `]`
  |
1 | [upstream
  |          ^
"#,
    ),
    (
        "a string that is not closed: what stands there may be a secret",
        "broken.toml",
        r#"[ai-proxy.auth]
header_value = "Bearer sk-hostile
"#,
        r#"
profiles/broken.toml:2:34: TOML syntax: invalid basic string, expected `"`
  |
2 | header_value = "*** ***
  |                        ^
"#,
    ),
    (
        "a string without quotes",
        "broken.toml",
        r#"[ai-proxy]
route_type = llm/v1/chat
"#,
        r#"
profiles/broken.toml:2:14: TOML syntax: string values must be quoted, expected literal string
  |
2 | route_type = llm/v1/chat
  |              ^
"#,
    ),
];
