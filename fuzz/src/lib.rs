//! What the fuzz targets share: the formats that they try, and streams under several splits.

#![forbid(unsafe_code)]

use aiproxy::{
    dialect::{
        Egress, Ingress,
        anthropic::Anthropic,
        anthropic_complete::AnthropicComplete,
        bedrock::{self, Converse},
        cohere,
        gemini::{Gemini, GeminiArray, GeminiEmbeddings, Vertex},
        ollama,
        openai_chat::OpenAiChat,
        openai_completions::OpenAiCompletions,
        openai_embeddings::OpenAiEmbeddings,
        openai_responses::{OpenAiResponses, Served},
        tgi,
    },
    wire::{Frame, FrameError, Framer, Framing},
};
use bytes::Bytes;

/// The formats that aiproxy sends upstream. A new one is a line here.
pub const EGRESS: &[&dyn Egress] = &[
    &OpenAiChat,
    &OpenAiCompletions,
    &OpenAiEmbeddings,
    &OpenAiResponses,
    &Anthropic,
    &AnthropicComplete,
    &Converse,
    &bedrock::embeddings::Titan,
    &bedrock::embeddings::Nova,
    &bedrock::embeddings::Cohere,
    &cohere::ChatV1,
    &cohere::ChatV2,
    &cohere::Generate,
    &cohere::Embed,
    &Gemini,
    &Vertex,
    &GeminiEmbeddings::Single,
    &GeminiEmbeddings::Batch,
    &GeminiEmbeddings::Predict,
    &ollama::Ollama,
    &ollama::Generate,
    &tgi::Tgi,
    &tgi::Chat,
    &tgi::Llama2::Chat,
    &tgi::Llama2::Completions,
];

/// The formats that clients speak. A new one is a line here.
pub const INGRESS: &[&dyn Ingress] = &[
    &OpenAiChat,
    &OpenAiCompletions,
    &OpenAiEmbeddings,
    &OpenAiResponses,
    &Served,
    &Anthropic,
    &AnthropicComplete,
    &Converse,
    &bedrock::embeddings::Invoke,
    &cohere::ChatV1,
    &cohere::ChatV2,
    &cohere::Generate,
    &cohere::Embed,
    &Gemini,
    &GeminiArray,
    &GeminiEmbeddings::Single,
    &GeminiEmbeddings::Batch,
    &ollama::Ollama,
    &ollama::Generate,
    &tgi::Tgi,
];

/// The media types under which a provider may stream.
pub const MEDIA_TYPES: &[&str] = &[
    "text/event-stream",
    "application/json",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "",
];

/// The ways to cut `bytes` that are held against each other: not at all, after each byte, and at places that they draw themselves.
pub fn cuts(bytes: &[u8]) -> [Vec<usize>; 4] {
    // FNV-1a for a start, then xorshift.
    let mut state = bytes.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    }) | 1;
    let mut draw = |count: usize| {
        let mut cuts: Vec<usize> = (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % (bytes.len() as u64 + 1)) as usize
            })
            .collect();
        cuts.sort_unstable();
        cuts
    };
    [Vec::new(), (1..bytes.len()).collect(), draw(1), draw(7)]
}

/// Feeds `bytes` cut at `cuts`, and shows each frame; the error that ended it, and whether the stream could end where it does.
pub fn read(
    framing: Framing,
    limit: usize,
    bytes: &[u8],
    cuts: &[usize],
    mut frame: impl FnMut(&Frame),
) -> (Option<FrameError>, bool) {
    let mut framer = Framer::new(framing, limit);
    let (mut fed, mut cut) = (0, 0);
    for end in cuts.iter().copied().chain([bytes.len()]) {
        framer.feed(Bytes::copy_from_slice(&bytes[fed..end]));
        fed = end;
        loop {
            match framer.frame() {
                Ok(Some(next)) => {
                    assert!(bytes[cut..fed].starts_with(&next.raw), "bytes are lost");
                    assert!(!next.raw.is_empty() && next.raw.len() <= limit);
                    cut += next.raw.len();
                    frame(&next);
                }
                Ok(None) => break,
                Err(error) => return (Some(error), false),
            }
        }
        assert_eq!(framer.pending(), fed - cut);
        assert!(framer.pending() <= limit, "what waits is bounded");
    }
    let complete = framer.is_complete();
    if let Some(last) = framer.finish() {
        assert_eq!(last.raw, bytes[cut..]);
        frame(&last);
    }
    (None, complete)
}

/// Holds what a framing makes of `bytes` under several splits against each other; gives the frames that have data.
pub fn framing(framing: Framing, limit: usize, bytes: &[u8]) -> Vec<Frame> {
    let [whole, others @ ..] = cuts(bytes);
    let read = |cuts: &[usize]| {
        let mut frames = Vec::new();
        let end = read(framing, limit, bytes, cuts, |frame| {
            if !frame.data().is_empty() {
                frames.push(frame.clone());
            }
        });
        (frames, end)
    };
    let (frames, end) = read(&whole);
    for cuts in others {
        let (again, other) = read(&cuts);
        assert_eq!(other, end, "cut at {cuts:?}");
        let parts = |frames: &[Frame]| -> Vec<_> {
            let parts = |frame: &Frame| {
                let data = frame.data().to_vec();
                (frame.name().to_vec(), data, frame.is_error())
            };
            frames.iter().map(parts).collect()
        };
        assert_eq!(parts(&again), parts(&frames), "cut at {cuts:?}");
    }
    frames
}
