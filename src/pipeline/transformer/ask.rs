//! One body, put to a transformer's LLM.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::{
    Job, Transformer,
    extract::{Extracted, extract},
};
use crate::{
    dialect::{Egress, Fault, Loss, openai_chat::OpenAiChat},
    exchange::{CallLog, Kept, LlmCall, MOST, Recorder, cost, masked, masked_url},
    llm::{ChatResponse, Finish, Format, Part},
    pipeline::{
        Asked, Env, Inbound, Outcome, Prepared, Target,
        answer::{collect, read},
        checks, compose, headers, noting, route,
        secrets::{self, Secrets},
    },
    profile::{
        AiProxy, LlmFormat, Origin, Profile, ResponseStreaming, RouteType, Settings,
        schema::values::GenaiCategory,
    },
    provider::Operation,
    transport::TransportError,
    wire::envelope::Envelope,
};

/// What a transformer made of a text.
pub(in crate::pipeline) struct Rewritten {
    pub(in crate::pipeline) text: String,
    pub(in crate::pipeline) lost: Vec<Loss>,
}

/// A call, ready to be sent.
struct Ready {
    prepared: Prepared,
    secrets: Secrets,
    call: LlmCall,
    log: CallLog,
}

/// Asks the LLM and takes what the pattern matches; `None` where it is not to be asked. The call is recorded either way.
pub(super) async fn rewrite(
    env: Env<'_>,
    job: &Job<'_>,
    text: &str,
    recorder: &mut Recorder,
) -> Outcome<Option<Rewritten>> {
    let transformer = job.transformer;
    let Ready {
        prepared,
        secrets,
        mut call,
        mut log,
    } = ready(env, job, text, recorder).await?;
    let (watched, logged) = (recorder.keeps_stages(), recorder.is_logged());
    if watched {
        let request = prepared.request();
        call.headers = masked(request.headers(), &secrets.values());
        call.request = noting::without_param(&secrets, prepared.wire.as_ref());
    }
    if logged || watched {
        noting::bodies(&mut log.material, &secrets, prepared.wire.as_ref());
    }
    if watched && log.material.request.is_none() {
        // Tokens are counted of it.
        log.material.request = Some(Kept::of(&call.request));
    }
    if !job.llm {
        recorder.called(call, None);
        return Ok(None);
    }
    let format = prepared.plan.egress.map(Egress::format);
    let began = Instant::now();
    let limit = transformer.http_timeout;
    let answered = tokio::time::timeout(limit, answer(env, prepared, limit)).await;
    call.took = began.elapsed();
    let Answered { status, body, read } = answered.unwrap_or_else(|_| Answered {
        read: Err(format!(
            "upstream did not answer within {} ms (http_timeout)",
            limit.as_millis()
        )),
        ..Answered::default()
    });
    call.status = status;
    if watched && let Some(body) = body.as_ref().filter(|body| body.len() <= MOST) {
        call.received = body.clone();
    }
    let material = &mut log.material;
    material.response = body
        .filter(|_| material.payloads)
        .map(|body| Kept::of(&body));
    let mut lost = Vec::new();
    let said = read.and_then(|response| {
        let material = &mut log.material;
        call.usage = response.usage;
        call.cost = response
            .usage
            .and_then(|usage| cost(&usage, material.input_cost, material.output_cost));
        if response.usage.is_none() && (logged && material.statistics || watched) {
            material.said.whole(&response);
        }
        let finish = response.choices.first().and_then(|choice| choice.finish);
        if finish == Some(Finish::Length) {
            lost.push(Loss {
                how: "truncated",
                what: transformer.plugin.into(),
            });
        }
        let said = said(&response, format);
        log.answered_by = response.model;
        said
    });
    let text = match said {
        Ok(text) => taken(&transformer, text, &mut call, watched).await,
        Err(why) => Err(transformer.failed(&why)),
    };
    call.error = text.as_ref().err().map(|fault| fault.message.clone());
    for loss in &lost {
        recorder.warn(loss.to_string());
    }
    recorder.called(call, (logged || watched).then_some(log));
    Ok(Some(Rewritten { text: text?, lost }))
}

