//! What a request asks for, read from its body as it was sent. Every provider's format has the same few settings under names that are its
//! own: they are looked for wherever formats keep them.

use serde_json::{Map, Value};

use super::span::Span;

/// Objects in which formats keep settings, beside the body itself.
const PLACES: &[&str] = &[
    "generationConfig",
    "generation_config",
    "inferenceConfig",
    "textGenerationConfig",
    "options",
    "parameters",
];

/// A request's settings.
struct Asked<'a>(Vec<&'a Map<String, Value>>);

impl<'a> Asked<'a> {
    fn of(body: &'a Value) -> Option<Asked<'a>> {
        let body = body.as_object()?;
        let inner = PLACES
            .iter()
            .filter_map(|place| body.get(*place)?.as_object());
        Some(Asked(std::iter::once(body).chain(inner).collect()))
    }

    /// The first of these names that is there.
    fn find(&self, names: &[&str]) -> Option<&'a Value> {
        names.iter().find_map(|name| {
            let found = self.0.iter().find_map(|place| place.get(*name));
            found.filter(|value| !value.is_null())
        })
    }

    fn double(&self, names: &[&str]) -> Option<f64> {
        self.find(names)?.as_f64()
    }

    fn int(&self, names: &[&str]) -> Option<i64> {
        self.find(names)?.as_i64()
    }

    fn text(&self, names: &[&str]) -> Option<&'a str> {
        self.find(names)?.as_str()
    }

    /// A value some way down.
    fn below(&self, path: &[&str]) -> Option<&'a Value> {
        let (first, rest) = path.split_first()?;
        let found = self.find(&[first])?;
        rest.iter().try_fold(found, |value, name| value.get(name))
    }

    /// Whether text or JSON is asked for, where that is said.
    fn output(&self) -> Option<&'static str> {
        let kind = [
            &["response_format", "type"][..],
            &["text", "format", "type"],
            &["output_config", "format", "type"],
            &["response_mime_type"],
            &["responseMimeType"],
            &["format"],
        ];
        let kind = kind.iter().find_map(|path| self.below(path))?;
        match kind.as_str() {
            Some("text" | "text/plain") => Some("text"),
            Some("json" | "json_object" | "json_schema" | "application/json") => Some("json"),
            // Ollama's schema.
            None if kind.is_object() => Some("json"),
            _ => None,
        }
    }

    fn reasoning(&self) -> Option<&'a str> {
        let paths = [
            &["reasoning_effort"][..],
            &["reasoning", "effort"],
            &["output_config", "effort"],
            &["thinkingConfig", "thinkingLevel"],
            &["thinking_config", "thinking_level"],
        ];
        paths.iter().find_map(|path| self.below(path)?.as_str())
    }
}

/// Puts on a span what its request asks for.
pub(super) fn put(span: &mut Span, body: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let Some(asked) = Asked::of(&body) else {
        return;
    };
    for (name, names) in [
        ("gen_ai.request.temperature", &["temperature"][..]),
        ("gen_ai.request.top_p", &["top_p", "topP", "p"]),
        (
            "gen_ai.request.frequency_penalty",
            &["frequency_penalty", "frequencyPenalty"],
        ),
        (
            "gen_ai.request.presence_penalty",
            &["presence_penalty", "presencePenalty"],
        ),
    ] {
        span.put_some(name, asked.double(names));
    }
    let limits = [
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "maxTokens",
        "maxOutputTokens",
        "max_tokens_to_sample",
        "max_new_tokens",
        "num_predict",
        "maxTokenCount",
    ];
    for (name, names) in [
        ("gen_ai.request.max_tokens", &limits[..]),
        ("gen_ai.request.top_k", &["top_k", "topK", "k"]),
        ("gen_ai.request.seed", &["seed"]),
        ("gen_ai.embeddings.dimension.count", &["dimensions"]),
    ] {
        span.put_some(name, asked.int(names));
    }
    let count = asked.int(&["n", "candidateCount", "candidate_count", "num_generations"]);
    span.put_some("gen_ai.request.choice.count", count.filter(|n| *n != 1));
    let stop = asked.find(&["stop", "stop_sequences", "stopSequences"]);
    let stop = stop.and_then(|stop| match stop {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(all) => {
            let texts = all.iter().filter_map(Value::as_str).map(str::to_owned);
            Some(texts.collect())
        }
        _ => None,
    });
    span.put_some("gen_ai.request.stop_sequences", stop);
    span.put_some("gen_ai.request.reasoning.level", asked.reasoning());
    span.put_some("gen_ai.output.type", asked.output());
    let previous = asked.text(&["previous_response_id"]);
    span.put_some("gen_ai.request.previous_response.id", previous);
    let encoding = asked.text(&["encoding_format"]);
    let encoding = encoding.map(|encoding| vec![encoding.to_owned()]);
    span.put_some("gen_ai.request.encoding_formats", encoding);
}
