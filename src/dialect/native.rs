//! Requests in a provider's own format: what their paths say.

use std::fmt;

use super::{
    Ingress,
    anthropic::Anthropic,
    anthropic_complete::AnthropicComplete,
    bedrock::{Converse, embeddings},
    cohere,
    gemini::{Gemini, GeminiArray, GeminiEmbeddings},
    ollama, openai_responses,
    tgi::Tgi,
};
use crate::llm::Format;

/// What a path of a provider's own API asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A conversation.
    Chat,
    /// The continuation of a prompt.
    Completions,
    /// Vectors.
    Embeddings,
}

/// A request in a provider's own format.
#[derive(Clone)]
pub struct Native {
    /// Who reads and writes it.
    pub ingress: &'static dyn Ingress,
    /// What it asks for.
    pub task: Task,
    /// The path as it may be sent on: nothing in it leads elsewhere. `None`: the provider's usual one.
    pub path: Option<String>,
    /// Model and stream are told by the path, never by the body.
    pub in_path: bool,
    /// The model, where the path names it.
    pub model: Option<String>,
    /// Whether a stream is asked for, where the path says so.
    pub stream: Option<bool>,
}

impl Native {
    /// The same, asked for a whole answer, where the path says that it is to be a stream.
    #[must_use]
    pub fn whole(&self) -> Native {
        let mut whole = self.clone();
        if self.stream != Some(true) {
            return whole;
        }
        whole.stream = Some(false);
        for (streamed, plain) in [
            ("streamGenerateContent", "generateContent"),
            ("converse-stream", "converse"),
            ("generate_stream", "generate"),
        ] {
            if let Some(before) = self
                .path
                .as_ref()
                .and_then(|path| path.strip_suffix(streamed))
            {
                whole.path = Some(format!("{before}{plain}"));
            }
        }
        whole
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native")
            .field("format", &self.ingress.format())
            .field("task", &self.task)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Reads a path below an API's origin as one of `format`'s; `None`: it is none whose bodies are read here.
#[must_use]
pub fn native(format: Format, path: &str, query: Option<&str>) -> Option<Native> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    // Nothing that a server on the way could read as a step up.
    if segments
        .iter()
        .any(|segment| matches!(decoded(segment).as_str(), "." | ".."))
    {
        return None;
    }
    match format {
        Format::Anthropic => anthropic(path, &segments),
        Format::Gemini => gemini(path, &segments, query),
        Format::Bedrock => bedrock(&segments),
        Format::Cohere => cohere(path, &segments),
        Format::Ollama => ollama(path, &segments),
        Format::HuggingFace => hugging_face(path, &segments),
        Format::OpenAi | Format::Responses => None,
    }
}

/// Reads a path as whichever format's it is; OpenAI's apart.
#[must_use]
pub fn any_native(path: &str, query: Option<&str>) -> Option<Native> {
    const FORMATS: &[Format] = &[
        Format::Anthropic,
        Format::Gemini,
        Format::Bedrock,
        Format::Cohere,
        Format::Ollama,
        Format::HuggingFace,
    ];
    FORMATS
        .iter()
        .find_map(|format| native(*format, path, query))
}

/// What is meant where the path says nothing.
#[must_use]
pub fn native_default(format: Format, task: Task) -> Option<Native> {
    let ingress: &'static dyn Ingress = match (format, task) {
        (Format::Anthropic, Task::Chat) => &Anthropic,
        (Format::Anthropic, Task::Completions) => &AnthropicComplete,
        (Format::Gemini, Task::Chat) => &Gemini,
        (Format::Gemini, Task::Embeddings) => &GeminiEmbeddings::Single,
        (Format::Bedrock, Task::Chat) => &Converse,
        (Format::Bedrock, Task::Embeddings) => &embeddings::Invoke,
        (Format::Cohere, Task::Chat) => &cohere::ChatV1,
        (Format::Cohere, Task::Completions) => &cohere::Generate,
        (Format::Cohere, Task::Embeddings) => &cohere::Embed,
        (Format::Ollama, Task::Chat) => &ollama::Ollama,
        (Format::Ollama, Task::Completions) => &ollama::Generate,
        (Format::Ollama, Task::Embeddings) => &ollama::Ollama,
        (Format::HuggingFace, _) => &Tgi,
        (Format::Responses, Task::Chat) => &openai_responses::Served,
        _ => return None,
    };
    let in_path = matches!(
        format,
        Format::Gemini | Format::Bedrock | Format::HuggingFace
    );
    Some(Native {
        ingress,
        task,
        path: None,
        in_path,
        model: None,
        stream: None,
    })
}

