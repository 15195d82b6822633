use serde_json::json;

use super::*;

fn look(term: Term, width: Option<usize>) -> Look {
    Look {
        term,
        zone: TimeZone::UTC,
        raw: false,
        width,
    }
}

/// On a pipe.
fn plain() -> View {
    View::new(look(Term::plain(), None))
}

/// On a terminal without colours.
fn screen() -> View {
    View::new(look(Term::screen(false), Some(60)))
}

/// One notice; `what` is its JSON without what all have.
fn notice(id: &str, what: &str) -> Notice {
    let mut json: serde_json::Value = serde_json::from_str(what).unwrap();
    json["exchange"] = json!(id);
    json["profile"] = json!("up");
    serde_json::from_value(json).unwrap()
}

/// Tells several, and joins what is to be printed.
fn tell(view: &mut View, id: &str, all: &[&str]) -> String {
    all.iter()
        .map(|what| view.notice(notice(id, what)))
        .collect()
}

const OPENED: &str = r#"{"type":"opened","began":"2026-11-22T14:03:21.250Z","method":"POST","path":"/up/v1/chat/completions"}"#;
const ROUTED: &str = r#"{"type":"routed","provider":"mock","model":"gpt-5","operation":"llm/v1/chat","stream":true}"#;
const CLIENT: &str = r#"{"type":"stage","stage":"client","method":"POST","url":"/up/v1/chat/completions","size":60,"body":"{\"messages\":[{\"role\":\"user\",\"content\":\"Tell me\\na story\"}]}"}"#;
const TEXT: &str = r#"{"type":"open","part":0,"choice":0,"kind":"text"}"#;

fn text(part: u32, text: &str) -> String {
    json!({"type": "text", "part": part, "text": text}).to_string()
}

fn thinking(part: u32, text: &str) -> String {
    json!({"type": "thinking", "part": part, "text": text}).to_string()
}

fn arguments(part: u32, text: &str) -> String {
    json!({"type": "arguments", "part": part, "text": text}).to_string()
}

fn closed(more: &str) -> String {
    let mut summary = json!({
        "id": "", "profile": "up", "began": "2026-11-22T14:03:21.250Z", "outcome": "ok", "method": "POST",
        "path": "/up/v1/chat/completions", "operation": "llm/v1/chat", "stream": true, "provider": "mock", "model": "gpt-5",
        "status": 200, "usage": {"prompt_tokens": 12, "completion_tokens": 40, "total_tokens": 52},
        "cost": 0.0012, "timings": {"first_token_ms": 120.4, "total_ms": 1204.0, "tokens_per_second": 45.23},
    });
    let more: serde_json::Value = serde_json::from_str(more).unwrap();
    for (key, value) in more.as_object().unwrap() {
        summary[key] = value.clone();
    }
    json!({"type": "closed", "summary": summary}).to_string()
}

const A: &str = "k3f9000000";
const B: &str = "a81x000000";
const C: &str = "zz7p000000";

#[test]
fn one_exchange() {
    let mut view = plain();
    assert_eq!(tell(&mut view, A, &[OPENED, CLIENT]), "");
    assert_eq!(
        tell(&mut view, A, &[ROUTED]),
        "k3f9 14:03:21 up mock/gpt-5 · Tell me a story\n"
    );
    assert_eq!(tell(&mut view, A, &[TEXT, &text(0, "Once ")]), "Once ");
    assert_eq!(
        tell(&mut view, A, &[&text(0, "upon\na time")]),
        "upon\na time"
    );
    assert_eq!(view.status(), "");
    assert_eq!(
        tell(
            &mut view,
            A,
            &[
                r#"{"type":"close","part":0}"#,
                r#"{"type":"finish","choice":0,"reason":"stop"}"#,
                &closed("{}")
            ]
        ),
        "\nk3f9 ok 200 · 12 tokens in, 40 out · first token after 120 ms · 45.2 tokens/s · took 1.20 s · $0.0012\n"
    );
    assert!(view.live().is_empty());
    // What is told late is old.
    assert_eq!(tell(&mut view, A, &[&text(0, "more")]), "");
    assert_eq!(view.finish(), "");
}

