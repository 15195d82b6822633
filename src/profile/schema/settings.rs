//! aiproxy's own tables: `[aiproxy]` and `[upstream]`. Nothing of them stands inside a table of Kong's.

use std::time::Duration;

use super::{
    models::ModelMap,
    table::table,
    values::{AskUsage, HttpUrl, OptionsMode, OtherPaths, RoutePath, StreamTransform},
};

table! {
    /// `[upstream]`: a plain HTTP backend behind the transformers.
    pub struct Upstream {
        /// The backend's URL. Path and query of a request are appended to it.
        url: HttpUrl,
    }
}

table! {
    /// `[aiproxy]`: what Kong does not have.
    pub struct Settings default {
        /// Shown instead of the provider's name.
        label: Option<String>,
        /// API root of all operations, as the provider's own SDK takes it (OpenAI: with `/v1`; Anthropic, Gemini,
        /// Bedrock: the origin). `upstream_url` is one operation's whole URL.
        base_url: Option<HttpUrl>,
        /// The model used when neither `model.name` nor the request names one.
        default_model: Option<String>,
        /// What stands for a model that a client insists on: a glob (`*`, `?`) and a model of this profile, `PROFILE/MODEL` of another
        /// one that is served, or `PROFILE` for the model that it binds. The first match wins: `"claude-*" = "gpt-5"`.
        models: ModelMap,
        /// Whether `model.options` win over the same fields of a request (`enforce`, as in Kong) or only fill in
        /// (`default`).
        options: OptionsMode = OptionsMode::Enforce,
        /// Whether the upstream is asked for a stream's usage; `auto` asks hosts known to take `stream_options`.
        ask_usage: AskUsage = AskUsage::Auto,
        /// What a response transformer does with a streaming request: fetch the answer whole and replay it, or refuse.
        stream_transform: StreamTransform = StreamTransform::Buffer,
        /// What happens to paths that name no operation. They are never forwarded in a profile with a transformer.
        other_paths: OtherPaths = OtherPaths::Refuse,
        /// Matched, anchored, against what follows `/{profile}`: a prefix, or `~` and a PCRE whose named groups are
        /// `uri_captures`.
        path: RoutePath = RoutePath::Prefix("/".to_owned()),
        /// Longest wait for a connection, TLS included.
        connect_timeout: Duration = Duration::from_millis(10_000),
        /// Longest wait from the end of a request to the first byte of its answer.
        first_byte_timeout: Duration = Duration::from_millis(600_000),
        /// Longest silence inside an answer.
        idle_timeout: Duration = Duration::from_millis(300_000),
        /// Offer HTTP/2 to the upstream.
        http2: bool = true,
    }
}
