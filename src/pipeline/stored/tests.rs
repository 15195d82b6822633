use http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;
use crate::{
    dialect::openai_responses::OpenAiResponses,
    exchange::{Ledger, Recorder},
    pipeline::{Asked, Failure, Inbound, Payload, Target},
    profile::{
        Origin,
        load::{Input, load},
        source::Syntax,
    },
    provider::Operation,
    transport::{Body, full},
};

const PROFILE: &str = r#"
[ai-proxy]
route_type = "llm/v1/chat"
[ai-proxy.model]
provider = "gemini"
"#;

fn inbound(target: Target, method: Method, query: &str) -> Inbound {
    let profile = load(Input {
        name: "test",
        origin: &Origin::BuiltIn,
        syntax: Syntax::Toml,
        bytes: PROFILE.as_bytes(),
    });
    Inbound {
        profile: Arc::new(profile.unwrap()),
        ingress: &OpenAiResponses,
        target,
        native: None,
        asked: Asked::Body,
        method,
        query: Some(query.to_owned()),
        headers: HeaderMap::new(),
        captures: Vec::new(),
        earlier: None,
        llm: true,
    }
}

fn recorder() -> Recorder {
    Ledger::new(Vec::new()).open("test".into())
}

/// Puts a request before the store: what it goes on from, and what keeps its answer.
fn ask(
    store: &Arc<Store>,
    body: &Value,
    now: Instant,
) -> Result<(Inbound, Option<Keeping>), Box<Failure>> {
    let target = Target::Operation(Operation::Chat, "/chat/completions".into());
    let mut inbound = inbound(target, Method::POST, "");
    let payload = Payload::Whole(body.to_string().into());
    let keeping = follow(store, &mut inbound, &payload, &mut recorder(), now)?;
    Ok((inbound, keeping))
}

