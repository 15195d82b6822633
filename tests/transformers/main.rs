//! Profiles with an `[ai-request-transformer]` or `[ai-response-transformer]`, over real sockets. Where it does not matter who rewrites, it
//! is the mock's `mock-transform`; where it does, an upstream of the test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod examples;
mod failures;
mod howtos;
mod llm;
mod log;
mod matrix;
mod streams;

use support::{ProfileText, Upstream};

/// A plain backend at `/base`.
pub(crate) fn plain(upstream: &Upstream) -> ProfileText {
    let url = format!("url = \"http://{}/base\"", upstream.address);
    ProfileText::default().line("upstream", url)
}

/// With a transformer whose LLM is the mock's, which does what `prompt` says.
pub(crate) fn mocked(profile: ProfileText, plugin: Plugin, prompt: &str) -> ProfileText {
    let (table, llm, model) = plugin.tables();
    profile
        .line(table, format!("prompt = '''{prompt}'''"))
        .line(llm, r#"route_type = "llm/v1/chat""#)
        .line(model, r#"provider = "mock""#)
        .line(model, r#"name = "mock-transform""#)
}

/// With a transformer whose LLM is the test's own, with the key `llm-key-012345`.
pub(crate) fn asking(profile: ProfileText, plugin: Plugin, llm: &Upstream) -> ProfileText {
    let (table, llm_table, model) = plugin.tables();
    let (auth, options) = plugin.more_tables();
    profile
        .line(table, r#"prompt = "Change it""#)
        .line(llm_table, r#"route_type = "llm/v1/chat""#)
        .line(auth, r#"header_name = "Authorization""#)
        .line(auth, r#"header_value = "Bearer llm-key-012345""#)
        .line(model, r#"provider = "openai""#)
        .line(model, r#"name = "gpt-4""#)
        .line(
            options,
            format!("upstream_url = \"http://{}/llm\"", llm.address),
        )
}

/// Which transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plugin {
    Request,
    Response,
}

impl Plugin {
    pub(crate) fn tables(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Plugin::Request => (
                "ai-request-transformer",
                "ai-request-transformer.llm",
                "ai-request-transformer.llm.model",
            ),
            Plugin::Response => (
                "ai-response-transformer",
                "ai-response-transformer.llm",
                "ai-response-transformer.llm.model",
            ),
        }
    }

    pub(crate) fn more_tables(self) -> (&'static str, &'static str) {
        match self {
            Plugin::Request => (
                "ai-request-transformer.llm.auth",
                "ai-request-transformer.llm.model.options",
            ),
            Plugin::Response => (
                "ai-response-transformer.llm.auth",
                "ai-response-transformer.llm.model.options",
            ),
        }
    }
}
