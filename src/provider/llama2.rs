//! Kong's `llama2`: Llama 2 behind whatever serves it, in one of three formats: Hugging Face's text generation with the model's own prompt
//! template (`raw`), OpenAI's, or Ollama's. Nobody hosts it for all, so the profile names the URL.

use super::{Call, Fault, Operation, Provider, ollama, openai};
use crate::dialect::{Egress, tgi::Llama2 as Template};

pub(super) struct Llama2;

impl Provider for Llama2 {
    fn name(&self) -> &'static str {
        "llama2"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        match (call.options.llama2_format.as_deref(), call.operation) {
            (Some("openai"), operation) => openai::egress(operation),
            (Some("ollama"), operation) => ollama::egress(operation),
            (_, Operation::Chat) => Some(&Template::Chat),
            (_, Operation::Completions) => Some(&Template::Completions),
            _ => None,
        }
    }

    fn root(&self, _: &Call<'_>) -> Result<String, Fault> {
        Err(Fault {
            kind: "configuration_error".into(),
            ..Fault::upstream(500, "`upstream_url` or `[aiproxy] base_url` must be set")
        })
    }

    fn path(&self, call: &Call<'_>) -> String {
        match call.options.llama2_format.as_deref() {
            Some("openai") => call.path.to_owned(),
            Some("ollama") => ollama::path(call.operation).unwrap_or(call.path).to_owned(),
            // Text generation answers at its root.
            _ => String::new(),
        }
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        llm::Format,
        provider::{Options, uri},
    };

    fn call(operation: Operation, options: &Options) -> Call<'_> {
        Call {
            operation,
            path: operation.path(),
            model: "m",
            stream: false,
            tools: false,
            native: false,
            options,
        }
    }

    #[test]
    fn formats_and_urls() {
        for (format, operation, url, speaks) in [
            (
                "raw",
                Operation::Chat,
                "http://h/r",
                Some(Format::HuggingFace),
            ),
            ("raw", Operation::Embeddings, "http://h/r", None),
            (
                "openai",
                Operation::Chat,
                "http://h/r/chat/completions",
                Some(Format::OpenAi),
            ),
            (
                "ollama",
                Operation::Completions,
                "http://h/r/api/generate",
                Some(Format::Ollama),
            ),
        ] {
            let mut options = Options {
                llama2_format: Some(format.into()),
                base_url: Some("http://h/r".into()),
                ..Options::default()
            };
            assert_eq!(
                uri(&Llama2, &call(operation, &options)).unwrap(),
                url,
                "{format}"
            );
            let egress = Llama2.egress(&call(operation, &options));
            assert_eq!(egress.map(Egress::format), speaks, "{format}");
            options.upstream_url = Some("http://h/whole".into());
            assert_eq!(
                uri(&Llama2, &call(operation, &options)).unwrap(),
                "http://h/whole"
            );
            (options.upstream_url, options.base_url) = (None, None);
            let fault = uri(&Llama2, &call(operation, &options)).unwrap_err();
            assert!(fault.message.contains("`upstream_url`"));
        }
    }
}
