//! Google's Gemini: the Gemini API, <https://ai.google.dev/api>, and with a project and a location Vertex AI,
//! <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>.

use super::{Call, Cloud, Fault, Operation, Provider, segment};
use crate::dialect::{
    Egress,
    gemini::{Gemini as GeminiApi, GeminiEmbeddings, Vertex},
};

/// Vertex AI's hosts end with this.
const VERTEX: &str = "aiplatform.googleapis.com";

pub(super) struct Gemini;

/// Whether it is Vertex AI that is asked.
fn is_vertex(call: &Call<'_>) -> bool {
    let options = call.options;
    match &options.upstream_url {
        // One URL of its own says where it leads.
        Some(url) => place(call).is_some() || url.contains(VERTEX),
        None => place(call).is_some(),
    }
}

/// Project and location.
fn place<'a>(call: &Call<'a>) -> Option<(&'a str, &'a str)> {
    let options = call.options;
    Some((
        options.gemini_project.as_deref()?,
        options.gemini_location.as_deref()?,
    ))
}

/// How the call asks for embeddings. Vertex AI has two ways, by model, as Google's own SDKs choose them.
fn embeddings(call: &Call<'_>) -> &'static GeminiEmbeddings {
    if let Some(url) = &call.options.upstream_url {
        let path = url.split(['?', '#']).next().unwrap_or(url);
        if path.ends_with(":embedContent") {
            return &GeminiEmbeddings::Single;
        }
        if path.ends_with(":predict") {
            return &GeminiEmbeddings::Predict;
        }
        if path.ends_with(":batchEmbedContents") {
            return &GeminiEmbeddings::Batch;
        }
    }
    if !is_vertex(call) {
        return &GeminiEmbeddings::Batch;
    }
    let newer = call.model.contains("gemini") && call.model != "gemini-embedding-001";
    if newer || call.model.contains("maas") {
        &GeminiEmbeddings::Single
    } else {
        &GeminiEmbeddings::Predict
    }
}

impl Provider for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        match call.operation {
            Operation::Chat if is_vertex(call) => Some(&Vertex),
            Operation::Chat => Some(&GeminiApi),
            Operation::Embeddings => Some(embeddings(call)),
            _ => None,
        }
    }

    /// Its API is its own.
    fn forwards_unread(&self, operation: Operation) -> bool {
        operation == Operation::Preserve
    }

    fn root(&self, call: &Call<'_>) -> Result<String, Fault> {
        Ok(match (place(call), &call.options.gemini_endpoint) {
            (Some(_), Some(host)) => format!("https://{host}"),
            (Some((_, "global")), None) => format!("https://{VERTEX}"),
            (Some((_, location)), None) => format!("https://{}-{VERTEX}", segment(location)),
            (None, _) => "https://generativelanguage.googleapis.com".into(),
        })
    }

    fn path(&self, call: &Call<'_>) -> String {
        let verb = match call.operation {
            Operation::Chat if call.stream => "streamGenerateContent",
            Operation::Chat => "generateContent",
            Operation::Embeddings => match embeddings(call) {
                GeminiEmbeddings::Single => "embedContent",
                GeminiEmbeddings::Batch => "batchEmbedContents",
                GeminiEmbeddings::Predict => "predict",
            },
            _ => return call.path.to_owned(),
        };
        let model = call.model.strip_prefix("models/").unwrap_or(call.model);
        let Some((project, location)) = place(call) else {
            return match model.strip_prefix("tunedModels/") {
                Some(tuned) => format!("/v1beta/tunedModels/{}:{verb}", segment(tuned)),
                None => format!("/v1beta/models/{}:{verb}", segment(model)),
            };
        };
        let model = model
            .strip_prefix("publishers/google/models/")
            .unwrap_or(model);
        let target = match &call.options.gemini_endpoint_id {
            Some(endpoint) => format!("endpoints/{}", segment(endpoint)),
            None => format!("publishers/google/models/{}", segment(model)),
        };
        format!(
            "/v1/projects/{}/locations/{}/{target}:{verb}",
            segment(project),
            segment(location)
        )
    }

    /// On Vertex AI, a model has another path than clients of the Gemini API ask for.
    fn native_path(&self, call: &Call<'_>) -> String {
        if place(call).is_some() && call.operation == Operation::Chat {
            self.path(call)
        } else {
            call.path.to_owned()
        }
    }

    /// Without it a stream is one JSON array, which many readers can only read whole. A URL of one's own is asked as it is given.
    fn query(&self, call: &Call<'_>) -> Option<(&'static str, String)> {
        let streams = call.stream && call.operation == Operation::Chat;
        (streams && call.options.upstream_url.is_none()).then(|| ("alt", "sse".into()))
    }

    /// The Gemini API takes tokens too, of service accounts.
    fn cloud(&self, _: &Call<'_>) -> Option<Cloud> {
        Some(Cloud::Google)
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
        provider::{Options, find, uri},
    };

    fn url(operation: Operation, model: &str, stream: bool, options: &Options) -> String {
        let call = Call {
            operation,
            path: operation.path(),
            model,
            stream,
            tools: false,
            native: false,
            options,
        };
        let provider = find("gemini").unwrap();
        let formats = provider.egress(&call).map(Egress::format);
        assert!(formats.is_none_or(|format| format == Format::Gemini));
        let query = provider.query(&call);
        let query = query.map(|(name, value)| format!(" {name}={value}"));
        format!(
            "{}{}",
            uri(provider, &call).unwrap(),
            query.unwrap_or_default()
        )
    }

    #[test]
    fn urls_of_the_gemini_api() {
        let none = Options::default();
        let root = "https://generativelanguage.googleapis.com/v1beta";
        for (operation, model, stream, expected) in [
            (
                Operation::Chat,
                "gemini-2.5-pro",
                false,
                "/models/gemini-2.5-pro:generateContent",
            ),
            (
                Operation::Chat,
                "models/gemini-2.5-pro",
                true,
                "/models/gemini-2.5-pro:streamGenerateContent alt=sse",
            ),
            (
                Operation::Chat,
                "tunedModels/a",
                false,
                "/tunedModels/a:generateContent",
            ),
            (
                Operation::Chat,
                "../x?y",
                false,
                "/models/..%2Fx%3Fy:generateContent",
            ),
            (
                Operation::Embeddings,
                "gemini-embedding-001",
                false,
                "/models/gemini-embedding-001:batchEmbedContents",
            ),
        ] {
            assert_eq!(
                url(operation, model, stream, &none),
                format!("{root}{expected}")
            );
        }
        let own = Options {
            upstream_url: Some("http://h/x".into()),
            ..none.clone()
        };
        assert_eq!(url(Operation::Chat, "m", true, &own), "http://h/x");
        let base = Options {
            base_url: Some("http://h/".into()),
            ..none
        };
        assert_eq!(
            url(Operation::Chat, "m", true, &base),
            "http://h/v1beta/models/m:streamGenerateContent alt=sse"
        );
    }

    #[test]
    fn urls_of_vertex_ai() {
        let vertex = Options {
            gemini_project: Some("p".into()),
            gemini_location: Some("europe-west4".into()),
            gemini_endpoint: Some("europe-west4-aiplatform.googleapis.com".into()),
            ..Options::default()
        };
        let root =
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4";
        for (operation, model, stream, expected) in [
            (
                Operation::Chat,
                "m",
                false,
                "/publishers/google/models/m:generateContent",
            ),
            (
                Operation::Chat,
                "publishers/google/models/m",
                true,
                "/publishers/google/models/m:streamGenerateContent alt=sse",
            ),
            (
                Operation::Embeddings,
                "gemini-embedding-001",
                false,
                "/publishers/google/models/gemini-embedding-001:predict",
            ),
            (
                Operation::Embeddings,
                "gemini-embedding-2",
                false,
                "/publishers/google/models/gemini-embedding-2:embedContent",
            ),
        ] {
            assert_eq!(
                url(operation, model, stream, &vertex),
                format!("{root}{expected}")
            );
        }
        let endpoint = Options {
            gemini_endpoint_id: Some("77".into()),
            ..vertex.clone()
        };
        assert_eq!(
            url(Operation::Chat, "m", false, &endpoint),
            format!("{root}/endpoints/77:generateContent")
        );
        let global = Options {
            gemini_endpoint: None,
            gemini_location: Some("global".into()),
            ..vertex
        };
        assert!(
            url(Operation::Chat, "m", false, &global)
                .starts_with("https://aiplatform.googleapis.com/v1/projects/p/locations/global/")
        );
    }

    #[test]
    fn a_url_of_ones_own_says_how_it_embeds() {
        for (end, expected) in [
            (":embedContent", GeminiEmbeddings::Single),
            (":predict?x=1", GeminiEmbeddings::Predict),
            ("", GeminiEmbeddings::Batch),
        ] {
            let options = Options {
                upstream_url: Some(format!("http://h/m{end}")),
                ..Options::default()
            };
            let call = Call {
                operation: Operation::Embeddings,
                path: "/embeddings",
                model: "m",
                stream: false,
                tools: false,
                native: false,
                options: &options,
            };
            assert_eq!(*embeddings(&call), expected);
        }
    }
}