fn answer(id: &str, text: &str) -> Value {
    json!({"id": id, "object": "response", "status": "completed", "output": [
        {"type": "message", "id": format!("msg_{id}"), "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}]})
}

/// Puts a request and its answer into the store, which is made at `now`.
fn keep(store: &Arc<Store>, body: &Value, id: &str, text: &str, now: Instant) {
    let (_, keeping) = ask(store, body, now).unwrap();
    if let Some(keeping) = keeping
        && let Some(turn) = keeping.turn(answer(id, text).to_string().into(), now)
    {
        store.keep(turn, now);
    }
}

/// What comes of a request as the provider's dialect gets it.
fn expanded(inbound: &Inbound, body: &Value) -> Value {
    let payload = Payload::Whole(body.to_string().into());
    match whole(inbound, payload).unwrap() {
        Payload::Whole(body) => serde_json::from_slice(&body).unwrap(),
        Payload::Stream(_) => panic!(),
    }
}

async fn asked(
    store: &Store,
    id: &str,
    what: What,
    method: Method,
    query: &str,
    now: Instant,
) -> (u16, Value) {
    let made = Made {
        id: id.into(),
        what,
        path: format!("/v1/responses/{id}"),
        elsewhere: false,
    };
    let inbound = inbound(Target::Made(made.clone()), method, query);
    let mut slot = Some(recorder());
    match kept(store, &inbound, &made, now, &mut slot) {
        Ok(response) => {
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice(&body).unwrap())
        }
        Err(failure) => {
            let response = failure.render(&OpenAiResponses);
            let json = serde_json::from_slice(response.body()).unwrap();
            (response.status().as_u16(), json)
        }
    }
}

fn used(store: &Store) -> usize {
    store.used.load(Ordering::Relaxed)
}

#[test]
fn a_conversation_goes_on() {
    let (store, now) = (Arc::new(Store::default()), Instant::now());
    let first = json!({"model": "m", "instructions": "Be brief.", "input": "One"});
    keep(&store, &first, "resp_1", "uno", now);
    let second = json!({"model": "m", "previous_response_id": "resp_1", "input": "Two"});
    keep(&store, &second, "resp_2", "due", now);
    let third = json!({"model": "m", "previous_response_id": "resp_2", "input": [{"role": "user", "content": "Three"}]});
    let (inbound, keeping) = ask(&store, &third, now).unwrap();
    assert!(keeping.is_some());
    assert_eq!(inbound.earlier.as_ref().map(Earlier::id), Some("resp_2"));
    let sent = expanded(&inbound, &third);
    assert!(sent.get("previous_response_id").is_none() && sent.get("instructions").is_none());
    let texts: Vec<&str> = sent["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["content"][0]["text"].as_str().unwrap_or("Three"))
        .collect();
    assert_eq!(texts, ["One", "uno", "Two", "due", "Three"]);
    // A fork from the first does not see the second.
    let (inbound, _) = ask(&store, &second, now).unwrap();
    assert_eq!(
        expanded(&inbound, &second)["input"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn an_hour_is_how_long_an_answer_is_kept() {
    let (store, start) = (Arc::new(Store::default()), Instant::now());
    keep(&store, &json!({"input": "One"}), "resp_1", "uno", start);
    let later = start + Duration::from_secs(1800);
    let second = json!({"input": "Two", "previous_response_id": "resp_1"});
    keep(&store, &second, "resp_2", "due", later);
    let almost = start + Duration::from_secs(3599);
    assert!(store.has("resp_1", almost));
    let over = start + Duration::from_secs(3600);
    assert!(!store.has("resp_1", over));
    let (status, json) = asked(&store, "resp_1", What::Itself, Method::GET, "", over).await;
    assert_eq!(status, 404);
    assert_eq!(json["error"]["type"], "invalid_request_error");
    let missed = ask(&store, &second, over).unwrap_err().fault;
    assert_eq!(
        (
            missed.status,
            missed.code.as_deref(),
            missed.param.as_deref()
        ),
        (
            404,
            Some("previous_response_not_found"),
            Some("previous_response_id")
        )
    );
    assert!(missed.message.contains("'resp_1'"), "{}", missed.message);
    // What goes on from it still knows it.
    let third = json!({"input": "Three", "previous_response_id": "resp_2"});
    let (inbound, _) = ask(&store, &third, over).unwrap();
    assert_eq!(
        expanded(&inbound, &third)["input"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    drop(inbound);
    assert!(used(&store) > 0);
    assert!(!store.has("resp_2", later + Duration::from_secs(3600)));
    assert_eq!(used(&store), 0);
}

#[test]
fn the_oldest_go_where_there_is_no_room() {
    let (store, now) = (Arc::new(Store::new(64 << 10, LIFE)), Instant::now());
    let ten = "x".repeat(10 << 10);
    for number in 0..20 {
        let id = format!("resp_{number}");
        keep(&store, &json!({"input": "Hi"}), &id, &ten, now);
        assert!(store.has(&id, now), "{id}");
        assert!(used(&store) <= 64 << 10);
    }
    let left = (0..20).filter(|n| store.has(&format!("resp_{n}"), now));
    assert_eq!(left.collect::<Vec<_>>(), [15, 16, 17, 18, 19]);
    // One conversation may fill it, and no more.
    let mut body = json!({"input": "Hi"});
    let mut kept = 0;
    for number in 100..120 {
        let id = format!("resp_{number}");
        keep(&store, &body, &id, &ten, now);
        assert!(used(&store) <= 64 << 10);
        if !store.has(&id, now) {
            break;
        }
        kept += 1;
        body = json!({"input": "More", "previous_response_id": id});
    }
    assert_eq!(kept, 5);
    assert!(store.has("resp_104", now));
    // What is larger than all of it throws nobody out.
    keep(
        &store,
        &json!({"input": "Hi"}),
        "resp_big",
        &ten.repeat(7),
        now,
    );
    let large = json!({"input": ten.repeat(7)});
    assert!(ask(&store, &large, now).unwrap().1.is_none());
    assert!(!store.has("resp_big", now) && store.has("resp_104", now));
    // A long conversation is given back without a deep stack.
    drop(store);
}

#[test]
fn a_long_conversation_is_dropped_in_one_piece() {
    let (store, now) = (Arc::new(Store::default()), Instant::now());
    let mut last = None;
    for number in 0..50_000 {
        let bytes = 10;
        last = Some(Arc::new(Turn {
            id: number.to_string(),
            input: Bytes::new(),
            answer: Bytes::new(),
            output: 0..0,
            earlier: last.take(),
            _weight: store.weigh(bytes, now).unwrap(),
            total: 0,
        }));
    }
    assert_eq!(used(&store), 500_000);
    drop(last);
    assert_eq!(used(&store), 0);
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let (store, now) = (Arc::new(Store::default()), Instant::now());
    for body in [
        json!({"input": "Hi", "store": false}),
        json!({"input": "Hi", "store": false, "metadata": {"a": "b"}}),
    ] {
        assert!(ask(&store, &body, now).unwrap().1.is_none());
    }
    for body in [
        json!({"input": "Hi", "store": true}),
        json!({"input": "Hi", "store": null}),
    ] {
        assert!(ask(&store, &body, now).unwrap().1.is_some());
    }
    let (_, keeping) = ask(&store, &json!({"input": "Hi"}), now).unwrap();
    let keeping = keeping.unwrap();
    for answer in [
        json!({"id": "r", "object": "response", "status": "failed", "output": []}),
        json!({"id": "r", "object": "response", "status": "in_progress", "output": []}),
        json!({"id": "r", "object": "chat.completion", "status": "completed", "output": []}),
        json!({"id": "r", "object": "response", "status": "completed", "output": "x"}),
        json!({"error": {"message": "no"}}),
        json!("text"),
    ] {
        let turn = keeping.turn(answer.to_string().into(), now);
        assert!(turn.is_none(), "{answer}");
    }
    drop(keeping);
    assert_eq!(used(&store), 0);
}

fn passing(media_type: &str, chunks: Vec<String>) -> http::Response<Body> {
    let stream = chunks.into_iter().map(|chunk| {
        Ok::<_, crate::transport::BoxError>(http_body::Frame::data(Bytes::from(chunk)))
    });
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(stream));
    let mut response = http::Response::new(body.boxed_unsync());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, media_type.parse().unwrap());
    response
}

#[tokio::test]
async fn an_answer_is_there_before_the_client_has_its_end() {
    let (store, now) = (Arc::new(Store::default()), Instant::now());
    let told = answer("resp_1", "uno").to_string();
    let stream = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\"}}}}\n\n\
         : keep-alive\n\nevent: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{told}}}\n\n"
    );
    for (media_type, text) in [
        ("text/event-stream", stream),
        ("application/json; charset=utf-8", told.clone()),
    ] {
        for at in [1, text.len() / 2, text.len() - 1, text.len()] {
            store.remove("resp_1", now);
            let (_, keeping) = ask(&store, &json!({"input": "Hi"}), now).unwrap();
            let (left, right) = text.split_at(at);
            let response = passing(media_type, vec![left.into(), right.into()]);
            let mut body = keeping.unwrap().watch(response).into_body();
            let mut came = String::new();
            while let Some(frame) = body.frame().await {
                came.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
                let whole = came.len() == text.len();
                if media_type == "text/event-stream" {
                    assert_eq!(store.has("resp_1", now), whole);
                }
            }
            assert_eq!(came, text);
            let (status, json) = asked(&store, "resp_1", What::Itself, Method::GET, "", now).await;
            assert_eq!((status, json.to_string()), (200, told.clone()));
        }
    }
    // An answer that is here at once is kept with its one piece.
    store.remove("resp_1", now);
    let (_, keeping) = ask(&store, &json!({"input": "Hi"}), now).unwrap();
    let mut response = http::Response::new(full(told.clone()));
    let mut body = keeping.unwrap().watch(response).into_body();
    body.frame().await.unwrap().unwrap();
    assert!(store.has("resp_1", now));
    // What fails, or is left, is not.
    store.remove("resp_1", now);
    let (_, keeping) = ask(&store, &json!({"input": "Hi"}), now).unwrap();
    response = http::Response::new(full(told));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let body = keeping.unwrap().watch(response).into_body();
    body.collect().await.unwrap();
    assert!(!store.has("resp_1", now));
    assert_eq!(used(&store), 0);
}

#[tokio::test]
async fn what_can_be_asked_of_an_answer() {
    let (store, now) = (Arc::new(Store::default()), Instant::now());
    keep(&store, &json!({"input": "One"}), "resp_1", "uno", now);
    for (what, method, query, status, words) in [
        (What::Itself, Method::GET, "", 200, "uno"),
        (
            What::Itself,
            Method::GET,
            "include=x&stream=false",
            200,
            "uno",
        ),
        (What::Itself, Method::GET, "stream=true", 400, "`stream`"),
        (What::Itself, Method::PUT, "", 405, "GET, DELETE"),
        (What::Cancel, Method::GET, "", 405, "POST"),
        (What::Cancel, Method::POST, "", 400, "Cannot cancel"),
        (What::Input, Method::POST, "", 405, "GET"),
        (What::Input, Method::GET, "limit=0", 400, "`limit`"),
        (What::Input, Method::GET, "limit=101", 400, "`limit`"),
        (What::Input, Method::GET, "order=up", 400, "`order`"),
        (What::Input, Method::GET, "after=msg_x", 400, "msg_x"),
        (What::Itself, Method::DELETE, "", 200, "response.deleted"),
        (What::Itself, Method::DELETE, "", 404, "'resp_1' not found"),
        (What::Cancel, Method::POST, "", 404, "'resp_1' not found"),
        (What::Input, Method::GET, "", 404, "'resp_1' not found"),
    ] {
        let (told, json) = asked(&store, "resp_1", what, method.clone(), query, now).await;
        assert_eq!(told, status, "{what:?} {method} {query}: {json}");
        assert!(json.to_string().contains(words), "{json}");
    }
}

#[tokio::test]
async fn input_is_told_in_pages() {
    let (store, now) = (Arc::new(Store::default()), Instant::now());
    keep(&store, &json!({"input": "One"}), "resp_1", "uno", now);
    let second = json!({"previous_response_id": "resp_1", "input": [
        {"role": "user", "content": "Two"}, {"role": "user", "content": "Three"}]});
    keep(&store, &second, "resp_2", "due", now);
    let all = ["msg_1_in0", "msg_resp_1", "msg_2_in0", "msg_2_in1"];
    for (query, ids, more) in [
        ("order=asc", vec![0, 1, 2, 3], false),
        ("", vec![3, 2, 1, 0], false),
        ("limit=3", vec![3, 2, 1], true),
        ("limit=3&after=msg_resp_1", vec![0], false),
        ("order=asc&limit=2", vec![0, 1], true),
        ("order=asc&limit=2&after=msg_resp_1", vec![2, 3], false),
        ("order=asc&after=msg_2_in1", vec![], false),
    ] {
        let (status, json) = asked(&store, "resp_2", What::Input, Method::GET, query, now).await;
        assert_eq!(status, 200);
        let ids: Vec<Value> = ids.into_iter().map(|at: usize| all[at].into()).collect();
        let told: Vec<Value> = json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].clone())
            .collect();
        assert_eq!(told, ids, "{query}");
        assert_eq!(
            json,
            json!({"object": "list", "data": json["data"], "first_id": ids.first(),
                "last_id": ids.last(), "has_more": more})
        );
    }
}
