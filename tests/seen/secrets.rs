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
