//! What clouds' credentials do to a request. Fetching them is `net`'s.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use http::{
    HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    request::Parts,
};
use secrecy::ExposeSecret;

use super::Fault;
use crate::keys::{AwsCredential, Credential};

/// `authorization: Bearer TOKEN`.
pub(super) fn bearer(request: &mut Parts, credential: &Credential) -> Result<(), Fault> {
    let Credential::Bearer(token) = credential else {
        return Err(Fault::upstream(
            500,
            "the credentials are access keys, where the provider takes a token",
        ));
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| Fault::upstream(500, "the cloud's token cannot be sent in a header"))?;
    value.set_sensitive(true);
    request.headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// Nobody names a region of Amazon's.
pub(super) fn no_region() -> Fault {
    Fault {
        kind: "configuration_error".into(),
        ..Fault::upstream(
            500,
            "LLM request failed before proxying: no AWS region: set `bedrock.aws_region` in the profile, or `AWS_REGION`",
        )
    }
}

/// Amazon's signature, version 4: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
///
/// It covers method, path, query, body, and of the headers those that no one on the way may change: `host`, `content-type`, `x-amz-*`.
/// The path goes in as it is sent, percent-encoded once more, as for every service but S3.
pub(super) fn sigv4(
    request: &mut Parts,
    body: &[u8],
    keys: &AwsCredential,
    service: &str,
    now: SystemTime,
) -> Result<(), Fault> {
    // Not the error's own text: it can hold a header's value.
    let failed = |what: &str| {
        Fault::upstream(
            500,
            format!("LLM request failed before proxying: the request cannot be signed: {what}"),
        )
    };
    let region = keys.region.as_deref().filter(|region| !region.is_empty());
    let region = region.ok_or_else(no_region)?;
    let host = host(&request.uri).ok_or_else(|| failed("its URL has no host"))?;
    let own = request.headers.get(HOST).map(HeaderValue::to_str);
    let host = match own {
        Some(own) => own.map_err(|_| failed("its host is no text"))?.to_owned(),
        None => host,
    };
    // What an earlier signature left would count as part of this one.
    for name in ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
        request.headers.remove(name);
    }
    request.headers.remove(AUTHORIZATION);

    let identity: Identity = Credentials::new(
        keys.access_key_id.expose_secret(),
        keys.secret_access_key.expose_secret(),
        keys.session_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned()),
        None,
        "aiproxy",
    )
    .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| failed("a parameter is missing"))?
        .into();
    let mut headers = vec![("host", host.as_str())];
    for (name, value) in &request.headers {
        if *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-") {
            let value = value.to_str();
            headers.push((
                name.as_str(),
                value.map_err(|_| failed("a header is no text"))?,
            ));
        }
    }
    let uri = request.uri.to_string();
    let signable = SignableRequest::new(
        request.method.as_str(),
        uri,
        headers.into_iter(),
        SignableBody::Bytes(body),
    )
    .map_err(|_| failed("its URL is none"))?;
    let (instructions, _) = sign(signable, &params)
        .map_err(|_| failed("the credentials cannot be sent in a header"))?
        .into_parts();
    for header in instructions.into_parts().0 {
        let mut value = HeaderValue::from_str(header.value())
            .map_err(|_| failed("the credentials cannot be sent in a header"))?;
        let name = HeaderName::from_static(header.name());
        // The date says nothing; all the rest is a credential, or names one.
        value.set_sensitive(name != "x-amz-date");
        request.headers.insert(name, value);
    }
    Ok(())
}

