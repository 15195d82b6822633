//! `/_aiproxy/events`: what happens, as it happens, as server-sent events.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    io::Write as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::CACHE_CONTROL, header::CONTENT_TYPE};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::bad_query;
use crate::{
    exchange::{
        Filter, Heard, Ledger, Listener, Redactor, flag,
        told::{Notice, What},
    },
    transport::{Body, BoxError},
};

/// How often a silent stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Bytes of events that leave in one piece.
const AT_ONCE: usize = 16 << 10;

/// Most bytes that wait of exchanges whose end decides whether they are told.
const MOST_WAITING: usize = 16 << 20;

/// What a reader asked for.
#[derive(Debug, Default)]
struct Wanted {
    filter: Filter,
    exchange: Option<String>,
    raw: bool,
    bodies: bool,
}

impl Wanted {
    fn of(query: Option<&str>) -> Result<(Wanted, Option<u64>), String> {
        let (mut wanted, mut after) = (Wanted::default(), None);
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "exchange" => wanted.exchange = Some(value.to_ascii_lowercase()),
                "raw" => wanted.raw = flag(&name, &value)?,
                "bodies" => wanted.bodies = flag(&name, &value)?,
                "last_event_id" => after = value.parse().ok(),
                // What is no query of the stream is the page's own (`?token=`): ignored like any server does.
                _ => {
                    wanted.filter.set(&name, value.into_owned())?;
                }
            }
        }
        Ok((wanted, after))
    }

    /// Whether only an exchange's end tells if it is wanted.
    fn waits(&self) -> bool {
        self.filter.failed || self.filter.grep.is_some()
    }
}

