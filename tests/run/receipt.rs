//! What is said at the end.

use crate::{
    ASK, aiproxy, has, sh,
    support::{Process, World},
};

/// A request that the mock refuses.
const REFUSED: &str = r#"curl -s "$OPENAI_BASE_URL/chat/completions" -H "authorization: Bearer $OPENAI_API_KEY" -H 'content-type: application/json' -d '{"model":"mock-error-429","messages":[{"role":"user","content":"hi"}]}' >/dev/null"#;

#[test]
fn a_receipt_sums_up() {
    if !has("curl") {
        return;
    }
    let world = World::new();
    world.profile(
        "dear",
        "[ai-proxy]\nroute_type = 'llm/v1/chat'\n[ai-proxy.model]\nprovider = 'mock'\n\
         [ai-proxy.model.options]\ninput_cost = 1000000\noutput_cost = 1000000\n",
    );
    let folder = world.profiles();
    let flags = ["--profiles", folder.to_str().unwrap(), "--profile", "dear"];
    let ran = sh(&world, &flags, &format!("{ASK}; {ASK}; {REFUSED}")).exits(0);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let [title, tokens, cost, slowest, rest @ ..] = lines.as_slice() else {
        panic!("{ran:?}");
    };
    assert!(title.starts_with("aiproxy: 3 exchanges in "), "{ran:?}");
    assert!(title.ends_with(", 1 failed"), "{ran:?}");
    assert!(
        tokens.starts_with("  tokens   ") && tokens.ends_with(" out"),
        "{ran:?}"
    );
    assert!(
        cost.starts_with("  cost     $") && cost.ends_with(" by the profile's prices"),
        "{ran:?}"
    );
    assert!(slowest.starts_with("  slowest  "), "{ran:?}");
    let [failure, look] = rest else {
        panic!("{ran:?}");
    };
    assert!(
        failure.starts_with("  failure  ") && failure.contains("failed 429"),
        "{ran:?}"
    );
    assert_eq!(
        *look,
        "  look     aiproxy tail while it runs; aiproxy run --record keeps exchanges for later"
    );
}

#[test]
fn what_was_recorded_can_be_looked_at() {
    if !has("curl") {
        return;
    }
    let world = World::new();
    let ran = sh(&world, &["--record", "--mock"], ASK).exits(0);
    let look = ran.stderr.lines().last().unwrap();
    let commands = look.trim_start_matches("  look     ");
    let (show, log) = commands.split_once(", ").unwrap();
    for (line, expected) in [(show, "hello there"), (log, "hello there")] {
        let args = line.strip_prefix("aiproxy ").unwrap().split(' ');
        let seen = Process::start(aiproxy(&world, args)).end().exits(0);
        assert!(seen.stdout.contains(expected), "{line}: {seen:?}");
    }
}

#[test]
fn quiet_says_nothing() {
    let world = World::new();
    let ran = sh(&world, &["-q"], "echo out; echo err >&2").exits(0);
    assert_eq!((&*ran.stdout, &*ran.stderr), ("out\n", "err\n"));
}

#[test]
fn only_who_asks_sees_lines_of_requests() {
    if !has("curl") {
        return;
    }
    let world = World::new();
    let lines = |ran: &crate::support::Finished| ran.stderr.lines().count();
    let usual = sh(&world, &[], ASK).exits(0);
    let verbose = sh(&world, &["-v"], ASK).exits(0);
    assert_eq!(lines(&verbose), lines(&usual) + 1, "{usual:?} {verbose:?}");
}