#[test]
fn three_at_once() {
    let mut view = screen();
    let mut out = tell(&mut view, A, &[OPENED, CLIENT, ROUTED, &text(0, "one ")]);
    for id in [B, C] {
        assert_eq!(tell(&mut view, id, &[OPENED, CLIENT, ROUTED]), "");
    }
    assert_eq!(
        view.status(),
        "… 2 more: a81x mock/gpt-5 waiting · zz7p mock/gpt-5 waiting"
    );
    assert_eq!(
        tell(&mut view, B, &[&text(0, "two two "), &text(0, "two")]),
        ""
    );
    assert_eq!(tell(&mut view, C, &[&text(0, "three")]), "");
    out += &tell(&mut view, A, &[&text(0, "one")]);
    let usage = r#"{"type":"usage","usage":{"completion_tokens":412}}"#;
    assert_eq!(tell(&mut view, C, &[usage]), "");
    assert_eq!(
        view.status(),
        "… 2 more: a81x mock/gpt-5 ~3 tok · zz7p mock/gpt-5 412 tok"
    );
    assert_eq!(tell(&mut view, C, &[&closed("{}")]), "");
    assert_eq!(view.status(), "… 1 more: a81x mock/gpt-5 ~3 tok · 1 ended");
    out += &tell(&mut view, A, &[&closed("{}")]);
    assert_eq!(view.status(), "");
    out += &tell(&mut view, B, &[&text(0, "!"), &closed("{}")]);
    let end = "ok 200 · 12 tokens in, 40 out · first token after 120 ms · 45.2 tokens/s · took 1.20 s · $0.0012";
    assert_eq!(
        out,
        format!(
            "k3f9 14:03:21 up mock/gpt-5 · Tell me a story\none one\nk3f9 {end}\n\n\
             zz7p 14:03:21 up mock/gpt-5 · Tell me a story\nthree\nzz7p {end}\n\n\
             a81x 14:03:21 up mock/gpt-5 · Tell me a story\ntwo two two!\na81x {end}\n"
        )
    );
}

#[test]
fn reasoning_and_tool_calls_are_told_apart() {
    let mut view = plain();
    let out = tell(
        &mut view,
        A,
        &[
            OPENED,
            ROUTED,
            CLIENT,
            r#"{"type":"open","part":0,"choice":0,"kind":"thinking"}"#,
            &thinking(0, "The user\n"),
            &thinking(0, "wants"),
            r#"{"type":"open","part":1,"choice":0,"kind":"text"}"#,
            &text(1, "Let me look."),
            r#"{"type":"open","part":2,"choice":0,"kind":"tool_call","id":"c1","name":"weather"}"#,
            &arguments(2, "{\"city\":"),
            &arguments(2, "\"Rome\"}"),
            r#"{"type":"open","part":3,"choice":0,"kind":"tool_call","id":"c2","name":"time"}"#,
            r#"{"type":"warning","warning":"dropped:logprobs"}"#,
            r#"{"type":"finish","choice":0,"reason":"length"}"#,
            &closed(
                r#"{"warnings":["dropped:logprobs","clamped:n"],"cost":null,"usage":{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":1,"reasoning_tokens":2,"estimated":true}}"#,
            ),
        ],
    );
    assert_eq!(
        out,
        "k3f9 14:03:21 up mock/gpt-5 · Tell me a story\n\
         thinking: The user\nwants\n\
         answer: Let me look.\n\
         → weather {\"city\":\"Rome\"}\n\
         → time \n\
         warning: dropped:logprobs\n\
         warning: clamped:n\n\
         k3f9 ok 200 · stopped by length · ~1 tokens in (1 cached), ~2 out (2 reasoning) · first token after 120 ms · 45.2 tokens/s · took 1.20 s\n"
    );
}

#[test]
fn transformers_have_a_line_each() {
    let mut view = plain();
    let out = tell(
        &mut view,
        A,
        &[
            OPENED,
            r#"{"type":"call","plugin":"ai-request-transformer","provider":"openai","model":"gpt-5-mini","took_ms":812.3,"usage":{"prompt_tokens":9,"completion_tokens":3},"cost":0.5}"#,
            r#"{"type":"call","plugin":"ai-response-transformer","provider":"openai","model":"m","took_ms":2.0,"error":"status 500"}"#,
        ],
    );
    assert_eq!(
        out,
        "k3f9 14:03:21 up POST /up/v1/chat/completions\n\
         ai-request-transformer openai/gpt-5-mini · 9 tokens in, 3 out · took 812 ms · $0.50\n\
         ai-response-transformer openai/m · failed: status 500 · took 2 ms\n"
    );
}

