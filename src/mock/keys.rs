//! Credentials of clouds that exist nowhere, for the mock that takes any.

use secrecy::SecretString;

use crate::keys::{AwsCredential, Credential, Fetching, Keys, Wanted};

/// Where the mock's Amazon is, unless the profile names a region.
const REGION: &str = "us-east-1";

/// Answers whatever is wanted, at once, with credentials that open nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct MockKeys;

impl Keys for MockKeys {
    fn fetch<'a>(&'a self, wanted: &'a Wanted) -> Fetching<'a> {
        let credential = match wanted {
            Wanted::Aws(wanted) => Credential::Aws(AwsCredential {
                access_key_id: SecretString::from("AKIAMOCK"),
                secret_access_key: SecretString::from("mock-secret"),
                session_token: None,
                region: Some(wanted.region.clone().unwrap_or_else(|| REGION.to_owned())),
            }),
            Wanted::Google(_) | Wanted::Entra(_) => {
                Credential::Bearer(SecretString::from("mock-token"))
            }
        };
        Box::pin(async move { Ok(credential) })
    }
}
