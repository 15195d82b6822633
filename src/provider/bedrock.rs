//! Amazon Bedrock: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html>.

use std::time::SystemTime;

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, Entry},
    request::Parts,
};
use serde_json::json;

use super::{Call, Cloud, Fault, Operation, Provider, cloud, segment};
use crate::{
    dialect::{
        Egress, Loss,
        bedrock::{Converse, embeddings},
    },
    keys::Credential,
    wire::envelope::Envelope,
};

/// The service in a signature's scope; the host has another name.
const SERVICE: &str = "bedrock";

/// Domains of the partitions whose regions begin so; the others have Amazon's own:
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>.
const DOMAINS: &[(&str, &str)] = &[
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

pub(super) struct Bedrock;

impl Provider for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        match call.operation {
            Operation::Chat => Some(&Converse),
            Operation::Embeddings => embeddings::of(call.model),
            _ => None,
        }
    }

    fn forwards_unread(&self, operation: Operation) -> bool {
        operation == Operation::Preserve
    }

    fn root(&self, call: &Call<'_>) -> Result<String, Fault> {
        let Some(region) = call.options.aws_region.as_deref() else {
            return Err(cloud::no_region());
        };
        // It may come from a header, and must not name another host.
        let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || !region.bytes().all(sound) {
            return Err(Fault::invalid(
                400,
                "`bedrock.aws_region` is no AWS region: one has small letters, digits and hyphens, as in `eu-west-1`",
            ));
        }
        let partition = DOMAINS.iter().find(|(start, _)| region.starts_with(start));
        let domain = partition.map_or("amazonaws.com", |(_, domain)| domain);
        Ok(format!("https://bedrock-runtime.{region}.{domain}"))
    }

    /// The model is one segment, an ARN's slashes and colons too.
    fn path(&self, call: &Call<'_>) -> String {
        let action = match (call.operation, call.stream) {
            (Operation::Chat, false) => "converse",
            (Operation::Chat, true) => "converse-stream",
            (Operation::Embeddings, _) => "invoke",
            _ => return call.path.to_owned(),
        };
        format!("/model/{}/{action}", segment(call.model))
    }

    /// Model and stream are said by the path; the profile's latency and normalisation have no name that clients of other formats know.
    fn adjust(&self, body: &mut Envelope<'_>, call: &Call<'_>, _: &str, lost: &mut Vec<Loss>) {
        if !matches!(call.operation, Operation::Chat | Operation::Embeddings) {
            return;
        }
        body.remove("model");
        body.remove("stream");
        let latency = call.options.bedrock_latency.as_deref();
        if let Some(latency) = latency.filter(|_| call.operation == Operation::Chat)
            && body
                .set("performanceConfig", &json!({"latency": latency}))
                .is_err()
        {
            lost.push(Loss::dropped("performanceConfig"));
        }
        // Where the body is ours: Kong's clients of Bedrock's own format send what they like.
        let version = call.options.anthropic_version.as_deref();
        if let Some(version) = version.filter(|_| body.has("anthropic_version"))
            && body.set("anthropic_version", version).is_err()
        {
            lost.push(Loss::dropped("anthropic_version"));
        }
        // Only Titan's second text model has it.
        let text = call.operation == Operation::Embeddings
            && body.has("inputText")
            && call.model.contains("titan-embed-text-v2");
        if let Some(normalize) = call.options.bedrock_normalize.filter(|_| text)
            && !body.has("normalize")
            && body.set("normalize", &normalize).is_err()
        {
            lost.push(Loss::dropped("normalize"));
        }
    }

    fn headers(&self, headers: &mut HeaderMap, call: &Call<'_>) {
        if call.stream
            && let Entry::Vacant(accept) = headers.entry(ACCEPT)
        {
            accept.insert(HeaderValue::from_static(
                "application/vnd.amazon.eventstream",
            ));
        }
    }

    fn cloud(&self, _: &Call<'_>) -> Option<Cloud> {
        Some(Cloud::Aws)
    }

    /// Access keys sign; Bedrock's own API keys are bearer tokens:
    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html>.
    fn sign(
        &self,
        request: &mut Parts,
        body: &[u8],
        credential: &Credential,
        now: SystemTime,
    ) -> Result<(), Fault> {
        match credential {
            Credential::Bearer(_) => cloud::bearer(request, credential),
            Credential::Aws(keys) => cloud::sigv4(request, body, keys, SERVICE, now),
        }
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Options, find, uri};

    fn uri_of(operation: Operation, model: &str, stream: bool, options: &Options) -> String {
        let call = Call {
            operation,
            path: operation.path(),
            model,
            stream,
            tools: false,
            native: false,
            options,
        };
        let bedrock = find("bedrock").unwrap();
        uri(bedrock, &call).map_or_else(|fault| fault.message, |uri| uri.to_string())
    }

    fn region(name: &str) -> Options {
        Options {
            aws_region: Some(name.into()),
            ..Options::default()
        }
    }

    #[test]
    fn urls() {
        let west = region("eu-west-1");
        for (operation, model, stream, expected) in [
            (
                Operation::Chat,
                "anthropic.claude-3-haiku",
                false,
                "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-3-haiku/converse",
            ),
            (
                Operation::Chat,
                "amazon.nova-lite-v1:0",
                true,
                "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse-stream",
            ),
            (
                Operation::Chat,
                "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/ab/../c",
                false,
                "https://bedrock-runtime.eu-west-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fab%2F..%2Fc/converse",
            ),
            (
                Operation::Embeddings,
                "amazon.titan-embed-text-v2:0",
                false,
                "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.titan-embed-text-v2%3A0/invoke",
            ),
        ] {
            assert_eq!(uri_of(operation, model, stream, &west), expected);
        }
        let host = |name: &str| uri_of(Operation::Chat, "m", false, &region(name));
        assert!(host("cn-north-1").contains("//bedrock-runtime.cn-north-1.amazonaws.com.cn/"));
        assert!(host("us-gov-west-1").contains("//bedrock-runtime.us-gov-west-1.amazonaws.com/"));
        let base = Options {
            base_url: Some("http://127.0.0.1:9/".into()),
            ..Options::default()
        };
        assert_eq!(
            uri_of(Operation::Chat, "m", false, &base),
            "http://127.0.0.1:9/model/m/converse"
        );
    }

    #[test]
    fn a_region_is_needed_and_cannot_steer() {
        let none = uri_of(Operation::Chat, "m", false, &Options::default());
        assert!(none.contains("region"), "{none}");
        for steering in ["evil.example/", "a.b", "x@y", ""] {
            let refused = uri_of(Operation::Chat, "m", false, &region(steering));
            assert!(refused.contains("is no AWS region"), "{refused}");
        }
    }

    #[test]
    fn the_body_has_what_the_profile_says_and_not_what_the_path_says() {
        let adjusted = |operation, model: &str, body: &str| {
            let options = Options {
                bedrock_latency: Some("optimized".into()),
                bedrock_normalize: Some(false),
                anthropic_version: Some("bedrock-2024".into()),
                ..Options::default()
            };
            let call = Call {
                operation,
                path: "",
                model,
                stream: false,
                tools: false,
                native: false,
                options: &options,
            };
            let mut envelope = Envelope::parse(body.as_bytes()).unwrap();
            Bedrock.adjust(&mut envelope, &call, "", &mut Vec::new());
            let original = bytes::Bytes::copy_from_slice(body.as_bytes());
            String::from_utf8(envelope.finish(&original).to_vec()).unwrap()
        };
        assert_eq!(
            adjusted(
                Operation::Chat,
                "m",
                r#"{"model":"m","stream":true,"messages":[],"anthropic_version":"x"}"#
            ),
            r#"{"messages":[],"anthropic_version":"bedrock-2024","performanceConfig":{"latency":"optimized"}}"#
        );
        assert_eq!(
            adjusted(
                Operation::Embeddings,
                "amazon.titan-embed-text-v2:0",
                r#"{"inputText":"a"}"#
            ),
            r#"{"inputText":"a","normalize":false}"#
        );
        assert_eq!(
            adjusted(
                Operation::Embeddings,
                "cohere.embed-v4:0",
                r#"{"texts":["a"]}"#
            ),
            r#"{"texts":["a"]}"#
        );
    }

    #[test]
    fn operations() {
        let options = Options::default();
        let does = |operation, model| {
            let call = Call {
                operation,
                path: "",
                model,
                stream: false,
                tools: false,
                native: false,
                options: &options,
            };
            Bedrock.egress(&call).is_some()
        };
        assert!(does(Operation::Chat, "anything"));
        assert!(does(Operation::Embeddings, "cohere.embed-english-v3"));
        assert!(!does(Operation::Embeddings, "amazon.nova-lite-v1:0"));
        assert!(!does(Operation::Responses, "anything"));
    }
}
