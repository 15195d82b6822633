//! The response transformer: the upstream's whole answer, in the client's format, becomes what its LLM answers.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};

use super::{Filter, Job, Rewritten, ask, client, instructions, text};
use crate::{
    dialect::{
        Egress, Fault, Ingress, anthropic::Anthropic, anthropic_complete::AnthropicComplete,
        bedrock::Converse, cohere, gemini::Gemini, ollama, openai_chat::OpenAiChat,
        openai_completions::OpenAiCompletions, openai_responses::OpenAiResponses, tgi::Tgi,
    },
    exchange::{Head, Recorder, Stage},
    llm::{ChatResponse, Choice, Finish, Format, Part},
    pipeline::{
        Env, Failure, Outcome, Plan,
        answer::{
            gather, gone, is_stream, media_type, replay, returned, stream_headers, whole,
            whole_unread,
        },
        headers,
        warnings::warn,
    },
    profile::AiResponseTransformer,
    provider::Operation,
    transport::Body,
    wire::Framing,
};

/// How a stream that was asked for came about (SPEC §4.2).
const STREAM: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-aiproxy-stream"),
    HeaderValue::from_static("buffered"),
);

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// What the client gets to see of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// It, as it is.
    Whole,
    /// The events of its format that say the same.
    Events,
    /// A stream of events whose format nobody here knows.
    UnknownEvents,
}

/// Turns the upstream's answer into what the transformer's LLM makes of it. Errors of the upstream are shown to it too.
pub(in crate::pipeline) async fn response(
    env: Env<'_>,
    response: Response<Body>,
    plan: &Plan,
    filter: &Filter,
    slot: &mut Option<Recorder>,
) -> Outcome<Response<Body>> {
    let Some(recorder) = slot.as_mut() else {
        return Err(gone().into());
    };
    let Some(own) = &filter.profile.ai_response_transformer else {
        return Err(Fault::upstream(500, "the response transformer is gone").into());
    };
    let (answer, form) = seen(response, plan, filter, recorder).await?;
    let kept = plan.headers.clone();
    let failed = |failure: Box<Failure>| {
        let mut headers = kept.clone();
        headers.extend(failure.headers);
        Box::new(Failure {
            fault: failure.fault,
            headers,
        })
    };
    recorder.reaching(Stage::ResponseTransformed);
    let (head, body) = answer.into_parts();
    let Some(shown) = text(&body) else {
        let what = "the upstream's answer is binary, or text that is not UTF-8: the response transformer's LLM cannot read it";
        return Err(failed(Fault::upstream(502, what).into()));
    };
    let job = Job {
        transformer: own.into(),
        settings: &filter.profile.aiproxy,
        client: client(&filter.headers, filter.query.as_deref(), &filter.captures),
        llm: filter.llm,
    };
    let rewritten = ask::rewrite(env, &job, shown, recorder)
        .await
        .map_err(&failed)?;
    let Some(Rewritten { text, lost }) = rewritten else {
        return returned(formed(Response::from_parts(head, body), form, plan), slot);
    };
    let mut out = Response::from_parts(head, Bytes::new());
    headers::forget_body(out.headers_mut());
    apply(own, text, &mut out).map_err(|fault| failed(fault.into()))?;
    if !lost.is_empty() {
        let mut all = plan.lost.clone();
        all.extend(lost);
        warn(&all, out.headers_mut());
    }
    recorder.stage(Stage::ResponseTransformed, out.body(), || {
        Head::answer(out.status(), out.headers())
    });
    returned(formed(out, form, plan), slot)
}

/// The answer as the client would get it without the transformer, whole, and the form in which it wants it.
async fn seen(
    response: Response<Body>,
    plan: &Plan,
    filter: &Filter,
    recorder: &mut Recorder,
) -> Outcome<(Response<Bytes>, Form)> {
    let (parts, body) = response.into_parts();
    let form = if filter.replay {
        Form::Events
    } else {
        Form::Whole
    };
    if let Some(egress) = plan.egress {
        let status = parts.status;
        return match whole(parts, body, plan, egress, recorder).await {
            Ok(answer) => Ok((answer, form)),
            Err(failure) if !status.is_success() && failure.fault.status == status.as_u16() => {
                Ok((failure.render(plan.ingress), form))
            }
            Err(failure) => Err(failure),
        };
    }
    let media_type = media_type(&parts.headers).into_owned();
    let mut answer = whole_unread(parts, body, plan, Some(recorder)).await?;
    if !is_stream(&media_type) {
        return Ok((answer, form));
    }
    // A backend that speaks OpenAI's format is understood; of any other stream the text is what there is.
    let chat = gather(&OpenAiChat, Framing::Sse, answer.body());
    let chat = chat.ok().filter(|chat| !chat.choices.is_empty());
    let Some(chat) = chat else {
        return Ok((answer, Form::UnknownEvents));
    };
    *answer.body_mut() = Bytes::from(OpenAiChat.encode_response(&chat));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((answer, Form::Events))
}

