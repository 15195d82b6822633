//! Answers from recordings where bytes would leave the process, or at a port of their own.

use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, timeout};

use super::{
    canon::Asked,
    play::{Speed, play},
    shelf::{Boundary, Cassettes},
};
use crate::transport::{Body, Dial, Free, Sending, Transport, TransportError, full};

/// The largest request body that is read: 64 MiB, the proxy's own default.
const MAX_REQUEST: usize = 64 << 20;

/// What becomes of a request that was not recorded.
pub enum Missing {
    /// It is refused.
    Refused,
    /// It is sent, that way.
    Sent(Arc<dyn Transport>),
}

/// Plays recordings in the place of whomever a request is for.
pub struct Replayer {
    cassettes: Arc<Cassettes>,
    speed: Speed,
    missing: Missing,
}

impl std::fmt::Debug for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Missing::Refused => "Refused",
            Missing::Sent(_) => "Sent",
        })
    }
}

impl std::fmt::Debug for Replayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replayer")
            .field("cassettes", &self.cassettes)
            .field("speed", &self.speed)
            .field("missing", &self.missing)
            .finish()
    }
}

impl Replayer {
    /// Plays these.
    #[must_use]
    pub fn new(cassettes: Arc<Cassettes>, speed: Speed, missing: Missing) -> Replayer {
        Replayer {
            cassettes,
            speed,
            missing,
        }
    }

    /// Answers a client.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub async fn answer(&self, request: Request<Body>) -> Result<http::Response<Body>, String> {
        let begun = Instant::now();
        let (head, body) = request.into_parts();
        let body = read(body).await?;
        let asked = Asked::of(&head, &body);
        let found = self.cassettes.find(Boundary::Client, &asked)?;
        Ok(play(found.response(), self.speed, begun).await)
    }

    async fn sent(
        &self,
        request: Request<Body>,
        dial: &Dial,
    ) -> Result<http::Response<Body>, TransportError> {
        let begun = Instant::now();
        let (head, body) = request.into_parts();
        let body = read(body).await.map_err(TransportError::Broken)?;
        let asked = Asked::of(&head, &body);
        match (
            self.cassettes.find(Boundary::Upstream, &asked),
            &self.missing,
        ) {
            (Ok(found), _) => {
                let limit = dial.first_byte_timeout;
                let played = timeout(limit, play(found.response(), self.speed, begun)).await;
                let mut response = played.map_err(|_| TransportError::FirstByteTimeout(limit))?;
                response.extensions_mut().insert(Free);
                Ok(response)
            }
            (Err(why), Missing::Refused) => Err(TransportError::Unrecorded(why)),
            (Err(_), Missing::Sent(net)) => {
                net.send(Request::from_parts(head, full(body)), dial).await
            }
        }
    }
}

impl Transport for Replayer {
    fn send<'a>(&'a self, request: Request<Body>, dial: &'a Dial) -> Sending<'a> {
        Box::pin(self.sent(request, dial))
    }
}

async fn read(body: Body) -> Result<bytes::Bytes, String> {
    let read = Limited::new(body, MAX_REQUEST).boxed_unsync().collect();
    let body = read.await.map_err(|error| {
        format!("the request's body cannot be compared with recordings: {error}")
    })?;
    Ok(body.to_bytes())
}
