use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    dialect::{Egress, anthropic::Anthropic, openai_chat::OpenAiChat},
    wire::{Framer, MAX_FRAME},
};

/// The events of a stream, read frame by frame or by way of what they share, and how many of the frames were not read.
fn events(egress: &dyn Egress, stream: &str, steady: bool) -> (Vec<String>, usize) {
    let mut events = Vec::new();
    let framing = egress.framing("text/event-stream").unwrap();
    let mut framer = Framer::new(framing, MAX_FRAME);
    framer.feed(Bytes::copy_from_slice(stream.as_bytes()));
    let mut counting = Counting {
        decoder: egress.stream_decoder(),
        read: 0,
    };
    let (mut shared, mut frames) = (Steady::default(), 0);
    while let Some(frame) = framer.frame().unwrap() {
        let mut sink = |event: Event<'_>| events.push(format!("{event:?}"));
        frames += 1;
        let result = if steady {
            shared.frame(&mut counting, &frame, &mut sink)
        } else {
            counting.frame(&frame, &mut sink)
        };
        if let Err(error) = result {
            events.push(error.to_string());
        }
    }
    (events, frames - counting.read)
}

struct Counting {
    decoder: Box<dyn StreamDecoder>,
    read: usize,
}

impl StreamDecoder for Counting {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        self.read += 1;
        self.decoder.frame(frame, sink)
    }

    fn repeat(&mut self, text: &str) -> bool {
        self.decoder.repeat(text)
    }

    fn is_complete(&self) -> bool {
        self.decoder.is_complete()
    }
}

fn openai(delta: &str, rest: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]{rest}}}\n\n"
    )
}

fn anthropic(index: u64, delta: &str) -> String {
    format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{delta}}}\n\n"
    )
}

/// Both ways tell the same; the number of frames that were not read.
fn same(egress: &dyn Egress, stream: &str) -> usize {
    let (read, _) = events(egress, stream, false);
    let (shared, skipped) = events(egress, stream, true);
    assert_eq!(shared, read, "{stream}");
    skipped
}

#[test]
fn words_are_not_read_again() {
    let words: Vec<String> = ["The", " quick", " brown", " fox ✓", " jumps"]
        .iter()
        .map(|word| openai(&format!("{{\"content\":\"{word}\"}}"), ""))
        .collect();
    assert_eq!(same(&OpenAiChat, &words.concat()), 3);
    let padded: Vec<String> = ["a", "bc", "d", "e"]
        .iter()
        .zip(["xJ", "", "kkkkk", "0"])
        .map(|(word, padding)| {
            let padding = format!(",\"obfuscation\":\"{padding}\"");
            openai(&format!("{{\"content\":\"{word}\"}}"), &padding)
        })
        .collect();
    assert_eq!(same(&OpenAiChat, &padded.concat()), 2);
}

#[test]
fn whatever_else_differs_is_read() {
    let text = |word: &str| openai(&format!("{{\"content\":\"{word}\"}}"), "");
    let thinking = |word: &str| openai(&format!("{{\"reasoning_content\":\"{word}\"}}"), "");
    let others = [
        text("\\n"),
        text(""),
        text("a\\\"b"),
        thinking("hm"),
        openai(
            "{\"content\":\"x\"}",
            ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}",
        ),
        openai(
            "{\"content\":\"x\",\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}",
            "",
        ),
        text("x").replace("\"index\":0", "\"index\":1"),
        text("x").replace("\"finish_reason\":null", "\"finish_reason\":\"stop\""),
        text("x").replace("}\n\n", "\n\n"),
        "event: error\ndata: {\"error\":{\"message\":\"no\"}}\n\n".to_owned(),
        ": ping\n\n".to_owned(),
    ];
    for other in &others {
        let stream = [
            text("a"),
            text("b"),
            text("c"),
            other.clone(),
            text("d"),
            text("e"),
            text("f"),
        ];
        same(&OpenAiChat, &stream.concat());
    }
}

#[test]
fn a_name_tells_frames_apart() {
    let text = "{\"type\":\"text_delta\",\"text\":\"a\"}";
    let start = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    let stream = [
        start.to_owned(),
        anthropic(0, text),
        anthropic(0, text),
        anthropic(0, text),
    ]
    .concat();
    assert_eq!(same(&Anthropic, &stream), 1);
    let named =
        stream.clone() + &anthropic(0, text).replace("event: content_block_delta", "event: other");
    same(&Anthropic, &named);
    same(&Anthropic, &(stream + &anthropic(1, text)));
}

proptest! {
    #[test]
    fn any_stream_tells_the_same(
        words in prop::collection::vec((0..9u8, "[a-c\\\\\"✓ ]{0,4}"), 0..24),
    ) {
        let json = |word: &str| serde_json::Value::from(word).to_string();
        let chat: String = words.iter().map(|(kind, word)| {
            let word = json(word);
            match kind {
                0 => openai(&format!("{{\"reasoning_content\":{word}}}"), ""),
                1 => openai(&format!("{{\"content\":{word},\"refusal\":{word}}}"), ""),
                2 => openai(&format!("{{\"content\":{word}}}"), ",\"obfuscation\":\"ab\""),
                _ => openai(&format!("{{\"content\":{word}}}"), ""),
            }
        }).collect();
        same(&OpenAiChat, &chat);
        let mut messages: String = (0..2).map(|index| format!(
            "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\n"
        )).collect();
        for (kind, word) in &words {
            let word = json(word);
            messages += &anthropic(u64::from(*kind == 0), &format!("{{\"type\":\"text_delta\",\"text\":{word}}}"));
        }
        same(&Anthropic, &messages);
    }
}
