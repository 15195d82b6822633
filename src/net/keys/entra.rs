//! Tokens of Microsoft Entra's: an app's by its secret, a workload's or a managed identity's. Microsoft's library runs over our client.

use std::{future::Future, pin::Pin, str::FromStr, sync::Arc};

use azure_core::{
    credentials::{Secret, TokenCredential},
    error::{Error, ErrorKind},
    http::{
        AsyncRawResponse, Body, ClientOptions, HttpClient, Request, RetryOptions, StatusCode,
        Transport as AzureTransport,
        headers::{HeaderName, HeaderValue, Headers},
    },
};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use bytes::Bytes;
use secrecy::SecretString;

use super::{
    Fetched, Source,
    call::{call, dial},
    wanted::{causes, open},
};
use crate::{
    keys::{Credential, EntraWanted},
    transport::Transport,
};

/// What the tokens are for: Azure's AI services.
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// Whose token is asked for.
enum Who {
    App {
        tenant: String,
        client: String,
        secret: String,
    },
    Workload {
        tenant: String,
        client: String,
        file: String,
    },
    Managed {
        client: Option<String>,
    },
}

impl Who {
    /// The profile's secret makes an app, its client alone names a managed identity. Only where it says nothing the environment decides.
    fn find(source: &Source, wanted: &EntraWanted) -> Result<Self, String> {
        let own = |secret: &Option<SecretString>| open(secret.as_ref()).map(ToOwned::to_owned);
        let client = own(&wanted.client_id);
        let tenant = own(&wanted.tenant_id).or_else(|| source.variable("AZURE_TENANT_ID"));
        if let Some(secret) = own(&wanted.client_secret) {
            let client = client.or_else(|| source.variable("AZURE_CLIENT_ID"));
            let missing = |name: &str| {
                format!(
                    "`azure_client_secret` is set, but neither `azure_{name}` nor the variable AZURE_{}",
                    name.to_uppercase()
                )
            };
            return Ok(Who::App {
                tenant: tenant.ok_or_else(|| missing("tenant_id"))?,
                client: client.ok_or_else(|| missing("client_id"))?,
                secret,
            });
        }
        if client.is_some() {
            return Ok(Who::Managed { client });
        }
        let client = source.variable("AZURE_CLIENT_ID");
        let secret = source.variable("AZURE_CLIENT_SECRET");
        let file = source.variable("AZURE_FEDERATED_TOKEN_FILE");
        Ok(match (tenant, client, secret, file) {
            (Some(tenant), Some(client), Some(secret), _) => Who::App {
                tenant,
                client,
                secret,
            },
            (Some(tenant), Some(client), None, Some(file)) => Who::Workload {
                tenant,
                client,
                file,
            },
            (_, client, _, _) => Who::Managed { client },
        })
    }

    fn credential(
        &self,
        client_options: ClientOptions,
    ) -> azure_core::Result<Arc<dyn TokenCredential>> {
        Ok(match self {
            Who::App {
                tenant,
                client,
                secret,
            } => ClientSecretCredential::new(
                tenant,
                client.clone(),
                Secret::new(secret.clone()),
                Some(ClientSecretCredentialOptions { client_options }),
            )?,
            Who::Workload {
                tenant,
                client,
                file,
            } => WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options },
                client_id: Some(client.clone()),
                tenant_id: Some(tenant.clone()),
                token_file_path: Some(file.into()),
            }))?,
            Who::Managed { client } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client.clone().map(UserAssignedId::ClientId),
                    client_options,
                }))?
            }
        })
    }

    fn explain(&self, error: &Error) -> String {
        let why = causes(error);
        // Its own pointer to a web page says less than what follows here.
        let why = why.split(" To troubleshoot").next().unwrap_or_default();
        let why = why
            .split_once(" authentication failed. ")
            .map_or(why, |(_, why)| why);
        match self {
            Who::App { .. } => format!(
                "Microsoft Entra gave the app no token ({why}); check `azure_client_id`, `azure_client_secret` and `azure_tenant_id`, or \
                 AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID"
            ),
            Who::Workload { .. } => format!(
                "Microsoft Entra gave the workload no token ({why}); check AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_ID and AZURE_TENANT_ID"
            ),
            Who::Managed { client } => format!(
                "no token of a managed identity of Azure ({why}); {}set `azure_client_id`, `azure_client_secret` and `azure_tenant_id` \
                 where there is no managed identity",
                match client {
                    Some(_) =>
                        "check that the identity of `azure_client_id` is assigned to this machine, or ",
                    None => "",
                }
            ),
        }
    }
}

/// Asks for a token.
pub(super) async fn fetch(source: &Source, wanted: &EntraWanted) -> Result<Fetched, String> {
    let who = Who::find(source, wanted)?;
    let options = ClientOptions {
        transport: Some(AzureTransport::new(Arc::new(Over(Arc::clone(&source.net))))),
        // Its retries outlast our limit and would hide what went wrong; the next request tries again.
        retry: RetryOptions::none(),
        ..ClientOptions::default()
    };
    let credential = who
        .credential(options)
        .map_err(|error| who.explain(&error))?;
    let token = credential
        .get_token(&[SCOPE], None)
        .await
        .map_err(|error| who.explain(&error))?;
    Ok(Fetched {
        credential: Credential::Bearer(SecretString::from(token.token.secret())),
        expires: Some(token.expires_on.into()),
    })
}

/// Our client for Microsoft's library.
struct Over(Arc<dyn Transport>);

impl std::fmt::Debug for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Over")
    }
}

impl HttpClient for Over {
    fn execute_request<'life0, 'life1, 'async_trait>(
        &'life0 self,
        request: &'life1 Request,
    ) -> Pin<Box<dyn Future<Output = azure_core::Result<AsyncRawResponse>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let sent = sent(request)?;
            let answer = call(&self.0, sent, &dial(None, None))
                .await
                .map_err(|error| Error::new(ErrorKind::Io, error))?;
            let (head, body) = answer.into_parts();
            let mut headers = Headers::new();
            for (name, value) in &head.headers {
                if let Ok(value) = value.to_str() {
                    headers.insert(
                        HeaderName::from(name.as_str().to_owned()),
                        HeaderValue::from(value.to_owned()),
                    );
                }
            }
            let status = StatusCode::from(head.status.as_u16());
            Ok(AsyncRawResponse::from_bytes(status, headers, body))
        })
    }
}

fn sent(request: &Request) -> azure_core::Result<http::Request<Bytes>> {
    let wrong = |error: http::Error| Error::new(ErrorKind::DataConversion, error);
    let Body::Bytes(body) = request.body() else {
        return Err(Error::with_message(
            ErrorKind::DataConversion,
            "a token request with a streamed body",
        ));
    };
    let method =
        http::Method::from_str(request.method().as_str()).map_err(|error| wrong(error.into()))?;
    let mut builder = http::Request::builder()
        .method(method)
        .uri(request.url().as_str());
    for (name, value) in request.headers().iter() {
        builder = builder.header(name.as_str(), value.as_str());
    }
    builder.body(body.clone()).map_err(wrong)
}
