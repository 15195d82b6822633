//! What goes wrong on connections in words that name the upstream.

use std::{error::Error, io};

use crate::transport::TransportError;

/// What went wrong on a connection to `name` before `goal`, such as "the response began".
pub(crate) fn explain(error: &hyper::Error, name: &str, goal: &str) -> String {
    if error.is_timeout() {
        return format!("{name} stopped answering keep-alive pings before {goal}");
    }
    if error.is_parse_version_h2() {
        return format!("{name} answered in HTTP/2 to a request in HTTP/1.1");
    }
    if error.is_parse_too_large() {
        return format!("{name} answered with too long a header");
    }
    if error.is_parse() && !error.is_incomplete_message() {
        return if goal == BEGAN {
            format!("{name} did not answer in HTTP: is this an https:// endpoint?")
        } else {
            format!("{name} broke HTTP's framing before {goal}")
        };
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return format!("{name} closed the connection before {goal}");
    }
    explain_any(error, name, goal)
}

/// The same of what hyper did not say, or only passed on.
fn explain_any(error: &(dyn Error + 'static), name: &str, goal: &str) -> String {
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset) => {
            return format!("{name} reset the connection before {goal}");
        }
        Some(io::ErrorKind::TimedOut) => {
            return format!("{name} could not be reached any more before {goal}");
        }
        // What hyper says of chunks; what TLS says of its records is of the same kind.
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
            if find::<rustls::Error>(error).is_none() =>
        {
            return format!("{name} broke HTTP's framing before {goal}");
        }
        Some(io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => {
            return format!("{name} closed the connection before {goal}");
        }
        _ => {}
    }
    // HTTP/2 errors say what the peer did; they hold codes, never content.
    let mut last: &dyn Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    format!("{name} broke the exchange before {goal} ({last})")
}

/// Why a response's body ended before it was whole.
#[derive(Debug)]
pub(crate) enum Torn {
    Hyper(hyper::Error),
    Framing,
    Closed,
    Io(io::Error),
}

impl Torn {
    pub(crate) fn explain(&self, name: &str) -> String {
        match self {
            Torn::Hyper(error) => explain(error, name, WHOLE),
            Torn::Framing => format!("{name} broke HTTP's framing before {WHOLE}"),
            Torn::Closed => format!("{name} closed the connection before {WHOLE}"),
            Torn::Io(error) => explain_any(error, name, WHOLE),
        }
    }
}

/// The goal of one that has begun.
const WHOLE: &str = "the response was whole";

/// The usual goal of [`explain`].
pub(crate) const BEGAN: &str = "the response began";

/// What hyper-util's client says, as ours: its connector's errors are ours already.
pub(crate) fn of_pool(error: &hyper_util::client::legacy::Error, name: &str) -> TransportError {
    if let Some(ours) = find::<TransportError>(error) {
        return ours.clone();
    }
    match find::<hyper::Error>(error) {
        Some(error) => TransportError::Broken(explain(error, name, BEGAN)),
        None if error.is_connect() => {
            TransportError::Connect(format!("could not connect to {name}"))
        }
        None => TransportError::Broken(format!("{name} closed the connection before {BEGAN}")),
    }
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
