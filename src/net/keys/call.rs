//! Our client in the form that the clouds' libraries take: small requests, small answers, no redirects.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};

use crate::transport::{BoxError, Dial, Transport, full};

/// Largest answer that is read; tokens have a few kilobytes.
const LARGEST: usize = 1 << 20;

/// How a cloud's service is reached: by the environment's proxy, never a profile's.
pub(super) fn dial(connect: Option<Duration>, answer: Option<Duration>) -> Dial {
    let usual = Duration::from_secs(5);
    Dial {
        connect_timeout: connect.unwrap_or(usual),
        first_byte_timeout: answer.unwrap_or(usual),
        ..Dial::default()
    }
}

/// Sends a request and reads the whole answer.
pub(super) async fn call(
    net: &Arc<dyn Transport>,
    request: Request<Bytes>,
    dial: &Dial,
) -> Result<Response<Bytes>, BoxError> {
    let (head, body) = net.send(request.map(full), dial).await?.into_parts();
    // Boxed, since the compiler cannot see that the error's type outlives the exchange.
    let body = Limited::new(body, LARGEST).boxed_unsync();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}
