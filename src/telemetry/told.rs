//! An exchange as spans: one of its own by the conventions of generative AI
//! (<https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/client-inference.md>), and below it one for each call of
//! a transformer's LLM and one for each attempt of the request upstream.

use std::time::{Duration, SystemTime};

use url::Url;

use super::{
    asked, said,
    span::{Kind, Span},
};
use crate::exchange::{
    Ended, ErrorKind, Exchange, LlmCall, Redactor, Stage, masked_url,
    told::Summary,
    trace::{self, SpanId, Trace},
};

/// The spans of an exchange that ended, the exchange's own first; none if they are not wanted. No secret is in them.
pub(super) fn spans(exchange: &Exchange, redactor: &Redactor) -> Vec<Span> {
    let Some(trace) = exchange.trace.as_deref().filter(|trace| trace.is_sampled()) else {
        return Vec::new();
    };
    let told = Told {
        exchange,
        trace,
        redactor,
        summary: exchange.summary(redactor),
    };
    let mut spans = vec![told.whole()];
    spans.extend(exchange.calls.iter().enumerate().filter_map(|(at, call)| {
        let trace = call.trace.as_ref()?;
        Some(told.call(at, call, trace.span))
    }));
    spans.extend(told.unsent());
    spans.extend(told.upstream());
    for span in &mut spans {
        span.redact(redactor);
    }
    spans
}

struct Told<'a> {
    exchange: &'a Exchange,
    trace: &'a Trace,
    redactor: &'a Redactor,
    summary: Summary,
}

