//! Every provider's format, through the mock provider: in its own words and translated.

use crate::{
    exported, lines, mock_from,
    support::{Ask, Process, ProfileText, Server, World, holds},
};

/// A provider, its profile, and a request in its own format.
struct Case {
    name: &'static str,
    format: &'static str,
    options: &'static [&'static str],
    path: &'static str,
    body: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "anthropic",
        format: "anthropic",
        options: &[r#"anthropic_version = "2023-06-01""#],
        path: "/v1/messages",
        body: r#"{"model":"mock-fast","max_tokens":20,"stream":true,"messages":[{"role":"user","content":"Hello"}]}"#,
    },
    Case {
        name: "gemini",
        format: "gemini",
        options: &[],
        path: "/v1beta/models/mock-fast:streamGenerateContent?alt=sse",
        body: r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#,
    },
    Case {
        name: "bedrock",
        format: "bedrock",
        options: &[r#"bedrock.aws_region = "us-east-1""#],
        path: "/model/mock-fast/converse-stream",
        body: r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#,
    },
];

fn profile(case: &Case, root: &str, native: bool) -> ProfileText {
    let mut text = ProfileText::at(root)
        .line("ai-proxy.model", format!("provider = \"{}\"", case.name))
        .line("aiproxy", r#"default_model = "mock-fast""#);
    for option in case.options {
        text = text.line("ai-proxy.model.options", *option);
    }
    if native {
        text = text.line("ai-proxy", format!("llm_format = \"{}\"", case.format));
    }
    if case.name == "bedrock" {
        text.line("ai-proxy.auth", r#"aws_access_key_id = "AKIAPLANTED""#)
            .line(
                "ai-proxy.auth",
                r#"aws_secret_access_key = "planted-secret""#,
            )
    } else {
        text.key("x-api-key", "planted-key")
    }
}

#[tokio::test]
async fn each_providers_own_stream_is_played_byte_for_byte() {
    let world = World::new();
    let mut mock = Process::start(world.aiproxy(["mock", "--listen", "127.0.0.1:0"]));
    mock.until("its URL", |process| process.stdout().contains("/v1\n"));
    let said = mock.stdout();
    let root = said.split_whitespace().last().unwrap();
    let root = root.strip_suffix("/v1").unwrap().to_owned();
    let setup = |args: &[&str]| {
        let mut setup = Server::setup();
        for case in CASES {
            setup = setup
                .profile(case.name, &profile(case, &root, true))
                .profile(&format!("{}-chat", case.name), &profile(case, &root, false));
        }
        setup.args(args.iter().copied()).start()
    };
    let chat = r#"{"stream":true,"messages":[{"role":"user","content":"Good day"}]}"#;
    let server = setup(&[]);
    let mut answers = Vec::new();
    for case in CASES {
        let native = Ask::post(&format!("/{}{}", case.name, case.path), case.body);
        let native = native.whole(&server).await;
        assert_eq!(native.status, 200, "{}", native.text());
        let path = format!("/{}-chat/v1/chat/completions", case.name);
        let translated = Ask::post(&path, chat).whole(&server).await;
        assert!(holds(&translated.body, "[DONE]"), "{}", translated.text());
        answers.push((native.body, translated.body));
    }
    let (file, text) = exported(&server);
    assert_eq!(lines(&text).len(), 2 * CASES.len());
    for planted in ["planted", "AKIA"] {
        assert!(!text.contains(planted), "{planted} is in the file");
    }
    assert!(text.contains("\"base64\":"), "Bedrock's stream is no text");
    drop((server, mock));

    let server = setup(&["--replay", file.to_str().unwrap(), "--speed", "0"]);
    let tape = mock_from(&[&file], &["--speed", "0"]);
    for (case, (native, translated)) in CASES.iter().zip(&answers) {
        let through = Ask::post(&format!("/{}{}", case.name, case.path), case.body);
        let through = through.whole(&server).await;
        assert!(through.body == *native, "{}: {}", case.name, through.text());
        let direct = Ask::post(case.path, case.body).whole(&tape).await;
        assert!(direct.body == *native, "{}: {}", case.name, direct.text());
        // Translated anew, only ids and times of day differ.
        let path = format!("/{}-chat/v1/chat/completions", case.name);
        let through = Ask::post(&path, chat).whole(&server).await;
        assert_eq!(
            crate::support::text_of(&through.body),
            crate::support::text_of(translated),
            "{}",
            case.name
        );
        let direct = Ask::post(&path, chat).whole(&tape).await;
        assert!(
            direct.body == *translated,
            "{}: {}",
            case.name,
            direct.text()
        );
    }
}

#[tokio::test]
async fn a_miss_is_told_in_the_clients_format() {
    let server = Server::setup().built_in("mock").start();
    Ask::post(
        "/mock/v1/chat/completions",
        r#"{"model":"mock-echo","messages":[{"role":"user","content":"Hello"}]}"#,
    )
    .whole(&server)
    .await;
    let (file, _) = exported(&server);
    let replay = Server::setup()
        .built_in("mock")
        .args(["--replay", file.to_str().unwrap()])
        .start();
    let asked =
        r#"{"model":"mock-echo","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#;
    let nearest = format!(
        "no recording of this request in {0}: the nearest, {0}:2, ",
        file.display()
    );
    let reply = Ask::post("/mock/v1/chat/completions", asked)
        .whole(&replay)
        .await;
    let message =
        format!("{nearest}has \"Hello\" at body.messages[0].content where this request has \"Hi\"");
    reply.fails_with(404, &message);
    assert_eq!(reply.json()["error"]["code"], "no_recording");
    let reply = Ask::post("/mock/v1/messages", asked).whole(&replay).await;
    assert_eq!(
        (reply.status, &reply.json()["type"]),
        (404, &"error".into())
    );
    let told = reply.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(told, message);
    // The record says so, too.
    let shown = replay
        .world
        .run(["log", "--failed", "--server", &replay.url()]);
    assert!(shown.exits(0).stdout.contains("404"));

    let mock = mock_from(&[&file], &[]);
    let reply = Ask::post("/v1/chat/completions", asked).whole(&mock).await;
    reply.fails_about(404, &[&nearest]);
    let gemini = Ask::post("/v1beta/models/m:generateContent", r#"{"contents":[]}"#);
    let reply = gemini.whole(&mock).await;
    assert_eq!(reply.status, 404);
    assert_eq!(
        reply.json()["error"]["status"],
        "NOT_FOUND",
        "{}",
        reply.text()
    );
    let reply = Ask::get("/v1/models").whole(&mock).await;
    reply.fails_about(404, &["\"POST\" at method where this request has \"GET\""]);
}
