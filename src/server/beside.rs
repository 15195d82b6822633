//! Paths below `/responses`: <https://developers.openai.com/api/reference/resources/responses>.
//!
//! An answer that was made before is looked for here first, in the memory that all profiles share, then at a provider that has Responses of
//! its own.

use std::sync::Arc;

use super::router::{Way, percent_decoded, served};
use crate::{
    dialect::{Fault, openai_responses::OpenAiResponses},
    pipeline::{Asked, Made, Target, What},
    profile::{OtherPaths, Profile},
    provider::{Operation, segment},
};

/// What is asked for, beside an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// How many tokens a request is.
    Count,
    /// Something of an answer that was made before.
    Made(Made),
}

const COUNT: &str = "/v1/responses/input_tokens";

/// Reads a path, `[/v1]/responses/...`, without a slash at its end.
pub(super) fn of(path: &str) -> Option<Beside> {
    let below = path
        .strip_prefix("/v1")
        .unwrap_or(path)
        .strip_prefix("/responses/")?;
    let (id, what) = match below.split_once('/') {
        None if below == "input_tokens" => return Some(Beside::Count),
        // An operation of its own, which makes an answer.
        None if below == "compact" => return None,
        None => (below, What::Itself),
        Some((id, "cancel")) => (id, What::Cancel),
        Some((id, "input_items")) => (id, What::Input),
        Some(_) => return None,
    };
    let id = percent_decoded(id);
    let after = match what {
        What::Itself => "",
        What::Cancel => "/cancel",
        What::Input => "/input_items",
    };
    (!id.is_empty()).then(|| {
        Beside::Made(Made {
            path: format!("/v1/responses/{}{after}", segment(&id)),
            elsewhere: false,
            what,
            id,
        })
    })
}

/// Whether an id is one: a server further on that decodes it twice, or takes dots for a step up, would read another path.
fn is_plain(id: &str) -> bool {
    let steers = |c: char| c.is_control() || matches!(c, '/' | '\\' | '%' | '?' | '#');
    id != "." && id != ".." && !id.contains(steers)
}

/// Where that leads in a profile whose own operation is `own`; `None`: nowhere but where any other path does.
///
/// # Errors
///
/// If the profile names the URL of another operation alone.
pub(super) fn target(
    profile: &Profile,
    own: Operation,
    beside: Beside,
) -> Result<Option<Target>, Fault> {
    let operation = served(profile, Operation::Responses, own);
    let has_own = operation == Operation::Responses;
    let mut made = match beside {
        Beside::Count => return Ok(Some(Target::Count(operation, COUNT.to_owned()))),
        Beside::Made(made) if !has_own || !is_plain(&made.id) => {
            return Ok(Some(Target::Made(made)));
        }
        Beside::Made(made) => made,
    };
    if profile.has_transformer() {
        // What the provider has kept was not seen by it.
        return Ok(None);
    }
    let options = profile.ai_proxy.as_ref().map(|proxy| &proxy.model.options);
    let fixed = [
        ("upstream_url", options.map(|o| o.upstream_url.is_some())),
        ("upstream_path", options.map(|o| o.upstream_path.is_some())),
    ];
    let fixed = fixed.iter().find(|(_, is_set)| *is_set == Some(true));
    if let Some((key, _)) = fixed
        && profile.aiproxy.other_paths != OtherPaths::Forward
    {
        return Err(Fault::invalid(
            400,
            format!(
                "`{}` cannot be asked of profile `{}`: it sets `{key}`, which is of one operation alone; `[aiproxy] base_url` is of all",
                made.path, profile.name
            ),
        ));
    }
    made.elsewhere = true;
    Ok(Some(Target::Made(made)))
}

/// To an answer that is here, whichever profile it was made under.
pub(super) fn way(profile: Arc<Profile>, made: Made) -> Way {
    Way {
        profile,
        ingress: &OpenAiResponses,
        target: Target::Made(made),
        native: None,
        asked: Asked::Body,
        captures: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str) -> String {
        match of(path) {
            None => "-".into(),
            Some(Beside::Count) => "count".into(),
            Some(Beside::Made(made)) => format!("{:?} {} {}", made.what, made.id, made.path),
        }
    }

    #[test]
    fn paths_of_responses() {
        for (path, expected) in [
            ("/v1/responses/resp_1", "Itself resp_1 /v1/responses/resp_1"),
            ("/responses/resp_1", "Itself resp_1 /v1/responses/resp_1"),
            ("/v1/responses/a/cancel", "Cancel a /v1/responses/a/cancel"),
            (
                "/v1/responses/a/input_items",
                "Input a /v1/responses/a/input_items",
            ),
            ("/v1/responses/input_tokens", "count"),
            ("/v1/responses/compact", "-"),
            ("/v1/responses", "-"),
            ("/v1/responses/", "-"),
            ("/v1/responses//cancel", "-"),
            ("/v1/responses/a/b", "-"),
            ("/v1/responsesx/a", "-"),
            ("/v1x/responses/a", "-"),
            (
                "/v1/responses/a%20b:c",
                "Itself a b:c /v1/responses/a%20b%3Ac",
            ),
            (
                "/v1/responses/..%2Ffiles",
                "Itself ../files /v1/responses/..%2Ffiles",
            ),
            (
                "/v1/responses/%2e%2e/cancel",
                "Cancel .. /v1/responses/%2E%2E/cancel",
            ),
        ] {
            assert_eq!(told(path), expected, "{path}");
        }
    }

    #[test]
    fn ids_that_could_steer_go_nowhere() {
        for id in ["resp_1", "a b", "a:b", "ä", "...", "chatcmpl-1"] {
            assert!(is_plain(id), "{id}");
        }
        for id in [".", "..", "../files", "a\\b", "%2e%2e", "a?b", "a#b", "a\n"] {
            assert!(!is_plain(id), "{id}");
        }
    }
}
