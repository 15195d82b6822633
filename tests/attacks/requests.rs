//! Each attack of the table on each path, over each protocol.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    support::{Ask, Client, H2, Headers, ProfileText, Server, Upstream, completion, json_response},
    table::{ATTACKS, Attack, Over, PLACES, PROMPT, Place, Wanted},
};

const TOKEN: &str = "tok-91-of-the-tests";

/// A server that remembers a prompt and a response, and what leads to them.
struct Target {
    server: Server,
    upstream: Upstream,
    exchange: String,
    stored: String,
    token: bool,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Headers,
    /// As much as came at once; all of it, where it has an end.
    body: String,
}

impl Target {
    async fn start(token: bool) -> Target {
        let upstream = Upstream::answering(json_response(200, completion("ok"))).await;
        let plain = ProfileText::default()
            .line("upstream", format!("url = \"http://{}\"", upstream.address));
        let up = ProfileText::openai(&upstream).line("aiproxy", "other_paths = \"forward\"");
        // A provider without Responses of its own: they are kept here.
        let own = up
            .clone()
            .line("ai-proxy.model", "provider = \"llama2\"")
            .line("ai-proxy.model.options", "llama2_format = \"openai\"");
        let mut setup = Server::setup()
            .profile("up", &up)
            .profile("plain", &plain)
            .profile("own", &own);
        if token {
            setup = setup.args(["--token", TOKEN]);
        }
        let server = setup.start();
        let honest = |ask: Ask| match token {
            true => ask.header("x-api-key", TOKEN),
            false => ask,
        };
        let body = |rest: &str| format!(r#"{{"model":"m1",{rest}}}"#);
        let chat = body(&format!(
            r#""messages":[{{"role":"user","content":"{PROMPT}"}}]"#
        ));
        let reply = honest(Ask::chat(chat)).whole(&server).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let exchange = reply.headers.get("x-aiproxy-exchange").unwrap().to_owned();
        let input = body(&format!(r#""input":"{PROMPT}","store":true"#));
        let reply = honest(Ask::post("/own/v1/responses", input))
            .whole(&server)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let stored = reply.json()["id"].as_str().unwrap().to_owned();
        Target {
            server,
            upstream,
            exchange,
            stored,
            token,
        }
    }

    fn filled(&self, text: &str) -> String {
        text.replace("PORT", &self.server.address.port().to_string())
            .replace("/ID", &format!("/{}", self.exchange))
            .replace("STORED", &self.stored)
    }

    fn headers(&self, attack: &Attack, place: &Place) -> Vec<(String, String)> {
        let own = attack.headers.iter();
        let mut headers: Vec<(String, String)> = own
            .map(|(name, value)| ((*name).to_owned(), self.filled(value)))
            .collect();
        let typed = headers.iter().any(|(name, _)| name == "content-type");
        if !place.body.is_empty() && !typed {
            headers.push(("content-type".into(), "application/json".into()));
        }
        if self.token {
            headers.push(("x-api-key".into(), TOKEN.into()));
        }
        headers
    }

    async fn http1(&self, attack: &Attack, place: &Place) -> Answer {
        let target = self.filled(&format!("{}{}", attack.target, place.path));
        let mut head = format!("{} {target} HTTP/1.1\r\n", place.method);
        let hosts = attack.hosts.iter();
        let hosts = hosts.map(|host| ("host".to_owned(), self.filled(host)));
        for (name, value) in hosts.chain(self.headers(attack, place)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", place.body.len()));
        let mut client = Client::connect(&self.server).await;
        client.write(head + place.body).await;
        let mut reply = client.reply().await;
        let endless = reply.headers.get("content-type") == Some("text/event-stream");
        if endless {
            reply.piece().await;
        } else if place.method != "HEAD" {
            reply = reply.whole().await;
        }
        Answer {
            status: reply.status,
            body: reply.text(),
            headers: reply.headers,
        }
    }

    async fn http2(&self, h2: &mut H2, attack: &Attack, place: &Place) -> Answer {
        let [authority, hosts @ ..] = attack.hosts else {
            panic!("{attack:?} has no authority");
        };
        let mut headers = self.headers(attack, place);
        headers.extend(
            hosts
                .iter()
                .map(|host| ("host".to_owned(), self.filled(host))),
        );
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let (authority, path) = (self.filled(authority), self.filled(place.path));
        let request = H2::request(place.method, &authority, &path, &headers, place.body);
        let response = h2.send(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = Headers(
            response
                .headers()
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.to_string(), value)
                })
                .collect(),
        );
        let endless = headers.get("content-type") == Some("text/event-stream");
        let body = match endless {
            true => Vec::new(),
            false => H2::body(response).await,
        };
        Answer {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// Tries an attack on a place, over each protocol that can say it.
    async fn tried(&self, h2: &mut H2, attack: &Attack, place: &Place) -> Vec<Answer> {
        let mut answers = Vec::new();
        if attack.over != Over::Http2 {
            answers.push(self.http1(attack, place).await);
        }
        if attack.over != Over::Http1 {
            answers.push(self.http2(h2, attack, place).await);
        }
        answers
    }

    /// How many exchanges there were.
    async fn exchanges(&self) -> usize {
        let ask = Ask::get("/_aiproxy/exchanges?limit=500").header("x-api-key", TOKEN);
        let reply = ask.whole(&self.server).await;
        let json: Value = serde_json::from_slice(&reply.body).unwrap();
        json["exchanges"].as_array().unwrap().len()
    }
}

/// The places whose honest answer is quick: a count that nobody else makes wants a tokenizer, which takes a busy machine long to load.
fn quick() -> impl Iterator<Item = &'static Place> {
    let counts = |place: &&Place| !place.path.ends_with("/count_tokens");
    PLACES.iter().filter(counts)
}

/// Checks that all refusals of the table hold. Nothing is told, nothing is sent on, nothing is even noted down.
async fn all_are_refused(token: bool) {
    let target = Target::start(token).await;
    let mut h2 = H2::connect(&target.server).await;
    let (calls, exchanges) = (target.upstream.seen().len(), target.exchanges().await);
    let mut wrong = Vec::new();
    for attack in ATTACKS {
        let Wanted::Refused(status) = attack.wanted else {
            continue;
        };
        for place in PLACES {
            for answer in target.tried(&mut h2, attack, place).await {
                let opened = answer
                    .headers
                    .0
                    .iter()
                    .any(|(name, _)| name.starts_with("access-control-"));
                let told = [PROMPT, "profiles", "aiproxy_", "\"up\"", TOKEN]
                    .iter()
                    .any(|secret| answer.body.contains(secret));
                if answer.status != status || opened || told {
                    wrong.push(format!(
                        "{attack:?} on {} {}: {answer:?}",
                        place.method, place.path
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of them:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let seen = target.upstream.seen();
    assert_eq!(seen.len(), calls, "{:?}", &seen[calls..]);
    assert_eq!(target.exchanges().await, exchanges);
}

#[tokio::test]
async fn trap_2_18_every_attack_on_every_path_is_refused() {
    all_are_refused(false).await;
}

/// A page that learned the token is a page all the same.
#[tokio::test]
async fn trap_2_18_a_known_token_opens_nothing_to_a_page() {
    all_are_refused(true).await;
}

/// The table would hold if all were refused: what is honest has to pass on each path.
#[tokio::test]
async fn what_is_honest_passes_on_every_path() {
    let target = Target::start(false).await;
    let mut h2 = H2::connect(&target.server).await;
    let plain = ATTACKS
        .iter()
        .find(|attack| attack.wanted == Wanted::Passes && attack.headers.is_empty())
        .unwrap();
    let mut honest = BTreeMap::new();
    // Once for each path: what is deleted is gone the second time.
    for _ in 0..2 {
        for place in quick() {
            for answer in target.tried(&mut h2, plain, place).await {
                assert!(
                    !matches!(answer.status, 400 | 401 | 403),
                    "{place:?}: {answer:?}"
                );
                honest.insert((place.method, place.path), answer.status);
            }
        }
    }
    assert_eq!(honest[&("GET", "/_aiproxy/exchanges/ID")], 200);
    assert_eq!(honest[&("POST", "/v1/chat/completions")], 200);
    let passing = ATTACKS
        .iter()
        .filter(|attack| attack.wanted == Wanted::Passes);
    for attack in passing {
        for place in quick() {
            for answer in target.tried(&mut h2, attack, place).await {
                assert_eq!(
                    answer.status,
                    honest[&(place.method, place.path)],
                    "{attack:?} on {place:?}: {answer:?}"
                );
            }
        }
    }
}

/// Whatever the method, known or not.
#[tokio::test]
async fn trap_2_18_no_method_is_an_exception() {
    let target = Target::start(false).await;
    let mut h2 = H2::connect(&target.server).await;
    let calls = target.upstream.seen().len();
    let chief: Vec<&Attack> = [
        "DNS rebinding: a name",
        "A page of another origin",
        "`no-cors` requests",
        "Navigation and frames",
    ]
    .iter()
    .map(|start| {
        let found = ATTACKS.iter().find(|attack| attack.what.starts_with(start));
        found.unwrap_or_else(|| panic!("{start}"))
    })
    .collect();
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW",
    ];
    for attack in chief {
        for place in PLACES {
            for method in methods {
                let place = Place { method, ..*place };
                for answer in target.tried(&mut h2, attack, &place).await {
                    assert_eq!(answer.status, 403, "{attack:?} on {place:?}: {answer:?}");
                }
            }
        }
    }
    assert_eq!(target.upstream.seen().len(), calls);
}

/// A handshake that no page made gets no socket either: nothing here speaks WebSocket.
#[tokio::test]
async fn an_upgrade_is_never_made() {
    let target = Target::start(false).await;
    for protocol in ["websocket", "h2c", "TLS/1.0", "websocket, h2c"] {
        for place in quick() {
            let attack = Attack {
                what: "",
                over: Over::Http1,
                target: "",
                hosts: &["localhost"],
                headers: &[],
                wanted: Wanted::Passes,
            };
            let honest = target.http1(&attack, place).await;
            let headers: Vec<(&'static str, &'static str)> = vec![
                ("connection", "Upgrade, HTTP2-Settings"),
                ("upgrade", protocol),
                ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ];
            let attack = Attack {
                headers: headers.leak(),
                ..attack
            };
            let answer = target.http1(&attack, place).await;
            let gone = honest.status == 200 && answer.status == 404 && place.method == "DELETE";
            assert!(
                answer.status == honest.status || gone,
                "{protocol} on {place:?}: {answer:?}"
            );
            assert_eq!(answer.headers.get("upgrade"), None, "{answer:?}");
        }
    }
    for call in target.upstream.seen() {
        let head = call.head.to_ascii_lowercase();
        for hop in ["upgrade:", "http2-settings:", "sec-websocket-"] {
            let plain = head.contains("/any/path") && hop == "sec-websocket-";
            assert!(!head.contains(hop) || plain, "{hop} went on: {head}");
        }
    }
}

/// A reader of the table finds it in SECURITY.md, too.
#[test]
fn security_md_lists_the_attacks() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/SECURITY.md");
    let text = std::fs::read_to_string(path).unwrap();
    for attack in ATTACKS
        .iter()
        .filter(|attack| attack.wanted != Wanted::Passes)
    {
        assert!(
            text.contains(attack.what),
            "SECURITY.md lacks: {}",
            attack.what
        );
    }
}
