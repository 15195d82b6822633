//! A recorded answer as a response: its pieces, each at its time. It owns no task, so dropping it stops it.

use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{file::headers, line::Response};
use crate::transport::{Body, BoxError};

/// How fast answers are played: 1 as they came, 2 twice as fast, 0 without pauses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

impl Default for Speed {
    fn default() -> Speed {
        Speed(1.0)
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Speed, String> {
        let speed: Option<f64> = text.parse().ok();
        speed
            .filter(|speed| speed.is_finite() && *speed >= 0.0)
            .map(Speed)
            .ok_or_else(|| {
                "it must be a number: 1 as it was, 2 twice as fast, 0 without pauses".to_owned()
            })
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest pause: beyond that nobody waits.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Speed {
    /// How long something takes that took so many milliseconds.
    fn of(self, ms: f64) -> Duration {
        if self.0 == 0.0 {
            return Duration::ZERO;
        }
        let seconds = (ms / 1000.0 / self.0).max(0.0);
        Duration::try_from_secs_f64(seconds).map_or(LONGEST, |time| time.min(LONGEST))
    }
}

/// Answers as was recorded: resolves when the head is due, `begun` being when the request came.
pub(super) async fn play(answer: &Response, speed: Speed, begun: Instant) -> http::Response<Body> {
    let due = begun + speed.of(answer.head_ms);
    if due > Instant::now() {
        sleep_until(due).await;
    }
    let mut pieces: VecDeque<(Instant, Bytes)> = answer
        .chunks
        .iter()
        .map(|chunk| {
            let bytes = Bytes::copy_from_slice(&chunk.bytes());
            (begun + speed.of(chunk.at_ms), bytes)
        })
        .collect();
    // Whoever sends a body of one piece says its length.
    let whole = pieces.len() < 2 && !answer.broken;
    let end = begun + speed.of(answer.end_ms);
    let body = if whole && end <= Instant::now() {
        let piece = pieces.pop_front().map(|(_, bytes)| bytes);
        crate::transport::full(piece.unwrap_or_default())
    } else {
        let length: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
        let tape = Tape {
            pieces,
            end,
            broken: answer.broken,
            length: whole.then_some(length as u64),
            timer: Box::pin(sleep_until(begun)),
            over: false,
        };
        tape.boxed_unsync()
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    *response.headers_mut() = head(answer);
    response
}

fn head(answer: &Response) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in headers(&answer.headers).unwrap_or_default() {
        out.append(name, value);
    }
    out
}

/// Pieces that wait for their time.
struct Tape {
    pieces: VecDeque<(Instant, Bytes)>,
    end: Instant,
    broken: bool,
    /// Bytes in all, where one piece is all.
    length: Option<u64>,
    timer: Pin<Box<Sleep>>,
    over: bool,
}

impl Tape {
    /// Whether a time has come; if not, somebody is woken then.
    fn waits(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        if due <= Instant::now() {
            return false;
        }
        if self.timer.deadline() != due {
            self.timer.as_mut().reset(due);
        }
        self.timer.as_mut().poll(cx).is_pending()
    }
}

impl HttpBody for Tape {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let due = this.pieces.front().map_or(this.end, |(due, _)| *due);
        if this.waits(due, cx) {
            return Poll::Pending;
        }
        if let Some((_, bytes)) = this.pieces.pop_front() {
            if let Some(length) = &mut this.length {
                *length = length.saturating_sub(bytes.len() as u64);
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        this.over = true;
        if this.broken {
            let broken = io::Error::new(
                io::ErrorKind::ConnectionReset,
                "the connection broke when this was recorded",
            );
            return Poll::Ready(Some(Err(broken.into())));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cassette::Chunk;

    fn answer() -> Response {
        Response {
            status: 206,
            headers: [("x-a".to_owned(), serde_json::json!(["1", "2"]))]
                .into_iter()
                .collect(),
            head_ms: 100.0,
            chunks: vec![
                Chunk::new(200.0, b"a\xff"),
                Chunk::new(200.0, b"b"),
                Chunk::new(1000.0, b"c"),
            ],
            end_ms: 1500.0,
            broken: false,
        }
    }

    /// The frames and when they came, the end last.
    async fn frames(answer: &Response, speed: Speed) -> (Vec<(u128, Vec<u8>)>, bool) {
        let begun = Instant::now();
        let response = play(answer, speed, begun).await;
        assert_eq!(response.status().as_u16(), answer.status);
        assert_eq!(response.headers().get_all("x-a").iter().count(), 2);
        let mut frames = vec![(begun.elapsed().as_millis(), b"head".to_vec())];
        let mut body = response.into_body();
        let mut broke = false;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => frames.push((
                    begun.elapsed().as_millis(),
                    frame.into_data().unwrap().to_vec(),
                )),
                Err(_) => broke = true,
            }
        }
        frames.push((begun.elapsed().as_millis(), b"end".to_vec()));
        (frames, broke)
    }

    #[tokio::test(start_paused = true)]
    async fn each_piece_comes_at_its_time() {
        let expected = |times: [u128; 5]| -> Vec<(u128, Vec<u8>)> {
            let pieces = [&b"head"[..], b"a\xff", b"b", b"c", b"end"];
            times.into_iter().zip(pieces.map(<[u8]>::to_vec)).collect()
        };
        for (speed, times) in [
            ("1", [100, 200, 200, 1000, 1500]),
            ("2", [50, 100, 100, 500, 750]),
            ("0", [0, 0, 0, 0, 0]),
            ("0.5", [200, 400, 400, 2000, 3000]),
        ] {
            let (frames, broke) = frames(&answer(), speed.parse().unwrap()).await;
            assert_eq!(frames, expected(times), "{speed}");
            assert!(!broke);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_broke_breaks_again() {
        let answer = Response {
            broken: true,
            ..answer()
        };
        let (frames, broke) = frames(&answer, Speed::default()).await;
        assert_eq!((frames.len(), broke), (5, true));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_one_piece_has_a_length() {
        let mut answer = answer();
        answer.chunks.truncate(1);
        for speed in ["0", "1"] {
            let response = play(&answer, speed.parse().unwrap(), Instant::now()).await;
            assert_eq!(response.body().size_hint().exact(), Some(2), "{speed}");
            let collected = response.into_body().collect().await.unwrap();
            assert_eq!(collected.to_bytes(), &b"a\xff"[..]);
        }
    }

    #[test]
    fn a_speed_is_a_number() {
        for wrong in ["", "fast", "-1", "inf", "NaN", "1x"] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
        assert_eq!(
            "0.25".parse::<Speed>().unwrap().of(100.0),
            Duration::from_millis(400)
        );
        assert_eq!(Speed::default().of(f64::MAX), LONGEST);
    }
}
