//! The profile's key, and what its cloud gives: fetched just before the call is put together.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};

use super::{Env, Outcome, headers::sensitive};
use crate::{
    dialect::Fault,
    exchange::Hidden,
    keys::{AwsWanted, Credential, EntraWanted, GoogleWanted, Wanted},
    profile::{
        Secret, SecretRef, UnresolvedSecret, Vault,
        schema::{kong::Auth, values::ParamLocation},
    },
    provider::{Cloud, Options},
};

/// What a call is authenticated with, ready to be sent.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    pub(super) param: Option<(String, Secret, ParamLocation)>,
    /// The cloud's own.
    pub(super) cloud: Option<Credential>,
}

impl Secrets {
    /// The values, for what must not show them.
    pub(super) fn values(&self) -> Hidden<'_> {
        let header = self.header.as_ref();
        let header = header.and_then(|(_, value)| std::str::from_utf8(value.as_bytes()).ok());
        let param = self.param.as_ref().map(|(_, value, _)| value.expose());
        let [cloud, token] = match &self.cloud {
            None => [None, None],
            Some(Credential::Bearer(token)) => [Some(token), None],
            Some(Credential::Aws(keys)) => {
                [Some(&keys.secret_access_key), keys.session_token.as_ref()]
            }
        };
        let cloud = cloud.map(ExposeSecret::expose_secret);
        [header, param, cloud, token.map(ExposeSecret::expose_secret)]
    }

    /// Name and place of the parameter, if there is one.
    pub(super) fn param(&self) -> Option<(&str, ParamLocation)> {
        let (name, _, location) = self.param.as_ref()?;
        Some((name, *location))
    }
}

/// Resolves the profile's references, and asks the cloud where the provider lives in one. A region that the profile leaves open is set.
pub(super) async fn resolve(
    env: Env<'_>,
    auth: &Auth,
    options: &mut Options,
    cloud: Option<Cloud>,
    client: &HeaderMap,
) -> Outcome<Secrets> {
    let vault = env.vault;
    let mut secrets = Secrets::default();
    if let (Some(name), Some(value)) = (&auth.header_name, &auth.header_value) {
        let name = secret(vault, name).await?;
        let name: HeaderName = name
            .expose()
            .parse()
            .map_err(|_| unsendable("auth.header_name"))?;
        let value = secret(vault, value).await?;
        let value = sensitive(value.expose()).ok_or_else(|| unsendable("auth.header_value"))?;
        secrets.header = Some((name, value));
    }
    if let (Some(name), Some(value), Some(location)) =
        (&auth.param_name, &auth.param_value, auth.param_location)
    {
        let name = secret(vault, name).await?.expose().to_owned();
        secrets.param = Some((name, secret(vault, value).await?, location));
    }
    let Some(cloud) = cloud else {
        return Ok(secrets);
    };
    if cloud == Cloud::Aws && options.aws_region.is_none() {
        let variable = |name: &str| env.vault.env(name).filter(|value| !value.is_empty());
        options.aws_region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    }
    let keyed = secrets.header.is_some() || secrets.param.is_some();
    let own = auth.allow_override && client.contains_key(AUTHORIZATION);
    let Some(wanted) = wanted(vault, auth, cloud, options, keyed || own).await? else {
        return Ok(secrets);
    };
    let credential = env
        .keys
        .fetch(&wanted)
        .await
        .map_err(|why| configuration(format!("LLM request failed before proxying: {why}")))?;
    if let Credential::Aws(keys) = &credential
        && options.aws_region.is_none()
    {
        options.aws_region.clone_from(&keys.region);
    }
    secrets.cloud = Some(credential);
    Ok(secrets)
}

/// What to ask of the cloud; nothing where the profile has a key, or asks for none.
async fn wanted(
    vault: &Arc<dyn Vault>,
    auth: &Auth,
    cloud: Cloud,
    options: &Options,
    keyed: bool,
) -> Outcome<Option<Wanted>> {
    Ok(match cloud {
        Cloud::Aws if keyed => None,
        Cloud::Aws => {
            let aws = AwsWanted {
                access_key_id: optional(vault, auth.aws_access_key_id.as_ref()).await?,
                secret_access_key: optional(vault, auth.aws_secret_access_key.as_ref()).await?,
                region: options.aws_region.clone(),
                role_arn: options.aws_role_arn.clone(),
                role_session_name: options.aws_role_session_name.clone(),
                sts_endpoint: options.aws_sts_endpoint.clone(),
            };
            Some(Wanted::Aws(aws))
        }
        Cloud::Google if !auth.gcp_use_service_account && keyed => None,
        Cloud::Google if !auth.gcp_use_service_account && options.gemini_project.is_none() => None,
        Cloud::Google => {
            let given = optional(vault, auth.gcp_service_account_json.as_ref()).await?;
            let text = |secret: Option<SecretString>| {
                secret.map(|secret| secret.expose_secret().to_owned())
            };
            Some(Wanted::Google(GoogleWanted {
                service_account_json: given,
                metadata_url: text(optional(vault, auth.gcp_metadata_url.as_ref()).await?),
                token_url: text(optional(vault, auth.gcp_oauth_token_url.as_ref()).await?),
            }))
        }
        Cloud::Entra => {
            let entra = EntraWanted {
                client_id: optional(vault, auth.azure_client_id.as_ref()).await?,
                client_secret: optional(vault, auth.azure_client_secret.as_ref()).await?,
                tenant_id: optional(vault, auth.azure_tenant_id.as_ref()).await?,
            };
            let app = entra.client_secret.is_some() && entra.tenant_id.is_some() && !keyed;
            (auth.azure_use_managed_identity || app).then_some(Wanted::Entra(entra))
        }
    })
}

async fn optional(
    vault: &Arc<dyn Vault>,
    reference: Option<&SecretRef>,
) -> Outcome<Option<SecretString>> {
    let Some(reference) = reference else {
        return Ok(None);
    };
    let value = secret(vault, reference).await?;
    Ok(Some(SecretString::from(value.expose().to_owned())))
}

/// Resolves one reference. Files and key rings can block, so they are asked off the async threads.
async fn secret(vault: &Arc<dyn Vault>, reference: &SecretRef) -> Outcome<Secret> {
    let resolved = if reference
        .references()
        .all(|reference| reference.variable().is_some())
    {
        reference.resolve(&**vault)
    } else {
        let (vault, reference) = (Arc::clone(vault), reference.clone());
        let asked = tokio::task::spawn_blocking(move || reference.resolve(&*vault)).await;
        asked.map_err(|_| configuration("a secret could not be read".into()))?
    };
    resolved.map_err(|error: UnresolvedSecret| configuration(error.to_string()).into())
}

fn configuration(message: String) -> Fault {
    Fault {
        kind: "configuration_error".into(),
        ..Fault::upstream(500, message)
    }
}

fn unsendable(key: &str) -> Fault {
    configuration(format!(
        "the value of `{key}` cannot be sent in a header: it holds a character that headers cannot hold"
    ))
}