/// Route, secrets, compose: as for a client's request in OpenAI's format.
async fn ready(env: Env<'_>, job: &Job<'_>, text: &str, recorder: &Recorder) -> Outcome<Ready> {
    let transformer = job.transformer;
    let proxy = proxy(&transformer);
    let mut inbound = inbound(job);
    let operation = Operation::Chat;
    let mut route = route::route_to(&proxy, None, &job.client, operation)?;
    let nothing =
        Envelope::parse(b"{}").map_err(|error| Fault::upstream(500, error.to_string()))?;
    let decided = route::decide(&inbound, &route, &nothing)?;
    let asked = route.call(&inbound, &decided);
    let (egress, cloud) = (route.provider.egress(&asked), route.provider.cloud(&asked));
    let openai = egress.is_none_or(|egress| egress.format() == Format::OpenAi);
    // Providers of other formats refuse a message without text.
    let text = if text.trim().is_empty() && !openai {
        "(empty)"
    } else {
        text
    };
    let takes_system = egress.is_none_or(|egress| egress.takes_system(&decided.model));
    let messages = messages(transformer.prompt, text, takes_system);
    let body = Bytes::from(json!({"messages": messages, "stream": false}).to_string());
    let trace = recorder.trace_call(&mut inbound.headers, &body);
    let request = checks::check(&inbound, &body)?;
    let secrets =
        secrets::resolve(env, route.auth, &mut route.options, cloud, &inbound.headers).await?;
    let material = noting::material(&route, &decided, egress.is_some());
    recorder.secrets(secrets.values().into_iter().flatten());
    let mut prepared = compose::compose(
        &compose::Ingredients {
            inbound: &inbound,
            route: &route,
            decided: &decided,
            secrets: &secrets,
            now: env.now,
            exchange: Some(recorder.id()),
        },
        request,
        &body,
    )?;
    let dial = &mut prepared.dial;
    dial.verify = transformer.https_verify;
    dial.http_proxy = Transformer::proxy(transformer.http_proxy);
    dial.https_proxy = Transformer::proxy(transformer.https_proxy);
    let param = secrets.param().map(|(name, _)| name);
    let url = prepared.request.uri().to_string();
    let call = LlmCall {
        plugin: transformer.plugin,
        provider: route.provider.name().to_owned(),
        model: decided.model.clone(),
        url: masked_url(&url, param.as_slice()),
        pattern: transformer.pattern.map(str::to_owned),
        trace,
        ..LlmCall::default()
    };
    let log = CallLog {
        material,
        ..CallLog::default()
    };
    Ok(Ready {
        prepared,
        secrets,
        call,
        log,
    })
}

/// Kong's two messages; its three for models that know no system role.
fn messages(prompt: &str, text: &str, takes_system: bool) -> Value {
    if takes_system {
        json!([{"role": "system", "content": prompt}, {"role": "user", "content": text}])
    } else {
        json!([
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": "What is the message?"},
            {"role": "user", "content": text},
        ])
    }
}

/// The plugin's `llm` as what it says the same as.
fn proxy(transformer: &Transformer<'_>) -> AiProxy {
    let llm = transformer.llm;
    AiProxy {
        route_type: RouteType::Chat,
        auth: llm.auth.clone(),
        model: llm.model.clone(),
        logging: llm.logging.clone(),
        response_streaming: ResponseStreaming::Deny,
        llm_format: LlmFormat::Openai,
        genai_category: GenaiCategory::TextGeneration,
        max_request_body_size: 0,
        model_name_header: false,
    }
}

/// A request of nobody's but the plugin's own: of the client's headers at most the credentials go along, where `allow_override` says so.
fn inbound(job: &Job<'_>) -> Inbound {
    let transformer = job.transformer;
    let settings = job.settings;
    let own = Settings {
        base_url: None,
        default_model: None,
        connect_timeout: settings.connect_timeout.min(transformer.http_timeout),
        first_byte_timeout: transformer.http_timeout,
        idle_timeout: transformer.http_timeout,
        http2: settings.http2,
        ..Settings::default()
    };
    let headers = if transformer.llm.auth.allow_override {
        headers::credentials(job.client.headers)
    } else {
        HeaderMap::new()
    };
    Inbound {
        profile: Arc::new(Profile {
            name: transformer.plugin.into(),
            origin: Origin::BuiltIn,
            description: None,
            ai_proxy: None,
            ai_request_transformer: None,
            ai_response_transformer: None,
            upstream: None,
            aiproxy: own,
            states_body_limit: false,
        }),
        ingress: &OpenAiChat,
        target: Target::Operation(Operation::Chat, Operation::Chat.path().to_owned()),
        native: None,
        asked: Asked::Body,
        method: Method::POST,
        query: None,
        headers,
        captures: Vec::new(),
        earlier: None,
        llm: true,
    }
}