/// The format's usual words for a task, asked at `path`.
fn at(format: Format, task: Task, path: &str) -> Option<Native> {
    Some(Native {
        path: Some(path.to_owned()),
        ..native_default(format, task)?
    })
}

/// <https://docs.claude.com/en/api/messages>; SDKs put `/v1` before.
fn anthropic(path: &str, segments: &[&str]) -> Option<Native> {
    match segments {
        ["v1", "messages"] => at(Format::Anthropic, Task::Chat, path),
        ["v1", "complete"] => at(Format::Anthropic, Task::Completions, path),
        _ => None,
    }
}

/// `/v1beta/models/M:OP`, and Vertex AI's `/v1/projects/P/locations/L/.../models/M:OP`: <https://ai.google.dev/api>.
fn gemini(path: &str, segments: &[&str], query: Option<&str>) -> Option<Native> {
    let (last, before) = segments.split_last()?;
    let (version, holder) = match before {
        [version, holder] => (version, holder),
        [version, "projects", _, "locations", _, .., holder] => (version, holder),
        _ => return None,
    };
    let numbered = version
        .strip_prefix('v')?
        .starts_with(|c: char| c.is_ascii_digit());
    if !numbered || !matches!(*holder, "models" | "endpoints" | "tunedModels") {
        return None;
    }
    let (model, operation) = last.rsplit_once(':').or_else(|| last.rsplit_once("%3A"))?;
    let (task, stream) = match operation {
        "generateContent" => (Task::Chat, false),
        "streamGenerateContent" => (Task::Chat, true),
        "embedContent" | "batchEmbedContents" => (Task::Embeddings, false),
        // Vertex AI's way for many kinds of models; of those whose bodies are read here the name says so.
        "predict" if model.contains("embedding") => (Task::Embeddings, false),
        _ => return None,
    };
    let as_events = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    let native = at(Format::Gemini, task, path)?;
    Some(Native {
        ingress: match operation {
            "streamGenerateContent" if !as_events => &GeminiArray,
            "batchEmbedContents" => &GeminiEmbeddings::Batch,
            "predict" => &GeminiEmbeddings::Predict,
            _ => native.ingress,
        },
        model: Some(decoded(model)),
        stream: Some(stream),
        ..native
    })
}

/// `/model/M/converse`: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>. A model's ARN holds a slash,
/// which not every client encodes.
fn bedrock(segments: &[&str]) -> Option<Native> {
    let ["model", model @ .., operation] = segments else {
        return None;
    };
    if model.is_empty() || model.iter().any(|part| part.is_empty()) {
        return None;
    }
    let model = model.join("%2F");
    let (task, stream) = match *operation {
        "converse" => (Task::Chat, false),
        "converse-stream" => (Task::Chat, true),
        "invoke" if embeddings::of(&decoded(&model)).is_some() => (Task::Embeddings, false),
        _ => return None,
    };
    Some(Native {
        model: Some(decoded(&model)),
        stream: Some(stream),
        ..at(
            Format::Bedrock,
            task,
            &format!("/model/{model}/{operation}"),
        )?
    })
}

/// <https://docs.cohere.com/reference/about>.
fn cohere(path: &str, segments: &[&str]) -> Option<Native> {
    match segments {
        ["v1", "chat"] => at(Format::Cohere, Task::Chat, path),
        ["v2", "chat"] => Some(Native {
            ingress: &cohere::ChatV2,
            ..at(Format::Cohere, Task::Chat, path)?
        }),
        ["v1", "generate"] => at(Format::Cohere, Task::Completions, path),
        ["v1" | "v2", "embed"] => at(Format::Cohere, Task::Embeddings, path),
        _ => None,
    }
}

/// <https://docs.ollama.com/api>.
fn ollama(path: &str, segments: &[&str]) -> Option<Native> {
    match segments {
        ["api", "chat"] => at(Format::Ollama, Task::Chat, path),
        ["api", "generate"] => at(Format::Ollama, Task::Completions, path),
        ["api", "embed"] => at(Format::Ollama, Task::Embeddings, path),
        _ => None,
    }
}

