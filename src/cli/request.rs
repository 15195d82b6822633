//! The request of an exchange, as it can be sent again.

use std::borrow::Cow;

use super::page;
use crate::{
    exchange::{
        Stage,
        told::{Detail, StageTold},
    },
    profile::MASK,
    term::Problem,
};

/// A request at one of its stages, without what belonged to its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// Of the client's, path and query; else the whole URL. A secret in it is [`MASK`].
    pub(super) url: String,
    /// Headers that tell something about the request itself. A secret's value is [`MASK`].
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// An exchange's request at a stage.
    ///
    /// # Errors
    ///
    /// If the stage holds no request, or not all of it was kept.
    pub(super) fn of(detail: &Detail, stage: &str) -> Result<Request, Problem> {
        let id = &detail.summary.id;
        let told = detail.stage(stage).ok_or_else(|| no_stage(detail, stage))?;
        let Some(method) = &told.method else {
            return Err(Problem::usage(format!("stage `{stage}` is no request"))
                .hint("requests are at the stages client, request-transformed and sent"));
        };
        // A stage that shares another's body is as whole as that one.
        let source = told
            .same_as
            .as_deref()
            .and_then(|other| detail.stage(other))
            .unwrap_or(told);
        let body = detail.body(stage).unwrap_or_default();
        if source.truncated {
            return Err(Problem::new(format!(
                "the request of {id} was not kept as a whole: {} of its {} bytes",
                body.len(),
                source.size
            ))
            .hint("of each stage 1 MiB is kept"));
        }
        if body.is_empty() && told.size > 0 {
            return Err(Problem::new(format!(
                "the request's body of {id} was not kept ({} bytes)",
                told.size
            ))
            .hint("bodies that pass unread are not kept whole"));
        }
        let url = if stage == Stage::Client.name() {
            path(detail, told)
        } else {
            told.url.clone().unwrap_or_default()
        };
        Ok(Request {
            method: method.clone(),
            url,
            headers: headers(told),
            body,
        })
    }

    /// The same without what was taken out of it: a placeholder is no key.
    pub(super) fn without_secrets(mut self) -> Request {
        self.headers.retain(|(_, value)| !value.contains(MASK));
        if let Some((path, query)) = self.url.split_once('?') {
            let kept: Vec<&str> = query.split('&').filter(|pair| !holds_mask(pair)).collect();
            self.url = if kept.is_empty() {
                path.to_owned()
            } else {
                format!("{path}?{}", kept.join("&"))
            };
        }
        self
    }

    /// Its path and query below a profile.
    pub(super) fn below(&self, profile: &str) -> &str {
        let own = self
            .url
            .strip_prefix('/')
            .and_then(|url| url.strip_prefix(profile))
            .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        own.unwrap_or(&self.url)
    }

    /// The body as text, if it is some.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(own, _)| own == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// What to say of a stage that an exchange does not have.
pub(super) fn no_stage(detail: &Detail, stage: &str) -> Problem {
    let there: Vec<&str> = detail
        .rest
        .stages
        .iter()
        .map(|told| told.stage.as_str())
        .collect();
    let id = &detail.summary.id;
    if there.is_empty() {
        return Problem::new(format!("no stage of {id} was kept"));
    }
    Problem::new(format!(
        "{id} has no stage `{stage}`, but {}",
        there.join(", ")
    ))
}

/// Path and query as the client wrote them: the stage itself may tell what follows the profile's name alone.
fn path(detail: &Detail, told: &StageTold) -> String {
    let summary = &detail.summary;
    let url = told.url.as_deref().unwrap_or_default();
    let (below, query) = match url.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (url, String::new()),
    };
    if summary.path.is_empty() {
        return format!("/{}{below}{query}", summary.profile);
    }
    format!("{}{query}", summary.path)
}

/// The headers that another client would send as well.
fn headers(told: &StageTold) -> Vec<(String, String)> {
    page::pairs(&told.headers)
        .filter(|(name, _)| !is_of_the_connection(name))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect()
}

