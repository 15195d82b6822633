//! Log lines for people, on stderr.

use std::{fmt, io};

use tracing_subscriber::{
    EnvFilter,
    fmt::{format::Writer, time::FormatTime},
};

use super::{Term, sanitize};

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors.
    Quiet,
    /// Warnings too.
    #[default]
    Usual,
    /// A line for each request.
    Requests,
    /// What happens inside.
    Debug,
}

impl Verbosity {
    /// Of `-v` so many times, and `-q`.
    #[must_use]
    pub fn of(verbose: u8, quiet: bool) -> Verbosity {
        match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Usual,
            (false, 1) => Verbosity::Requests,
            (false, _) => Verbosity::Debug,
        }
    }

    /// What `RUST_LOG` would have to say. Other crates only warn: at finer levels they could quote what passes through them.
    fn directives(self) -> &'static str {
        match self {
            Verbosity::Quiet => "error",
            Verbosity::Usual => "warn",
            Verbosity::Requests => "warn,aiproxy=info",
            Verbosity::Debug => "warn,aiproxy=debug",
        }
    }
}

/// Libraries that handle credentials: at finer levels they write them down. Not even `RUST_LOG` gets more of them.
const QUOTING: &[&str] = &[
    "aws_config=error",
    "aws_runtime=error",
    "aws_sdk_sso=error",
    "aws_sdk_ssooidc=error",
    "aws_sdk_sts=error",
    "aws_sigv4=error",
    "aws_smithy_runtime=error",
    "aws_smithy_runtime_api=error",
    "azure_core=error",
    "azure_identity=error",
    "google_cloud_auth=error",
    "google_cloud_gax=error",
    "reqwest=error",
    "typespec_client_core=error",
];

/// Sends log lines to stderr from now on. `RUST_LOG` wins over `verbosity`. A second call does nothing.
pub fn log_to_stderr(term: &Term, verbosity: Verbosity) {
    let wished = std::env::var("RUST_LOG").unwrap_or_default();
    let wished = wished.trim();
    let filter = if wished.is_empty() {
        EnvFilter::new(verbosity.directives())
    } else {
        EnvFilter::try_new(wished).unwrap_or_else(|error| {
            term.warn(&format!(
                "RUST_LOG is ignored: {}",
                sanitize(&error.to_string())
            ));
            EnvFilter::new(verbosity.directives())
        })
    };
    let filter = QUOTING
        .iter()
        .fold(filter, |filter, directive| match directive.parse() {
            Ok(directive) => filter.add_directive(directive),
            Err(_) => filter,
        });
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(term.colour_err())
        .with_target(false)
        .with_timer(Clock)
        .try_init();
}

/// The wall clock's time of day.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        write!(out, "{}", jiff::Zoned::now().strftime("%H:%M:%S%.3f"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verbosity_is_a_filter() {
        for (verbose, quiet, expected) in [
            (0, false, "warn"),
            (1, false, "warn,aiproxy=info"),
            (2, false, "warn,aiproxy=debug"),
            (9, false, "warn,aiproxy=debug"),
            (0, true, "error"),
        ] {
            let directives = Verbosity::of(verbose, quiet).directives();
            assert_eq!(directives, expected);
            assert!(EnvFilter::try_new(directives).is_ok());
        }
    }
}
