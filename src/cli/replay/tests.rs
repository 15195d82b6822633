use bytes::Bytes;
use http::Method;

use super::{again::Again, local::*, *};
use crate::exchange::told::{StageTold, Summary};

fn request(url: &str, body: &str) -> Request {
    Request {
        method: "POST".into(),
        url: url.into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into(),
    }
}

#[test]
fn paths_and_models_of_other_profiles() {
    let own = r#"{"model":"m","n":1.00}"#;
    for (url, body, profile, model, expected) in [
        ("/gpt/v1/x?a=1", own, "gpt", None, ("/gpt/v1/x?a=1", own)),
        (
            "/gpt/v1/x?a=1",
            own,
            "claude",
            None,
            ("/claude/v1/x?a=1", r#"{"n":1.00}"#),
        ),
        ("/v1/x", own, "gpt", None, ("/gpt/v1/x", own)),
        (
            "/v1/x",
            own,
            "claude",
            Some("c"),
            ("/claude/v1/x", r#"{"model":"c","n":1.00}"#),
        ),
        // On a root path, the body names the profile.
        (
            "/v1/x",
            r#"{"model":"gpt/m"}"#,
            "gpt",
            None,
            ("/v1/x", r#"{"model":"gpt/m"}"#),
        ),
        (
            "/v1/x",
            r#"{"model":"gpt/m"}"#,
            "gpt",
            Some("n"),
            ("/gpt/v1/x", r#"{"model":"n"}"#),
        ),
        (
            "/gpt/orders",
            "text",
            "shop",
            None,
            ("/shop/orders", "text"),
        ),
    ] {
        let again = Again::of(&request(url, body), "gpt", profile, model).unwrap();
        let sent = std::str::from_utf8(&again.body).unwrap();
        assert_eq!((again.path.as_str(), sent), expected, "{url} {profile}");
    }
    let text = Again::of(&request("/gpt", "text"), "gpt", "gpt", Some("m"));
    assert!(text.is_err());
}

#[test]
fn what_cannot_be_sent_again() {
    let mut live = Detail::default();
    live.summary.id = "7k3m9x2q7w".into();
    live.summary.outcome = "live".into();
    let why = |detail: &Detail| super::request(detail).unwrap_err().to_string();
    assert_eq!(why(&live), "7k3m9x2q7w is still running");
    live.summary.outcome = "ok".into();
    assert_eq!(why(&live), "the request of 7k3m9x2q7w was not kept");
}

fn seen(path: &str, media: &str, status: u16, pieces: &[&str]) -> Detail {
    let mut seen = Seen::new("gpt", &Method::POST, path);
    let response = http::Response::builder()
        .status(status)
        .header("content-type", media)
        .header("x-kong-llm-model", "openai/m")
        .body(())
        .unwrap();
    let at = std::time::Duration::from_millis;
    seen.head(response.into_parts().0, at(5));
    for (number, bytes) in (1..).zip(pieces) {
        seen.pieces.push(Piece {
            at: at(number * 10),
            bytes: Bytes::copy_from_slice(bytes.as_bytes()),
        });
    }
    seen.took = at(100);
    seen.told()
}

#[test]
fn streams_are_put_together() {
    let first = r#"data: {"id":"1","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    let delta = |text: &str| {
        format!(r#"data: {{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#) + "\n\n"
    };
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let pieces = [format!("{first}\n\n"), delta("Hel"), delta("lo") + end];
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let whole = seen(
        "/gpt/v1/chat/completions",
        "text/event-stream",
        200,
        &pieces,
    );
    assert_eq!(whole.rest.parts[0].text, "Hello");
    let summary = &whole.summary;
    assert_eq!(summary.timings.first_token_ms, Some(20.0));
    assert_eq!(
        (summary.outcome.as_str(), summary.answered_by.as_str()),
        ("ok", "m-1")
    );
    assert_eq!(
        (summary.provider.as_str(), summary.model.as_str()),
        ("openai", "m")
    );
    let cut = seen(
        "/gpt/v1/chat/completions",
        "text/event-stream",
        200,
        &pieces[..2],
    );
    assert_eq!(cut.summary.outcome, "failed");
    assert_eq!(cut.rest.parts[0].text, "Hel");
}

#[test]
fn other_answers_stay_as_they_are() {
    let plain = seen("/shop/orders", "text/plain", 200, &["one ", "order"]);
    assert_eq!(plain.summary.outcome, "ok");
    assert_eq!(plain.body("returned").unwrap(), b"one order");
    let refused = seen(
        "/gpt/v1/chat/completions",
        "application/json",
        400,
        &[r#"{"error":{"message":"no"}}"#],
    );
    assert_eq!(refused.summary.error.as_deref(), Some("no"));
    let message = r#"{"id":"1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#;
    let claude = seen("/gpt/v1/messages", "application/json", 200, &[message]);
    assert_eq!(claude.rest.parts[0].text, "Hi");
    assert_eq!(claude.summary.usage.unwrap().total_tokens, 3);
}

#[test]
fn a_table_and_the_differences() {
    let detail = |id: &str, text: &str| {
        let mut returned = StageTold {
            stage: "returned".into(),
            ..StageTold::default()
        };
        returned.set_body(text.as_bytes());
        let mut detail = Detail {
            summary: Summary {
                id: id.into(),
                profile: "gpt".into(),
                provider: "openai".into(),
                model: "m".into(),
                outcome: "ok".into(),
                status: Some(200),
                cost: Some(0.01),
                ..Summary::default()
            },
            ..Detail::default()
        };
        detail.summary.timings.total_ms = 100.0;
        detail.rest.stages.push(returned);
        detail.rest.parts.push(PartTold {
            kind: "text".into(),
            text: text.into(),
            ..PartTold::default()
        });
        detail
    };
    let replay = |profile: &str, detail| Replay {
        profile: profile.into(),
        detail,
    };
    let mut failed = detail("", "");
    failed.summary.outcome = "failed".into();
    (failed.summary.status, failed.summary.error) = (None, Some("nobody there".into()));
    let replays = [
        replay("gpt", detail("b000000000", "It is Paris.")),
        replay("other", detail("c000000000", "It is Rome.")),
        replay("gone", failed),
        replay("other", detail("d000000000", "It is Rome.")),
    ];
    let original = detail("a000000000", "It is Paris.");
    assert_eq!(
        told::text(&original, &replays, Mode::Structure, &Term::plain()),
        "\u{20}         ID          PROFILE  MODEL     STATUS  TOKENS  FIRST   TOTAL  COST
original  a000000000  gpt      openai/m  200                    100 ms  $0.01
replay 1  b000000000  gpt      openai/m  200                    100 ms  $0.01
replay 2  c000000000  other    openai/m  200                    100 ms  $0.01
replay 3              gone     openai/m  failed                 100 ms  $0.01
replay 4  d000000000  other    openai/m  200                    100 ms  $0.01

a000000000 → b000000000 through gpt
answer: the same

a000000000 → c000000000 through other
answer:
@@ -1 +1 @@
-It is Paris.
+It is Rome.

a000000000 → a replay through gone
failed: nobody there

a000000000 → d000000000 through other
the answer is that of replay 2
"
    );
}
