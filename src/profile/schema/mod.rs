//! What can stand in a profile: Kong's three plugins key for key ([`kong`]), and aiproxy's own tables ([`settings`]).

pub mod kong;
pub mod models;
mod scalars;
pub mod settings;
pub(crate) mod table;
pub mod values;

pub use table::{Key, Shape};

use table::table;

table! {
    /// A profile file, from its first line to its last.
    pub struct Document {
        /// What the profile is for, in a few words.
        description: Option<String>,
        /// Kong's plugin `ai-proxy`, its `config` block.
        ai_proxy as "ai-proxy": Option<kong::AiProxy>,
        /// Kong's plugin `ai-request-transformer`, its `config` block: an LLM rewrites the request.
        ai_request_transformer as "ai-request-transformer": Option<kong::AiRequestTransformer>,
        /// Kong's plugin `ai-response-transformer`, its `config` block: an LLM rewrites the response.
        ai_response_transformer as "ai-response-transformer": Option<kong::AiResponseTransformer>,
        /// A plain HTTP backend behind the transformers, instead of `[ai-proxy]`.
        upstream: Option<settings::Upstream>,
        /// Everything that Kong does not have.
        aiproxy: settings::Settings = settings::Settings::default(),
    }
}

#[cfg(test)]
mod tests;
