//! Planted secrets turn up in nothing that is told or written.

use std::fs;

use crate::{
    asking, streaming,
    support::{
        Ask, DONE, ProfileText, STREAM_HEAD, Server, Upstream, delta, json_response, role, stop,
    },
};

const HEADER: &str = "sk-header-Zx81-canary";
const ENVIRONMENT: &str = "sk-environment/+Q7-canary";
const OWN: &str = "sk-clients-own-K3-canary";
const SPLIT: (&str, &str) = ("sk-header-Zx", "81-canary");

#[tokio::test]
async fn planted_secrets_are_nowhere() {
    let upstream = Upstream::playing(|mut call| async move {
        let text = call.text();
        if text.contains("stream") {
            call.write(STREAM_HEAD).await;
            let events = [
                role(),
                delta("the key is "),
                delta(SPLIT.0),
                delta(SPLIT.1),
                delta(" and "),
                delta(HEADER),
                stop(),
                DONE.into(),
            ];
            call.write(events.concat()).await;
        } else {
            // An upstream that shows all that it was sent.
            let all = format!("{} {:?} {text}", call.target(), call.headers);
            let all = serde_json::to_string(&all).unwrap();
            let body = format!(r#"{{"error":{{"message":{all}}}}}"#);
            call.write(json_response(401, body)).await;
        }
    })
    .await;
    let by_header =
        ProfileText::openai(&upstream).key("Authorization", &format!("Bearer {HEADER}"));
    let by_query = ProfileText::openai(&upstream)
        .line("ai-proxy.auth", "param_name = \"token\"")
        .line(
            "ai-proxy.auth",
            "param_value = \"{vault://env/planted-key}\"",
        )
        .line("ai-proxy.auth", "param_location = \"query\"");
    let by_body = by_query
        .clone()
        .line("ai-proxy.auth", "param_location = \"body\"");
    let server = Server::setup()
        .profile("up", &by_header)
        .profile("query", &by_query)
        .profile("body", &by_body)
        .variable("PLANTED_KEY", ENVIRONMENT)
        .variable("RUST_LOG", "debug")
        .args(["--record", "--log-file", "requests.log"])
        .start();
    let mut tail = Ask::get("/_aiproxy/events?raw=1&bodies=1")
        .reply(&server)
        .await;
    tail.until(": aiproxy").await;
    streaming("a stream please").whole(&server).await;
    for path in ["up", "query", "body"] {
        // Where the profile's key goes, the client's own is none of its business.
        let (field, param) = match path {
            "body" => (format!(r#""token":"{OWN}","#), String::new()),
            "query" => (String::new(), format!("&token={OWN}")),
            _ => (String::new(), String::new()),
        };
        let body = format!(
            r#"{{"model":"m",{field}"messages":[{{"role":"user","content":"the key {HEADER} and {ENVIRONMENT}"}}]}}"#
        );
        Ask::post(
            &format!("/{path}/v1/chat/completions?key={OWN}{param}"),
            body,
        )
        .header("authorization", &format!("Bearer {OWN}"))
        .header("x-api-key", OWN)
        .whole(&server)
        .await;
    }
    asking("the end").whole(&server).await;
    tail.until("\"prompt\":\"the end\"").await;
    let mut told = vec![("events".to_owned(), tail.body.clone())];
    let list = Ask::get("/_aiproxy/exchanges").whole(&server).await;
    let json: serde_json::Value = serde_json::from_slice(&list.body).unwrap();
    for summary in json["exchanges"].as_array().unwrap() {
        let id = summary["id"].as_str().unwrap();
        let detail = Ask::get(&format!("/_aiproxy/exchanges/{id}"))
            .whole(&server)
            .await;
        told.push((format!("exchange {id}"), detail.body.clone()));
    }
    told.push(("list".into(), list.body.clone()));
    told.push((
        "metrics".into(),
        Ask::get("/_aiproxy/metrics").whole(&server).await.body,
    ));
    let Server { process, world, .. } = server;
    process.signal("TERM");
    drop(tail);
    let finished = process.end().exits(0);
    told.push(("stdout".into(), finished.stdout.into_bytes()));
    told.push(("stderr".into(), finished.stderr.into_bytes()));
    for entry in files(&world.path("")) {
        // The profiles are where two of them come from.
        if !entry.starts_with(world.profiles()) {
            told.push((entry.display().to_string(), fs::read(&entry).unwrap()));
            told.extend(unpacked(&entry));
        }
    }
    assert!(told.iter().any(|(name, _)| name.ends_with("history.db")));
    assert!(told.iter().any(|(name, _)| name.ends_with("requests.log")));
    for (name, bytes) in told {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for secret in [
            HEADER,
            ENVIRONMENT,
            OWN,
            "c2stZW52aXJvbm1lbnQ",
            "sk-environment%2F%2BQ7",
        ] {
            let at = text.find(secret).map(|at| {
                text[at.saturating_sub(300)..]
                    .chars()
                    .take(400)
                    .collect::<String>()
            });
            assert!(
                at.is_none(),
                "{secret} is in {name}: {}",
                at.unwrap_or_default()
            );
        }
        // Put together, the events of a stream do not give it away either.
        let joined: String = text
            .split("\"content\":\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(
            !joined.contains(HEADER) || name == "events",
            "{name} spells {HEADER}"
        );
    }
}

/// What a history packs, exchange by exchange.
fn unpacked(path: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    if !path.ends_with("history.db") {
        return Vec::new();
    }
    let db = rusqlite::Connection::open(path).unwrap();
    let mut statement = db.prepare("SELECT packed FROM contents").unwrap();
    let packed = statement.query_map([], |row| row.get(0)).unwrap();
    let packed: Vec<Vec<u8>> = packed.map(Result::unwrap).collect();
    assert!(!packed.is_empty());
    let unpacked = packed
        .iter()
        .map(|packed| zstd::decode_all(packed.as_slice()).unwrap());
    unpacked
        .map(|rest| ("unpacked history.db".to_owned(), rest))
        .collect()
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push(path);
        }
    }
    out
}

/// A secret of each source: what it is, and its value. Each is planted once.
const PLANTED: &[(&str, &str)] = &[
    ("a profile's own text", "sk-inline-4Jd9-canary"),
    ("a variable", "sk-variable-8Kq2-canary"),
    ("a file", "sk-of-a-file-Lw3n-canary"),
    ("a file's second line", "sk-second-line-Vb7m-canary"),
    ("--env-file", "sk-env-file-Qy5r-canary"),
    ("a parameter of the query", "sk-in-query-Xc1t-canary"),
    ("a parameter of the body", "sk-in-body-Mz6h-canary"),
    ("a transformer's LLM", "sk-transformer-Fp8u-canary"),
    ("AWS", "aws-secret-access-key-Ge2w-canary-0123456"),
    ("config.toml", "token-of-settings-Hs4x-canary"),
    ("the client's own headers", "sk-client-header-Na7y-canary"),
    ("the client's own query", "sk-client-query-Ob3z-canary"),
    ("a proxy's password", "proxy-password-Pd5a-canary"),
];

fn planted(what: &str) -> &'static str {
    let found = PLANTED.iter().find(|(source, _)| *source == what);
    found.unwrap_or_else(|| panic!("{what}")).1
}

