//! Cohere: <https://docs.cohere.com/reference/about>.

use super::{Call, Fault, Loss, Operation, Provider};
use crate::{
    dialect::{
        Egress,
        cohere::{ChatV1, ChatV2, Embed, Generate},
    },
    wire::envelope::Envelope,
};

pub(super) struct Cohere;

/// v2's chat.
const CHAT: &str = "/v2/chat";

/// Whether a chat is v2's: where the profile's path says so, else where the request has tools, which v1 has otherwise than everybody.
fn is_v2(call: &Call<'_>) -> bool {
    let url = call.options.upstream_url.as_deref();
    let path = call.options.upstream_path.as_deref().or(url);
    let ends = |path: &str| {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        path.trim_end_matches('/').ends_with(CHAT)
    };
    call.tools || path.is_some_and(ends) || ends(call.path)
}

impl Provider for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        match call.operation {
            Operation::Chat if is_v2(call) => Some(&ChatV2),
            Operation::Chat => Some(&ChatV1),
            Operation::Completions => Some(&Generate),
            Operation::Embeddings => Some(&Embed),
            _ => None,
        }
    }

    fn forwards_unread(&self, operation: Operation) -> bool {
        operation == Operation::Preserve
    }

    fn root(&self, _: &Call<'_>) -> Result<String, Fault> {
        Ok("https://api.cohere.com".into())
    }

    fn path(&self, call: &Call<'_>) -> String {
        match call.operation {
            Operation::Chat if is_v2(call) => CHAT.into(),
            Operation::Chat => "/v1/chat".into(),
            Operation::Completions => "/v1/generate".into(),
            Operation::Embeddings => "/v2/embed".into(),
            _ => call.path.into(),
        }
    }

    fn adjust(&self, body: &mut Envelope<'_>, call: &Call<'_>, _: &str, lost: &mut Vec<Loss>) {
        match call.operation {
            Operation::Chat | Operation::Completions => {
                // What a profile's options are called here.
                body.rename("top_p", "p");
                body.rename("top_k", "k");
            }
            Operation::Embeddings => {
                if let Some(kind) = &call.options.cohere_input_type {
                    // A text always has a JSON form.
                    let _ = body.set("input_type", kind);
                }
            }
            _ => {}
        }
        // Cohere's models are always loaded, and it refuses fields that it does not know.
        if call.options.cohere_wait == Some(true) {
            lost.push(Loss::dropped("wait_for_model"));
        }
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::provider::{Options, find, uri};

    fn asked(operation: Operation, tools: bool, options: &Options) -> (String, String) {
        let call = Call {
            operation,
            path: operation.path(),
            model: "m",
            stream: false,
            tools,
            native: false,
            options,
        };
        let provider = find("cohere").unwrap();
        let egress = provider.egress(&call).unwrap();
        let probe = egress.framing("text/event-stream");
        let url = uri(provider, &call).unwrap().to_string();
        (url, format!("{probe:?}"))
    }

    #[test]
    fn urls_of_the_operations() {
        let none = Options::default();
        let url = |operation, tools| asked(operation, tools, &none).0;
        let root = "https://api.cohere.com";
        assert_eq!(url(Operation::Chat, false), format!("{root}/v1/chat"));
        assert_eq!(url(Operation::Chat, true), format!("{root}/v2/chat"));
        assert_eq!(
            url(Operation::Completions, false),
            format!("{root}/v1/generate")
        );
        assert_eq!(
            url(Operation::Embeddings, false),
            format!("{root}/v2/embed")
        );
    }

    #[test]
    fn the_path_and_tools_select_the_api() {
        let (v1, v2) = ("Some(NdJson)", "Some(Sse)");
        let options = |url: Option<&str>, path: Option<&str>| Options {
            upstream_url: url.map(str::to_owned),
            upstream_path: path.map(str::to_owned),
            ..Options::default()
        };
        for (options, tools, api) in [
            (options(None, None), false, v1),
            (options(None, None), true, v2),
            (options(Some("http://h:1/x"), None), false, v1),
            (options(Some("http://h:1/x"), None), true, v2),
            (options(Some("http://h:1/p/v2/chat?a=/v1"), None), false, v2),
            (options(None, Some("/v2/chat")), false, v2),
            (
                options(Some("http://h:1/v2/chat"), Some("/v1/chat")),
                false,
                v1,
            ),
        ] {
            assert_eq!(
                asked(Operation::Chat, tools, &options).1,
                api,
                "{options:?}"
            );
        }
        let path = options(None, Some("/v2/chat"));
        let url = asked(Operation::Chat, false, &path).0;
        assert_eq!(url, "https://api.cohere.com/v2/chat");
    }

    #[test]
    fn options_reach_the_body() {
        let options = Options {
            cohere_input_type: Some("search_query".into()),
            cohere_wait: Some(true),
            ..Options::default()
        };
        let adjusted = |operation: Operation, body: &'static [u8]| {
            let call = Call {
                operation,
                path: operation.path(),
                model: "m",
                stream: false,
                tools: false,
                native: false,
                options: &options,
            };
            let mut envelope = Envelope::parse(body).unwrap();
            let mut lost = Vec::new();
            Cohere.adjust(&mut envelope, &call, "api.cohere.com", &mut lost);
            let body = envelope.finish(&Bytes::from_static(body));
            (String::from_utf8(body.to_vec()).unwrap(), lost)
        };
        let (body, lost) = adjusted(Operation::Embeddings, br#"{"input_type":"classification"}"#);
        assert_eq!(body, r#"{"input_type":"search_query"}"#);
        assert_eq!(lost, [Loss::dropped("wait_for_model")]);
        let (body, _) = adjusted(Operation::Chat, br#"{"message":"x","top_p":0.5,"top_k":3}"#);
        assert_eq!(body, r#"{"message":"x","p":0.5,"k":3}"#);
    }
}
