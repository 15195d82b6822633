use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::*;
use crate::{
    dialect::{Ingress, openai_chat::OpenAiChat, openai_responses::OpenAiResponses},
    exchange::Ledger,
};

/// An upstream that sends what the test tells it to.
struct Upstream(mpsc::UnboundedReceiver<Result<Bytes, BoxError>>);

impl HttpBody for Upstream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, BoxError>>> {
        let polled = self.0.poll_recv(cx);
        polled.map(|next| next.map(|next| next.map(BodyFrame::data)))
    }
}

type Feed = mpsc::UnboundedSender<Result<Bytes, BoxError>>;

fn relay(mode: Mode, idle: Duration) -> (Feed, Relay) {
    let encoder = OpenAiChat.stream_encoder(false);
    relay_of(&OpenAiChat, encoder, mode, idle)
}

fn relay_of(
    egress: &dyn Egress,
    encoder: Box<dyn StreamEncoder>,
    mode: Mode,
    idle: Duration,
) -> (Feed, Relay) {
    let (feed, receiver) = mpsc::unbounded_channel();
    let recorder = Ledger::new(Vec::new()).open("test".into());
    let upstream = Upstream(receiver).boxed_unsync();
    (
        feed,
        Relay::new(
            upstream,
            egress,
            Framing::Sse,
            encoder,
            mode,
            idle,
            recorder,
        ),
    )
}

fn send(feed: &Feed, text: &str) {
    feed.send(Ok(Bytes::copy_from_slice(text.as_bytes())))
        .unwrap();
}

async fn next(relay: &mut Relay) -> Option<String> {
    let frame = relay.frame().await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(frame.to_vec()).unwrap())
}

fn text(content: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}}}}]}}\n\n")
}

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const FORWARD: Mode = Mode::Forward { hide_usage: false };
const LONG: Duration = Duration::from_secs(300);

#[tokio::test(start_paused = true)]
async fn trap_1_8_a_silent_stream_is_kept_alive_by_a_comment_of_one_line() {
    let (feed, relay) = relay(FORWARD, LONG);
    send(&feed, &text("a"));
    let mut relay = relay.open().await.unwrap();
    assert_eq!(next(&mut relay).await, Some(text("a")));
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(next(&mut relay).await.as_deref(), Some(": keep-alive\n"));
    }
    assert_eq!(began.elapsed().as_secs(), 45);
    send(&feed, &text("b"));
    assert_eq!(next(&mut relay).await, Some(text("b")));
}

#[tokio::test(start_paused = true)]
async fn trap_1_8_no_keep_alive_comes_before_the_first_real_event() {
    let (feed, relay) = relay(FORWARD, LONG);
    send(&feed, ROLE);
    let began = Instant::now();
    let mut relay = relay.open().await.unwrap();
    assert_eq!(began.elapsed(), HELD_TIME, "the opening is held no longer");
    assert_eq!(next(&mut relay).await.as_deref(), Some(ROLE));
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        send(&feed, &text("a"));
        feed
    });
    assert_eq!(next(&mut relay).await, Some(text("a")));
    assert!(began.elapsed().as_secs() >= 100);
    drop(later);
}

#[tokio::test(start_paused = true)]
async fn silence_over_the_limit_ends_the_stream_with_one_error() {
    let (feed, relay) = relay(FORWARD, Duration::from_secs(20));
    send(&feed, &text("a"));
    let mut relay = relay.open().await.unwrap();
    next(&mut relay).await.unwrap();
    assert_eq!(next(&mut relay).await.as_deref(), Some(": keep-alive\n"));
    let error = next(&mut relay).await.unwrap();
    assert!(
        error.contains("upstream did not continue within 20000 ms (idle_timeout)"),
        "{error}"
    );
    assert_eq!(next(&mut relay).await, None);
    assert!(feed.is_closed(), "the upstream was let go");
}

#[tokio::test(start_paused = true)]
async fn an_opening_is_held_for_64_events_or_256_kib() {
    let (feed, opening) = relay(FORWARD, LONG);
    let began = Instant::now();
    send(&feed, &"data: {\"choices\":[],\"usage\":{}}\n\n".repeat(64));
    opening.open().await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);

    let (feed, opening) = relay(FORWARD, LONG);
    send(&feed, &format!(": {}\n\n", "x".repeat(HELD_BYTES)));
    opening.open().await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn trap_1_7_an_error_before_content_is_a_status() {
    let (feed, opening) = relay(FORWARD, LONG);
    send(&feed, ROLE);
    send(
        &feed,
        "data: {\"error\":{\"message\":\"busy\",\"code\":503}}\n\n",
    );
    let (fault, _) = opening.open().await.unwrap_err();
    assert_eq!((fault.status, fault.message.as_str()), (503, "busy"));
    assert!(feed.is_closed());
}

