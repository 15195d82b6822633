//! Mistral's own service: <https://docs.mistral.ai/api>. OpenAI's format, but it refuses what it does not know. With
//! `mistral_format = "ollama"`, a Mistral model behind an Ollama that the profile names.

use super::{Call, Fault, Loss, Provider, ollama, openai};
use crate::{dialect::Egress, wire::envelope::Envelope};

pub(super) struct Mistral;

/// Whether it is an Ollama that is asked.
fn is_ollama(call: &Call<'_>) -> bool {
    call.options.mistral_format.as_deref() == Some("ollama")
}

impl Provider for Mistral {
    fn name(&self) -> &'static str {
        "mistral"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        if is_ollama(call) {
            ollama::egress(call.operation)
        } else {
            openai::egress(call.operation)
        }
    }

    fn root(&self, call: &Call<'_>) -> Result<String, Fault> {
        if is_ollama(call) {
            return Err(Fault {
                kind: "configuration_error".into(),
                ..Fault::upstream(500, "`upstream_url` or `[aiproxy] base_url` must be set")
            });
        }
        Ok("https://api.mistral.ai/v1".into())
    }

    fn path(&self, call: &Call<'_>) -> String {
        let path = ollama::path(call.operation).filter(|_| is_ollama(call));
        path.unwrap_or(call.path).to_owned()
    }

    /// Mistral knows `max_tokens` alone, calls the seed `random_seed`, and sends usage without being asked: nothing is lost.
    fn adjust(&self, body: &mut Envelope<'_>, call: &Call<'_>, _: &str, _: &mut Vec<Loss>) {
        if !call.operation.is_read() || is_ollama(call) {
            return;
        }
        body.rename("max_completion_tokens", "max_tokens");
        body.rename("seed", "random_seed");
        body.remove("stream_options");
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        llm::Format,
        provider::{Operation, Options, uri},
    };

    #[test]
    fn ollama_is_asked_in_its_own_format() {
        let options = Options {
            mistral_format: Some("ollama".into()),
            base_url: Some("http://127.0.0.1:11434".into()),
            ..Options::default()
        };
        let call = Call {
            operation: Operation::Chat,
            path: "/chat/completions",
            model: "mistral",
            stream: false,
            tools: false,
            native: false,
            options: &options,
        };
        assert_eq!(
            uri(&Mistral, &call).unwrap(),
            "http://127.0.0.1:11434/api/chat"
        );
        assert_eq!(
            Mistral.egress(&call).map(Egress::format),
            Some(Format::Ollama)
        );
        let body = Bytes::from_static(br#"{"options":{},"seed":1}"#);
        let mut envelope = Envelope::parse(&body).unwrap();
        Mistral.adjust(&mut envelope, &call, "127.0.0.1", &mut Vec::new());
        assert_eq!(envelope.finish(&body), body);
        let none = Options {
            base_url: None,
            ..options.clone()
        };
        let call = Call {
            native: false,
            options: &none,
            ..call
        };
        assert!(uri(&Mistral, &call).is_err());
    }
}
