//! The canonical model: what every dialect translates to and from.
//!
//! It is the superset that the supported formats need: content blocks as Anthropic, Gemini and OpenAI's Responses have them, with the
//! fields of the others hung on them. It knows no wire format and imports nothing of ours.

mod accumulate;
mod chat;
mod embed;
mod event;
mod usage;

pub use accumulate::{Accumulator, events_of};
pub use chat::{
    ChatRequest, ChatResponse, Choice, Citation, Extra, Format, Logprob, Media, Message,
    OutputFormat, Part, ReasoningRequest, Role, Sampling, Tool, ToolChoice,
};
pub use embed::{EmbedInput, EmbedRequest, EmbedResponse};
pub use event::{Event, Finish, Kind, Sink, Tells};
pub use usage::Usage;
