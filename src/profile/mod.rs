//! Profiles: files that say which upstream stands behind a name, and how requests reach it.
//!
//! [`lookup`] finds a file, [`source`] reads its syntax into one tree with places, `reader` turns the tree into the
//! types of [`schema`], `rules` checks them across keys. What comes out is a [`Profile`] that cannot be wrong in a way
//! that a file shows. Pure values and bounded file reads: no async, no terminal, and of our own code only the names of
//! the providers.

mod access;
pub mod builtin;
pub mod describe;
mod files;
pub mod keyring;
pub mod load;
pub mod lookup;
pub mod pattern;
mod privacy;
pub mod problem;
mod reader;
mod rules;
pub mod schema;
pub mod secret;
pub mod source;
mod suggest;
pub mod template;
mod tune;
pub mod vault;

use std::{fmt, path::PathBuf, sync::Arc};

pub use access::Access;
pub use lookup::{Fingerprint, Listed, Loaded, Places, Text};
pub use problem::{Place, Problem, ProfileError, SourceLine};
pub use schema::{
    kong::{
        AiProxy, AiRequestTransformer, AiResponseTransformer, Auth, Llm, Logging, Model, Options,
        Target,
    },
    models::ModelMap,
    settings::{Settings, Upstream},
    values::{
        AskUsage, HttpUrl, LlmFormat, OptionsMode, OtherPaths, ParamLocation, ProviderName,
        ResponseStreaming, RoutePath, RouteType, StreamTransform,
    },
};
pub use secret::{MASK, Reference, Secret, SecretRef, UnresolvedSecret};
pub use template::{Lookup, Template, TemplateError};
pub use tune::{Setting, Tuned};
pub use vault::{SystemVault, Vault};

/// One profile, read and checked.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name: the file's, without the extension.
    pub name: Arc<str>,
    /// Where it comes from.
    pub origin: Origin,
    /// What it is for.
    pub description: Option<String>,
    /// Requests go to an LLM. Either this or `upstream` is there.
    pub ai_proxy: Option<AiProxy>,
    /// An LLM rewrites requests.
    pub ai_request_transformer: Option<AiRequestTransformer>,
    /// An LLM rewrites responses.
    pub ai_response_transformer: Option<AiResponseTransformer>,
    /// Requests go to a plain HTTP backend.
    pub upstream: Option<Upstream>,
    /// What Kong does not have.
    pub aiproxy: Settings,
    /// The profile itself says `max_request_body_size`; only then are bodies limited that go through unread.
    pub states_body_limit: bool,
}

/// Where a profile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// The binary itself.
    BuiltIn,
}

impl Profile {
    /// What people are shown as the upstream: the label, else the provider, else the backend's host.
    #[must_use]
    pub fn label(&self) -> &str {
        let host = || {
            self.upstream
                .as_ref()
                .and_then(|upstream| upstream.url.url().host_str())
        };
        match (&self.aiproxy.label, &self.ai_proxy) {
            (Some(label), _) => label,
            (None, Some(proxy)) => proxy.model.provider.as_str(),
            (None, None) => host().unwrap_or_default(),
        }
    }

    /// The model of a request that names none, as the profile writes it.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        let bound = self.ai_proxy.as_ref()?.model.name.as_ref();
        bound
            .map(Template::text)
            .or(self.aiproxy.default_model.as_deref())
    }

    /// A request or response goes through an LLM, so nothing may walk around it.
    #[must_use]
    pub fn has_transformer(&self) -> bool {
        self.ai_request_transformer.is_some() || self.ai_response_transformer.is_some()
    }

    /// One of its plugins has `logging.log_payloads`: bodies go on disk.
    #[must_use]
    pub fn logs_payloads(&self) -> bool {
        self.targets()
            .any(|(_, target)| target.logging.log_payloads)
    }

    /// Every model that the profile talks to, with the key of its table.
    pub fn targets(&self) -> impl Iterator<Item = (&'static str, Target<'_>)> {
        let proxy = self
            .ai_proxy
            .as_ref()
            .map(|proxy| ("ai-proxy", proxy.target()));
        let request = self
            .ai_request_transformer
            .as_ref()
            .map(|t| ("ai-request-transformer.llm", t.llm.target()));
        let response = self
            .ai_response_transformer
            .as_ref()
            .map(|t| ("ai-response-transformer.llm", t.llm.target()));
        [proxy, request, response].into_iter().flatten()
    }

    /// Every secret of the profile with its full key.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &SecretRef)> {
        self.targets().flat_map(|(table, target)| {
            target
                .auth
                .secrets()
                .map(move |(key, secret)| (format!("{table}.auth.{key}"), secret))
        })
    }

    /// The first secret that has no value now; nothing if all have one.
    #[must_use]
    pub fn unresolved(&self, vault: &dyn Vault) -> Option<UnresolvedSecret> {
        self.secrets()
            .find_map(|(_, secret)| secret.resolve(vault).err())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::BuiltIn => f.write_str("built in"),
        }
    }
}
