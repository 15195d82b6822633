//! Amazon's access keys: the profile's, the environment's, else the chain of Amazon's libraries; and a role assumed with them.

use secrecy::SecretString;

use super::{Fetched, Source, wanted::open};
use crate::keys::{AwsCredential, AwsWanted, Credential};

#[cfg(feature = "clouds")]
mod chain;

/// Access keys that need no fetching.
struct AtHand {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl AtHand {
    /// The profile's, else the environment's.
    fn find(wanted: &AwsWanted, source: &Source) -> Result<Option<Self>, String> {
        let id = open(wanted.access_key_id.as_ref());
        let secret = open(wanted.secret_access_key.as_ref());
        let (id, secret, session_token) = match (id, secret) {
            (Some(id), Some(secret)) => (id.to_owned(), secret.to_owned(), None),
            (Some(_), None) => {
                return Err(
                    "`aws_access_key_id` is set without `aws_secret_access_key`; set both or neither"
                        .to_owned(),
                );
            }
            (None, Some(_)) => {
                return Err(
                    "`aws_secret_access_key` is set without `aws_access_key_id`; set both or neither"
                        .to_owned(),
                );
            }
            (None, None) => {
                let id = source.variable("AWS_ACCESS_KEY_ID");
                let secret = source.variable("AWS_SECRET_ACCESS_KEY");
                match (id, secret) {
                    (Some(id), Some(secret)) => (id, secret, source.variable("AWS_SESSION_TOKEN")),
                    _ => return Ok(None),
                }
            }
        };
        Ok(Some(AtHand {
            access_key_id: id,
            secret_access_key: secret,
            session_token,
        }))
    }

    fn into_credential(self, region: Option<String>) -> Credential {
        Credential::Aws(AwsCredential {
            access_key_id: SecretString::from(self.access_key_id),
            secret_access_key: SecretString::from(self.secret_access_key),
            session_token: self.session_token.map(SecretString::from),
            region,
        })
    }
}

/// The region wanted, else the environment's.
fn region(wanted: &AwsWanted, source: &Source) -> Option<String> {
    wanted
        .region
        .clone()
        .filter(|region| !region.is_empty())
        .or_else(|| source.variable("AWS_REGION"))
        .or_else(|| source.variable("AWS_DEFAULT_REGION"))
}

/// What is there without a fetch. A key of Bedrock's own comes before the environment's access keys, as in Amazon's libraries.
pub(super) fn at_hand(wanted: &AwsWanted, source: &Source) -> Result<Option<Credential>, String> {
    let keys = AtHand::find(wanted, source)?;
    if wanted.role_arn.is_some() {
        return Ok(None);
    }
    if wanted.access_key_id.is_none()
        && let Some(key) = source.variable("AWS_BEARER_TOKEN_BEDROCK")
    {
        return Ok(Some(Credential::Bearer(SecretString::from(key))));
    }
    let region = region(wanted, source);
    // Without the libraries nobody else could name a region.
    if region.is_none() && cfg!(feature = "clouds") {
        return Ok(None);
    }
    Ok(keys.map(|keys| keys.into_credential(region)))
}

/// Asks Amazon's chain, or assumes a role.
pub(super) async fn fetch(source: &Source, wanted: &AwsWanted) -> Result<Fetched, String> {
    #[cfg(feature = "clouds")]
    return chain::fetch(source, wanted).await;
    #[cfg(not(feature = "clouds"))]
    {
        use super::wanted::not_built;
        Err(if wanted.role_arn.is_some() {
            not_built("assumed roles of AWS")
        } else {
            // The next poll of the environment needs no fetch.
            let _ = source;
            format!(
                "no credentials of AWS: neither `aws_access_key_id` and `aws_secret_access_key` nor the variables AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY are set; {}",
                not_built("AWS profiles, SSO and metadata services")
            )
        })
    }
}
