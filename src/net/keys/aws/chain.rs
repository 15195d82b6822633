//! Amazon's own libraries: where keys may be, and the token service that assumes roles. They run over our client.

use std::{error::Error, sync::Arc};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider, provider_config::ProviderConfig, retry::RetryConfig,
    sts::AssumeRoleProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_runtime_api::client::{
    http::{
        HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector, http_client_fn,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::{body::SdkBody, error::metadata::ErrorMetadata};
use bytes::Bytes;

use super::{AtHand, region};
use crate::{
    keys::AwsWanted,
    net::keys::{
        Fetched, Source,
        call::{call, dial},
        wanted::{causes, one_line},
    },
    transport::{Dial, Transport, TransportError},
};

/// Of a role's session, where the profile names none.
const SESSION: &str = "aiproxy";

/// A metadata service is asked for a second each time; more than two tries only make people wait.
const TRIES: u32 = 2;

/// Where a role is asked for if nobody names a region: the token service's oldest.
const ANY_REGION: &str = "us-east-1";

/// Asks the chain, or takes the keys at hand, and assumes the role if one is wanted.
pub(super) async fn fetch(source: &Source, wanted: &AwsWanted) -> Result<Fetched, String> {
    let at_hand = AtHand::find(wanted, source)?;
    let has_keys = at_hand.is_some();
    let config = configure(source, wanted, at_hand).await;
    let base = config
        .credentials_provider()
        .ok_or("AWS names no credentials")?;
    let found = match &wanted.role_arn {
        None => base
            .provide_credentials()
            .await
            .map_err(|error| explain(&error, source))?,
        Some(role) => {
            let base =
                Credentials::clone(&base.provide_credentials().await.map_err(|error| {
                    format!("cannot assume {role}: {}", explain(&error, source))
                })?);
            assume(config.clone(), wanted, role, base)
                .await
                .map_err(|error| {
                    format!(
                        "AWS did not let {} assume {role}: {}",
                        if has_keys {
                            "these access keys"
                        } else {
                            "the machine's credentials"
                        },
                        said(&error)
                    )
                })?
        }
    };
    let keys = AtHand {
        access_key_id: found.access_key_id().to_owned(),
        secret_access_key: found.secret_access_key().to_owned(),
        session_token: found.session_token().map(ToOwned::to_owned),
    };
    Ok(Fetched {
        expires: found.expiry(),
        credential: keys.into_credential(config.region().map(ToString::to_string)),
    })
}

async fn configure(source: &Source, wanted: &AwsWanted, at_hand: Option<AtHand>) -> SdkConfig {
    let profile = source.variable("AWS_PROFILE");
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(over(&source.net))
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES));
    if let Some(profile) = &profile {
        loader = loader.profile_name(profile);
    }
    let files = files(source);
    if let Some(files) = files.clone() {
        loader = loader.profile_files(files);
    }
    let named = region(wanted, source).map(Region::new);
    if named.is_some() || at_hand.is_some() {
        // With keys at hand this may be no machine of Amazon's: its metadata service is not asked for a region.
        let mut of_profile =
            ProfileFileRegionProvider::builder().configure(&ProviderConfig::default());
        if let Some(profile) = profile {
            of_profile = of_profile.profile_name(profile);
        }
        if let Some(files) = files {
            of_profile = of_profile.profile_files(files);
        }
        loader = loader.region(RegionProviderChain::first_try(named).or_else(of_profile.build()));
    }
    if let Some(keys) = at_hand {
        loader = loader.credentials_provider(Credentials::new(
            keys.access_key_id,
            keys.secret_access_key,
            keys.session_token,
            None,
            "aiproxy",
        ));
    }
    loader.load().await
}

/// AWS's configuration files, if the environment names others than the usual ones.
fn files(source: &Source) -> Option<EnvConfigFiles> {
    let config = source.variable("AWS_CONFIG_FILE");
    let credentials = source.variable("AWS_SHARED_CREDENTIALS_FILE");
    if config.is_none() && credentials.is_none() {
        return None;
    }
    let at_home = |path: String| match (path.strip_prefix("~/"), source.variable("HOME")) {
        (Some(rest), Some(home)) => format!("{home}/{rest}"),
        _ => path,
    };
    let mut files = EnvConfigFiles::builder()
        .include_default_config_file(config.is_none())
        .include_default_credentials_file(credentials.is_none());
    for (kind, path) in [
        (EnvConfigFileKind::Config, config),
        (EnvConfigFileKind::Credentials, credentials),
    ] {
        if let Some(path) = path {
            files = files.with_file(kind, at_home(path));
        }
    }
    Some(files.build())
}

async fn assume(
    config: SdkConfig,
    wanted: &AwsWanted,
    role: &str,
    base: Credentials,
) -> Result<Credentials, CredentialsError> {
    let mut builder = config.into_builder();
    // An endpoint of the environment's or its profile's holds, unless this one is named.
    if let Some(endpoint) = &wanted.sts_endpoint {
        builder.set_endpoint_url(Some(endpoint.clone()));
    }
    builder.set_credentials_provider(Some(SharedCredentialsProvider::new(base.clone())));
    let mut config = builder.build();
    if config.region().is_none() {
        config = config
            .into_builder()
            .region(Region::from_static(ANY_REGION))
            .build();
    }
    AssumeRoleProvider::builder(role)
        .session_name(wanted.role_session_name.as_deref().unwrap_or(SESSION))
        .configure(&config)
        .build_from_provider(base)
        .await
        .provide_credentials()
        .await
}

fn explain(error: &CredentialsError, source: &Source) -> String {
    let files = match source.variable("AWS_PROFILE") {
        Some(profile) => format!("the AWS profile `{profile}`"),
        None => "AWS's configuration files".to_owned(),
    };
    let why = match error {
        // It lists what is said here in fewer words.
        CredentialsError::CredentialsNotLoaded(_) => String::new(),
        error => format!(" ({})", said(error)),
    };
    format!(
        "no credentials of AWS: the environment, {files}, web identity, container and instance gave none{why}; set `aws_access_key_id` and \
         `aws_secret_access_key` or AWS_PROFILE, or run `aws sso login`"
    )
}

/// What the service said, else all causes.
fn said(error: &CredentialsError) -> String {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(said) = error.downcast_ref::<ErrorMetadata>()
            && let (Some(code), Some(message)) = (said.code(), said.message())
        {
            return one_line(&format!("{code}: {message}"));
        }
        next = error.source();
    }
    causes(error)
}

/// Our client for Amazon's libraries.
fn over(net: &Arc<dyn Transport>) -> SharedHttpClient {
    let net = Arc::clone(net);
    http_client_fn(move |settings: &HttpConnectorSettings, _| {
        SharedHttpConnector::new(Connector {
            net: Arc::clone(&net),
            dial: dial(settings.connect_timeout(), settings.read_timeout()),
        })
    })
}

struct Connector {
    net: Arc<dyn Transport>,
    dial: Dial,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (net, dial) = (Arc::clone(&self.net), self.dial.clone());
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            // What credentials are asked for with is never a stream.
            let request =
                request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
            let answer = call(&net, request, &dial)
                .await
                .map_err(|error| match error.downcast_ref::<TransportError>() {
                    Some(
                        TransportError::ConnectTimeout(_) | TransportError::FirstByteTimeout(_),
                    ) => ConnectorError::timeout(error),
                    _ => ConnectorError::io(error),
                })?;
            HttpResponse::try_from(answer.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