#[tokio::test]
async fn trap_1_7_nothing_follows_an_error_after_content() {
    for mode in [FORWARD, Mode::Translate] {
        let (feed, opening) = relay(mode, LONG);
        send(&feed, &text("a"));
        let mut relay = opening.open().await.unwrap();
        next(&mut relay).await.unwrap();
        let tail = format!(
            "data: {{\"error\":{{\"message\":\"late\"}}}}\n\n{}data: [DONE]\n\n",
            text("b")
        );
        send(&feed, &tail);
        let error = next(&mut relay).await.unwrap();
        assert!(
            error.contains("late") && !error.contains("DONE"),
            "{mode:?}: {error}"
        );
        assert_eq!(next(&mut relay).await, None, "{mode:?}");
    }
}

#[tokio::test]
async fn frames_that_follow_each_other_leave_as_one_slice() {
    let (feed, opening) = relay(FORWARD, LONG);
    let chunk = Bytes::from(format!("{}{}{STOP}data: [DONE]\n\n", text("a"), text("b")));
    feed.send(Ok(chunk.clone())).unwrap();
    let mut relay = opening.open().await.unwrap();
    assert_eq!(next(&mut relay).await.unwrap().as_bytes(), chunk);
    drop(feed);
    assert_eq!(next(&mut relay).await, None);
}

#[tokio::test]
async fn trap_1_9_a_missing_end_mark_is_added_and_a_cut_one_is_an_error() {
    let (feed, opening) = relay(FORWARD, LONG);
    send(&feed, &format!("{}{STOP}", text("a")));
    drop(feed);
    let mut all = String::new();
    let mut stream = opening.open().await.unwrap();
    while let Some(piece) = next(&mut stream).await {
        all.push_str(&piece);
    }
    assert_eq!(all, format!("{}{STOP}data: [DONE]\n\n", text("a")));

    let (feed, opening) = relay(FORWARD, LONG);
    send(&feed, &format!("{}data: {{\"choi", text("a")));
    drop(feed);
    let mut all = String::new();
    let mut stream = opening.open().await.unwrap();
    while let Some(piece) = next(&mut stream).await {
        all.push_str(&piece);
    }
    let (head, tail) = all.split_at(text("a").len());
    assert_eq!(head, text("a"));
    assert!(
        tail.starts_with("data: {\"error\":") && !tail.contains("choi"),
        "{tail}"
    );
}

#[tokio::test]
async fn a_response_that_breaks_is_told_failed_by_the_name_and_number_that_its_client_knows() {
    let encoder = OpenAiResponses.stream_encoder(false);
    let (feed, relay) = relay_of(&OpenAiResponses, encoder, FORWARD, LONG);
    for (number, (kind, rest)) in [
        ("created", r#""response":{"id":"resp-1","object":"response","created_at":7,"model":"m","output":[]}"#),
        ("output_item.added", r#""output_index":0,"item":{"type":"message","id":"msg-1","role":"assistant","content":[]}"#),
        ("output_text.delta", r#""item_id":"msg-1","output_index":0,"content_index":0,"delta":"a""#),
    ]
    .into_iter()
    .enumerate()
    {
        send(
            &feed,
            &format!("event: response.{kind}\ndata: {{\"type\":\"response.{kind}\",\"sequence_number\":{number},{rest}}}\n\n"),
        );
    }
    let mut relay = relay.open().await.unwrap();
    next(&mut relay).await.unwrap();
    feed.send(Err("gone".into())).unwrap();
    let last = next(&mut relay).await.unwrap();
    let data = last
        .strip_prefix("event: response.failed\ndata: ")
        .unwrap_or_else(|| panic!("{last}"));
    let event: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(event["sequence_number"], 3);
    assert_eq!(event["response"]["id"], "resp-1");
    assert_eq!(event["response"]["created_at"], 7);
    assert_eq!(event["response"]["status"], "failed");
    assert_eq!(event["response"]["error"]["code"], "server_error");
}
