//! What a request looked like at each stage, and the calls of LLMs that rewrote it. Kept in memory where somebody watches.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::{
    kept::{Kept, Material},
    mask::{Fields, masked_url},
    packed::{
        maybe, number_of, put_bytes, put_number, put_numbers, take_bytes, take_number, take_option,
        take_stage, take_text,
    },
    pieces::Pieces,
    trace::CallTrace,
};
use crate::llm::Usage;

/// A place on a request's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// As the client sent it.
    #[default]
    Client,
    /// As the request transformer made it.
    RequestTransformed,
    /// As it leaves for the upstream.
    Sent,
    /// The upstream's answer.
    Received,
    /// As the response transformer made it.
    ResponseTransformed,
    /// As the client gets it.
    Returned,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 6] = [
        Stage::Client,
        Stage::RequestTransformed,
        Stage::Sent,
        Stage::Received,
        Stage::ResponseTransformed,
        Stage::Returned,
    ];

    /// Its name, as commands take it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Client => "client",
            Stage::RequestTransformed => "request-transformed",
            Stage::Sent => "sent",
            Stage::Received => "received",
            Stage::ResponseTransformed => "response-transformed",
            Stage::Returned => "returned",
        }
    }
}

/// A body at a stage, as far as it is kept.
#[derive(Clone, Debug)]
pub enum Body {
    /// Whole.
    Whole(Kept),
    /// As it came, piece by piece.
    Pieces(Pieces),
    /// That of an earlier stage.
    Same(Stage),
    /// That of an earlier stage with these changes, in order.
    Edited(Stage, Vec<Edit>),
}

/// A change of a body that went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Where, in the bytes as they came.
    pub at: u64,
    /// How many of them are left out.
    pub cut: u64,
    /// What is put in their place.
    pub put: Bytes,
}

/// A request or an answer at one stage, as a record keeps it. No secret is in its head.
#[derive(Clone, Debug)]
pub struct Held {
    /// Where.
    pub stage: Stage,
    /// Its number among all that happened.
    pub seq: u64,
    /// Microseconds since the exchange's beginning.
    pub at: u64,
    /// A request's method.
    pub method: Option<Method>,
    /// A request's URL.
    pub url: Option<Address>,
    /// An answer's status.
    pub status: Option<u16>,
    /// Its headers.
    pub headers: Fields,
    /// Its body, inflated.
    pub body: Body,
}

impl Held {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let kind = match &self.body {
            Body::Whole(_) => 0,
            Body::Pieces(_) => 1,
            Body::Same(_) => 2,
            Body::Edited(..) => 3,
        };
        let numbers = [
            number_of(self.stage),
            self.seq,
            self.at,
            maybe(self.status.map(u64::from)),
            kind,
            self.url.is_some().into(),
        ];
        put_numbers(out, &numbers);
        let method = self.method.as_ref().map_or("", Method::as_str);
        put_bytes(out, method.as_bytes());
        if let Some(url) = &self.url {
            url.write(out);
        }
        self.headers.write(out);
        match &self.body {
            Body::Whole(kept) => kept.write(out),
            Body::Pieces(pieces) => pieces.write(out),
            Body::Same(stage) => put_number(out, number_of(*stage)),
            Body::Edited(stage, edits) => {
                put_number(out, number_of(*stage));
                put_number(out, edits.len() as u64);
                for edit in edits {
                    put_number(out, edit.at);
                    put_number(out, edit.cut);
                    put_bytes(out, &edit.put);
                }
            }
        }
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Held> {
        let stage = take_stage(bytes)?;
        let (seq, at) = (take_number(bytes)?, take_number(bytes)?);
        let status = take_option(bytes)?;
        let (kind, has_url) = (take_number(bytes)?, take_number(bytes)? == 1);
        let method = take_bytes(bytes)?;
        let method = (!method.is_empty()).then(|| Method::from_bytes(method).ok());
        let url = match has_url {
            false => None,
            true => Some(Address::Text(take_text(bytes)?)),
        };
        Some(Held {
            stage,
            seq,
            at,
            method: method.flatten(),
            url,
            status: status.and_then(|status| u16::try_from(status).ok()),
            headers: Fields::read(bytes)?,
            body: match kind {
                0 => Body::Whole(Kept::read(bytes)?),
                1 => Body::Pieces(Pieces::read(bytes)?),
                2 => Body::Same(take_stage(bytes)?),
                _ => {
                    let stage = take_stage(bytes)?;
                    let edits = take_number(bytes)?;
                    let edits = (0..edits).map(|_| {
                        Some(Edit {
                            at: take_number(bytes)?,
                            cut: take_number(bytes)?,
                            put: Bytes::copy_from_slice(take_bytes(bytes)?),
                        })
                    });
                    Body::Edited(stage, edits.collect::<Option<_>>()?)
                }
            },
        })
    }

    /// Bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        let body = match &self.body {
            Body::Whole(kept) => kept.bytes().len(),
            Body::Pieces(pieces) => pieces.weight(),
            Body::Same(_) => 0,
            Body::Edited(_, edits) => edits.iter().map(|edit| edit.put.len() + 40).sum(),
        };
        size_of::<Held>() + self.headers.weight() + self.url.as_ref().map_or(0, Address::len) + body
    }
}

/// Where a request goes, without secrets.
#[derive(Clone, Debug)]
pub enum Address {
    /// As a text; of the client's, path and query.
    Text(String),
    /// One without a query, so without secrets, as it is sent: it becomes text when somebody looks.
    Uri(Uri),
}

