//! Access keys of Amazon's.

use secrecy::ExposeSecret;

use super::{access, keys, secret, token};
use crate::{
    keys::{AwsCredential, AwsWanted, Wanted},
    net::tests::support::client,
};

/// As `ID SECRET SESSION REGION`.
fn written(keys: &AwsCredential) -> String {
    format!(
        "{} {} {} {}",
        keys.access_key_id.expose_secret(),
        keys.secret_access_key.expose_secret(),
        keys.session_token
            .as_ref()
            .map_or("-", ExposeSecret::expose_secret),
        keys.region.as_deref().unwrap_or("-"),
    )
}

fn own(region: Option<&str>) -> AwsWanted {
    AwsWanted {
        access_key_id: secret("AKIAOWN"),
        secret_access_key: secret("own-secret"),
        region: region.map(ToOwned::to_owned),
        ..AwsWanted::default()
    }
}

const ENVIRONMENT: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "AKIAENV"),
    ("AWS_SECRET_ACCESS_KEY", "env-secret"),
    ("AWS_SESSION_TOKEN", "env-session"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_DEFAULT_REGION", "eu-west-2"),
];

#[tokio::test]
async fn keys_at_hand_are_the_profiles_then_the_environments() {
    let keys = keys(client(), ENVIRONMENT);
    for (wanted, expected) in [
        (own(Some("ap-south-1")), "AKIAOWN own-secret - ap-south-1"),
        (own(None), "AKIAOWN own-secret - eu-west-1"),
        (
            AwsWanted::default(),
            "AKIAENV env-secret env-session eu-west-1",
        ),
    ] {
        let found = access(&keys, &Wanted::Aws(wanted)).await.unwrap();
        assert_eq!(written(&found), expected);
    }
}

#[tokio::test]
async fn one_key_of_two_is_a_mistake() {
    let keys = keys(client(), ENVIRONMENT);
    let mut wanted = own(None);
    wanted.secret_access_key = None;
    assert_eq!(
        access(&keys, &Wanted::Aws(wanted)).await.unwrap_err(),
        "`aws_access_key_id` is set without `aws_secret_access_key`; set both or neither"
    );
}

#[tokio::test]
async fn a_key_of_bedrocks_own_comes_before_the_environments_keys_and_after_the_profiles() {
    let mut environment = ENVIRONMENT.to_vec();
    environment.push(("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key"));
    let keys = keys(client(), &environment);
    let wanted = Wanted::Aws(AwsWanted::default());
    assert_eq!(token(&keys, &wanted).await.unwrap(), "bedrock-key");
    let found = access(&keys, &Wanted::Aws(own(None))).await.unwrap();
    assert_eq!(written(&found), "AKIAOWN own-secret - eu-west-1");
}

#[cfg(not(feature = "clouds"))]
#[tokio::test]
async fn without_the_feature_the_rest_is_an_error_that_names_it() {
    let keys = keys(client(), &[]);
    let nothing = access(&keys, &Wanted::Aws(AwsWanted::default()))
        .await
        .unwrap_err();
    let mut role = own(None);
    role.role_arn = Some("arn:aws:iam::1:role/r".to_owned());
    let role = access(&keys, &Wanted::Aws(role)).await.unwrap_err();
    let google = token(&keys, &Wanted::Google(crate::keys::GoogleWanted::default()))
        .await
        .unwrap_err();
    let entra = token(&keys, &Wanted::Entra(crate::keys::EntraWanted::default()))
        .await
        .unwrap_err();
    for error in [nothing, role, google, entra] {
        assert!(
            error.contains("a build with the feature `clouds`"),
            "{error}"
        );
    }
}

#[cfg(feature = "clouds")]
mod chain {
    use std::sync::Arc;

    use http::{Request, Response};
    use http_body_util::BodyExt;
    use hyper::body::Incoming;
    use tempfile::NamedTempFile;

    use super::*;
    use crate::{
        net::{
            CloudKeys, locked,
            tests::{
                keys::script::{Everywhere, answer},
                support::Server,
            },
        },
        transport::Body,
    };

    const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

    /// The token service: what it was asked, and keys for an hour.
    async fn sts() -> (Server, Arc<std::sync::Mutex<Vec<String>>>) {
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let server = Server::http1(move |request: Request<Incoming>| {
            let noted = Arc::clone(&noted);
            async move { assume(request, &noted).await }
        })
        .await;
        (server, asked)
    }

    async fn assume(
        request: Request<Incoming>,
        noted: &std::sync::Mutex<Vec<String>>,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let signed = head.headers["authorization"].to_str().unwrap();
        let (scope, _) = signed.split_once(", SignedHeaders").unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        locked(noted).push(format!("{scope} {body}"));
        if body.contains("forbidden") {
            return answer(
                403,
                "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/u is not authorized \
                 to perform: sts:AssumeRole</Message></Error><RequestId>r</RequestId></ErrorResponse>",
            );
        }
        answer(
            200,
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role-secret\
             </SecretAccessKey><SessionToken>role-session</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\
             </AssumeRoleResult></AssumeRoleResponse>",
        )
    }

    fn role(server: Option<&Server>, arn: &str) -> Wanted {
        Wanted::Aws(AwsWanted {
            role_arn: Some(arn.to_owned()),
            sts_endpoint: server.map(|server| server.url("")),
            ..own(Some("eu-central-1"))
        })
    }

