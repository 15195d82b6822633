//! Credentials of clouds: a scripted token service behind whatever address a cloud's library asks.

mod aws;
#[cfg(feature = "clouds")]
mod entra;
#[cfg(feature = "clouds")]
mod google;
#[cfg(feature = "clouds")]
mod kept;
#[cfg(feature = "clouds")]
mod script;

use std::{collections::HashMap, sync::Arc};

use secrecy::{ExposeSecret, SecretString};

use super::support::soon;
use crate::{
    keys::{AwsCredential, Credential, Keys, Wanted},
    net::{CloudKeys, keys::Variables},
    transport::Transport,
};

/// An environment of these variables alone.
fn variables(pairs: &[(&str, &str)]) -> Variables {
    let pairs: HashMap<String, String> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Arc::new(move |name| pairs.get(name).cloned())
}

fn keys(net: Arc<dyn Transport>, environment: &[(&str, &str)]) -> CloudKeys {
    CloudKeys::new(net, variables(environment))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the fields of what is wanted take it so"
)]
fn secret(text: &str) -> Option<SecretString> {
    Some(SecretString::from(text))
}

async fn token(keys: &CloudKeys, wanted: &Wanted) -> Result<String, String> {
    match soon(keys.fetch(wanted)).await? {
        Credential::Bearer(token) => Ok(token.expose_secret().to_owned()),
        Credential::Aws(_) => panic!("access keys"),
    }
}

async fn access(keys: &CloudKeys, wanted: &Wanted) -> Result<AwsCredential, String> {
    match soon(keys.fetch(wanted)).await? {
        Credential::Aws(keys) => Ok(keys),
        Credential::Bearer(_) => panic!("a token"),
    }
}