/// What came of a call.
struct Answered {
    status: Option<u16>,
    body: Option<Bytes>,
    read: Result<ChatResponse, String>,
}

impl Default for Answered {
    fn default() -> Self {
        Answered {
            status: None,
            body: None,
            read: Err(String::new()),
        }
    }
}

/// Sends and reads. Dropping the future cancels the request.
async fn answer(env: Env<'_>, prepared: Prepared, limit: Duration) -> Answered {
    let Prepared {
        request,
        dial,
        plan,
        ..
    } = prepared;
    let response = match env.net.send(request, &dial).await {
        Ok(response) => response,
        Err(error) => {
            let key = match &error {
                TransportError::ConnectTimeout(waited) if *waited < limit => " (connect_timeout)",
                TransportError::ConnectTimeout(_) | TransportError::FirstByteTimeout(_) => {
                    " (http_timeout)"
                }
                TransportError::Connect(_)
                | TransportError::Broken(_)
                | TransportError::Unrecorded(_) => "",
            };
            return Answered {
                read: Err(format!("{error}{key}")),
                ..Answered::default()
            };
        }
    };
    let (parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    let told = |why: &str| match parts.status.is_success() {
        true => why.to_owned(),
        false => format!("{} answered {status}: {why}", plan.provider),
    };
    // The caller's limit is of all of it, so that the silence inside the body never counts first.
    let body = match collect(&parts.headers, body, limit.saturating_mul(2)).await {
        Ok(body) => body.inflated,
        Err(fault) => {
            return Answered {
                status: Some(status),
                read: Err(told(&fault.message)),
                ..Answered::default()
            };
        }
    };
    let read = match plan.egress {
        Some(egress) => read(&parts, &body, &plan, egress)
            .map(|read| read.response)
            .map_err(|fault| told(&fault.message)),
        None => Err(format!("no transformer for {}", plan.provider)),
    };
    Answered {
        status: Some(status),
        body: Some(body),
        read,
    }
}

/// The text of an answer that is whole.
fn said(response: &ChatResponse, format: Option<Format>) -> Result<String, String> {
    let Some(choice) = response.choices.first() else {
        return Err("no 'choices' in upstream AI service response".into());
    };
    if choice.finish == Some(Finish::ContentFilter) {
        // Kong's words.
        let words = match format {
            Some(Format::Gemini) => {
                "transformation generation candidate breached Gemini content safety"
            }
            _ => "the answer was stopped by the provider's content filter",
        };
        return Err(words.into());
    }
    let refusal = choice.parts.iter().find_map(|part| match part {
        Part::Refusal(text) => Some(text),
        _ => None,
    });
    let is_text = |part: &Part| matches!(part, Part::Text(_));
    match refusal {
        _ if choice.parts.iter().any(is_text) => Ok(response.text()),
        Some(refusal) => Err(format!("the model refused: {refusal}")),
        None => Err("the model's answer has no text".into()),
    }
}

/// What the pattern takes of it; all of it without one.
async fn taken(
    transformer: &Transformer<'_>,
    text: String,
    call: &mut LlmCall,
    watched: bool,
) -> Result<String, Fault> {
    call.answer = watched.then(|| text.clone());
    let Some(pattern) = transformer.pattern else {
        return Ok(text);
    };
    let key = format!("{}.transformation_extract_pattern", transformer.plugin);
    let fault = |message: String| Fault {
        param: Some(key),
        ..Fault::upstream(400, message)
    };
    match extract(pattern, &text).await {
        Extracted::Match(found) => {
            call.matched = watched.then(|| found.clone());
            Ok(found)
        }
        // Kong's words, both.
        Extracted::Nothing => Err(fault(
            "AI response did not match specified regular expression".into(),
        )),
        Extracted::Failed(why) => Err(fault(format!("failed regex matching ai response: {why}"))),
    }
}