    #[tokio::test]
    async fn a_role_is_assumed_once_with_the_keys_at_hand() {
        let (server, asked) = sts().await;
        let keys = keys(client(), &[]);
        for _ in 0..3 {
            let found = access(&keys, &role(Some(&server), ROLE)).await.unwrap();
            assert_eq!(
                written(&found),
                "ASIAROLE role-secret role-session eu-central-1"
            );
        }
        let asked = locked(&asked).clone();
        assert_eq!(asked.len(), 1);
        assert!(
            asked[0].starts_with("AWS4-HMAC-SHA256 Credential=AKIAOWN/"),
            "{asked:?}"
        );
        assert!(
            asked[0].contains("/eu-central-1/sts/aws4_request "),
            "{asked:?}"
        );
        assert!(
            asked[0].ends_with(
                "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader&RoleSessionName=aiproxy"
            ),
            "{asked:?}"
        );
    }

    #[tokio::test]
    async fn the_regions_own_token_service_is_asked_if_none_is_named() {
        let (server, _) = sts().await;
        let net = Everywhere::new(&server);
        let keys = keys(net.clone(), &[]);
        access(&keys, &role(None, ROLE)).await.unwrap();
        assert_eq!(
            net.asked(),
            ["POST https://sts.eu-central-1.amazonaws.com/"]
        );
    }

    #[tokio::test]
    async fn a_role_that_is_refused_says_why() {
        let (server, _) = sts().await;
        let keys = keys(client(), &[]);
        let wanted = role(Some(&server), "arn:aws:iam::1:role/forbidden");
        let error = access(&keys, &wanted).await.unwrap_err();
        assert_eq!(
            error,
            "AWS did not let these access keys assume arn:aws:iam::1:role/forbidden: AccessDenied: User: arn:aws:iam::1:user/u is not \
             authorized to perform: sts:AssumeRole"
        );
    }

    /// AWS's two files with this content, as variables.
    struct Files(NamedTempFile, NamedTempFile);

    impl Files {
        fn new(config: &str) -> Self {
            let file = NamedTempFile::new().unwrap();
            std::fs::write(file.path(), config).unwrap();
            Files(file, NamedTempFile::new().unwrap())
        }

        fn variables(&self) -> Vec<(&str, &str)> {
            vec![
                ("AWS_CONFIG_FILE", self.0.path().to_str().unwrap()),
                (
                    "AWS_SHARED_CREDENTIALS_FILE",
                    self.1.path().to_str().unwrap(),
                ),
            ]
        }
    }

    #[tokio::test]
    async fn a_profile_of_awss_files_is_taken_with_its_region() {
        let files = Files::new(
            "[profile work]\nregion = eu-north-1\naws_access_key_id = AKIAFILE\naws_secret_access_key = file-secret\n",
        );
        let mut environment = files.variables();
        environment.push(("AWS_PROFILE", "work"));
        let keys = keys(client(), &environment);
        // Keys of the process's environment would come first.
        if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
            let found = access(&keys, &Wanted::Aws(AwsWanted::default())).await;
            assert_eq!(
                written(&found.unwrap()),
                "AKIAFILE file-secret - eu-north-1"
            );
        }
        // The region alone, for keys that the profile gives.
        let found = access(&keys, &Wanted::Aws(own(None))).await.unwrap();
        assert_eq!(written(&found), "AKIAOWN own-secret - eu-north-1");
    }

    /// Whether this process's own environment would have its say: Amazon's libraries read it themselves.
    fn is_set_up() -> bool {
        std::env::vars_os().any(|(name, _)| {
            let name = name.to_string_lossy().into_owned();
            name.starts_with("AWS_") && name != "AWS_CA_BUNDLE"
        })
    }

    /// An instance's metadata service.
    fn instance(request: &Request<Incoming>, has_role: bool) -> Response<Body> {
        let path = request.uri().path();
        if path == "/latest/api/token" {
            let mut response = answer(200, "imds");
            response.headers_mut().insert(
                "x-aws-ec2-metadata-token-ttl-seconds",
                "21600".parse().unwrap(),
            );
            return response;
        }
        assert_eq!(request.headers()["x-aws-ec2-metadata-token"], "imds");
        match path {
            "/latest/meta-data/placement/region" => answer(200, "sa-east-1"),
            _ if !has_role => answer(404, ""),
            _ if path.ends_with("/iam/security-credentials/")
                || path.ends_with("/iam/security-credentials-extended/") =>
            {
                answer(200, "instance-role")
            }
            _ => answer(
                200,
                r#"{"Code":"Success","LastUpdated":"2025-01-01T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIAIMDS","SecretAccessKey":"imds-secret","Token":"imds-session","AccountId":"1","Expiration":"2100-01-01T00:00:00Z"}"#,
            ),
        }
    }

    async fn on_instance(has_role: bool, files: &Files) -> CloudKeys {
        let server = Server::http1(move |request: Request<Incoming>| {
            let response = instance(&request, has_role);
            async move { response }
        })
        .await;
        keys(Everywhere::new(&server), &files.variables())
    }

    #[tokio::test]
    async fn an_instance_gives_its_roles_keys_and_its_region() {
        if is_set_up() {
            return;
        }
        let files = Files::new("");
        let keys = on_instance(true, &files).await;
        let found = access(&keys, &Wanted::Aws(AwsWanted::default())).await;
        assert_eq!(
            written(&found.unwrap()),
            "ASIAIMDS imds-secret imds-session sa-east-1"
        );
    }

    #[tokio::test]
    async fn nothing_found_says_what_was_tried() {
        if is_set_up() {
            return;
        }
        let files = Files::new("");
        let keys = on_instance(false, &files).await;
        let error = access(&keys, &Wanted::Aws(AwsWanted::default()))
            .await
            .unwrap_err();
        assert_eq!(
            error,
            "no credentials of AWS: the environment, AWS's configuration files, web identity, container and instance gave none; set \
             `aws_access_key_id` and `aws_secret_access_key` or AWS_PROFILE, or run `aws sso login`"
        );
    }
}
