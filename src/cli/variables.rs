//! The variables by which SDKs find a server: what `aiproxy run` sets for its program, and `aiproxy env` prints.
//!
//! Only what an SDK reads by itself is here, base URL and key together: a key without its URL would go to the provider, and be wrong there.
//! So these are left out:
//!
//! - Mistral: its SDKs read `MISTRAL_API_KEY`, but take a URL as `server_url` in the code alone (<https://github.com/mistralai/client-python>).
//! - Hugging Face: `HF_ENDPOINT` and `HF_TOKEN` are the Hub's, for downloads; the address of inference is fixed in `huggingface_hub`
//!   (<https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/constants.py>, `INFERENCE_PROXY_TEMPLATE`).
//! - Codex: it has its base URL from its settings, which `aiproxy run` gives it as arguments.

/// Where a program finds a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Scheme, host and port, without a slash at the end.
    pub(super) root: &'a str,
    /// The profile that everything goes through; without one, a request's model may name any.
    pub(super) profile: Option<&'a str>,
    /// The profile of requests that name none.
    pub(super) default: Option<&'a str>,
    /// What the server asks for.
    pub(super) token: Option<&'a str>,
}

/// Names and values.
pub(super) type Pairs = Vec<(&'static str, String)>;

/// What a variable holds.
#[derive(Clone, Copy, Debug)]
enum Holds {
    /// The base URL, and what the SDK wants behind it.
    Base(&'static str),
    /// The base URL of the profile, which has to be in it.
    OfProfile,
    /// The server's token in place of a key.
    Key,
}

use Holds::{Base, Key, OfProfile};

/// What SDKs read.
const VARIABLES: &[(&str, Holds)] = &[
    // <https://github.com/openai/openai-python/blob/main/src/openai/_client.py>; Node's SDK reads the same.
    ("OPENAI_BASE_URL", Base("/v1")),
    // Before version 1 of that SDK, and still in LangChain, LiteLLM and aider.
    ("OPENAI_API_BASE", Base("/v1")),
    ("OPENAI_API_KEY", Key),
    // <https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/_client.py>: all three.
    ("ANTHROPIC_BASE_URL", Base("")),
    ("ANTHROPIC_API_KEY", Key),
    ("ANTHROPIC_AUTH_TOKEN", Key),
    // <https://github.com/openai/openai-python/blob/main/src/openai/lib/azure.py>: `/openai/deployments/NAME/...` follows, and at the root
    // `/openai` is the profile of that name.
    ("AZURE_OPENAI_ENDPOINT", OfProfile),
    ("AZURE_OPENAI_API_KEY", Key),
    // <https://github.com/googleapis/python-genai/blob/main/google/genai/_base_url.py>; of the two keys the second wins, so both are set.
    ("GOOGLE_GEMINI_BASE_URL", Base("")),
    ("GEMINI_API_KEY", Key),
    ("GOOGLE_API_KEY", Key),
    // <https://github.com/ollama/ollama-python/blob/main/ollama/_client.py>
    ("OLLAMA_HOST", Base("")),
    ("OLLAMA_API_KEY", Key),
    // <https://github.com/cohere-ai/cohere-python/blob/main/src/cohere/client.py>
    ("CO_API_URL", Base("")),
    ("CO_API_KEY", Key),
    // <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>; signatures prove nothing here, but with a key
    // (<https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html>) the SDKs send a bearer token.
    ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", Base("")),
    ("AWS_BEARER_TOKEN_BEDROCK", Key),
];

/// For servers that ask for no token: SDKs do not start without a key.
const NO_TOKEN: &str = "local";

/// Variables that send requests through an HTTP proxy, or past it.
const PROXIES: &[&str] = &[
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// What has to be reached without a proxy. No `::1`: some clients take it for a host and a port, and fail.
const NEAR: [&str; 2] = ["127.0.0.1", "localhost"];

/// The names alone.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().map(|(name, _)| *name)
}

/// All of them for a place.
pub(super) fn of(place: &Place<'_>) -> Pairs {
    let below = |profile: Option<&str>| {
        profile.map_or_else(
            || place.root.to_owned(),
            |profile| format!("{}/{profile}", place.root),
        )
    };
    let value = |holds: Holds| match holds {
        Base(end) => below(place.profile) + end,
        OfProfile => below(place.profile.or(place.default)),
        Key => place.token.unwrap_or(NO_TOKEN).to_owned(),
    };
    VARIABLES
        .iter()
        .map(|(name, holds)| (*name, value(*holds)))
        .collect()
}

/// What `NO_PROXY` has to be for loopback to be reached directly, by the environment that there is; nothing where no proxy is in force:
/// where the system names one, a variable would take its place.
pub(super) fn direct(environment: impl Fn(&str) -> Option<String>) -> Pairs {
    let value = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    if !PROXIES.iter().any(|name| value(name).is_some()) {
        return Vec::new();
    }
    // Of the two, programs read one or the other first: each gets what the other has if it is not there itself.
    [("NO_PROXY", "no_proxy"), ("no_proxy", "NO_PROXY")]
        .into_iter()
        .map(|(name, other)| {
            let own = value(name).or_else(|| value(other)).unwrap_or_default();
            (name, with_near(&own))
        })
        .collect()
}

fn with_near(list: &str) -> String {
    let listed: Vec<&str> = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if listed.contains(&"*") {
        return list.to_owned();
    }
    let missing = NEAR.into_iter().filter(|near| !listed.contains(near));
    let all: Vec<&str> = listed.iter().copied().chain(missing).collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(pairs: &Pairs, name: &str) -> String {
        let found = pairs.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    #[test]
    fn urls_end_as_each_sdk_wants_them() {
        let mut place = Place {
            root: "http://127.0.0.1:1",
            profile: Some("gpt"),
            default: Some("gpt"),
            token: Some("t"),
        };
        let pairs = of(&place);
        for (name, expected) in [
            ("OPENAI_BASE_URL", "http://127.0.0.1:1/gpt/v1"),
            ("OPENAI_API_BASE", "http://127.0.0.1:1/gpt/v1"),
            ("OPENAI_API_KEY", "t"),
            ("ANTHROPIC_BASE_URL", "http://127.0.0.1:1/gpt"),
            ("ANTHROPIC_AUTH_TOKEN", "t"),
            ("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:1/gpt"),
            ("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1/gpt"),
        ] {
            assert_eq!(value(&pairs, name), expected, "{name}");
        }
        place.profile = None;
        place.token = None;
        let pairs = of(&place);
        assert_eq!(value(&pairs, "OPENAI_BASE_URL"), "http://127.0.0.1:1/v1");
        assert_eq!(value(&pairs, "CO_API_URL"), "http://127.0.0.1:1");
        assert_eq!(
            value(&pairs, "AZURE_OPENAI_ENDPOINT"),
            "http://127.0.0.1:1/gpt"
        );
        assert_eq!(value(&pairs, "OPENAI_API_KEY"), "local");
        assert_eq!(names().count(), pairs.len());
    }

    #[test]
    fn loopback_goes_past_proxies() {
        let told = |set: &[(&str, &str)]| -> Vec<String> {
            let found = |name: &str| {
                let found = set.iter().find(|(own, _)| *own == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            direct(found)
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        assert_eq!(told(&[]), Vec::<String>::new());
        assert_eq!(told(&[("http_proxy", " ")]), Vec::<String>::new());
        assert_eq!(
            told(&[("HTTPS_PROXY", "http://p:1")]),
            [
                "NO_PROXY=127.0.0.1,localhost",
                "no_proxy=127.0.0.1,localhost"
            ]
        );
        assert_eq!(
            told(&[("no_proxy", "a.example, localhost")]),
            [
                "NO_PROXY=a.example,localhost,127.0.0.1",
                "no_proxy=a.example,localhost,127.0.0.1"
            ]
        );
        assert_eq!(
            told(&[("no_proxy", "a"), ("NO_PROXY", "*")]),
            ["NO_PROXY=*", "no_proxy=a,127.0.0.1,localhost"]
        );
    }
}
