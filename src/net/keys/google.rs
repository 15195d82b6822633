//! Tokens of Google Cloud's: a service account's, a person's, an impersonated account's or a machine's. Google's library fetches and
//! refreshes them with a client of its own; only where a profile names a token endpoint, ours asks it.

use std::{
    path::PathBuf,
    sync::{Mutex, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use google_cloud_auth::{
    build_errors::Error as BuildError,
    credentials::{
        AccessTokenCredentials, external_account, impersonated, mds,
        service_account::{self, AccessSpecifier},
        user_account,
    },
};
use http::{Request, header::CONTENT_TYPE};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    Fetched, Source,
    call::{call, dial},
    wanted::{causes, one_line, open},
};
use crate::{
    keys::{Credential, GoogleWanted},
    net::locked,
};

/// What the tokens are for: all of Google Cloud.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long an assertion is good; Google takes no longer ones.
const ASSERTION: Duration = Duration::from_secs(3600);

/// How far the two clocks may differ before the machine is taken to have slept.
const SLEPT: Duration = Duration::from_secs(30);

/// Google's library with one account, between fetches.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<Account>>);

#[derive(Clone)]
struct Account {
    credentials: AccessTokenCredentials,
    /// By the wall and by the machine's own clock, which stands still while it sleeps. The library goes by the latter, and after a sleep
    /// takes tokens for good that have expired.
    made: (SystemTime, Instant),
}

impl Account {
    fn has_slept(&self, now: SystemTime) -> bool {
        let (wall, own) = self.made;
        let wall = now.duration_since(wall).unwrap_or(Duration::MAX);
        wall.abs_diff(own.elapsed()) > SLEPT
    }
}

/// Where an account's description was found.
struct Found {
    json: Value,
    place: String,
}

/// Asks for a token. The library refreshes its own, so nothing is to be kept here.
pub(super) async fn fetch(
    source: &Source,
    wanted: &GoogleWanted,
    kept: &Kept,
) -> Result<Fetched, String> {
    ring();
    let now = (source.clock)();
    if wanted.token_url.is_some()
        && let Some(found) = find(source, wanted).await?
        && found.json.get("type").and_then(Value::as_str) == Some("service_account")
        && let Some(url) = &wanted.token_url
    {
        return exchange(source, found, url, now).await;
    }
    let at_hand = locked(&kept.0)
        .clone()
        .filter(|account| !account.has_slept(now));
    let account = match at_hand {
        Some(account) => account,
        None => {
            let account = Account {
                credentials: build(source, wanted).await?,
                made: (now, Instant::now()),
            };
            *locked(&kept.0) = Some(account.clone());
            account
        }
    };
    match account.credentials.access_token().await {
        Ok(token) => Ok(Fetched {
            credential: Credential::Bearer(SecretString::from(token.token)),
            expires: Some(now),
        }),
        Err(error) => {
            // The library may hold on to an error for ever.
            *locked(&kept.0) = None;
            Err(explain(source, wanted, &why(&error)).await)
        }
    }
}

/// What the innermost cause is, or what a server said: the layers between are about retries.
fn why(error: &(dyn std::error::Error + 'static)) -> String {
    let mut next = Some(error);
    let mut said = String::new();
    while let Some(error) = next {
        said = error.to_string();
        if let Some((_, body)) = said.split_once("body=<") {
            let body = body.rsplit_once('>').map_or(body, |(body, _)| body);
            return match serde_json::from_str::<Refusal>(body) {
                Ok(refusal) => one_line(&refusal.to_string()),
                Err(_) => one_line(body),
            };
        }
        next = error.source();
    }
    one_line(&said)
}

const HINT: &str = "set `gcp_service_account_json` or GCP_SERVICE_ACCOUNT, or run `gcloud auth application-default login`";

/// Google's library signs and connects with the process's TLS provider.
fn ring() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // An error says that there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

async fn explain(source: &Source, wanted: &GoogleWanted, why: &str) -> String {
    if let Ok(Some(found)) = find(source, wanted).await {
        return format!(
            "Google Cloud gave the account of {} no token ({why}); {HINT}",
            found.place
        );
    }
    let absent = match file(source) {
        Some((path, _)) if wanted.metadata_url.is_none() => {
            format!("{} is not there and ", path.display())
        }
        _ => String::new(),
    };
    format!("no token of Google Cloud: {absent}the metadata server gave none ({why}); {HINT}")
}

async fn build(source: &Source, wanted: &GoogleWanted) -> Result<AccessTokenCredentials, String> {
    let Some(Found { json, place }) = find(source, wanted).await? else {
        let mut builder = mds::Builder::default().with_scopes([SCOPE]);
        if let Some(url) = metadata(source, wanted) {
            builder = builder.with_endpoint(url);
        }
        return builder
            .build_access_token_credentials()
            .map_err(|error| unusable("the metadata server", &error));
    };
    let kind = json.get("type").and_then(Value::as_str).unwrap_or_default();
    let built = match kind {
        "service_account" => service_account::Builder::new(json)
            .with_access_specifier(AccessSpecifier::from_scopes([SCOPE]))
            .build_access_token_credentials(),
        "authorized_user" => user_account::Builder::new(json).build_access_token_credentials(),
        "impersonated_service_account" => impersonated::Builder::new(json)
            .with_scopes([SCOPE])
            .build_access_token_credentials(),
        "external_account" => external_account::Builder::new(json)
            .with_scopes([SCOPE])
            .build_access_token_credentials(),
        other => {
            return Err(format!(
                "{place} has the type `{}`, which aiproxy does not know; {HINT}",
                one_line(other)
            ));
        }
    };
    built.map_err(|error| unusable(&place, &error))
}

fn unusable(place: &str, error: &BuildError) -> String {
    format!(
        "{place} holds no usable account ({}); {HINT}",
        causes(error)
    )
}

/// The metadata server's root, if it is not the usual one.
fn metadata(source: &Source, wanted: &GoogleWanted) -> Option<String> {
    let of_host = || {
        source
            .variable("GCE_METADATA_HOST")
            .map(|host| format!("http://{host}"))
    };
    let url = wanted.metadata_url.clone().or_else(of_host)?;
    let url = url.trim_end_matches('/');
    Some(url.trim_end_matches("/computeMetadata/v1").to_owned())
}

/// The account's description: the profile's, the environment's, a file's; `None` leaves the metadata server.
async fn find(source: &Source, wanted: &GoogleWanted) -> Result<Option<Found>, String> {
    let (text, place) = if let Some(text) = open(wanted.service_account_json.as_ref()) {
        (text.to_owned(), "`gcp_service_account_json`".to_owned())
    } else if wanted.metadata_url.is_some() {
        return Ok(None);
    } else if let Some(text) = source.variable("GCP_SERVICE_ACCOUNT") {
        (text, "GCP_SERVICE_ACCOUNT".to_owned())
    } else {
        let Some((path, named)) = file(source) else {
            return Ok(None);
        };
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => (text, path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {
                return Ok(None);
            }
            Err(error) => {
                return Err(format!(
                    "cannot read {}, the file of Application Default Credentials: {error}",
                    path.display()
                ));
            }
        }
    };
    // The parser's message would quote what it found.
    let json = serde_json::from_str(&text)
        .map_err(|_| format!("{place} is not the JSON of a Google account; {HINT}"))?;
    Ok(Some(Found { json, place }))
}

/// The file of Application Default Credentials, and whether the environment names it.
fn file(source: &Source) -> Option<(PathBuf, bool)> {
    if let Some(path) = source.variable("GOOGLE_APPLICATION_CREDENTIALS") {
        return Some((path.into(), true));
    }
    let folder = match source.variable("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None if cfg!(windows) => PathBuf::from(source.variable("APPDATA")?).join("gcloud"),
        None => PathBuf::from(source.variable("HOME")?).join(".config/gcloud"),
    };
    Some((folder.join("application_default_credentials.json"), false))
}

/// A token endpoint's answer.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
}

/// A token endpoint's refusal.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.error, self.error_description)
    }
}

