//! What is wanted, compared by value, and words about it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::keys::{AwsWanted, EntraWanted, GoogleWanted, Wanted};

/// A secret as it is.
pub(super) fn open(secret: Option<&SecretString>) -> Option<&str> {
    secret
        .map(ExposeSecret::expose_secret)
        .filter(|secret| !secret.trim().is_empty())
}

/// Whether two are the same, secrets included.
pub(super) fn same(one: &Wanted, other: &Wanted) -> bool {
    match (one, other) {
        (Wanted::Aws(one), Wanted::Aws(other)) => of_aws(one) == of_aws(other),
        (Wanted::Google(one), Wanted::Google(other)) => of_google(one) == of_google(other),
        (Wanted::Entra(one), Wanted::Entra(other)) => of_entra(one) == of_entra(other),
        _ => false,
    }
}

fn of_aws(wanted: &AwsWanted) -> [Option<&str>; 6] {
    let AwsWanted {
        access_key_id,
        secret_access_key,
        region,
        role_arn,
        role_session_name,
        sts_endpoint,
    } = wanted;
    [
        open(access_key_id.as_ref()),
        open(secret_access_key.as_ref()),
        region.as_deref(),
        role_arn.as_deref(),
        role_session_name.as_deref(),
        sts_endpoint.as_deref(),
    ]
}

fn of_google(wanted: &GoogleWanted) -> [Option<&str>; 3] {
    let GoogleWanted {
        service_account_json,
        metadata_url,
        token_url,
    } = wanted;
    [
        open(service_account_json.as_ref()),
        metadata_url.as_deref(),
        token_url.as_deref(),
    ]
}

fn of_entra(wanted: &EntraWanted) -> [Option<&str>; 3] {
    let EntraWanted {
        client_id,
        client_secret,
        tenant_id,
    } = wanted;
    [client_id, client_secret, tenant_id].map(|secret| open(secret.as_ref()))
}

/// What is shorter opens nothing, and is part of any text.
const SHORTEST: usize = 6;

/// A text of somebody else's without the secrets that were sent there.
pub(super) fn without_secrets(text: String, wanted: &Wanted) -> String {
    let secrets = match wanted {
        Wanted::Aws(wanted) => vec![&wanted.access_key_id, &wanted.secret_access_key],
        Wanted::Google(wanted) => vec![&wanted.service_account_json],
        Wanted::Entra(wanted) => vec![&wanted.client_secret],
    };
    secrets
        .into_iter()
        .filter_map(|secret| open(secret.as_ref()))
        .filter(|secret| secret.len() >= SHORTEST)
        .fold(text, |text, secret| text.replace(secret, "***"))
}

/// Nothing came in time.
pub(super) fn late(wanted: &Wanted, limit: Duration) -> String {
    let (whose, hint) = match wanted {
        Wanted::Aws(_) => (
            "AWS",
            "name `aws_access_key_id` and `aws_secret_access_key`, set `AWS_PROFILE`, or run `aws sso login`",
        ),
        Wanted::Google(_) => (
            "Google Cloud",
            "name `gcp_service_account_json`, or run `gcloud auth application-default login`",
        ),
        Wanted::Entra(_) => (
            "Microsoft Entra",
            "name `azure_client_id`, `azure_client_secret` and `azure_tenant_id`; managed identities exist on Azure only",
        ),
    };
    format!(
        "no credentials of {whose} came within {} s; {hint}",
        limit.as_secs()
    )
}

/// What this build cannot do.
#[cfg(not(feature = "clouds"))]
pub(super) fn not_built(what: &str) -> String {
    format!("{what} need a build with the feature `clouds`, and this one has it not")
}

/// Most of an error of somebody else's that is passed on.
#[cfg(feature = "clouds")]
const LONGEST: usize = 400;

/// An error and its causes on one line, each said once.
#[cfg(feature = "clouds")]
pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        next = error.source();
    }
    one_line(&text)
}

/// A text of somebody else's on one line, of bounded length.
#[cfg(feature = "clouds")]
pub(super) fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", words.get(..end).unwrap_or_default()),
        None => words,
    }
}
