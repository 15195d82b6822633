//! Hugging Face: its router, <https://huggingface.co/docs/inference-providers>, and servers of one's own (Inference Endpoints, TGI, TEI).
//!
//! Chat is OpenAI's everywhere. Completions are text generation and embeddings feature extraction, which the router keeps below a path
//! of each model and a server of one's own answers at its root; a URL of OpenAI's API is asked in OpenAI's format for these too.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::{Call, Fault, Loss, Operation, Provider, join, openai, segment};
use crate::{
    dialect::{
        Egress,
        tgi::{Chat, Tgi},
    },
    wire::envelope::Envelope,
};

pub(super) struct HuggingFace;

/// The router's root for OpenAI's API: <https://huggingface.co/docs/inference-providers/tasks/chat-completion>.
const OPENAI: &str = "https://router.huggingface.co/v1";

/// The router's root for tasks: <https://huggingface.co/docs/inference-providers/providers/hf-inference>.
const MODELS: &str = "https://router.huggingface.co/hf-inference/models";

/// Whether the profile's URL is one of OpenAI's API.
fn speaks_openai(call: &Call<'_>) -> bool {
    let bare = |url: &str| {
        let url = url.split(['?', '#']).next().unwrap_or_default();
        url.trim_end_matches('/').to_owned()
    };
    match (&call.options.upstream_url, &call.options.base_url) {
        (Some(url), _) => bare(url).ends_with(&format!("/v1{}", call.operation.path())),
        (None, Some(base)) => bare(base).ends_with("/v1"),
        (None, None) => false,
    }
}

