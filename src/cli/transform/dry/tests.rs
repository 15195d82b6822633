use std::{io, path::Path};

use super::*;
use crate::{
    keys::{AwsWanted, EntraWanted, GoogleWanted},
    profile::{Origin, Text, Vault, source::Syntax},
};

/// Has nothing.
struct Empty;

impl Vault for Empty {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::Error::other("nothing here"))
    }

    fn keyring(&self, _: &str) -> Result<String, String> {
        Err("nothing here".into())
    }
}

const PROFILE: &str = r#"
[ai-proxy]
route_type = "llm/v1/chat"
[ai-proxy.auth]
header_name = "Authorization"
header_value = "Bearer {vault://env/nowhere}"
param_name = "key"
param_value = "sk-a-literal-secret"
param_location = "query"
[ai-proxy.model]
provider = "openai"
[ai-request-transformer]
prompt = "x"
[ai-request-transformer.llm]
route_type = "llm/v1/chat"
auth = { header_name = "Authorization", header_value = "Bearer {vault://env/nowhere}" }
model = { provider = "openai", name = "gpt" }
"#;

#[test]
fn the_final_upstream_needs_no_key_and_a_transformer_does() {
    let text = Text {
        name: "p".into(),
        origin: Origin::BuiltIn,
        syntax: Syntax::Toml,
        bytes: PROFILE.as_bytes().to_vec(),
    };
    let profile = keyless(text.load().unwrap());
    let auth = profile.ai_proxy.unwrap().auth;
    let value = |secret: Option<SecretRef>| {
        let resolved = secret.unwrap().resolve(&Empty).unwrap();
        resolved.expose().to_owned()
    };
    assert_eq!(value(auth.header_name), "Authorization");
    assert_eq!(value(auth.header_value), "Bearer (secret)");
    assert_eq!(value(auth.param_value), "(secret)");
    let transformer = profile.ai_request_transformer.unwrap().llm.auth;
    assert!(transformer.header_value.unwrap().resolve(&Empty).is_err());
}

/// Says what it was asked for.
struct Asked;

impl Keys for Asked {
    fn fetch<'a>(&'a self, _: &'a Wanted) -> Fetching<'a> {
        Box::pin(async { Err("the cloud was asked".to_owned()) })
    }
}

#[tokio::test]
async fn no_cloud_is_asked_for_the_final_upstream() {
    let keys = Keyless(Arc::new(Asked));
    let mask = || Some(SecretString::from(MASK));
    let masked = [
        Wanted::Aws(AwsWanted {
            access_key_id: mask(),
            secret_access_key: mask(),
            role_arn: Some("arn:aws:iam::1:role/r".into()),
            ..AwsWanted::default()
        }),
        Wanted::Google(GoogleWanted {
            service_account_json: mask(),
            ..GoogleWanted::default()
        }),
        Wanted::Entra(EntraWanted {
            client_secret: mask(),
            ..EntraWanted::default()
        }),
    ];
    for wanted in &masked {
        assert!(keys.fetch(wanted).await.is_ok(), "{wanted:?}");
    }
    let own = Wanted::Aws(AwsWanted::default());
    assert_eq!(keys.fetch(&own).await.unwrap_err(), "the cloud was asked");
}