impl Address {
    /// Of a URI as it is sent, without the values of these parameters, and of `key`.
    #[must_use]
    pub fn masked(uri: &Uri, names: &[&str]) -> Address {
        match uri.query() {
            None => Address::Uri(uri.clone()),
            Some(_) => Address::Text(masked_url(&uri.to_string(), names)),
        }
    }

    /// The same without the value of this parameter.
    pub(super) fn without(self, name: &str) -> Address {
        match self {
            Address::Text(text) => Address::Text(masked_url(&text, &[name])),
            Address::Uri(uri) => Address::Uri(uri),
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Address::Text(text) => Cow::Borrowed(text),
            Address::Uri(uri) => Cow::Owned(uri.to_string()),
        }
    }

    /// As text.
    fn write(&self, out: &mut Vec<u8>) {
        let uri = match self {
            Address::Text(text) => return put_bytes(out, text.as_bytes()),
            Address::Uri(uri) => uri,
        };
        let scheme = uri.scheme_str();
        let authority = uri.authority().map(http::uri::Authority::as_str);
        let parts = [
            scheme.unwrap_or_default(),
            if scheme.is_some() { "://" } else { "" },
            authority.unwrap_or_default(),
            uri.path(),
        ];
        let length: usize = parts.iter().map(|part| part.len()).sum();
        put_number(out, length as u64);
        for part in parts {
            out.extend_from_slice(part.as_bytes());
        }
    }

    /// The host of a URL.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Address::Text(text) => host(text),
            Address::Uri(uri) => uri.host(),
        }
    }

    /// Bytes, more or less.
    fn len(&self) -> usize {
        match self {
            Address::Text(text) => text.len(),
            Address::Uri(uri) => size_of_val(uri) + uri.path().len(),
        }
    }
}

/// The host of a URL.
pub(super) fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    Some(host.split_once(':').map_or(host, |(host, _)| host))
}

/// Values that are not to be shown: a header's, a parameter's, and two of a cloud.
pub type Hidden<'a> = [Option<&'a str>; 4];

/// The head of a request or an answer, for whoever keeps it.
#[derive(Debug)]
pub struct Head<'a> {
    /// A request's method.
    pub method: Option<&'a Method>,
    /// A request's URL.
    pub url: Option<Address>,
    /// An answer's status.
    pub status: Option<u16>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Values that are not to be shown, beside those of headers that say so by their name.
    pub secrets: Hidden<'a>,
}

impl<'a> Head<'a> {
    /// An answer's.
    #[must_use]
    pub fn answer(status: StatusCode, headers: &'a HeaderMap) -> Head<'a> {
        Head {
            method: None,
            url: None,
            status: Some(status.as_u16()),
            headers,
            secrets: Hidden::default(),
        }
    }
}

/// A request or an answer at one stage. No secret is in its head.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Where.
    pub stage: Stage,
    /// A request's method.
    pub method: Option<Method>,
    /// A request's URL; of the client's, path and query.
    pub url: Option<String>,
    /// An answer's status.
    pub status: Option<u16>,
    /// Its headers; a secret is `(secret)`.
    pub headers: HeaderMap,
    /// Its body, inflated.
    pub body: Bytes,
}

/// One call of a transformer's LLM.
#[derive(Clone, Debug, Default)]
pub struct LlmCall {
    /// Whose: `ai-request-transformer` or `ai-response-transformer`.
    pub plugin: &'static str,
    /// The provider's name.
    pub provider: String,
    /// The model that was asked.
    pub model: String,
    /// Where it was asked; a secret is `(secret)`.
    pub url: String,
    /// The request's headers; a secret is `(secret)`. Only where somebody watches.
    pub headers: HeaderMap,
    /// The request's body, in the provider's words. Only where somebody watches.
    pub request: Bytes,
    /// The status of its answer, if there was one.
    pub status: Option<u16>,
    /// The body of its answer, inflated, unless it is longer than what is kept. Only where somebody watches.
    pub received: Bytes,
    /// The text of its answer. Only where somebody watches.
    pub answer: Option<String>,
    /// `transformation_extract_pattern`.
    pub pattern: Option<String>,
    /// What the pattern took of the answer. Only where somebody watches.
    pub matched: Option<String>,
    /// Its tokens.
    pub usage: Option<Usage>,
    /// How long it took.
    pub took: Duration,
    /// What it cost in USD, where the profile has both prices.
    pub cost: Option<f64>,
    /// Why there is no answer, or none that can be used.
    pub error: Option<String>,
    /// Its number among all that happened.
    pub seq: u64,
    /// Microseconds from the exchange's beginning to its end.
    pub at: u64,
    /// Its place in a trace, where spans are wanted.
    pub trace: Option<Box<CallTrace>>,
}

impl LlmCall {
    /// Bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        let texts = [&self.answer, &self.pattern, &self.matched, &self.error];
        let texts = texts.into_iter().flatten().map(String::len);
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
        size_of::<LlmCall>()
            + self.url.len()
            + self.request.len()
            + self.received.len()
            + texts.chain(headers).sum::<usize>()
    }
}

/// What is to be logged of a transformer's call.
#[derive(Clone, Debug, Default)]
pub struct CallLog {
    /// The model that answered, as the provider names it.
    pub answered_by: String,
    /// What the profile wants logged, and what that takes.
    pub material: Material,
}

/// What tokens cost in USD; `None` unless both prices are known.
#[must_use]
pub fn cost(usage: &Usage, input_cost: Option<f64>, output_cost: Option<f64>) -> Option<f64> {
    let (input, output) = (input_cost?, output_cost?);
    Some((usage.prompt() as f64 * input + usage.output as f64 * output) / 1_000_000.0)
}