/// A stream of all that is wanted.
pub(super) fn stream(
    ledger: &Arc<Ledger>,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Response<Body> {
    let (wanted, after) = match Wanted::of(query) {
        Ok(wanted) => wanted,
        Err(why) => return bad_query(why),
    };
    let told = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.trim().parse().ok());
    let (listener, backlog) = ledger.listen(wanted.raw, told.or(after));
    let reader = Reader {
        ledger: Arc::clone(ledger),
        listener,
        backlog: backlog.into(),
        wanted,
        exchanges: HashMap::new(),
        last: None,
        ready: VecDeque::new(),
        waiting: 0,
    };
    let mut response = Response::new(Events::new(reader).boxed_unsync());
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// What a reader knows of an exchange.
#[derive(Default)]
struct Seen {
    /// Nothing of it is wanted.
    skipped: bool,
    /// Its model is known.
    routed: bool,
    /// Told at its end, if at all.
    waiting: Vec<Notice>,
    /// How many more there were, for which there was no room.
    lost: u64,
    /// The ends of texts that could be the beginning of a secret: of one part at most each, and seldom any.
    held: Vec<Tail>,
}

/// The end of a part's text that is not told yet.
struct Tail {
    part: u32,
    text: String,
    what: fn(u32, String) -> What,
}

/// Turns what happens into what is wanted of it, without secrets.
struct Reader {
    ledger: Arc<Ledger>,
    listener: Listener,
    backlog: VecDeque<Arc<Notice>>,
    wanted: Wanted,
    exchanges: HashMap<String, Seen>,
    /// The one that was told of last: the next notice is often of the same.
    last: Option<(String, Seen)>,
    ready: VecDeque<Notice>,
    /// Bytes of `waiting` of all exchanges.
    waiting: usize,
}

impl Reader {
    /// What comes next; waits for it. Nothing comes once the server stops.
    async fn next(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = self.now() {
                return Some(notice);
            }
            match self.listener.next().await {
                Heard::Notice(notice) => self.take(&notice),
                Heard::Lost(events) => {
                    self.forget_ended();
                    self.ready.push_back(lost(events));
                }
                Heard::End => return None,
            }
        }
    }

    /// What is there already.
    fn now(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = self.ready.pop_front() {
                return Some(notice);
            }
            if let Some(notice) = self.backlog.pop_front() {
                self.take(&notice);
                continue;
            }
            match self.listener.try_next()? {
                Heard::Notice(notice) => self.take(&notice),
                Heard::Lost(events) => {
                    self.forget_ended();
                    self.ready.push_back(lost(events));
                }
                Heard::End => return None,
            }
        }
    }

    fn take(&mut self, notice: &Notice) {
        if matches!(notice.what, What::Lost { .. }) {
            self.ready.push_back(notice.clone());
            return;
        }
        if let Some(exchange) = &self.wanted.exchange
            && !notice.exchange.starts_with(exchange.as_str())
        {
            return;
        }
        let profiles = &self.wanted.filter.profiles;
        if !profiles.is_empty() && !profiles.contains(&notice.profile) {
            return;
        }
        let redactor = self.ledger.redactor();
        let (name, mut seen) = self.seen(&notice.exchange);
        if let What::Routed { model, .. } = &notice.what {
            seen.routed = true;
            seen.skipped |= !self.wanted.filter.takes_model(model, "");
        }
        if !seen.skipped {
            // Nearly all are texts: nothing of them is copied that is not told.
            match &notice.what {
                What::Text { part, text } => {
                    let what = |part, text| What::Text { part, text };
                    self.tell_text(notice, &mut seen, *part, text, what, &redactor);
                }
                What::Thinking { part, text } => {
                    let what = |part, text| What::Thinking { part, text };
                    self.tell_text(notice, &mut seen, *part, text, what, &redactor);
                }
                What::Arguments { part, text } => {
                    let what = |part, text| What::Arguments { part, text };
                    self.tell_text(notice, &mut seen, *part, text, what, &redactor);
                }
                _ => {
                    let mut told = Vec::new();
                    shown(notice, &mut seen, &redactor, &mut told);
                    for mut notice in told {
                        if self.wanted.bodies {
                            self.put_body(&mut notice);
                        }
                        self.tell(notice, &mut seen);
                    }
                }
            }
        }
        if !matches!(notice.what, What::Closed { .. }) {
            self.last = Some((name, seen));
        }
    }

    /// What is known of an exchange, taken out.
    fn seen(&mut self, exchange: &str) -> (String, Seen) {
        if let Some((name, seen)) = self.last.take() {
            if name == exchange {
                return (name, seen);
            }
            self.exchanges.insert(name, seen);
        }
        self.exchanges
            .remove_entry(exchange)
            .unwrap_or_else(|| (exchange.to_owned(), Seen::default()))
    }

    /// Tells of a text what of it, and of what was held before it, can be told.
    fn tell_text(
        &mut self,
        notice: &Notice,
        seen: &mut Seen,
        part: u32,
        text: &str,
        what: fn(u32, String) -> What,
        redactor: &Redactor,
    ) {
        let text = hold(seen, redactor, part, text, what);
        if text.is_empty() {
            return;
        }
        let notice = Notice {
            seq: notice.seq,
            exchange: notice.exchange.clone(),
            profile: notice.profile.clone(),
            at_ms: notice.at_ms,
            what: what(part, text),
        };
        self.tell(notice, seen);
    }

    /// Tells now, or at the exchange's end.
    fn tell(&mut self, notice: Notice, seen: &mut Seen) {
        let early = self.wanted.filter.model.is_some() && !seen.routed;
        let What::Closed { summary } = &notice.what else {
            if self.wanted.waits() || early {
                self.waiting += weight(&notice);
                if self.waiting > MOST_WAITING {
                    self.waiting -= weight(&notice);
                    seen.lost += 1;
                    return;
                }
                seen.waiting.push(notice);
            } else {
                for earlier in std::mem::take(&mut seen.waiting) {
                    self.waiting -= weight(&earlier);
                    self.ready.push_back(earlier);
                }
                self.ready.push_back(notice);
            }
            return;
        };
        let waiting = std::mem::take(&mut seen.waiting);
        self.waiting -= waiting.iter().map(weight).sum::<usize>();
        let wanted = self.wanted.filter.takes(summary) && self.finds(&summary.id);
        if wanted {
            self.ready.extend(waiting);
            if seen.lost > 0 {
                self.ready.push_back(lost(seen.lost));
            }
            self.ready.push_back(notice);
        }
    }

    /// Forgets exchanges whose end was lost.
    fn forget_ended(&mut self) {
        self.exchanges.extend(self.last.take());
        let running = self.ledger.running();
        self.exchanges.retain(|id, seen| {
            let runs = running.contains(id.as_str());
            if !runs {
                self.waiting -= seen.waiting.iter().map(weight).sum::<usize>();
            }
            runs
        });
    }

    /// Whether what is looked for is in the exchange.
    fn finds(&self, id: &str) -> bool {
        if self.wanted.filter.grep.is_none() {
            return true;
        }
        self.ledger.mentions(id, &self.wanted.filter)
    }

    /// Puts a stage's body in, which notices do not carry.
    fn put_body(&self, notice: &mut Notice) {
        if let What::Stage { stage, body, .. } = &mut notice.what {
            *body = self.ledger.body(&notice.exchange, stage);
        }
    }
}