/// Trades an assertion signed by a service account for a token (RFC 7523).
async fn exchange(
    source: &Source,
    found: Found,
    url: &str,
    now: SystemTime,
) -> Result<Fetched, String> {
    let assertion = assertion(&found, url, now).await?;
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
        .append_pair("assertion", &assertion)
        .finish();
    let request = Request::post(url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .map_err(|_| "`gcp_oauth_token_url` is no URL".to_owned())?;
    let failed = |why: &str| {
        format!(
            "the token endpoint `gcp_oauth_token_url` gave the service account of {} no token ({why})",
            found.place
        )
    };
    let answer = call(&source.net, request, &dial(None, None))
        .await
        .map_err(|error| failed(&causes(error.as_ref())))?;
    let status = answer.status();
    if !status.is_success() {
        let said = serde_json::from_slice::<Refusal>(answer.body())
            .map_or_else(|_| String::new(), |refusal| format!(" {refusal}"));
        return Err(failed(&one_line(&format!("{status}{said}"))));
    }
    let token: Answer = serde_json::from_slice(answer.body())
        .map_err(|_| failed("its answer holds no access_token"))?;
    Ok(Fetched {
        credential: Credential::Bearer(SecretString::from(token.access_token)),
        expires: Some(now + token.expires_in.map_or(ASSERTION, Duration::from_secs)),
    })
}

async fn assertion(found: &Found, audience: &str, now: SystemTime) -> Result<String, String> {
    let field = |name: &str| {
        let value = found.json.get(name).and_then(Value::as_str);
        value.ok_or_else(|| format!("the service account of {} has no `{name}`", found.place))
    };
    let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": field("private_key_id")?});
    let claims = json!({
        "iss": field("client_email")?,
        "scope": SCOPE,
        "aud": audience,
        "iat": issued,
        "exp": issued + ASSERTION.as_secs(),
    });
    let mut token = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(head.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signer = service_account::Builder::new(found.json.clone())
        .build_signer()
        .map_err(|error| unusable(&found.place, &error))?;
    let signature = signer
        .sign(&token)
        .await
        .map_err(|_| format!("the private key of {} cannot sign; {HINT}", found.place))?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
    Ok(token)
}
