//! Anthropic: <https://platform.claude.com/docs/en/api/overview>.

use http::{HeaderMap, HeaderValue, header::HeaderName};

use super::{Call, Fault, Loss, Operation, Provider};
use crate::{
    dialect::{Egress, anthropic::Anthropic as Messages, anthropic_complete::AnthropicComplete},
    wire::envelope::Envelope,
};

/// The version that Anthropic documents: <https://platform.claude.com/docs/en/api/versioning>.
const VERSION: &str = "2023-06-01";

const VERSION_HEADER: HeaderName = HeaderName::from_static("anthropic-version");

pub(super) struct Anthropic;

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        match call.operation {
            Operation::Chat => Some(&Messages),
            Operation::Completions => Some(&AnthropicComplete),
            _ => None,
        }
    }

    fn root(&self, _: &Call<'_>) -> Result<String, Fault> {
        Ok("https://api.anthropic.com".into())
    }

    /// The root is the origin; all paths begin with `/v1`.
    fn path(&self, call: &Call<'_>) -> String {
        match call.operation {
            Operation::Chat => "/v1/messages".into(),
            Operation::Completions => "/v1/complete".into(),
            _ => call.path.to_owned(),
        }
    }

    fn headers(&self, headers: &mut HeaderMap, call: &Call<'_>) {
        let version = call.options.anthropic_version.as_deref();
        headers.entry(VERSION_HEADER).or_insert(
            version
                .and_then(|version| HeaderValue::from_str(version).ok())
                .unwrap_or(HeaderValue::from_static(VERSION)),
        );
    }

    /// <https://platform.claude.com/docs/en/api/messages-count-tokens>.
    fn counts_tokens(&self) -> Option<&'static str> {
        Some("/v1/messages/count_tokens")
    }

    /// It tells the usage unasked.
    fn adjust(&self, body: &mut Envelope<'_>, call: &Call<'_>, _: &str, _: &mut Vec<Loss>) {
        if call.operation.is_read() {
            body.remove("stream_options");
        }
    }

    /// Its API is its own.
    fn forwards_unread(&self, operation: Operation) -> bool {
        operation == Operation::Preserve
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Options, uri};

    fn call(operation: Operation, options: &Options) -> Call<'_> {
        Call {
            operation,
            path: operation.path(),
            model: "claude-opus-5-5",
            stream: false,
            tools: false,
            native: false,
            options,
        }
    }

    #[test]
    fn urls_and_versions() {
        let none = Options::default();
        let url = |operation, options| {
            uri(&Anthropic, &call(operation, options))
                .unwrap()
                .to_string()
        };
        assert_eq!(
            url(Operation::Chat, &none),
            "https://api.anthropic.com/v1/messages"
        );
        assert_eq!(
            url(Operation::Completions, &none),
            "https://api.anthropic.com/v1/complete"
        );
        let other = Options {
            base_url: Some("https://api.deepseek.com/anthropic".into()),
            anthropic_version: Some("2023-01-01".into()),
            ..Options::default()
        };
        assert_eq!(
            url(Operation::Chat, &other),
            "https://api.deepseek.com/anthropic/v1/messages"
        );
        let version = |options, mut headers: HeaderMap| {
            Anthropic.headers(&mut headers, &call(Operation::Chat, options));
            headers.get(VERSION_HEADER).unwrap().clone()
        };
        assert_eq!(version(&none, HeaderMap::new()), VERSION);
        assert_eq!(version(&other, HeaderMap::new()), "2023-01-01");
        let own = HeaderMap::from_iter([(VERSION_HEADER, HeaderValue::from_static("x"))]);
        assert_eq!(version(&other, own), "x");
        assert!(
            Anthropic
                .egress(&call(Operation::Embeddings, &none))
                .is_none()
        );
    }

    #[test]
    fn other_paths_keep_their_version() {
        let none = Options::default();
        for path in ["/v1/models", "/v1/messages/count_tokens"] {
            let uri =
                crate::provider::unread_uri(&Anthropic, &call(Operation::Preserve, &none), path);
            assert_eq!(
                uri.unwrap().to_string(),
                format!("https://api.anthropic.com{path}")
            );
        }
    }
}