/// The `host` that clients of HTTP send for a URL: no port where it is the scheme's own.
fn host(uri: &Uri) -> Option<String> {
    let host = uri.host()?;
    let usual = match uri.scheme_str() {
        Some("http") => 80,
        _ => 443,
    };
    Some(match uri.port_u16() {
        Some(port) if port != usual => format!("{host}:{port}"),
        _ => host.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2026-01-31 12:34:56 UTC.
    const NOW: Duration = Duration::from_secs(1_769_862_896);

    fn keys(token: Option<&str>, region: Option<&str>) -> AwsCredential {
        AwsCredential {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: token.map(Into::into),
            region: region.map(str::to_owned),
        }
    }

    fn signed(url: &str, body: &str, keys: &AwsCredential) -> Result<Parts, Fault> {
        let request = http::Request::builder()
            .method("POST")
            .uri(url)
            .header("content-type", "application/json")
            .header("user-agent", "aiproxy")
            .header("authorization", "Bearer the client's own")
            .body(())
            .unwrap();
        let (mut parts, ()) = request.into_parts();
        let now = SystemTime::UNIX_EPOCH + NOW;
        sigv4(&mut parts, body.as_bytes(), keys, "bedrock", now)?;
        Ok(parts)
    }

    /// The signatures are botocore's own: `SigV4Auth(Credentials(KEY, SECRET, TOKEN), "bedrock", REGION).add_auth(AWSRequest("POST", URL,
    /// {"content-type": "application/json"}, BODY))`, at the same second.
    #[test]
    fn signatures_are_botocores() {
        let colon = "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse";
        let bare = "http://127.0.0.1:8080/model/amazon.nova-lite-v1:0/converse";
        let arn = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fab12cd34/converse-stream";
        let query =
            "https://bedrock-runtime.us-east-1.amazonaws.com:443/model/m/converse?b=2%20x&a=%2F&c";
        let body = r#"{"messages":[{"role":"user","content":[{"text":"Hi ☺"}]}]}"#;
        for (url, region, token, signature) in [
            (
                colon,
                "us-east-1",
                None,
                "589d3ff137b31d7e7a570f9797e445ab8db97321d0e7d5f73518d73eff2c12be",
            ),
            (
                bare,
                "us-east-1",
                None,
                "6f9f9e6a984afe89b5064b0b86b6a5039f27223d890fce777905fd8a5ed5380d",
            ),
            (
                arn,
                "eu-west-1",
                Some("IQoJb3JpZ2luX2VjEXAMPLE//token+=="),
                "78de8d9e4071fb4a6f1f96526f4c557f64f6f67a30db31f43d85e131fca8a55f",
            ),
            (
                query,
                "us-east-1",
                None,
                "2045889309837b756ee962d1493715bcf699111aa497e45a04096409901f44ea",
            ),
        ] {
            let parts = signed(url, body, &keys(token, Some(region))).unwrap();
            let names = match token {
                Some(_) => "content-type;host;x-amz-date;x-amz-security-token",
                None => "content-type;host;x-amz-date",
            };
            assert_eq!(
                parts.headers["authorization"],
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260131/{region}/bedrock/aws4_request, \
                     SignedHeaders={names}, Signature={signature}"
                ),
                "{url}"
            );
            assert_eq!(parts.headers["x-amz-date"], "20260131T123456Z");
            assert_eq!(
                parts
                    .headers
                    .get("x-amz-security-token")
                    .map(HeaderValue::as_bytes),
                token.map(str::as_bytes)
            );
            assert!(parts.headers["authorization"].is_sensitive());
        }
    }

    #[test]
    fn credentials_do_not_print() {
        let keys = keys(Some("a session token"), Some("us-east-1"));
        let parts = signed("https://h/model/m/converse", "{}", &keys).unwrap();
        assert!(parts.headers["x-amz-security-token"].is_sensitive());
        let printed = format!("{:?} {keys:?}", parts.headers);
        for secret in ["AKIDEXAMPLE", "wJalr", "a session token", "Signature="] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn without_a_region_nothing_is_signed() {
        for region in [None, Some("")] {
            let fault = signed("https://h/p", "{}", &keys(None, region)).unwrap_err();
            assert_eq!(fault.status, 500);
            assert!(
                fault
                    .message
                    .starts_with("LLM request failed before proxying")
            );
            assert!(fault.message.contains("region"));
        }
    }

    #[test]
    fn keys_that_no_header_can_hold_are_refused_unprinted() {
        let keys = keys(Some("line\nfeed"), Some("us-east-1"));
        let fault = signed("https://h/p", "{}", &keys).unwrap_err();
        assert!(!fault.message.contains("feed"), "{}", fault.message);
    }
}