/// Whether a header is about the connection, the body's coding or the program that sent it, or speaks for a browser's user.
fn is_of_the_connection(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "host"
            | "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "expect"
            | "content-length"
            | "content-encoding"
            | "content-md5"
            | "digest"
            | "content-digest"
            | "repr-digest"
            | "accept-encoding"
            | "user-agent"
            | "cookie"
            | "origin"
            | "referer"
            | "forwarded"
            | "via"
            | "traceparent"
            | "tracestate"
    ) || [
        "proxy-",
        "sec-",
        "x-stainless-",
        "x-forwarded-",
        "x-aiproxy-",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Whether a piece of a URL stands for a secret, coded or not.
fn holds_mask(piece: &str) -> bool {
    unmasked(piece).contains(MASK)
}

/// A URL with its masks written plainly.
pub(super) fn unmasked(url: &str) -> Cow<'_, str> {
    if url.contains("%28secret%29") {
        Cow::Owned(url.replace("%28secret%29", MASK))
    } else {
        Cow::Borrowed(url)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exchange::told::{Rest, Summary};

    fn detail(told: StageTold, path: &str) -> Detail {
        Detail {
            summary: Summary {
                id: "7k3m9x2q7w".into(),
                profile: "gpt".into(),
                path: path.into(),
                ..Summary::default()
            },
            rest: Rest {
                stages: vec![told],
                ..Rest::default()
            },
        }
    }

    fn client(url: &str) -> StageTold {
        let headers = json!({
            "host": "127.0.0.1:8765", "Content-Type": "application/json", "authorization": "(secret)",
            "x-stainless-lang": "python", "content-length": "2", "anthropic-beta": ["a", "b"],
        });
        let mut told = StageTold {
            stage: "client".into(),
            method: Some("POST".into()),
            url: Some(url.into()),
            headers: headers.as_object().unwrap().clone(),
            size: 2,
            ..StageTold::default()
        };
        told.set_body(b"{}");
        told
    }

    #[test]
    fn what_belonged_to_the_connection_is_gone() {
        let detail = detail(client("/v1/messages?key=(secret)&a=1"), "/gpt/v1/messages");
        let request = Request::of(&detail, "client").unwrap();
        assert_eq!(request.url, "/gpt/v1/messages?key=(secret)&a=1");
        assert_eq!(request.below("gpt"), "/v1/messages?key=(secret)&a=1");
        assert_eq!(request.header("authorization"), Some("(secret)"));
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| &**name).collect();
        assert_eq!(
            names,
            [
                "content-type",
                "authorization",
                "anthropic-beta",
                "anthropic-beta"
            ]
        );
        let bare = request.without_secrets();
        assert_eq!(bare.url, "/gpt/v1/messages?a=1");
        assert_eq!(bare.header("authorization"), None);
    }

    #[test]
    fn paths_are_the_clients() {
        for (url, path, whole, below) in [
            ("/v1/x", "/v1/x", "/v1/x", "/v1/x"),
            ("/v1/x", "", "/gpt/v1/x", "/v1/x"),
            ("/gpt/v1/x?a", "/gpt/v1/x", "/gpt/v1/x?a", "/v1/x?a"),
            ("", "/gpt", "/gpt", ""),
            ("/v1/x", "/gpt4/v1/x", "/gpt4/v1/x", "/gpt4/v1/x"),
        ] {
            let request = Request::of(&detail(client(url), path), "client").unwrap();
            assert_eq!(request.url, whole);
            assert_eq!(request.below("gpt"), below);
        }
    }

    #[test]
    fn what_is_not_whole_is_not_sent_again() {
        let mut cut = client("/v1/x");
        (cut.truncated, cut.size) = (true, 9);
        let mut unread = client("/v1/x");
        unread.body = None;
        let mut answer = client("/v1/x");
        answer.method = None;
        for (told, stage, expected) in [
            (
                cut,
                "client",
                "the request of 7k3m9x2q7w was not kept as a whole: 2 of its 9 bytes",
            ),
            (
                unread,
                "client",
                "the request's body of 7k3m9x2q7w was not kept (2 bytes)",
            ),
            (answer, "client", "stage `client` is no request"),
            (
                client(""),
                "sent",
                "7k3m9x2q7w has no stage `sent`, but client",
            ),
        ] {
            let problem = Request::of(&detail(told, ""), stage).unwrap_err();
            assert_eq!(problem.to_string(), expected);
        }
    }
}
