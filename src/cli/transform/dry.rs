//! The pipeline without its last step.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Args,
    input::{self, Input},
};
use crate::{
    dialect::Fault,
    exchange::{Ledger, LlmCall, Recorder, Redactor, Snapshot, Stage},
    keys::{AwsCredential, Credential, Fetching, Keys, Wanted},
    pipeline::{Env, Failure, Payload, prepare, respond},
    profile::{MASK, Profile, SecretRef},
    server::{Effects, inbound, render},
    term::Problem,
    transport::{Body, full},
};

/// What a run came to.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) profile: Arc<str>,
    pub(super) stages: Vec<Snapshot>,
    pub(super) calls: Vec<LlmCall>,
    pub(super) warnings: Vec<String>,
    /// Why it did not come to its end.
    pub(super) failure: Option<Failed>,
}

/// What the client would be told.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) status: u16,
    pub(super) message: String,
    /// The way out, if one is known.
    pub(super) hint: Option<String>,
}

impl Run {
    /// Takes secrets out of what the transformers' LLMs said, and of what became of it.
    pub(super) fn hide(&mut self, redactor: &Redactor) {
        let text = |text: &mut String| {
            if let Cow::Owned(hidden) = redactor.redact(text) {
                *text = hidden;
            }
        };
        let bytes = |bytes: &mut Bytes| {
            let hidden = std::str::from_utf8(bytes).ok().and_then(|text| {
                let Cow::Owned(hidden) = redactor.redact(text) else {
                    return None;
                };
                Some(hidden)
            });
            if let Some(hidden) = hidden {
                *bytes = Bytes::from(hidden);
            }
        };
        for stage in &mut self.stages {
            bytes(&mut stage.body);
        }
        for call in &mut self.calls {
            bytes(&mut call.request);
            let texts = [&mut call.answer, &mut call.matched, &mut call.error];
            texts.into_iter().flatten().for_each(text);
        }
        if let Some(failure) = &mut self.failure {
            text(&mut failure.message);
        }
    }
}

/// Takes the body through the profile.
pub(super) async fn run(
    args: &Args,
    input: &Input,
    profile: &Profile,
    effects: &Effects,
) -> Result<Run, Problem> {
    let body = input.body(profile, args.response)?;
    let headers = input::headers(args, profile, &body);
    let profile = Arc::new(keyless(profile.clone()));
    let keys = Keyless(Arc::clone(&effects.keys));
    let env = Env {
        net: &*effects.net,
        vault: &effects.vault,
        keys: &keys,
        now: SystemTime::now(),
    };
    let mut run = Run {
        profile: Arc::clone(&profile.name),
        stages: Vec::new(),
        calls: Vec::new(),
        warnings: Vec::new(),
        failure: None,
    };
    let given = body.clone();
    if args.response {
        // Known before anybody looks at it.
        run.stages.push(Snapshot {
            stage: Stage::Received,
            method: None,
            url: None,
            status: Some(args.status),
            headers: headers.clone(),
            body: body.clone(),
        });
    }
    let (request_headers, request_body) = if args.response {
        (HeaderMap::new(), Bytes::new())
    } else {
        (headers.clone(), body.clone())
    };
    let path = if args.path.is_empty() {
        "/"
    } else {
        &args.path
    };
    let request = Request::builder()
        .method(args.method.clone())
        .uri(path)
        .body(())
        .map_err(|_| {
            Problem::usage(format!("`{path}` is no path")).hint("such as --path /v1/embeddings")
        })?;
    let (mut parts, ()) = request.into_parts();
    parts.headers = request_headers;
    let (mut asked, request_body) = match inbound(&profile, parts, request_body).await {
        Ok(asked) => asked,
        Err(fault) => {
            run.failure = Some(failed(&fault, args, &given));
            return Ok(run);
        }
    };
    asked.llm = !args.no_llm;
    let ingress = asked.ingress;
    let mut recorder = Ledger::new(Vec::new()).open(Arc::clone(&profile.name));
    recorder.watch();
    let mut slot = Some(recorder);
    let ended = if args.response {
        let mut response = Response::new(full(body));
        *response.status_mut() = http::StatusCode::from_u16(args.status).unwrap_or_default();
        *response.headers_mut() = headers;
        match respond(env, asked, response, &mut slot).await {
            Ok(response) => returned(response, &mut run).await,
            Err(failure) => Err(failure),
        }
    } else {
        let recorder = slot
            .as_mut()
            .ok_or_else(|| Problem::new("there is no record"))?;
        prepare(env, &mut asked, Payload::Whole(request_body), recorder)
            .await
            .map(drop)
    };
    if let Some(recorder) = &slot {
        keep(recorder, &mut run);
    }
    if let Err(failure) = ended {
        // An upstream's error that reaches the client as such is no failure of the profile.
        let passed = args.response
            && !(200..300).contains(&args.status)
            && failure.fault.status == args.status
            && run.calls.iter().all(|call| call.error.is_none());
        if !passed {
            run.failure = Some(failed(&failure.fault, args, &given));
        }
        if args.response && returned(render(ingress, *failure), &mut run).await.is_err() {
            return Err(Problem::new("the error has no body"));
        }
    }
    run.stages
        .sort_by_key(|snapshot| Stage::ALL.iter().position(|stage| *stage == snapshot.stage));
    Ok(run)
}

