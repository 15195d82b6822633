//! The mock as its clients see it: requests in, bytes out.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::Value;

mod any;
mod failures;
mod foreign;
mod requests;
mod streams;

use super::*;
use crate::{
    dialect::Egress,
    llm::{Accumulator, ChatResponse},
    wire::{Framer, Framing, MAX_FRAME},
};

/// An answer: its head, the frames of its body as they came, and whether the body broke off.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    frames: Vec<Bytes>,
    broken: bool,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.frames.concat()).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    /// The payloads of a stream.
    fn events(&self) -> Vec<String> {
        let mut events = Vec::new();
        self.each_frame(|frame| events.push(String::from_utf8(frame.data().to_vec()).unwrap()));
        events
    }

    fn each_frame(&self, mut visit: impl FnMut(crate::wire::Frame)) {
        let mut framer = Framer::new(Framing::Sse, MAX_FRAME);
        for bytes in &self.frames {
            framer.feed(bytes.clone());
            while let Some(frame) = framer.frame().unwrap() {
                visit(frame);
            }
        }
    }

    /// What the dialect reads from the stream: the answer, the failure, whether it was complete, frames that could not be read.
    fn decoded(&self) -> (ChatResponse, Option<String>, bool, usize) {
        let (mut decoder, mut sink, mut bad) =
            (OpenAiChat.stream_decoder(), Accumulator::default(), 0);
        self.each_frame(|frame| bad += usize::from(decoder.frame(&frame, &mut sink).is_err()));
        let failed = sink.failed().map(str::to_owned);
        (sink.into_response(), failed, decoder.is_complete(), bad)
    }
}

async fn send(method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("mock://mock{path}"))
        .body(full(body))
        .unwrap();
    let response = Mock.answer(request).await;
    let (head, mut body) = response.into_parts();
    let mut answer = Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        frames: Vec::new(),
        broken: false,
    };
    // Long enough for any answer without a failure, and short for one that never ends.
    while let Ok(Some(frame)) = timeout(Duration::from_millis(400), body.frame()).await {
        match frame {
            Ok(frame) => answer.frames.push(frame.into_data().unwrap()),
            Err(_) => {
                answer.broken = true;
                break;
            }
        }
    }
    answer
}

async fn chat(model: &str, more: Value) -> Answer {
    let mut body =
        json!({"model": model, "messages": [{"role": "user", "content": "Tell me a story"}]});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    send("POST", "/v1/chat/completions", body.to_string()).await
}

fn plain(response: &ChatResponse) -> String {
    format!("{response:?}")
}