impl Told<'_> {
    /// A moment after the beginning.
    fn at(&self, after: Duration) -> u64 {
        nanos(self.exchange.began + after)
    }

    /// A span below the exchange's.
    fn child(&self, id: SpanId, name: String, from: Duration, to: Duration) -> Span {
        Span {
            trace: self.trace.id,
            id,
            parent: Some(self.trace.span),
            remote: false,
            flags: self.trace.flags,
            state: self.trace.state.clone(),
            name,
            kind: Kind::Client,
            start: self.at(from),
            end: self.at(to.max(from)),
            attributes: Vec::new(),
            failed: None,
        }
    }

    /// The exchange's own.
    fn whole(&self) -> Span {
        let exchange = self.exchange;
        let model = &self.summary.model;
        let operation = operation(exchange.operation).filter(|_| !exchange.provider.is_empty());
        let name = match operation {
            Some(operation) if model.is_empty() => operation.to_owned(),
            Some(operation) => format!("{operation} {model}"),
            None => format!("{} {}", exchange.method, exchange.profile),
        };
        let mut span = Span {
            parent: self.trace.parent,
            remote: self.trace.parent.is_some(),
            // The conventions want a client's span of a model's call. What is no call of a model is a request that is served.
            kind: match operation {
                Some(_) => Kind::Client,
                None => Kind::Server,
            },
            ..self.child(self.trace.span, name, Duration::ZERO, exchange.took)
        };
        let url = self.url(Stage::Sent);
        if let Some(operation) = operation {
            span.put("gen_ai.operation.name", operation);
            let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
            span.put("gen_ai.provider.name", provider(exchange.provider, host));
            self.model(&mut span, operation);
        } else {
            span.put("http.request.method", exchange.method.as_str());
            span.put("url.path", self.summary.path.as_str());
            span.put("url.scheme", "http");
        }
        span.put_some("http.response.status_code", exchange.status);
        // Of a request that is served, the server is this one.
        if let (Some(url), Some(_)) = (&url, operation) {
            server(&mut span, url);
        }
        span.put("aiproxy.exchange.id", self.summary.id.as_str());
        span.put("aiproxy.profile", self.summary.profile.as_str());
        span.put("aiproxy.outcome", self.summary.outcome.as_str());
        span.put_some("aiproxy.cost.usd", self.summary.cost);
        if !self.summary.warnings.is_empty() {
            span.put("aiproxy.warnings", self.summary.warnings.clone());
        }
        if exchange.ended() == Ended::Failed {
            span.put("error.type", error(exchange));
            span.failed = Some(self.summary.error.clone().unwrap_or_default());
        }
        span
    }

    /// What the conventions say of a model's call.
    fn model(&self, span: &mut Span, operation: &str) {
        let (exchange, summary) = (self.exchange, &self.summary);
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        span.put_some("gen_ai.request.model", some(&summary.model));
        if exchange.stream {
            span.put("gen_ai.request.stream", true);
        }
        if let Some(body) = exchange.body(Stage::Sent) {
            asked::put(span, &body);
        }
        span.put_some("gen_ai.response.model", some(&summary.answered_by));
        span.put_some("gen_ai.response.id", some(&self.trace.answer));
        let finishes = said::finishes(exchange);
        if operation != "embeddings" && !finishes.is_empty() {
            span.put("gen_ai.response.finish_reasons", finishes);
        }
        if exchange.stream {
            let first = exchange.first_token_after.map(|first| first.as_secs_f64());
            span.put_some("gen_ai.response.time_to_first_chunk", first);
        }
        if let Some(usage) = summary.usage {
            span.put("gen_ai.usage.input_tokens", usage.prompt_tokens);
            span.put("gen_ai.usage.output_tokens", usage.completion_tokens);
            for (name, count) in [
                ("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens),
                (
                    "gen_ai.usage.cache_write.input_tokens",
                    usage.cache_write_tokens,
                ),
                (
                    "gen_ai.usage.reasoning.output_tokens",
                    usage.reasoning_tokens,
                ),
            ] {
                span.put_some(name, (count > 0).then_some(count));
            }
            if usage.estimated {
                span.put("aiproxy.usage.estimated", true);
            }
        }
        if self.trace.has_content() {
            said::put(span, exchange, self.redactor);
        }
    }

    /// The call of a transformer's LLM.
    fn call(&self, at: usize, call: &LlmCall, id: SpanId) -> Span {
        let ended = Duration::from_micros(call.at);
        let name = format!("chat {}", call.model);
        let mut span = self.child(id, name, ended.saturating_sub(call.took), ended);
        let url = Url::parse(&call.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        span.put("gen_ai.operation.name", "chat");
        span.put("gen_ai.provider.name", provider(&call.provider, host));
        span.put("gen_ai.request.model", call.model.as_str());
        asked::put(&mut span, &call.request);
        let log = self.exchange.call_logs.get(at).and_then(Option::as_ref);
        let model = log.map(|log| log.answered_by.clone());
        let model = model.filter(|model| !model.is_empty());
        span.put_some("gen_ai.response.model", model);
        if let Some(usage) = &call.usage {
            span.put("gen_ai.usage.input_tokens", usage.prompt());
            span.put("gen_ai.usage.output_tokens", usage.output);
        }
        if let Some(url) = &url {
            server(&mut span, url);
        }
        span.put_some("http.response.status_code", call.status);
        span.put("aiproxy.plugin", call.plugin);
        let cost = self.exchange.call_cost(call).map(|(cost, _)| cost);
        span.put_some("aiproxy.cost.usd", cost);
        if let Some(why) = &call.error {
            span.put("error.type", status_or(call.status, "transformer"));
            span.failed = Some(why.clone());
        }
        if self.trace.has_content() {
            said::put_call(&mut span, call);
        }
        span
    }

    /// The request upstream, if there was one.
    fn upstream(&self) -> Option<Span> {
        let exchange = self.exchange;
        let sent = exchange.sent_after?;
        // What a transformer did with the answer came after its end.
        let after = exchange.calls.iter().find_map(|call| {
            let began = Duration::from_micros(call.at).saturating_sub(call.took);
            (began >= sent).then_some(began)
        });
        let ended = after.unwrap_or(exchange.took);
        let mut span = self.request(self.trace.upstream, sent, ended);
        let status = exchange.upstream_status;
        span.put_some("http.response.status_code", status);
        if exchange.resent > 0 {
            span.put("http.request.resend_count", u64::from(exchange.resent));
        }
        let broken = status.is_none() || exchange.at == Stage::Received;
        if status.is_some_and(|status| status >= 400) {
            span.put("error.type", status_or(status, "other"));
            span.failed = Some(String::new());
        } else if broken && exchange.ended() == Ended::Failed {
            span.put("error.type", error(exchange));
            span.failed = Some(self.summary.error.clone().unwrap_or_default());
        }
        Some(span)
    }

    /// The attempts before it, each on a connection that turned out to be closed before anything was sent: a span for each, as the conventions
    /// have it. They took no time that anybody measured.
    fn unsent(&self) -> impl Iterator<Item = Span> {
        let sent = self.exchange.sent_after;
        let attempts = sent.map_or(0, |_| self.exchange.resent);
        (0..attempts).map(move |number| {
            let at = sent.unwrap_or_default();
            let mut span = self.request(trace::span(), at, at);
            if number > 0 {
                span.put("http.request.resend_count", u64::from(number));
            }
            span.put("error.type", "connection_closed");
            span.failed = Some(String::from("the connection had closed"));
            span
        })
    }

    /// A request to the upstream.
    fn request(&self, id: SpanId, from: Duration, to: Duration) -> Span {
        let held = self.exchange.stage(Stage::Sent);
        let method = held.and_then(|held| held.method.clone());
        let method = method.unwrap_or_else(|| self.exchange.method.clone());
        let mut span = self.child(id, method.to_string(), from, to);
        span.put("http.request.method", method.as_str());
        if let Some(url) = self.url(Stage::Sent) {
            server(&mut span, &url);
            span.put("url.full", url.as_str());
        }
        span
    }

    /// The URL of a stage, without the profile's key.
    fn url(&self, stage: Stage) -> Option<Url> {
        let url = self.exchange.stage(stage)?.url.as_ref()?;
        let masked = masked_url(&url.text(), self.exchange.param.as_deref().as_slice());
        let mut url = Url::parse(&masked).ok()?;
        // A user in a URL is a credential.
        let _ = (url.set_username(""), url.set_password(None));
        Some(url)
    }
}

fn nanos(at: SystemTime) -> u64 {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn server(span: &mut Span, url: &Url) {
    if let Some(host) = url.host_str() {
        span.put("server.address", host.trim_matches(['[', ']']));
        span.put_some("server.port", url.port_or_known_default());
    }
}

/// The conventions' name of what Kong's route type asks for; nothing of a request that is no call of a model.
fn operation(route_type: &str) -> Option<&'static str> {
    match route_type {
        "llm/v1/chat" | "llm/v1/responses" => Some("chat"),
        "llm/v1/completions" => Some("text_completion"),
        "llm/v1/embeddings" => Some("embeddings"),
        _ => None,
    }
}

/// The conventions' name of a provider: by its host, where a service of its own speaks another's format.
fn provider<'a>(name: &'a str, host: &str) -> &'a str {
    let hosts = [
        ("groq.com", "groq"),
        ("deepseek.com", "deepseek"),
        ("x.ai", "x_ai"),
        ("perplexity.ai", "perplexity"),
        ("moonshot.ai", "moonshot_ai"),
        ("moonshot.cn", "moonshot_ai"),
        ("mistral.ai", "mistral_ai"),
        ("openai.azure.com", "azure.ai.openai"),
        ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ];
    let of_host = hosts.iter().find(|(end, _)| {
        let rest = host.strip_suffix(end);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(['.', '-']))
    });
    if let Some((_, name)) = of_host {
        return name;
    }
    match name {
        "azure" => "azure.ai.openai",
        "bedrock" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        name => name,
    }
}

/// What kind of error an exchange ended with: the upstream's status, if that says so, else a word.
fn error(exchange: &Exchange) -> String {
    let kind = exchange.error_kind().unwrap_or(ErrorKind::Other);
    let status = exchange.upstream_status;
    status_or(
        status.filter(|_| kind != ErrorKind::Transformer),
        kind.name(),
    )
}

fn status_or(status: Option<u16>, word: &str) -> String {
    match status {
        Some(status) if status >= 400 => status.to_string(),
        _ => word.to_owned(),
    }
}
