//! A script as a response body: a timer, an encoder and nothing else. It owns no task, so dropping it stops it.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use super::{
    model::Failure,
    script::{Act, Step},
};
use crate::{dialect::StreamEncoder, transport::BoxError};

/// Between the last bytes and the break: a server has to write them out first, since an error makes it drop what it still holds.
const BEFORE_BREAK: Duration = Duration::from_millis(20);

/// Plays steps when they are due.
pub(super) struct Playback<S> {
    steps: S,
    encoder: Option<Box<dyn StreamEncoder>>,
    /// The step that waits for its time.
    next: Option<(Pin<Box<Sleep>>, Act)>,
    /// Bytes that wait to be sent one by one.
    rest: Bytes,
    split: bool,
    /// Bytes until the connection breaks.
    cut: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Playing,
    /// In split mode: the last byte is on its way, the next waits for the next poll.
    Resting,
    Breaking,
    Silent,
    Over,
}

impl<S> fmt::Debug for Playback<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playback")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<S: Iterator<Item = Step>> Playback<S> {
    /// Plays `steps`, events through `encoder`.
    pub(super) fn new(
        steps: S,
        encoder: Option<Box<dyn StreamEncoder>>,
        failure: Option<Failure>,
    ) -> Playback<S> {
        let cut = match failure {
            Some(Failure::Cut(bytes)) => bytes,
            _ => None,
        };
        let split = failure == Some(Failure::Split);
        Playback {
            steps,
            encoder,
            next: None,
            rest: Bytes::new(),
            split,
            cut,
            state: State::Playing,
        }
    }

    /// Bytes of one act; changes the state if nothing comes after them.
    fn act(&mut self, act: Act) -> Bytes {
        let mut out = BytesMut::new();
        match act {
            Act::Raw(bytes) => return bytes,
            Act::Silence => self.state = State::Silent,
            Act::Abort => self.state = State::Breaking,
            Act::Send(event) => {
                if let Some(encoder) = &mut self.encoder {
                    encoder.event(&event, &mut out);
                }
            }
            Act::Break(event) => {
                if let Some(encoder) = &mut self.encoder {
                    encoder.event(&event, &mut out);
                }
                out.truncate(out.len() / 2);
                self.break_soon();
            }
        }
        out.freeze()
    }

    /// What of `bytes` may go out before the connection breaks.
    fn allowed(&mut self, mut bytes: Bytes) -> Bytes {
        if let Some(left) = &mut self.cut {
            bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= bytes.len() as u64;
            if *left == 0 {
                self.break_soon();
            }
        }
        bytes
    }

    fn break_soon(&mut self) {
        self.next = Some((Box::pin(sleep(BEFORE_BREAK)), Act::Abort));
    }
}

impl<S: Iterator<Item = Step> + Unpin> Body for Playback<S> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            match this.state {
                State::Playing => {}
                State::Silent => return Poll::Pending,
                State::Over => return Poll::Ready(None),
                State::Breaking => {
                    this.state = State::Over;
                    let broken = io::Error::new(
                        io::ErrorKind::ConnectionReset,
                        "the mock broke the connection",
                    );
                    return Poll::Ready(Some(Err(broken.into())));
                }
                State::Resting => {
                    // A server writes out what it has when a body has nothing more at once: so each byte is written by itself.
                    this.state = State::Playing;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            if !this.rest.is_empty() {
                let byte = this.rest.split_to(1);
                this.state = State::Resting;
                return Poll::Ready(Some(Ok(Frame::data(byte))));
            }
            let act = match this.next.take() {
                Some((mut timer, act)) => {
                    if timer.as_mut().poll(context).is_pending() {
                        this.next = Some((timer, act));
                        return Poll::Pending;
                    }
                    act
                }
                None => match this.steps.next() {
                    None => {
                        this.state = State::Over;
                        continue;
                    }
                    Some(Step {
                        after: Duration::ZERO,
                        act,
                    }) => act,
                    Some(Step { after, act }) => {
                        this.next = Some((Box::pin(sleep(after)), act));
                        continue;
                    }
                },
            };
            let bytes = this.act(act);
            let bytes = this.allowed(bytes);
            if this.split {
                this.rest = bytes;
            } else if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use http_body_util::BodyExt;

    use super::*;

    fn raw(texts: &[&'static str], after: Duration) -> std::vec::IntoIter<Step> {
        let steps: Vec<Step> = texts
            .iter()
            .map(|text| Step {
                after,
                act: Act::Raw(Bytes::from_static(text.as_bytes())),
            })
            .collect();
        steps.into_iter()
    }

    /// The frames, and whether the body broke.
    async fn frames<S: Iterator<Item = Step> + Unpin>(
        mut body: Playback<S>,
    ) -> (Vec<String>, bool) {
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => {
                    frames.push(String::from_utf8_lossy(frame.data_ref().unwrap()).into_owned());
                }
                Err(_) => return (frames, true),
            }
        }
        (frames, false)
    }

    #[tokio::test]
    async fn a_cut_is_made_at_the_byte() {
        for (at, expected, broken) in [
            (0, &[][..], true),
            (2, &["ab"], true),
            (3, &["abc"], true),
            (5, &["abc", "de"], true),
            (9, &["abc", "def"], false),
        ] {
            let body = Playback::new(
                raw(&["abc", "def"], Duration::ZERO),
                None,
                Some(Failure::Cut(Some(at))),
            );
            assert_eq!(
                frames(body).await,
                (
                    expected.iter().map(|text| (*text).to_owned()).collect(),
                    broken
                ),
                "{at}"
            );
        }
    }

    #[tokio::test]
    async fn a_split_body_comes_byte_by_byte() {
        let body = Playback::new(
            raw(&["ab", "c"], Duration::ZERO),
            None,
            Some(Failure::Split),
        );
        assert_eq!(
            frames(body).await,
            (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], false)
        );
    }

    #[tokio::test]
    async fn steps_wait_for_their_time() {
        let begun = std::time::Instant::now();
        let body = Playback::new(raw(&["a", "b", "c"], Duration::from_millis(10)), None, None);
        assert_eq!(frames(body).await.0.concat(), "abc");
        assert!(begun.elapsed() >= Duration::from_millis(30));
    }

    #[tokio::test]
    async fn steps_are_made_when_they_are_due() {
        let made = Cell::new(0);
        let steps =
            raw(&["a", "b", "c", "d"], Duration::ZERO).inspect(|_| made.set(made.get() + 1));
        let mut body = Playback::new(steps, None, None);
        body.frame().await;
        body.frame().await;
        drop(body);
        assert_eq!(made.get(), 2);
    }
}
