//! Tokens of Google Cloud's.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use url::form_urlencoded;

use super::{keys, script::answer, secret, token};
use crate::{
    keys::{GoogleWanted, Wanted},
    net::{
        locked,
        tests::support::{Server, bind, client},
    },
    transport::Body,
};

/// Opens nothing: made for these tests. Without its PEM frame, which scanners of repositories take for a leak.
const KEY: &str = include_str!("google_key.txt");

fn account() -> Value {
    let mut pem = String::from("-----BEGIN PRIVATE");
    pem.push_str(" KEY-----\n");
    for line in KEY.trim().as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).unwrap());
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE");
    pem.push_str(" KEY-----\n");
    json!({
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "key-1",
        "private_key": pem,
        "client_email": "robot@p.iam.gserviceaccount.com",
    })
}

fn wanted(account: &str, token_url: Option<String>) -> Wanted {
    Wanted::Google(GoogleWanted {
        service_account_json: secret(account),
        token_url,
        ..GoogleWanted::default()
    })
}

/// The claims of an assertion or a token.
fn claims(token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(URL_SAFE_NO_PAD.decode(parts[2]).unwrap().len(), 256);
    let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (read(parts[0]), read(parts[1]))
}

#[tokio::test]
async fn a_service_account_signs_its_own_token() {
    let keys = keys(client(), &[]);
    let wanted = wanted(&account().to_string(), None);
    let first = token(&keys, &wanted).await.unwrap();
    let (_, claims) = claims(&first);
    assert_eq!(claims["iss"], "robot@p.iam.gserviceaccount.com");
    assert_eq!(
        claims["scope"],
        "https://www.googleapis.com/auth/cloud-platform"
    );
    assert_eq!(token(&keys, &wanted).await.unwrap(), first);
}

#[tokio::test]
async fn the_environment_gives_an_account_too() {
    let account = account().to_string();
    let keys = keys(client(), &[("GCP_SERVICE_ACCOUNT", &account)]);
    let wanted = Wanted::Google(GoogleWanted::default());
    let (_, claims) = claims(&token(&keys, &wanted).await.unwrap());
    assert_eq!(claims["iss"], "robot@p.iam.gserviceaccount.com");
}

