//! One request on its way again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;

use super::local::{self, Piece};
use crate::{
    cli::{chat::ask::Asker, request::Request},
    exchange::told::Detail,
    term::Problem,
    wire::envelope::Envelope,
};

/// How often it is asked whether an exchange whose answer is there has been closed, and how long is waited in between.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// A request for one profile.
#[derive(Debug)]
pub(super) struct Again {
    method: Method,
    pub(super) path: String,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Again {
    /// The request of a client of profile `own` for `profile`.
    pub(super) fn of(
        request: &Request,
        own: &str,
        profile: &str,
        model: Option<&str>,
    ) -> Result<Again, Problem> {
        let bytes = Bytes::copy_from_slice(&request.body);
        let below = request.below(own);
        let mut path = format!("/{profile}{below}");
        let body = match Envelope::parse(&bytes) {
            Ok(mut envelope) => {
                match model {
                    Some(model) => envelope
                        .set("model", model)
                        .map_err(|error| Problem::usage(format!("--model: {error}")))?,
                    None if profile != own => {
                        envelope.remove("model");
                    }
                    // On a root path the body names the profile, and below a profile's name it does not.
                    None if below == request.url && names(&envelope, profile) => {
                        path.clone_from(&request.url);
                    }
                    None => {}
                }
                envelope.finish(&bytes)
            }
            Err(_) if model.is_some() => {
                return Err(Problem::usage(
                    "--model needs a request whose body is a JSON object",
                ));
            }
            Err(_) => bytes.clone(),
        };
        let method = request.method.parse().map_err(|_| {
            Problem::new(format!(
                "`{}` is no method that can be sent",
                request.method
            ))
        })?;
        let header = |(name, value): &(String, String)| {
            Some((
                name.parse::<HeaderName>().ok()?,
                value.parse::<HeaderValue>().ok()?,
            ))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers.iter().filter_map(header) {
            headers.append(name, value);
        }
        Ok(Again {
            method,
            path,
            headers,
            body,
        })
    }

    /// Sends it, and waits for the end of the answer. A failure is a result like others.
    pub(super) async fn send(&self, profile: &str, asker: &Asker) -> Result<Detail, Problem> {
        let start = Instant::now();
        let mut seen = local::Seen::new(profile, &self.method, &self.path);
        let sent = asker.send(
            &self.method,
            &self.path,
            self.headers.clone(),
            self.body.clone(),
        );
        let response = match sent.await {
            Ok(response) => response,
            Err(problem) => {
                seen.took = start.elapsed();
                return Ok(seen.failed(&problem.to_string()));
            }
        };
        let (parts, mut body) = response.into_parts();
        seen.head(parts, start.elapsed());
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => seen.pieces.push(Piece {
                    at: start.elapsed(),
                    bytes: frame.into_data().unwrap_or_default(),
                }),
                Err(error) => {
                    seen.broke = Some(error.to_string());
                    break;
                }
            }
        }
        seen.took = start.elapsed();
        // What was recorded of it says more than what is seen from here.
        match seen.id() {
            Some(id) => Ok(recorded(asker, &id).await.unwrap_or_else(|| seen.told())),
            None => Ok(seen.told()),
        }
    }
}

/// Whether a body's model names a profile, as `PROFILE/MODEL` or alone.
fn names(envelope: &Envelope<'_>, profile: &str) -> bool {
    let model: Option<String> = envelope.read("model");
    model.is_some_and(|model| {
        model
            .strip_prefix(profile)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The exchange as whoever answered recorded it, once it has ended.
async fn recorded(asker: &Asker, id: &str) -> Option<Detail> {
    let path = format!("/_aiproxy/exchanges/{id}");
    for _ in 0..LOOKS {
        let response = asker
            .send(&Method::GET, &path, HeaderMap::new(), Bytes::new())
            .await
            .ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = response.into_body().collect().await.ok()?.to_bytes();
        let detail = Detail::parse(std::str::from_utf8(&body).ok()?).ok()?;
        if detail.summary.outcome != "live" {
            return Some(detail);
        }
        tokio::time::sleep(PAUSE).await;
    }
    None
}