/// An upstream that repeats all that it was sent: in headers, in an error, or in pieces of a stream.
async fn gossip() -> Upstream {
    Upstream::playing(|mut call| async move {
        let all = format!("{} {} {}", call.target(), call.head.replace("\r\n", " | "), call.text());
        if all.contains("in pieces") {
            let mut events = vec![role()];
            let chars: Vec<char> = all.chars().collect();
            events.extend(chars.chunks(7).map(|piece| delta(&piece.iter().collect::<String>())));
            events.extend([stop(), DONE.into()]);
            call.write(format!("{STREAM_HEAD}{}", events.concat())).await;
        } else {
            let body = serde_json::json!({"error": {"message": all, "type": "t", "code": null, "param": null}});
            let echo: String = all.chars().filter(char::is_ascii_graphic).take(3000).collect();
            let headers = [
                ("content-type", "application/json"),
                ("www-authenticate", echo.as_str()),
                ("x-echo", echo.as_str()),
            ];
            call.write(crate::support::response(401, &headers, body.to_string())).await;
        }
        call.finish().await;
    })
    .await
}

/// Every command that could show one by mistake, with `ID` for an exchange. (`env` is for showing the server's token to a shell.)
const COMMANDS: &[&str] = &[
    "profile list",
    "profile list --json",
    "profile show inline",
    "profile show inline --json",
    "profile show file --json",
    "profile show query",
    "profile show body",
    "profile show transformed",
    "profile show aws --json",
    "profile check",
    "profile check --json",
    "doctor --offline",
    "doctor --offline --json",
    "doctor --profile gone --profile lines",
    "transform --profile inline body.json",
    "transform --profile file --json body.json",
    "transform --profile query --json body.json",
    "transform --profile body body.json",
    "transform --profile aws --json body.json",
    "transform --profile transformed --json body.json",
    "transform --profile lines body.json",
    "log",
    "log --json",
    "show ID",
    "show ID --json",
    "show ID --events",
    "show ID --curl",
    "show ID --python",
    "show ID --node",
    "show ID --stage prepared",
    "show ID --stage upstream",
    "replay ID",
    "replay ID --json",
    "chat --profile inline --model m1 hello",
    "chat --profile inline --model m1 --json hello",
    "chat --profile file --model m1 --stream hello",
    "chat --profile proxied --model m1 --stream hello",
    "chat --profile gone --model m1 hello",
    "chat --profile lines --model m1 hello",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_source_is_kept_out_of_every_output() {
    let upstream = gossip().await;
    let nobody = Upstream::nobody().await;
    let of = |text: ProfileText| text.line("aiproxy", "other_paths = \"forward\"");
    let bearer = |value: &str| {
        of(ProfileText::openai(&upstream)).key("Authorization", &format!("Bearer {value}"))
    };
    let param = |value: &str, location: &str| {
        of(ProfileText::openai(&upstream))
            .line("ai-proxy.auth", "param_name = \"token\"")
            .line("ai-proxy.auth", format!("param_value = \"{value}\""))
            .line("ai-proxy.auth", format!("param_location = \"{location}\""))
    };
    let llm = "ai-request-transformer.llm";
    let transformed = bearer(planted("a profile's own text"))
        .without("aiproxy")
        .line(
            "aiproxy",
            format!("base_url = \"http://{}/v1\"", upstream.address),
        )
        .line("ai-request-transformer", "prompt = \"Change it\"")
        .line(llm, "route_type = \"llm/v1/chat\"")
        .line(
            "ai-request-transformer.llm.auth",
            "header_name = \"Authorization\"",
        )
        .line(
            "ai-request-transformer.llm.auth",
            format!(
                "header_value = \"Bearer {}\"",
                planted("a transformer's LLM")
            ),
        )
        .line("ai-request-transformer.llm.model", "provider = \"openai\"")
        .line("ai-request-transformer.llm.model", "name = \"gpt-4\"")
        .line(
            "ai-request-transformer.llm.model.options",
            format!("upstream_url = \"http://{}/llm\"", upstream.address),
        );
    let aws = of(ProfileText::at(&format!("http://{}", upstream.address)))
        .line("ai-proxy.model", "provider = \"bedrock\"")
        .line("ai-proxy.auth", "aws_access_key_id = \"AKIATEST\"")
        .line(
            "ai-proxy.auth",
            format!("aws_secret_access_key = \"{}\"", planted("AWS")),
        )
        .line(
            "ai-proxy.model.options",
            "bedrock.aws_region = \"eu-west-1\"",
        );
    let far =
        |text: &str| ProfileText::at(text).key("Authorization", "Bearer {vault://env/of-env-file}");
    let gone = param(planted("a parameter of the query"), "query")
        .line("aiproxy", format!("base_url = \"http://{nobody}/v1\""));
    let profiles = [
        ("inline", bearer(planted("a profile's own text"))),
        ("variable", bearer("{vault://env/planted-variable}")),
        ("file", bearer("{vault://file/key.txt}")),
        ("lines", bearer("{vault://file/two-lines.txt}")),
        ("envfile", bearer("{vault://env/of-env-file}")),
        ("query", param(planted("a parameter of the query"), "query")),
        ("body", param(planted("a parameter of the body"), "body")),
        ("transformed", transformed),
        ("aws", aws),
        ("gone", gone),
        ("proxied", far("http://far.invalid/v1")),
        ("tls", far(&format!("https://{}/v1", upstream.address))),
    ];
    let mut setup = Server::setup();
    for (name, text) in &profiles {
        setup = setup.profile(name, text);
    }
    let two_lines = format!("first-line\n{}\n", planted("a file's second line"));
    let env_file = format!("OF_ENV_FILE={}\n", planted("--env-file"));
    let settings = format!("token = \"{}\"\n", planted("config.toml"));
    let proxy = format!(
        "http://user:{}@{}",
        planted("a proxy's password"),
        upstream.address
    );
    let folder = setup.folder();
    let at = |name: &str| folder.join(name).display().to_string();
    let variables = [
        ("PLANTED_VARIABLE", planted("a variable").to_owned()),
        ("AIPROXY_ENV_FILE", at("keys.env")),
        ("AIPROXY_CONFIG", at("settings.cfg")),
        ("AIPROXY_PROFILES", folder.display().to_string()),
        ("http_proxy", proxy),
        ("RUST_BACKTRACE", "full".to_owned()),
    ];
    setup = setup
        .file("key.txt", planted("a file"))
        .file("two-lines.txt", &two_lines)
        .file("keys.env", &env_file)
        .file("settings.cfg", &settings)
        .variable("RUST_LOG", "debug,aiproxy=trace")
        .args(["--record", "--log-file", "requests.log"]);
    for (name, value) in &variables {
        setup = setup.variable(name, value);
    }
    let server = setup.start();
    let token = format!("Bearer {}", planted("config.toml"));
    let mut tail = Ask::get("/_aiproxy/events?raw=1&bodies=1")
        .header("authorization", &token)
        .reply(&server)
        .await;
    tail.until(": aiproxy").await;
    let mut told: Vec<(String, Vec<u8>)> = Vec::new();
    let own = planted("the client's own headers");
    let mut last = String::new();
    for (name, _) in &profiles {
        for (extra, stream) in [("whole", false), ("in pieces", true)] {
            let body = serde_json::json!({"model": "m1", "stream": stream,
                "messages": [{"role": "user", "content": extra}]});
            let path = format!(
                "/{name}/v1/chat/completions?key={}&access_token=x",
                planted("the client's own query")
            );
            let reply = Ask::post(&path, body.to_string())
                .header("authorization", &token)
                .header("x-api-key", own)
                .header("api-key", own)
                .header("x-goog-api-key", own)
                .header("proxy-authorization", &format!("Basic {own}"))
                .header("cookie", &format!("session={own}"))
                .whole(&server)
                .await;
            last = reply.headers.get("x-aiproxy-exchange").unwrap().to_owned();
            // The client may see what its own upstream says, but no error of aiproxy's own holds a key.
            if matches!(*name, "gone" | "lines" | "tls") {
                told.push((format!("the answer of {name}"), reply.body));
            }
        }
    }
    tail.until(&last).await;
    let list = Ask::get("/_aiproxy/exchanges?limit=500")
        .header("authorization", &token)
        .whole(&server)
        .await;
    let json: serde_json::Value = serde_json::from_slice(&list.body).unwrap();
    let ids: Vec<String> = json["exchanges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|summary| summary["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 2 * profiles.len());
    for path in [
        "/_aiproxy/exchanges",
        "/_aiproxy/metrics",
        "/_aiproxy/health",
        "/v1/models",
    ] {
        let ask = Ask::get(path).header("authorization", &token);
        told.push((path.into(), ask.whole(&server).await.body));
    }
    for id in &ids {
        let ask = Ask::get(&format!("/_aiproxy/exchanges/{id}")).header("authorization", &token);
        told.push((format!("exchange {id}"), ask.whole(&server).await.body));
    }
    std::fs::write(
        server.world.path("home/body.json"),
        r#"{"model":"m1","messages":[{"role":"user","content":"hi"}]}"#,
    )
    .unwrap();
    for line in COMMANDS {
        // Those that show all of an exchange, of each; the others take their words from there.
        let step = match *line {
            "show ID --json" | "show ID --curl" => 1,
            line if line.contains("ID") => 5,
            _ => ids.len(),
        };
        for id in ids.iter().step_by(step) {
            let args: Vec<&str> = line
                .split(' ')
                .map(|word| if word == "ID" { id.as_str() } else { word })
                .collect();
            let mut command = server.world.aiproxy(args);
            command
                .envs(
                    variables
                        .iter()
                        .map(|(name, value)| (*name, value.as_str())),
                )
                .env("RUST_LOG", "debug,aiproxy=trace")
                .env("AIPROXY_SERVER", server.url());
            let ended = crate::support::Process::start(command).end();
            let what = format!("{line} ({id})");
            assert!(
                !ended.stdout.is_empty() || !ended.stderr.is_empty(),
                "{what}"
            );
            assert!(
                !ended.stderr.contains("panicked"),
                "{what}: {}",
                ended.stderr
            );
            told.push((
                what,
                format!("{}\n{}", ended.stdout, ended.stderr).into_bytes(),
            ));
        }
    }
    told.push(("events".into(), tail.body.clone()));
    let Server { process, world, .. } = server;
    process.signal("TERM");
    drop(tail);
    let finished = process.end().exits(0);
    told.push(("stdout".into(), finished.stdout.into_bytes()));
    told.push(("stderr".into(), finished.stderr.into_bytes()));
    for entry in files(&world.path("")) {
        if !entry.starts_with(world.profiles()) {
            told.push((entry.display().to_string(), fs::read(&entry).unwrap()));
            told.extend(unpacked(&entry));
        }
    }
    for end in ["history.db", "requests.log"] {
        assert!(told.iter().any(|(name, _)| name.ends_with(end)), "{end}");
    }
    // All of them were in use: the upstream got each, in one form or another.
    let seen = upstream.seen();
    let sent: String = seen
        .iter()
        .map(|call| format!("{}{}", call.head, String::from_utf8_lossy(&call.body)))
        .collect();
    for what in [
        "a profile's own text",
        "a variable",
        "a file",
        "--env-file",
        "a parameter of the query",
        "a parameter of the body",
        "a transformer's LLM",
    ] {
        assert!(sent.contains(planted(what)), "{what} was never sent");
    }
    let mut found = Vec::new();
    for (name, bytes) in &told {
        let text = String::from_utf8_lossy(bytes);
        for (source, secret) in PLANTED {
            for form in forms(secret) {
                if let Some(at) = text.find(&form) {
                    let from = (0..=at.saturating_sub(200))
                        .rev()
                        .find(|at| text.is_char_boundary(*at));
                    let around: String = text[from.unwrap_or(0)..].chars().take(300).collect();
                    found.push(format!("{source} ({form}) in {name}: {around}"));
                }
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} places:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// A secret as it is, without its ends, and as other texts would hold it.
fn forms(secret: &str) -> Vec<String> {
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    let encoded = STANDARD_NO_PAD.encode(secret);
    vec![
        secret.to_owned(),
        // Where the last characters are cut off, what is left is a secret, too.
        secret[..secret.len() - 4].to_owned(),
        encoded[..encoded.len() - 2].to_owned(),
        STANDARD_NO_PAD.encode(format!("user:{secret}")),
        secret.chars().rev().collect(),
    ]
}