fn weight(notice: &Notice) -> usize {
    let text = match &notice.what {
        What::Text { text, .. } | What::Thinking { text, .. } | What::Arguments { text, .. } => {
            text.len()
        }
        What::Raw { text, base64 } => {
            text.as_ref().map_or(0, String::len) + base64.as_ref().map_or(0, String::len)
        }
        What::Stage { body, .. } => body.as_ref().map_or(0, String::len),
        _ => 0,
    };
    256 + text
}

fn lost(events: u64) -> Notice {
    Notice {
        seq: 0,
        exchange: String::new(),
        profile: String::new(),
        at_ms: 0.0,
        what: What::Lost { events },
    }
}

/// A notice that is no text, without secrets, after what was held of texts that end with it.
fn shown(notice: &Notice, seen: &mut Seen, redactor: &Redactor, out: &mut Vec<Notice>) {
    let hide = |text: &str| redactor.redact(text).into_owned();
    let mut notice = notice.clone();
    let flush = |seen: &mut Seen, part: Option<u32>, out: &mut Vec<Notice>, like: &Notice| {
        let ends = |held: &mut Tail| part.is_none_or(|part| held.part == part);
        for held in seen.held.extract_if(.., ends) {
            out.push(Notice {
                what: (held.what)(held.part, redactor.redact(&held.text).into_owned()),
                ..like.clone()
            });
        }
    };
    match &mut notice.what {
        What::Close { part } => {
            let part = *part;
            let like = notice.clone();
            flush(seen, Some(part), out, &like);
        }
        What::Finish { .. } => {
            let like = notice.clone();
            flush(seen, None, out, &like);
        }
        What::Closed { .. } => {
            let like = notice.clone();
            flush(seen, None, out, &like);
        }
        What::Opened { path, .. } => *path = hide(path),
        What::Routed { model, .. } => *model = hide(model),
        What::Stage { url, .. } => *url = url.as_deref().map(hide),
        What::Call { model, error, .. } => {
            *model = hide(model);
            *error = error.as_deref().map(hide);
        }
        What::Warning { warning } => *warning = hide(warning),
        What::Open { name, .. } => *name = name.as_deref().map(hide),
        What::Raw { text, .. } => *text = text.as_deref().map(hide),
        What::Text { .. }
        | What::Thinking { .. }
        | What::Arguments { .. }
        | What::Usage { .. }
        | What::Lost { .. } => {}
    }
    out.push(notice);
}

/// What can be told of a text, and of what was held before it. An end that could be the beginning of a secret waits for what follows.
fn hold(
    seen: &mut Seen,
    redactor: &Redactor,
    part: u32,
    text: &str,
    what: fn(u32, String) -> What,
) -> String {
    let before = seen.held.iter().position(|held| held.part == part);
    let before = before.map(|at| seen.held.swap_remove(at));
    let whole = match before {
        Some(held) => Cow::Owned(held.text + text),
        None => Cow::Borrowed(text),
    };
    let (told, rest) = whole.split_at(redactor.settled(&whole));
    if !rest.is_empty() {
        seen.held.push(Tail {
            part,
            text: rest.to_owned(),
            what,
        });
    }
    redactor.redact(told).into_owned()
}

