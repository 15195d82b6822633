//! Recorded exchanges in a file that people keep beside their tests, and answers from it.
//!
//! A cassette is a text file: a head, then one exchange a line ([`Line`]), without secrets and with nothing in it that changes from one
//! export to the next. Each line holds two pairs: what was sent upstream and what came back, piece by piece with its time, and, where
//! they differ, what the client sent and got. [`Cassettes`] find the recording of a request ([`Boundary`] says of which pair) and
//! [`Replayer`] plays it where bytes would leave the process, so that everything before and behind that runs as it does with a provider.
//! It imports `diff`, `exchange` and `transport`.

mod canon;
mod file;
mod ignore;
mod line;
mod nearest;
mod play;
mod recorded;
mod replayer;
mod shelf;
mod write;

pub use canon::Asked;
pub use file::{Broken, Cassette, Head, VERSION};
pub use ignore::{DEFAULT, Ignore};
pub use line::{Call, Chunk, Line, Request, Response};
pub use play::Speed;
pub use recorded::LeftOut;
pub use replayer::{Missing, Replayer};
pub use shelf::{Boundary, Cassettes};
pub use write::Appending;
