//! The seam through which credentials of clouds come: access keys, and tokens that live for an hour.
//!
//! `net` fetches them; a provider says which it wants and what to do with them. It imports nothing of ours.

use std::{fmt, future::Future, pin::Pin};

use secrecy::SecretString;

/// What a call needs of its cloud. Unset fields are the cloud's own business: environment, configuration files, metadata services.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Access keys of Amazon.
    Aws(AwsWanted),
    /// A token of Google's, for all of Google Cloud.
    Google(GoogleWanted),
    /// A token of Microsoft Entra's, for Azure's AI services.
    Entra(EntraWanted),
}

/// Whose access keys.
#[derive(Clone, Debug, Default)]
pub struct AwsWanted {
    /// Given by the profile, with its secret; without them Amazon's chain is asked (environment, profile, SSO, role, container, instance).
    pub access_key_id: Option<SecretString>,
    /// Its secret.
    pub secret_access_key: Option<SecretString>,
    /// Given by the profile; without it the chain's.
    pub region: Option<String>,
    /// A role to assume with them.
    pub role_arn: Option<String>,
    /// Its session's name.
    pub role_session_name: Option<String>,
    /// The token service, if it is not the region's own.
    pub sts_endpoint: Option<String>,
}

/// Whose token of Google's.
#[derive(Clone, Debug, Default)]
pub struct GoogleWanted {
    /// A service account's key file; without it the variable `GCP_SERVICE_ACCOUNT`, then Application Default Credentials.
    pub service_account_json: Option<SecretString>,
    /// The metadata server, if it is not the usual one.
    pub metadata_url: Option<String>,
    /// The token endpoint, if it is not the usual one.
    pub token_url: Option<String>,
}

/// Whose token of Entra's.
#[derive(Clone, Debug, Default)]
pub struct EntraWanted {
    /// An app's or a user-assigned identity's id.
    pub client_id: Option<SecretString>,
    /// The app's secret; with it and the tenant these are client credentials, without it a managed identity.
    pub client_secret: Option<SecretString>,
    /// The app's tenant.
    pub tenant_id: Option<SecretString>,
}

/// What was fetched. Nothing of it prints.
#[derive(Clone)]
pub enum Credential {
    /// For `authorization: Bearer`.
    Bearer(SecretString),
    /// For a signature.
    Aws(AwsCredential),
}

/// Access keys that may be temporary.
#[derive(Clone)]
pub struct AwsCredential {
    /// Its id; no secret by itself, but not for logs either.
    pub access_key_id: SecretString,
    /// Its secret.
    pub secret_access_key: SecretString,
    /// Of temporary ones.
    pub session_token: Option<SecretString>,
    /// Where to: the region wanted, else the chain's. `None`: nobody names one.
    pub region: Option<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Bearer(_) => "Bearer(secret)",
            Credential::Aws(_) => "Aws(secret)",
        })
    }
}

impl fmt::Debug for AwsCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsCredential(secret)")
    }
}

/// What [`Keys::fetch`] resolves to; the error says for people what was tried and what to do, without a secret.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Credential, String>> + Send + 'a>>;

/// Fetches credentials, and keeps them until shortly before they expire.
pub trait Keys: Send + Sync {
    /// Fetches what is wanted.
    fn fetch<'a>(&'a self, wanted: &'a Wanted) -> Fetching<'a>;
}