#[test]
fn failures_say_where_and_why() {
    let mut view = plain();
    let failed = closed(
        r#"{"outcome":"failed","failed_at":"received","error":"rate limit\nreached","status":429,"usage":null,"cost":null,"timings":{"total_ms":87.0},"prompt":"Hi"}"#,
    );
    assert_eq!(
        tell(&mut view, A, &[OPENED, &failed]),
        "k3f9 14:03:21 up mock/gpt-5 · Hi\nk3f9 failed 429 at received: rate limit reached · took 87 ms\n"
    );
    let odd = closed(
        r#"{"outcome":"failed","status":404,"operation":"","provider":"","model":"","usage":null,"cost":null,"timings":{"total_ms":0.4}}"#,
    );
    assert_eq!(
        tell(&mut view, B, &[OPENED, &odd]),
        "\na81x 14:03:21 up POST /up/v1/chat/completions\na81x failed 404 · took 0 ms\n"
    );
}

#[test]
fn who_leaves_cancels() {
    let mut view = plain();
    let cancelled = closed(
        r#"{"outcome":"cancelled","status":200,"usage":null,"cost":null,"timings":{"total_ms":150000.0}}"#,
    );
    assert_eq!(
        tell(
            &mut view,
            A,
            &[OPENED, ROUTED, CLIENT, &text(0, "so far"), &cancelled]
        ),
        "k3f9 14:03:21 up mock/gpt-5 · Tell me a story\nso far\nk3f9 cancelled 200: the client left · took 2 min 30 s\n"
    );
}