impl Provider for HuggingFace {
    fn name(&self) -> &'static str {
        "huggingface"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        match call.operation {
            Operation::Chat => Some(&Chat),
            Operation::Completions | Operation::Embeddings if !speaks_openai(call) => Some(&Tgi),
            operation => openai::egress(operation),
        }
    }

    fn root(&self, call: &Call<'_>) -> Result<String, Fault> {
        Ok(match call.operation {
            Operation::Completions | Operation::Embeddings => MODELS,
            _ => OPENAI,
        }
        .into())
    }

    fn path(&self, call: &Call<'_>) -> String {
        if speaks_openai(call) {
            return call.path.to_owned();
        }
        let own = call.options.base_url.is_some();
        let model = || -> String {
            let segments = call.model.split('/').map(segment);
            segments.map(|segment| format!("/{segment}")).collect()
        };
        match call.operation {
            Operation::Completions | Operation::Embeddings if own => String::new(),
            Operation::Completions => model(),
            Operation::Embeddings => format!("{}/pipeline/feature-extraction", model()),
            // A root of the profile's is the server's; what it has beside OpenAI's API is not below `/v1`.
            operation if own => {
                let openai = operation != Operation::Preserve
                    || Operation::of_path(call.path).is_some()
                    || call.path.starts_with("/models");
                format!("{}{}", if openai { "/v1" } else { "" }, call.path)
            }
            _ => call.path.to_owned(),
        }
    }

    /// Of a chat, Kong takes the URL for that of the model, and appends the operation's path.
    fn upstream(&self, call: &Call<'_>, url: &str) -> String {
        if call.operation == Operation::Chat && !speaks_openai(call) {
            join(url, "/v1/chat/completions")
        } else {
            url.to_owned()
        }
    }

    /// Where the profile names the URL as Kong has it, the body gets `options`, and a chat `parameters`, as Kong sends them. Today's servers
    /// read their OpenAI names, which stay.
    fn adjust(&self, body: &mut Envelope<'_>, call: &Call<'_>, _: &str, _: &mut Vec<Loss>) {
        let chat = call.operation == Operation::Chat;
        let generates = call.operation == Operation::Completions && !speaks_openai(call);
        if call.options.upstream_url.is_none() || !(chat || generates) {
            return;
        }
        let options = json!({
            "use_cache": call.options.huggingface_use_cache.unwrap_or_default(),
            "wait_for_model": call.options.huggingface_wait.unwrap_or_default(),
        });
        // JSON values always have a JSON form.
        let _ = body.set("options", &options);
        if !chat {
            return;
        }
        let mut parameters: Map<String, Value> = body.read("parameters").unwrap_or_default();
        for (name, key) in [
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("top_k", "top_k"),
            ("max_tokens", "max_length"),
            ("max_completion_tokens", "max_length"),
        ] {
            if let Some(value) = body.read::<Value>(name).filter(|value| !value.is_null()) {
                parameters.entry(key).or_insert(value);
            }
        }
        if !parameters.is_empty() {
            let _ = body.set("parameters", &parameters);
        }
    }

    /// The same options for the router, which reads them from headers.
    fn headers(&self, headers: &mut HeaderMap, call: &Call<'_>) {
        if call.options.upstream_url.is_some() {
            return;
        }
        for (name, value) in [
            ("x-use-cache", call.options.huggingface_use_cache),
            ("x-wait-for-model", call.options.huggingface_wait),
        ] {
            if let Some(value) = value {
                let value = HeaderValue::from_static(if value { "true" } else { "false" });
                headers
                    .entry(HeaderName::from_static(name))
                    .or_insert(value);
            }
        }
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        llm::Format,
        provider::{Options, unread_uri, uri},
    };

    fn call(operation: Operation, options: &Options) -> Call<'_> {
        Call {
            operation,
            path: operation.path(),
            model: "org/a model",
            stream: false,
            tools: false,
            native: false,
            options,
        }
    }

    fn asks(operation: Operation, options: &Options) -> (String, Option<Format>) {
        let call = call(operation, options);
        let uri = uri(&HuggingFace, &call).unwrap().to_string();
        (uri, HuggingFace.egress(&call).map(Egress::format))
    }

    #[test]
    fn the_router_is_asked() {
        let none = Options::default();
        let models = "https://router.huggingface.co/hf-inference/models/org/a%20model";
        assert_eq!(
            asks(Operation::Chat, &none),
            (
                "https://router.huggingface.co/v1/chat/completions".into(),
                Some(Format::OpenAi)
            )
        );
        assert_eq!(
            asks(Operation::Completions, &none),
            (models.into(), Some(Format::HuggingFace))
        );
        assert_eq!(
            asks(Operation::Embeddings, &none),
            (
                format!("{models}/pipeline/feature-extraction"),
                Some(Format::HuggingFace)
            )
        );
        let preserve = call(Operation::Preserve, &none);
        assert_eq!(
            unread_uri(&HuggingFace, &preserve, "/v1/models").unwrap(),
            "https://router.huggingface.co/v1/models"
        );
    }

    #[test]
    fn servers_of_ones_own_are_asked() {
        let base = |url: &str| Options {
            base_url: Some(url.into()),
            ..Options::default()
        };
        let own = base("http://h:8080/");
        assert_eq!(
            asks(Operation::Chat, &own).0,
            "http://h:8080/v1/chat/completions"
        );
        assert_eq!(
            asks(Operation::Completions, &own),
            ("http://h:8080/".into(), Some(Format::HuggingFace))
        );
        let preserve = call(Operation::Preserve, &own);
        for (path, url) in [
            ("/v1/models", "http://h:8080/v1/models"),
            ("/info", "http://h:8080/info"),
        ] {
            assert_eq!(unread_uri(&HuggingFace, &preserve, path).unwrap(), url);
        }
        let openai = base("http://h:8080/v1");
        for operation in [
            Operation::Chat,
            Operation::Completions,
            Operation::Embeddings,
        ] {
            assert_eq!(
                asks(operation, &openai),
                (
                    format!("http://h:8080/v1{}", operation.path()),
                    Some(Format::OpenAi)
                )
            );
        }
    }

    #[test]
    fn a_chats_url_is_that_of_the_model() {
        for (operation, url, asked) in [
            (Operation::Chat, "http://h", "http://h/v1/chat/completions"),
            (
                Operation::Chat,
                "http://h/m/?x=1",
                "http://h/m/v1/chat/completions?x=1",
            ),
            (
                Operation::Chat,
                "http://h/v1/chat/completions",
                "http://h/v1/chat/completions",
            ),
            (Operation::Completions, "http://h/m", "http://h/m"),
        ] {
            let options = Options {
                upstream_url: Some(url.into()),
                ..Options::default()
            };
            assert_eq!(asks(operation, &options).0, asked);
        }
    }

    #[test]
    fn kongs_options_go_where_they_are_read() {
        let options = Options {
            huggingface_use_cache: Some(false),
            huggingface_wait: Some(true),
            ..Options::default()
        };
        let kong = Options {
            upstream_url: Some("http://h".into()),
            ..options.clone()
        };
        let body = Bytes::from_static(
            br#"{"messages":[],"temperature":1.0,"max_completion_tokens":9,"top_p":null}"#,
        );
        let sent = |operation, options: &Options| {
            let mut envelope = Envelope::parse(&body).unwrap();
            let (call, mut headers) = (call(operation, options), HeaderMap::new());
            HuggingFace.adjust(&mut envelope, &call, "h", &mut Vec::new());
            HuggingFace.headers(&mut headers, &call);
            let names: Vec<String> = headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            (envelope.finish(&body), names.join(", "))
        };
        assert_eq!(
            sent(Operation::Chat, &options),
            (
                body.clone(),
                "x-use-cache: false, x-wait-for-model: true".into()
            )
        );
        let (chat, headers) = sent(Operation::Chat, &kong);
        let chat: Value = serde_json::from_slice(&chat).unwrap();
        assert_eq!(
            chat["options"],
            json!({"use_cache": false, "wait_for_model": true})
        );
        assert_eq!(
            chat["parameters"],
            json!({"temperature": 1.0, "max_length": 9})
        );
        assert_eq!(
            (&chat["temperature"], headers),
            (&json!(1.0), String::new())
        );
        let (completion, _) = sent(Operation::Completions, &kong);
        let completion: Value = serde_json::from_slice(&completion).unwrap();
        assert!(completion["options"].is_object() && completion.get("parameters").is_none());
    }
}