/// `/models/M` of the classic inference API, the task after it, and text-generation-inference's own paths:
/// <https://huggingface.github.io/text-generation-inference/>.
fn hugging_face(path: &str, segments: &[&str]) -> Option<Native> {
    let (segments, task) = match segments {
        [model @ .., "pipeline", "feature-extraction"] => (model, Task::Embeddings),
        all => (all, Task::Completions),
    };
    let (model, stream) = match segments {
        ["models", model @ ..] | ["hf-inference", "models", model @ ..]
            if matches!(model.len(), 1 | 2) && !model.contains(&"") =>
        {
            (Some(decoded(&model.join("/"))), None)
        }
        ["generate"] if task == Task::Completions => (None, Some(false)),
        ["generate_stream"] if task == Task::Completions => (None, Some(true)),
        _ => return None,
    };
    Some(Native {
        model,
        stream,
        ..at(Format::HuggingFace, task, path)?
    })
}

/// Percent-decoded; what is no UTF-8 then stays as it came.
fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| segment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streaming_path_has_a_whole_one() {
        for (format, path, expected) in [
            (
                Format::Gemini,
                "/v1beta/models/g:streamGenerateContent",
                "/v1beta/models/g:generateContent",
            ),
            (
                Format::Bedrock,
                "/model/m/converse-stream",
                "/model/m/converse",
            ),
            (Format::HuggingFace, "/generate_stream", "/generate"),
            (Format::Anthropic, "/v1/messages", "/v1/messages"),
        ] {
            let whole = native(format, path, None).unwrap().whole();
            assert_eq!(whole.path.as_deref(), Some(expected));
            assert_ne!(whole.stream, Some(true));
        }
    }

    #[test]
    fn paths_tell_model_and_stream() {
        for (format, path, query, expected) in [
            (Format::Anthropic, "/v1/messages", None, "Chat - None"),
            (Format::Anthropic, "/v1/messages/count_tokens", None, ""),
            (
                Format::Gemini,
                "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
                Some("alt=sse"),
                "Chat gemini-2.5-flash Some(true)",
            ),
            (
                Format::Gemini,
                "/v1/projects/p/locations/eu/publishers/google/models/g:generateContent",
                None,
                "Chat g Some(false)",
            ),
            (
                Format::Gemini,
                "/v1/projects/p/locations/eu/publishers/google/models/text-embedding-005:predict",
                None,
                "Embeddings text-embedding-005 Some(false)",
            ),
            (
                Format::Gemini,
                "/v1/projects/p/locations/eu/publishers/google/models/imagen-4:predict",
                None,
                "",
            ),
            (Format::Gemini, "/v1beta/models/g:countTokens", None, ""),
            (
                Format::Gemini,
                "/v1beta/models/../g:generateContent",
                None,
                "",
            ),
            (
                Format::Gemini,
                "/v1beta/models/%2e%2E/g:generateContent",
                None,
                "",
            ),
            (
                Format::Bedrock,
                "/model/aws-titan-v1%3A0/converse-stream",
                None,
                "Chat aws-titan-v1:0 Some(true)",
            ),
            (
                Format::Bedrock,
                "/model/arn:aws:bedrock:eu-west-1:1:inference-profile/p/converse",
                None,
                "Chat arn:aws:bedrock:eu-west-1:1:inference-profile/p Some(false)",
            ),
            (
                Format::Bedrock,
                "/model/amazon.titan-embed-text-v2:0/invoke",
                None,
                "Embeddings amazon.titan-embed-text-v2:0 Some(false)",
            ),
            (Format::Bedrock, "/model/meta.llama3/invoke", None, ""),
            (Format::Bedrock, "/model//converse", None, ""),
            (Format::Cohere, "/v2/chat", None, "Chat - None"),
            (Format::Ollama, "/api/generate", None, "Completions - None"),
            (
                Format::HuggingFace,
                "/models/org/name",
                None,
                "Completions org/name None",
            ),
            (
                Format::HuggingFace,
                "/hf-inference/models/org/name/pipeline/feature-extraction",
                None,
                "Embeddings org/name None",
            ),
            (
                Format::HuggingFace,
                "/generate/pipeline/feature-extraction",
                None,
                "",
            ),
            (Format::OpenAi, "/v1/chat/completions", None, ""),
        ] {
            let told = native(format, path, query).map_or(String::new(), |native| {
                format!(
                    "{:?} {} {:?}",
                    native.task,
                    native.model.as_deref().unwrap_or("-"),
                    native.stream
                )
            });
            assert_eq!(told, expected, "{path}");
        }
        let path = |native: Option<Native>| native.and_then(|native| native.path);
        assert_eq!(
            path(native(Format::Bedrock, "/model/a/b/converse", None)).as_deref(),
            Some("/model/a%2Fb/converse")
        );
    }
}