type Next = Pin<Box<dyn Future<Output = (Reader, Option<Notice>)> + Send>>;

/// The body.
struct Events {
    next: Next,
    timer: Pin<Box<tokio::time::Sleep>>,
    greeted: bool,
}

impl Events {
    fn new(reader: Reader) -> Events {
        Events {
            next: following(reader),
            timer: Box::pin(tokio::time::sleep(KEEP_ALIVE)),
            greeted: false,
        }
    }
}

fn following(mut reader: Reader) -> Next {
    Box::pin(async move {
        let notice = reader.next().await;
        (reader, notice)
    })
}

/// Writes one server-sent event.
fn event(notice: &Notice, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let name = match &notice.what {
        What::Opened { .. } => "opened",
        What::Routed { .. } => "routed",
        What::Stage { .. } => "stage",
        What::Call { .. } => "call",
        What::Warning { .. } => "warning",
        What::Open { .. } => "open",
        What::Text { .. } => "text",
        What::Thinking { .. } => "thinking",
        What::Arguments { .. } => "arguments",
        What::Close { .. } => "close",
        What::Finish { .. } => "finish",
        What::Usage { .. } => "usage",
        What::Raw { .. } => "raw",
        What::Closed { .. } => "closed",
        What::Lost { .. } => "lost",
    };
    // A `Vec` takes every write.
    let _ = match notice.seq {
        0 => write!(out, "event: {name}\ndata: "),
        seq => write!(out, "id: {seq}\nevent: {name}\ndata: "),
    };
    match &notice.what {
        What::Text { part, text }
        | What::Thinking { part, text }
        | What::Arguments { part, text } => write_text(notice, name, *part, text, out)?,
        _ => serde_json::to_writer(&mut *out, notice)?,
    }
    out.extend_from_slice(b"\n\n");
    Ok(())
}

/// What [`Notice`]'s `Serialize` writes of a text, which nearly all of them are: in half the time, since the names are in one piece.
fn write_text(
    notice: &Notice,
    name: &str,
    part: u32,
    text: &str,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let _ = write!(out, "{{\"seq\":{},\"exchange\":", notice.seq);
    serde_json::to_writer(&mut *out, &notice.exchange)?;
    out.extend_from_slice(b",\"profile\":");
    serde_json::to_writer(&mut *out, &notice.profile)?;
    out.extend_from_slice(b",\"at_ms\":");
    serde_json::to_writer(&mut *out, &notice.at_ms)?;
    let _ = write!(out, ",\"type\":\"{name}\",\"part\":{part},\"text\":");
    serde_json::to_writer(&mut *out, text)?;
    out.push(b'}');
    Ok(())
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if !std::mem::replace(&mut this.greeted, true) {
            // The reader knows at once that it is heard.
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b": aiproxy\n\n")))));
        }
        if let Poll::Ready((mut reader, notice)) = this.next.as_mut().poll(cx) {
            let Some(notice) = notice else {
                return Poll::Ready(None);
            };
            // A reader that falls behind gets what there is at once: else each word of many streams is a piece of its own.
            let mut out = Vec::with_capacity(512);
            let mut written = event(&notice, &mut out);
            while written.is_ok()
                && out.len() < AT_ONCE
                && let Some(notice) = reader.now()
            {
                written = event(&notice, &mut out);
            }
            this.next = following(reader);
            this.timer.as_mut().reset(Instant::now() + KEEP_ALIVE);
            let frame = written.map(|()| Frame::data(Bytes::from(out)));
            return Poll::Ready(Some(frame.map_err(BoxError::from)));
        }
        if this.timer.as_mut().poll(cx).is_ready() {
            this.timer.as_mut().reset(Instant::now() + KEEP_ALIVE);
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(
                b": still here\n\n",
            )))));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
