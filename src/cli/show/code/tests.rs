use super::*;

fn request(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
    Request {
        method: if body.is_empty() { "GET" } else { "POST" }.into(),
        url: url.into(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.to_vec(),
    }
}

const CHAT: &str = "http://127.0.0.1:8765/openai/v1/chat/completions";
const HEADERS: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("authorization", "(secret)"),
];

fn chat() -> Request {
    let body = r#"{"model":"gpt","messages":[{"role":"user","content":"it's $5 \"now\"\n"}],"stream":true,"top_k":1.00,"seed":null}"#;
    request(CHAT, HEADERS, body.as_bytes())
}

#[test]
fn curl_runs_in_any_shell() {
    assert_eq!(
        Language::Curl.program(&chat(), None, true),
        r#"curl http://127.0.0.1:8765/openai/v1/chat/completions \
  --no-buffer \
  -H 'content-type: application/json' \
  -H "authorization: Bearer ${OPENAI_API_KEY}" \
  --data-raw '{"model":"gpt","messages":[{"role":"user","content":"it'\''s $5 \"now\"\n"}],"stream":true,"top_k":1.00,"seed":null}'
"#
    );
    let url = "https://g.example/v1beta/models/m:generateContent?key=(secret)&a='b'";
    assert_eq!(
        Language::Curl.program(
            &request(url, &[("x-a", "say \"hi\"!")], b""),
            Some("K"),
            false
        ),
        "curl \"https://g.example/v1beta/models/m:generateContent?key=${K}&a='b'\" \\\n  -H 'x-a: say \"hi\"!'\n"
    );
}

#[test]
fn bodies_that_no_argument_holds_come_through_stdin() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(200_000));
    let command = Language::Curl.program(&request(CHAT, HEADERS, long.as_bytes()), None, false);
    assert!(command.contains("--data-binary @- <<'END_OF_BODY'\n{\"a\":"));
    assert!(command.ends_with("\"}\nEND_OF_BODY\n"));
    let command = Language::Curl.program(&request(CHAT, &[], b"\xff\x00"), None, false);
    assert_eq!(
        command,
        "base64 -d <<'END_OF_BODY' | curl http://127.0.0.1:8765/openai/v1/chat/completions   -H 'content-type;'   --data-binary @-\n/wA=\nEND_OF_BODY\n"
    );
}

#[test]
fn python_takes_the_sdk_where_it_says_the_same() {
    assert_eq!(
        Language::Python.program(&chat(), None, true),
        r#"import os

from openai import OpenAI

client = OpenAI(
    base_url="http://127.0.0.1:8765/openai/v1",
    api_key=os.environ.get("OPENAI_API_KEY") or "unused",
)
answer = client.chat.completions.create(
    model="gpt",
    messages=[
      {
        "role": "user",
        "content": "it's $5 \"now\"\n"
      }
    ],
    stream=True,
    seed=None,
    extra_body={
        "top_k": 1.00,
    },
)
for event in answer:
    print(event.model_dump_json(exclude_unset=True), flush=True)
"#
    );
}

#[test]
fn python_has_httpx_for_all_else() {
    let request = request(
        "http://127.0.0.1:8765/claude/v1/messages",
        &[
            ("x-api-key", "(secret)"),
            ("anthropic-version", "2023-06-01"),
        ],
        br#"{"stream":false,"n":123456789012345678901234,"text":"\ud83d\ude00\/"}"#,
    );
    assert_eq!(
        Language::Python.program(&request, None, false),
        r#"import os
import sys

import httpx

request = {
    "method": "POST",
    "url": "http://127.0.0.1:8765/claude/v1/messages",
    "headers": [
        ("x-api-key", os.environ.get("ANTHROPIC_API_KEY", "")),
        ("anthropic-version", "2023-06-01"),
    ],
    "json": {
      "stream": False,
      "n": 123456789012345678901234,
      "text": "😀/"
    },
}
with httpx.stream(**request, timeout=600) as response:
    print(response.status_code, file=sys.stderr)
    for text in response.iter_text():
        print(text, end="", flush=True)
"#
    );
    // Without a model, the SDK would not send it.
    let chat = super::tests::request(CHAT, &[], br#"{"messages":[]}"#);
    assert!(
        Language::Python
            .program(&chat, None, false)
            .contains("import httpx")
    );
    let bytes = super::tests::request(CHAT, &[], b"\xff");
    let program = Language::Python.program(&bytes, None, false);
    assert!(
        program.contains("\"content\": base64.b64decode(\"/w==\"),"),
        "{program}"
    );
}

#[test]
fn node_needs_no_package() {
    assert_eq!(
        Language::Node.program(&chat(), Some("GROQ_API_KEY"), true),
        r#"const GROQ_API_KEY = process.env.GROQ_API_KEY ?? "";
(async () => {
  const response = await fetch("http://127.0.0.1:8765/openai/v1/chat/completions", {
    method: "POST",
    headers: [
      ["content-type", "application/json"],
      ["authorization", `Bearer ${GROQ_API_KEY}`],
    ],
    body: JSON.stringify({
      "model": "gpt",
      "messages": [
        {
          "role": "user",
          "content": "it's $5 \"now\"\n"
        }
      ],
      "stream": true,
      "top_k": 1.00,
      "seed": null
    }),
  });
  console.error(response.status, response.headers.get("x-aiproxy-exchange") ?? "");
  for await (const chunk of response.body ?? []) process.stdout.write(chunk);
})();
"#
    );
    // A number that JavaScript would round is sent as it stands.
    let long = request(CHAT, &[], br#"{"n":123456789012345678901234}"#);
    let program = Language::Node.program(&long, None, false);
    assert!(
        program.contains(r#"body: "{\"n\":123456789012345678901234}","#),
        "{program}"
    );
}

#[test]
fn the_providers_key_has_the_profiles_variable() {
    let places = Places::new(Vec::new());
    let variable = |profile: &str, provider: &str| {
        let mut detail = Detail::default();
        detail.summary.profile = profile.into();
        detail.summary.provider = provider.into();
        provider_variable(&detail, &places)
    };
    assert_eq!(variable("groq", "openai"), "GROQ_API_KEY");
    assert_eq!(variable("gone", "anthropic"), "ANTHROPIC_API_KEY");
    assert_eq!(variable("gone", ""), "API_KEY");
}