#[test]
fn what_is_lost_is_told() {
    let mut view = screen();
    tell(&mut view, A, &[OPENED, ROUTED, CLIENT, &text(0, "so")]);
    let lost = r#"{"type":"lost","events":12}"#;
    assert_eq!(
        tell(&mut view, "", &[lost]),
        "\nwarning: 12 events were lost: this terminal is too slow\n"
    );
    view.reconnected();
    assert_eq!(
        tell(&mut view, "", &[lost]),
        "warning: 12 events were lost while the connection was broken\n"
    );
    assert_eq!(tell(&mut view, A, &[&text(0, " far")]), " far");
    assert_eq!(
        tell(&mut plain(), "", &[r#"{"type":"lost","events":1}"#]),
        "warning: 1 event was lost: the reader of this output is too slow\n"
    );
    // An exchange whose beginning was lost is shown from where it is.
    assert_eq!(tell(&mut plain(), B, &[&text(0, "rest")]), "a81x up\nrest");
}

#[test]
fn control_sequences_are_shown_also_when_they_are_split() {
    let evil = [
        text(0, "a\u{1b}"),
        text(0, "[2J 你好🎉"),
        text(0, "\u{9b}"),
        thinking(1, "\u{1b}]0;t\u{7}\u{202e}"),
    ];
    let evil: Vec<&str> = evil.iter().map(String::as_str).collect();
    let head = [OPENED, ROUTED, CLIENT];
    let mut view = screen();
    tell(&mut view, A, &head);
    assert_eq!(
        tell(&mut view, A, &evil),
        "a\\u{1b}[2J 你好🎉\\u{9b}\nthinking: \\u{1b}]0;t\\u{7}\\u{202e}"
    );
    let mut view = plain();
    tell(&mut view, A, &head);
    assert_eq!(
        tell(&mut view, A, &evil),
        "a\u{1b}[2J 你好🎉\u{9b}\nthinking: \u{1b}]0;t\u{7}\u{202e}"
    );
    // Names and reasons come from outside as well.
    let mut view = screen();
    let out = tell(
        &mut view,
        "\u{1b}[5m0000",
        &[
            r#"{"type":"opened","began":"\u001b[2J","method":"\u001b","path":"/\u001b"}"#,
            r#"{"type":"routed","provider":"\u001b","model":"\u001b","operation":"\u001b","stream":true}"#,
            r#"{"type":"warning","warning":"\u001b"}"#,
            r#"{"type":"open","part":0,"choice":0,"kind":"tool_call","name":"\u001b"}"#,
            r#"{"type":"call","plugin":"\u001b","provider":"\u001b","model":"\u001b","took_ms":1,"error":"\u001b"}"#,
            r#"{"type":"finish","choice":0,"reason":"\u001b"}"#,
            &closed(
                r#"{"outcome":"failed","error":"\u001b","failed_at":"\u001b","prompt":"\u001b","answer":"\u001b"}"#,
            ),
        ],
    );
    assert!(!out.contains('\u{1b}') && out.contains("\\u{1b}"), "{out}");
    tell(&mut view, A, &[OPENED, ROUTED]);
    assert!(!view.status().contains('\u{1b}'));
}

#[test]
fn colours_begin_and_end_with_each_piece() {
    let mut view = View::new(look(Term::screen(true), Some(80)));
    let out = tell(
        &mut view,
        A,
        &[OPENED, CLIENT, ROUTED, &thinking(0, "a\nb"), &text(1, "c")],
    );
    assert_eq!(
        out,
        "\u{1b}[36m\u{1b}[1mk3f9\u{1b}[0m \u{1b}[2m14:03:21\u{1b}[0m up \u{1b}[1mmock/gpt-5\u{1b}[0m\u{1b}[2m · Tell me a story\u{1b}[0m\n\
         \u{1b}[2mthinking: \u{1b}[0m\u{1b}[2ma\u{1b}[0m\n\u{1b}[2mb\u{1b}[0m\n\u{1b}[2manswer: \u{1b}[0mc"
    );
}

#[test]
fn choices_do_not_mix() {
    let mut view = plain();
    let out = tell(
        &mut view,
        A,
        &[
            OPENED,
            CLIENT,
            ROUTED,
            TEXT,
            r#"{"type":"open","part":1,"choice":1,"kind":"text"}"#,
            &text(0, "a"),
            &text(1, "x"),
            &text(0, "b"),
            &text(1, "y"),
            r#"{"type":"finish","choice":0,"reason":"stop"}"#,
            &text(1, "z"),
            r#"{"type":"finish","choice":1,"reason":"content_filter"}"#,
        ],
    );
    assert_eq!(
        out,
        "k3f9 14:03:21 up mock/gpt-5 · Tell me a story\nab\nchoice 1: xyz"
    );
}

#[test]
fn what_is_told_again_is_not_shown_twice() {
    let mut view = plain();
    let call = r#"{"type":"call","plugin":"p","provider":"o","model":"m","took_ms":1}"#;
    let warning = r#"{"type":"warning","warning":"dropped:n"}"#;
    let head = [OPENED, CLIENT, ROUTED, call, warning, TEXT];
    tell(&mut view, A, &head);
    tell(&mut view, A, &[&text(0, "one "), &text(0, "tw")]);
    view.reconnected();
    assert_eq!(tell(&mut view, A, &head), "");
    assert_eq!(tell(&mut view, A, &[&text(0, "one two")]), "o");
    assert_eq!(tell(&mut view, A, &[&text(0, " three")]), " three");
}

#[test]
fn an_end_that_was_missed_is_made_up_for() {
    let mut view = plain();
    tell(
        &mut view,
        A,
        &[OPENED, CLIENT, ROUTED, TEXT, &text(0, "one ")],
    );
    tell(&mut view, B, &[OPENED, CLIENT, ROUTED, TEXT, &text(0, "x")]);
    let detail = |outcome: &str| {
        let json = json!({
            "id": A, "profile": "up", "outcome": outcome, "status": 200, "operation": "llm/v1/chat",
            "parts": [{"choice": 0, "kind": "text", "text": "one two"}],
            "timings": {"total_ms": 5.0},
        });
        Detail::parse(&json.to_string()).unwrap()
    };
    assert_eq!(view.settle(A, Some(detail("live"))), "");
    assert_eq!(
        view.settle(A, Some(detail("ok"))),
        "two\nk3f9 ok 200 · took 5 ms\n\na81x 14:03:21 up mock/gpt-5 · Tell me a story\nx"
    );
    assert_eq!(
        view.settle(B, None),
        "\na81x lost: the server does not know it any more\n"
    );
    assert!(view.live().is_empty());
    assert_eq!(view.settle(B, None), "");
}

#[test]
fn texts_behind_the_front_are_bounded() {
    let mut view = screen();
    tell(&mut view, A, &[OPENED, CLIENT, ROUTED]);
    tell(&mut view, B, &[OPENED, CLIENT, ROUTED]);
    let line = format!("{}\n", "x".repeat(99));
    for _ in 0..4_000 {
        tell(&mut view, B, &[&text(0, &line)]);
    }
    let out = tell(&mut view, A, &[&closed("{}")]);
    assert!(out.len() < EACH.1 + 1000, "{}", out.len());
    let (_, block) = out.split_once("a81x").unwrap();
    let mut lines = block.lines().skip(1);
    let dropped = lines.next().unwrap();
    assert!(
        dropped.starts_with("… ") && dropped.ends_with(" are not shown here …"),
        "{dropped}"
    );
    assert!(lines.all(|line| line.len() == 99));
    // Without any line, and in colour.
    let mut view = View::new(look(Term::screen(true), Some(80)));
    tell(&mut view, A, &[OPENED, CLIENT, ROUTED]);
    for _ in 0..3_000 {
        tell(&mut view, B, &[&thinking(0, &"你好".repeat(20))]);
    }
    let out = tell(&mut view, A, &[&closed("{}")]);
    assert!(out.len() < EACH.1 + 1000, "{}", out.len());
    assert!(out.contains("…\u{1b}[0m\n\u{1b}[2m你好你"));
}

#[test]
fn too_many_ended_ones_interrupt_the_front() {
    let mut view = plain();
    let mut out = tell(&mut view, A, &[OPENED, CLIENT, ROUTED, &text(0, "so")]);
    for number in 0..WAITING.0 {
        out += &tell(
            &mut view,
            &format!("b{number:03}000000"),
            &[OPENED, &closed("{}")],
        );
    }
    out += &tell(&mut view, A, &[&text(0, "far")]);
    assert!(out.starts_with("k3f9 14:03:21 up mock/gpt-5 · Tell me a story\nso\n\nb000 "));
    assert!(out.ends_with("\n\nk3f9 goes on\nfar"), "{out}");
    assert_eq!(out.matches(" ok 200").count(), WAITING.0);
}

#[test]
fn raw_events_have_their_times() {
    let mut view = View::new(Look {
        raw: true,
        ..look(Term::screen(false), Some(80))
    });
    let raw = |at: f64, text: &str| json!({"type": "raw", "at_ms": at, "text": text}).to_string();
    let out = tell(
        &mut view,
        A,
        &[
            OPENED,
            CLIENT,
            ROUTED,
            &raw(120.25, "data: {\"a\""),
            &text(0, "hidden"),
            &raw(130.0, ":1}\n\ndata: \u{1b}[DONE]"),
            &closed(r#"{"usage":null,"cost":null,"timings":{"total_ms":131.0}}"#),
        ],
    );
    assert_eq!(
        out,
        "k3f9 14:03:21 up mock/gpt-5 · Tell me a story\n     \
         120.2 ms  data: {\"a\":1}\n     \
         130.0 ms  data: \\u{1b}[DONE]\n\
         k3f9 ok 200 · took 131 ms\n"
    );
}

#[test]
fn the_header_fits_the_screen() {
    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(50)}]}).to_string();
    let client = json!({"type": "stage", "stage": "client", "size": 1, "body": long}).to_string();
    let out = tell(&mut screen(), A, &[OPENED, ROUTED, &client]);
    let line = out.trim_end();
    assert_eq!(console::measure_text_width(line), 60, "{line}");
    assert!(line.ends_with('…'));
    let out = tell(&mut plain(), A, &[OPENED, ROUTED, &client]);
    assert!(out.len() > 120);
}

#[test]
fn an_answer_without_parts_is_told_at_the_end() {
    let out = tell(
        &mut plain(),
        A,
        &[
            OPENED,
            CLIENT,
            r#"{"type":"routed","provider":"openai","model":"e","operation":"llm/v1/embeddings","stream":false}"#,
            &closed(
                r#"{"operation":"llm/v1/embeddings","answer":"2 vectors of\n3 numbers","usage":null,"cost":0,"timings":{"total_ms":1000}}"#,
            ),
        ],
    );
    assert_eq!(
        out,
        "k3f9 14:03:21 up openai/e POST /up/v1/chat/completions · Tell me a story\n2 vectors of 3 numbers\nk3f9 ok 200 · took 1.00 s · $0\n"
    );
}

#[test]
fn short_ids_are_as_long_as_they_must_be() {
    let mut view = plain();
    tell(&mut view, "k3f9000000", &[OPENED, CLIENT, ROUTED]);
    tell(&mut view, "k3f9010000", &[OPENED, CLIENT, ROUTED]);
    assert_eq!(view.status(), "… 1 more: k3f901 mock/gpt-5 waiting");
}