/// Puts the LLM's answer in the place of the upstream's.
fn apply(
    own: &AiResponseTransformer,
    text: String,
    out: &mut Response<Bytes>,
) -> Result<(), Fault> {
    let old = out.headers().get(CONTENT_TYPE);
    if !own.parse_llm_response_json_instructions {
        let content_type = headers::content_type_of(&text, old);
        out.headers_mut().insert(CONTENT_TYPE, content_type);
        *out.body_mut() = Bytes::from(text);
        return Ok(());
    }
    let told = instructions::read(&text).map_err(|why| Fault {
        param: Some("ai-response-transformer.parse_llm_response_json_instructions".into()),
        ..Fault::upstream(
            500,
            format!("failed to parse JSON response instructions from AI backend: {why}"),
        )
    })?;
    let content_type = if told.json {
        HeaderValue::from_static("application/json")
    } else {
        headers::content_type_of(&told.body, old)
    };
    out.headers_mut().insert(CONTENT_TYPE, content_type);
    // What frames the message, who may read it in a browser and what aiproxy says of it is not for a model to say.
    let mut given = headers::downstream(&told.headers, true, true);
    headers::forget(&mut given, |name| name.starts_with("x-aiproxy-"));
    out.headers_mut().extend(given);
    *out.status_mut() = told.status;
    let bare = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    *out.body_mut() = if bare.contains(&told.status) {
        Bytes::new()
    } else {
        Bytes::from(told.body)
    };
    Ok(())
}

/// Events, where the client asked for some and the result can be told as such.
fn formed(answer: Response<Bytes>, form: Form, plan: &Plan) -> Response<Bytes> {
    let told = headers::is_text(answer.headers().get(CONTENT_TYPE));
    if form == Form::Whole || !answer.status().is_success() || !told {
        return answer;
    }
    let (head, body) = answer.into_parts();
    if form == Form::UnknownEvents {
        return unknown_events(Response::from_parts(head, body));
    }
    let decoded = of_client(plan).decode_response(&body);
    let chat = match decoded {
        Ok(chat) if !chat.choices.is_empty() => chat,
        _ => {
            let mut chat = said(&body);
            plan.called.answer(&mut chat);
            chat
        }
    };
    let usage = plan.show_usage || plan.egress.is_none() && chat.usage.is_some();
    let mut out = replay(&head.headers, plan, usage, &chat);
    out.headers_mut().remove(CONTENT_LENGTH);
    out.headers_mut().insert(STREAM.0, STREAM.1);
    out
}

/// A stream of events that the LLM may have left one.
fn unknown_events(mut answer: Response<Bytes>) -> Response<Bytes> {
    let events = answer
        .body()
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"data:"));
    let headers: &mut HeaderMap = answer.headers_mut();
    if events {
        headers.insert(CONTENT_TYPE, EVENT_STREAM);
        stream_headers(headers);
    } else {
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        let content_type = headers::content_type_of(&text, None);
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    answer.headers_mut().insert(STREAM.0, STREAM.1);
    answer
}

/// Who reads whole answers of the client's format.
fn of_client(plan: &Plan) -> &'static dyn Egress {
    if let Some(egress) = plan.egress.filter(|_| plan.same_format) {
        return egress;
    }
    let completes = plan.operation == Operation::Completions;
    match plan.ingress.format() {
        Format::Anthropic if completes => &AnthropicComplete,
        Format::Anthropic => &Anthropic,
        Format::Gemini => &Gemini,
        Format::Bedrock => &Converse,
        Format::Cohere if completes => &cohere::Generate,
        Format::Cohere => &cohere::ChatV2,
        Format::Ollama if completes => &ollama::Generate,
        Format::Ollama => &ollama::Ollama,
        Format::HuggingFace => &Tgi,
        Format::OpenAi if completes => &OpenAiCompletions,
        Format::OpenAi => &OpenAiChat,
        Format::Responses => &OpenAiResponses,
    }
}

/// A text that is an answer of no format, as one.
fn said(body: &[u8]) -> ChatResponse {
    ChatResponse {
        choices: vec![Choice {
            parts: vec![Part::Text(String::from_utf8_lossy(body).into_owned())],
            finish: Some(Finish::Stop),
            ..Choice::default()
        }],
        ..ChatResponse::default()
    }
}
