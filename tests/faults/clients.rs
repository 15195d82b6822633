//! Who asks: clients of three formats, translated and not.

use crate::payload::Speaks;

/// A kind of client, and the provider that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// The client's format.
    pub(crate) speaks: Speaks,
    pub(crate) provider: &'static str,
    /// The provider's format is another.
    pub(crate) translated: bool,
}

const fn client(
    name: &'static str,
    speaks: Speaks,
    provider: &'static str,
    translated: bool,
) -> Client {
    Client {
        name,
        speaks,
        provider,
        translated,
    }
}

pub(crate) const CHAT: Client = client("chat", Speaks::Chat, "openai", false);
pub(crate) const MESSAGES: Client = client("messages", Speaks::Messages, "openai", true);
pub(crate) const RESPONSES: Client = client("responses", Speaks::Responses, "mistral", true);
pub(crate) const OWN_MESSAGES: Client =
    client("messages to itself", Speaks::Messages, "anthropic", false);
pub(crate) const OWN_RESPONSES: Client =
    client("responses to itself", Speaks::Responses, "openai", false);

/// All kinds.
pub(crate) const CLIENTS: &[Client] = &[CHAT, MESSAGES, RESPONSES, OWN_MESSAGES, OWN_RESPONSES];

/// Those whose answers are translated.
pub(crate) const TRANSLATED: &[Client] = &[MESSAGES, RESPONSES];

/// Those whose answers go on as they came.
pub(crate) const FORWARDED: &[Client] = &[CHAT, OWN_MESSAGES, OWN_RESPONSES];

/// The providers that profiles are needed for, with the lines of `model.options` that they need, and what stands behind the origin.
pub(crate) const PROVIDERS: &[(&str, Option<&str>, &str)] = &[
    ("openai", None, "/v1"),
    ("mistral", Some(r#"mistral_format = "openai""#), "/v1"),
    ("anthropic", Some(r#"anthropic_version = "2023-06-01""#), ""),
];

impl Client {
    /// Where it asks below a profile.
    pub(crate) fn path(&self) -> &'static str {
        match self.speaks {
            Speaks::Chat => "/v1/chat/completions",
            Speaks::Messages => "/v1/messages",
            Speaks::Responses => "/v1/responses",
        }
    }

    /// The format that the upstream sees.
    pub(crate) fn asks_in(&self) -> Speaks {
        if self.translated {
            Speaks::Chat
        } else {
            self.speaks
        }
    }

    /// What it asks.
    pub(crate) fn body(&self, model: &str, stream: bool) -> String {
        let rest = match self.speaks {
            Speaks::Chat => r#""messages":[{"role":"user","content":"hi"}]"#,
            Speaks::Messages => r#""max_tokens":64,"messages":[{"role":"user","content":"hi"}]"#,
            Speaks::Responses => r#""input":"hi""#,
        };
        format!(r#"{{"model":"{model}",{rest},"stream":{stream}}}"#)
    }

    /// What an error of this type and status is called in the client's format (Anthropic's documented types).
    pub(crate) fn kind(&self, kind: &str, status: u16) -> String {
        if self.speaks != Speaks::Messages {
            return kind.to_owned();
        }
        match status {
            504 => "timeout_error",
            503 => "overloaded_error",
            _ if kind == "upstream_error" => "api_error",
            _ => kind,
        }
        .to_owned()
    }

    /// The same inside a stream, where Responses have a code.
    pub(crate) fn kind_within(&self, kind: &str) -> String {
        match (self.speaks, kind) {
            (Speaks::Messages, "upstream_error") => "api_error",
            (Speaks::Responses, "upstream_error" | "timeout_error") => "server_error",
            (Speaks::Responses, "overloaded_error") if self.translated => "server_is_overloaded",
            _ => kind,
        }
        .to_owned()
    }

    /// Kong's name of the operation that answers it.
    pub(crate) fn route(&self) -> &'static str {
        match (self.speaks, self.translated) {
            (Speaks::Responses, false) => "llm/v1/responses",
            _ => "llm/v1/chat",
        }
    }
}
