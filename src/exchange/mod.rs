//! What happened to each request, and who is told.
//!
//! A [`Recorder`] belongs to whoever owns the request: the handler, then the response's body. Dropping it closes the record, so a client
//! that hangs up is [`Outcome::Cancelled`] with no code for it. The [`Ledger`] keeps the records of a process under a budget of bytes, and
//! tells [`Listener`]s what happens while it happens; a [`RequestLog`] writes each down. Forms for programs are in [`told`]. It imports
//! `llm`. Where spans are wanted, a record knows its place in a [`trace`].

mod bodies;
mod bus;
mod done;
mod estimate;
mod filter;
pub mod history;
mod id;
mod imported;
mod keeper;
mod kept;
mod ledger;
mod live;
mod log;
mod log_file;
mod log_line;
mod mask;
mod metrics;
mod notices;
mod packed;
mod pieces;
pub mod price;
mod record;
mod recorder;
mod redact;
mod render;
mod secrets;
mod spoken;
mod stages;
pub mod told;
pub mod trace;

pub use bus::{Heard, Listener};
pub use estimate::{Prompt, tokens};
pub use filter::{Filter, flag};
pub use id::ExchangeId;
pub use keeper::Keeper;
pub use kept::{Kept, MOST, Material, Said, Text};
pub use ledger::{Ledger, MEMORY, Observer};
pub use live::{Live, Tap};
pub use log::{RequestLog, TARGET};
pub use log_file::LogFile;
pub use mask::{Fields, SECRET, is_credential, masked, masked_url};
pub use metrics::{CONTENT_TYPE, Connections, Ended, ErrorKind, Measured, Metrics};
pub use notices::Happened;
pub use pieces::Pieces;
pub use record::{Exchange, Outcome};
pub use recorder::Recorder;
pub use redact::{MASK, Redactor};
pub use render::headers;
pub use spoken::{Opened, Saying, Spoke, Spoken};
pub use stages::{
    Address, Body, CallLog, Edit, Head, Held, Hidden, LlmCall, Snapshot, Stage, cost,
};
pub use told::Found;