/// What was recorded, beside what is known already.
fn keep(recorder: &Recorder, run: &mut Run) {
    for snapshot in recorder.stages() {
        if run.stages.iter().all(|known| known.stage != snapshot.stage) {
            run.stages.push(snapshot.clone());
        }
    }
    run.calls.extend(recorder.calls());
    run.warnings.extend(recorder.warnings());
}

/// The client's answer, read to its end.
async fn returned(response: Response<Body>, run: &mut Run) -> Result<(), Box<Failure>> {
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| Fault::upstream(502, error.to_string()))?;
    run.stages.push(Snapshot {
        stage: Stage::Returned,
        method: None,
        url: None,
        status: Some(parts.status.as_u16()),
        headers: parts.headers,
        body: body.to_bytes(),
    });
    Ok(())
}

fn failed(fault: &Fault, args: &Args, body: &[u8]) -> Failed {
    let hint = match fault.status {
        // The wording is Kong's and says little; the place says more.
        400 if fault.message.ends_with("bad JSON formatting") => input::not_json(body),
        404 if args.path.is_empty() => Some(
            "--path names the path below the profile, such as --path /v1/embeddings".to_owned(),
        ),
        _ => None,
    };
    // A provider's error of the client's own format goes on as it is; its words are in there.
    let verbatim = fault.verbatim.as_ref().filter(|_| fault.message.is_empty());
    Failed {
        status: fault.status,
        message: match verbatim {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => fault.message.clone(),
        },
        hint,
    }
}

/// The profile with placeholders for the secrets of its final upstream, which is not asked. A transformer keeps its own.
fn keyless(mut profile: Profile) -> Profile {
    let Some(proxy) = &mut profile.ai_proxy else {
        return profile;
    };
    let auth = &mut proxy.auth;
    let mask = |secret: &mut Option<SecretRef>| {
        *secret = secret.as_ref().map(SecretRef::masked);
    };
    for secret in [
        &mut auth.header_value,
        &mut auth.param_value,
        &mut auth.azure_client_id,
        &mut auth.azure_tenant_id,
        &mut auth.azure_client_secret,
    ] {
        mask(secret);
    }
    // With these, no credentials are looked for: `Keyless` answers for them.
    let placeholder = || SecretRef::parse(MASK, None).ok();
    auth.aws_access_key_id = placeholder();
    auth.aws_secret_access_key = placeholder();
    auth.gcp_service_account_json = placeholder();
    (auth.gcp_metadata_url, auth.gcp_oauth_token_url) = (None, None);
    if auth.azure_use_managed_identity {
        auth.azure_client_secret = placeholder();
    }
    profile
}

/// Answers for the placeholders of [`keyless`], and asks the cloud for all others.
struct Keyless(Arc<dyn Keys>);

/// Stands for the region that only the machine's own AWS configuration knows.
const REGION: &str = "your-aws-region";

impl Keys for Keyless {
    fn fetch<'a>(&'a self, wanted: &'a Wanted) -> Fetching<'a> {
        let secret = || SecretString::from(MASK);
        let masked = |given: &Option<SecretString>| {
            given
                .as_ref()
                .is_some_and(|given| given.expose_secret() == MASK)
        };
        let credential = match wanted {
            Wanted::Aws(aws) if masked(&aws.access_key_id) => Credential::Aws(AwsCredential {
                access_key_id: secret(),
                secret_access_key: secret(),
                session_token: None,
                region: aws.region.clone().or_else(|| Some(REGION.to_owned())),
            }),
            Wanted::Google(google) if masked(&google.service_account_json) => {
                Credential::Bearer(secret())
            }
            Wanted::Entra(entra) if masked(&entra.client_secret) => Credential::Bearer(secret()),
            other => return self.0.fetch(other),
        };
        Box::pin(async move { Ok(credential) })
    }
}

#[cfg(test)]
mod tests;
