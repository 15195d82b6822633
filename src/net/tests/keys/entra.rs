//! Tokens of Entra's.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{
    keys,
    script::{Everywhere, answer},
    secret, token,
};
use crate::{
    keys::{EntraWanted, Wanted},
    net::{locked, tests::support::Server},
    transport::Body,
};

/// A token service that notes bodies.
async fn issuer() -> (Arc<Everywhere>, Arc<std::sync::Mutex<Vec<String>>>) {
    let bodies = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&bodies);
    let server = Server::http1(move |request: Request<Incoming>| {
        let noted = Arc::clone(&noted);
        async move { issue(request, &noted).await }
    })
    .await;
    (Everywhere::new(&server), bodies)
}

async fn issue(
    request: Request<Incoming>,
    noted: &std::sync::Mutex<Vec<String>>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    locked(noted).push(String::from_utf8_lossy(&body).into_owned());
    if head.uri.path().starts_with("/metadata/") {
        assert_eq!(head.headers["metadata"], "true");
        let query = head.uri.query().unwrap();
        if query.contains("client_id=stranger") {
            return answer(
                400,
                r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
            );
        }
        return answer(
            200,
            r#"{"access_token":"managed","expires_on":"4102444800","resource":"r","token_type":"Bearer","expires_in":"1"}"#,
        );
    }
    answer(
        200,
        r#"{"token_type":"Bearer","expires_in":3600,"ext_expires_in":3600,"access_token":"of-app"}"#,
    )
}

#[tokio::test]
async fn the_environment_fills_in_what_the_profile_leaves_out() {
    let (net, bodies) = issuer().await;
    let environment = [
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", "s"),
    ];
    let keys = keys(net.clone(), &environment);
    let wanted = Wanted::Entra(EntraWanted::default());
    assert_eq!(token(&keys, &wanted).await.unwrap(), "of-app");
    assert_eq!(
        net.asked(),
        ["POST https://login.microsoftonline.com/t/oauth2/v2.0/token"]
    );
    assert_eq!(
        locked(&bodies).as_slice(),
        [
            "client_id=c&client_secret=s&grant_type=client_credentials&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
        ]
    );
    let wanted = Wanted::Entra(EntraWanted {
        client_id: secret("own"),
        client_secret: secret("own-secret"),
        tenant_id: None,
    });
    token(&keys, &wanted).await.unwrap();
    assert!(locked(&bodies)[1].starts_with("client_id=own&client_secret=own-secret&"));
}

#[tokio::test]
async fn a_client_alone_is_a_managed_identity_whatever_the_environment_says() {
    let (net, _) = issuer().await;
    let environment = [
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", "s"),
    ];
    let keys = keys(net.clone(), &environment);
    let wanted = Wanted::Entra(EntraWanted {
        client_id: secret("mine"),
        ..EntraWanted::default()
    });
    assert_eq!(token(&keys, &wanted).await.unwrap(), "managed");
    assert_eq!(
        net.asked(),
        [
            "GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2019-08-01&resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=mine"
        ]
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let (net, _) = issuer().await;
    let keys = keys(net, &[("AZURE_CLIENT_ID", "c")]);
    let wanted = Wanted::Entra(EntraWanted {
        client_secret: secret("s"),
        ..EntraWanted::default()
    });
    assert_eq!(
        token(&keys, &wanted).await.unwrap_err(),
        "`azure_client_secret` is set, but neither `azure_tenant_id` nor the variable AZURE_TENANT_ID"
    );
    let wanted = Wanted::Entra(EntraWanted {
        client_id: secret("stranger"),
        ..EntraWanted::default()
    });
    assert_eq!(
        token(&keys, &wanted).await.unwrap_err(),
        "no token of a managed identity of Azure (The requested identity has not been assigned to this \
         resource); check that the identity of `azure_client_id` is assigned to this machine, or set \
         `azure_client_id`, `azure_client_secret` and `azure_tenant_id` where there is no managed identity"
    );
}