async fn trade(
    request: Request<Incoming>,
    noted: &std::sync::Mutex<Vec<String>>,
) -> Response<Body> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    assert_eq!(fields[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let number = {
        let mut noted = locked(noted);
        noted.push(fields[1].1.clone());
        noted.len()
    };
    if number == 1 {
        return answer(
            400,
            r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
        );
    }
    answer(
        200,
        format!(r#"{{"access_token":"traded-{number}","expires_in":3599,"token_type":"Bearer"}}"#),
    )
}

#[tokio::test]
async fn a_token_endpoint_trades_an_assertion_for_a_token_that_is_kept() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let server = Server::http1(move |request: Request<Incoming>| {
        let noted = Arc::clone(&noted);
        async move { trade(request, &noted).await }
    })
    .await;
    let url = server.url("/token");
    let wanted = wanted(&account().to_string(), Some(url.clone()));
    let keys = keys(client(), &[]);
    assert_eq!(
        token(&keys, &wanted).await.unwrap_err(),
        "the token endpoint `gcp_oauth_token_url` gave the service account of `gcp_service_account_json` no token (400 Bad Request \
         invalid_grant: Invalid JWT Signature.)"
    );
    assert_eq!(token(&keys, &wanted).await.unwrap(), "traded-2");
    assert_eq!(token(&keys, &wanted).await.unwrap(), "traded-2");
    let (head, claims) = claims(&locked(&asked)[1]);
    assert_eq!(head, json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
    assert_eq!(claims["aud"], url);
    assert_eq!(claims["iss"], "robot@p.iam.gserviceaccount.com");
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life, 3600);
}

#[tokio::test]
async fn a_metadata_server_is_asked_once() {
    // Google's library lets this variable win.
    if std::env::var_os("GCE_METADATA_HOST").is_some() {
        return;
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = Server::http1(move |request: Request<Incoming>| {
        assert_eq!(request.headers()["metadata-flavor"], "Google");
        assert_eq!(
            request.uri().path(),
            "/computeMetadata/v1/instance/service-accounts/default/token"
        );
        count.fetch_add(1, Ordering::SeqCst);
        async {
            answer(
                200,
                r#"{"access_token":"of-machine","expires_in":3599,"token_type":"Bearer"}"#,
            )
        }
    })
    .await;
    let keys = keys(client(), &[("GCP_SERVICE_ACCOUNT", "not asked")]);
    let wanted = Wanted::Google(GoogleWanted {
        metadata_url: Some(server.url("/computeMetadata/v1/")),
        ..GoogleWanted::default()
    });
    for _ in 0..3 {
        assert_eq!(token(&keys, &wanted).await.unwrap(), "of-machine");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_person_is_found_by_the_file_of_default_credentials() {
    let server = Server::http1(|request: Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        if body.contains("gone-token") {
            return answer(
                400,
                r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
            );
        }
        assert!(body.contains("refresh-me"), "{body}");
        answer(
            200,
            r#"{"access_token":"of-person","expires_in":3599,"token_type":"Bearer"}"#,
        )
    })
    .await;
    let person = |refresh_token: &str| {
        json!({
            "type": "authorized_user",
            "client_id": "c",
            "client_secret": "s",
            "refresh_token": refresh_token,
            "token_uri": server.url("/token"),
        })
    };
    for (refresh_token, expected) in [
        ("refresh-me", Ok("of-person")),
        (
            "gone-token",
            Err("invalid_grant: Token has been expired or revoked."),
        ),
    ] {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(person(refresh_token).to_string().as_bytes())
            .unwrap();
        let path = file.path().to_str().unwrap();
        let keys = keys(client(), &[("GOOGLE_APPLICATION_CREDENTIALS", path)]);
        let wanted = Wanted::Google(GoogleWanted::default());
        let expected = expected.map(ToOwned::to_owned).map_err(|why| {
            format!(
                "Google Cloud gave the account of {path} no token ({why}); set `gcp_service_account_json` or GCP_SERVICE_ACCOUNT, or run \
                 `gcloud auth application-default login`"
            )
        });
        assert_eq!(token(&keys, &wanted).await, expected);
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_account_is_said_without_it() {
    let nobody = keys(
        client(),
        &[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/adc.json")],
    );
    let gone = token(&nobody, &Wanted::Google(GoogleWanted::default())).await;
    assert_eq!(
        gone.unwrap_err(),
        "cannot read /nowhere/adc.json, the file of Application Default Credentials: No such file or directory (os error 2)"
    );
    let mut broken = account();
    broken["private_key"] = json!("top-secret");
    for account in ["{\"top-secret", "{\"type\":\"top\"}", &broken.to_string()] {
        let error = token(&nobody, &wanted(account, None)).await.unwrap_err();
        assert!(error.contains("`gcp_service_account_json`"), "{error}");
        assert!(
            error.ends_with("`gcloud auth application-default login`"),
            "{error}"
        );
        assert!(!error.contains("top-secret"), "{error}");
    }
}

#[tokio::test]
async fn a_machine_of_nobodys_says_what_was_tried() {
    if std::env::var_os("GCE_METADATA_HOST").is_some() {
        return;
    }
    let (listener, address) = bind().await;
    drop(listener);
    let host = address.to_string();
    let keys = keys(
        client(),
        &[("GCE_METADATA_HOST", &host), ("HOME", "/nowhere")],
    );
    let error = token(&keys, &Wanted::Google(GoogleWanted::default())).await;
    assert_eq!(
        error.unwrap_err(),
        "no token of Google Cloud: /nowhere/.config/gcloud/application_default_credentials.json is not there and the metadata server gave \
         none (Connection refused (os error 111)); set `gcp_service_account_json` or GCP_SERVICE_ACCOUNT, or run `gcloud auth \
         application-default login`"
    );
}
