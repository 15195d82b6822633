//! `/_aiproxy/events`: what happens, as it happens, as server-sent events.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
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
        ExchangeId, Filter, Happened, Heard, Ledger, Listener, Redactor, Stage, flag, told::What,
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
    /// The stages whose bodies are told.
    bodies: Vec<Stage>,
}

impl Wanted {
    fn of(query: Option<&str>) -> Result<(Wanted, Option<u64>), String> {
        let (mut wanted, mut after) = (Wanted::default(), None);
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "exchange" => wanted.exchange = Some(value.to_ascii_lowercase()),
                "raw" => wanted.raw = flag(&name, &value)?,
                "bodies" => wanted.bodies = stages(&value)?,
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

/// The stages whose bodies are wanted: of all, of none, or of these.
fn stages(value: &str) -> Result<Vec<Stage>, String> {
    match flag("bodies", value) {
        Ok(true) => return Ok(Stage::ALL.to_vec()),
        Ok(false) => return Ok(Vec::new()),
        Err(_) => {}
    }
    let names = value.split(',');
    let stages = names.map(|name| Stage::ALL.into_iter().find(|stage| stage.name() == name));
    stages.collect::<Option<_>>().ok_or_else(|| {
        let known = Stage::ALL.map(Stage::name).join(", ");
        format!("`bodies={value}` is neither 1 nor 0, and no list of stages ({known})")
    })
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
        listener,
        backlog: backlog.into(),
        exchanges: HashMap::new(),
        due: None,
        out: Out {
            ledger: Arc::clone(ledger),
            wanted,
            ready: VecDeque::new(),
            waiting: 0,
        },
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
    waiting: Vec<Happened>,
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
    listener: Listener,
    backlog: VecDeque<Arc<Happened>>,
    exchanges: HashMap<ExchangeId, Seen>,
    /// The end of an exchange whose tokens are not counted yet.
    due: Option<Arc<Happened>>,
    out: Out,
}

/// What a reader tells.
struct Out {
    ledger: Arc<Ledger>,
    wanted: Wanted,
    ready: VecDeque<Happened>,
    /// Bytes of `waiting` of all exchanges.
    waiting: usize,
}

impl Reader {
    /// What comes next; waits for it. Nothing comes once the server stops.
    async fn next(&mut self) -> Option<Happened> {
        loop {
            if let Some(told) = self.now() {
                return Some(told);
            }
            if let Some(due) = self.due.take() {
                let counted = self.counted(&due).await;
                self.take(&counted);
                continue;
            }
            match self.listener.next().await {
                Heard::Notice(happened) => self.hear(happened),
                Heard::Lost(events) => self.lose(events),
                Heard::End => return None,
            }
        }
    }

    /// What is there already.
    fn now(&mut self) -> Option<Happened> {
        loop {
            if let Some(told) = self.out.ready.pop_front() {
                return Some(told);
            }
            if self.due.is_some() {
                return None;
            }
            if let Some(happened) = self.backlog.pop_front() {
                self.hear(happened);
                continue;
            }
            match self.listener.try_next()? {
                Heard::Notice(happened) => self.hear(happened),
                Heard::Lost(events) => self.lose(events),
                Heard::End => return None,
            }
        }
    }

    /// Takes what happened, if nothing has to be found out first.
    fn hear(&mut self, happened: Arc<Happened>) {
        if let What::Closed { summary } = &happened.what
            && summary.usage.is_none()
            && summary
                .upstream_status
                .is_some_and(|status| (200..300).contains(&status))
        {
            self.due = Some(happened);
            return;
        }
        self.take(&happened);
    }

    /// The end of an exchange with the tokens that its provider did not count. That takes milliseconds, in which this thread has streams to
    /// serve.
    async fn counted(&self, due: &Happened) -> Happened {
        let mut told = due.clone();
        let (ledger, exchange) = (Arc::clone(&self.out.ledger), due.exchange);
        let counting =
            tokio::task::spawn_blocking(move || exchange.and_then(|id| ledger.counted(id)));
        if let Ok(Some(counted)) = counting.await {
            told.what = What::Closed {
                summary: Box::new(counted),
            };
        }
        told
    }

    fn take(&mut self, happened: &Happened) {
        let Some(id) = happened.exchange else {
            self.out.ready.push_back(happened.clone());
            return;
        };
        let wanted = &self.out.wanted;
        if let Some(exchange) = &wanted.exchange
            && !id.as_str().starts_with(exchange.as_str())
        {
            return;
        }
        let profiles = &wanted.filter.profiles;
        if !profiles.is_empty() && !profiles.iter().any(|name| **name == *happened.profile) {
            return;
        }
        let seen = self.exchanges.entry(id).or_default();
        self.out.take(happened, seen);
        if matches!(happened.what, What::Closed { .. }) {
            self.exchanges.remove(&id);
        }
    }

    /// So much was lost. Forgets exchanges whose end was.
    fn lose(&mut self, events: u64) {
        let running = self.out.ledger.running();
        let waiting = &mut self.out.waiting;
        self.exchanges.retain(|id, seen| {
            let runs = running.contains(id.as_str());
            if !runs {
                *waiting -= seen.waiting.iter().map(weight).sum::<usize>();
            }
            runs
        });
        self.out.ready.push_back(Happened::lost(0, events));
    }
}

impl Out {
    fn take(&mut self, happened: &Happened, seen: &mut Seen) {
        if let What::Routed { model, .. } = &happened.what {
            seen.routed = true;
            seen.skipped |= !self.wanted.filter.takes_model(model, "");
        }
        if seen.skipped {
            return;
        }
        // Nearly all are texts: nothing of them is copied that is not told.
        match &happened.what {
            What::Text { part, text } => {
                let what = |part, text| What::Text { part, text };
                self.tell_text(happened, seen, *part, text, what);
            }
            What::Thinking { part, text } => {
                let what = |part, text| What::Thinking { part, text };
                self.tell_text(happened, seen, *part, text, what);
            }
            What::Arguments { part, text } => {
                let what = |part, text| What::Arguments { part, text };
                self.tell_text(happened, seen, *part, text, what);
            }
            _ => {
                let mut told = Vec::new();
                shown(happened, seen, &self.ledger.redactor(), &mut told);
                for mut happened in told {
                    self.put_body(&mut happened);
                    self.tell(happened, seen);
                }
            }
        }
    }

    /// Tells of a text what of it, and of what was held before it, can be told.
    fn tell_text(
        &mut self,
        happened: &Happened,
        seen: &mut Seen,
        part: u32,
        text: &str,
        what: fn(u32, String) -> What,
    ) {
        let text = hold(seen, &self.ledger.redactor(), part, text, what);
        if text.is_empty() {
            return;
        }
        let told = Happened {
            profile: Arc::clone(&happened.profile),
            what: what(part, text),
            ..*happened
        };
        self.tell(told, seen);
    }

    /// Tells now, or at the exchange's end.
    fn tell(&mut self, told: Happened, seen: &mut Seen) {
        let early = self.wanted.filter.model.is_some() && !seen.routed;
        let What::Closed { summary } = &told.what else {
            if self.wanted.waits() || early {
                self.waiting += weight(&told);
                if self.waiting > MOST_WAITING {
                    self.waiting -= weight(&told);
                    seen.lost += 1;
                    return;
                }
                seen.waiting.push(told);
            } else {
                for earlier in std::mem::take(&mut seen.waiting) {
                    self.waiting -= weight(&earlier);
                    self.ready.push_back(earlier);
                }
                self.ready.push_back(told);
            }
            return;
        };
        let waiting = std::mem::take(&mut seen.waiting);
        self.waiting -= waiting.iter().map(weight).sum::<usize>();
        let wanted = self.wanted.filter.takes(summary) && self.finds(&summary.id);
        if wanted {
            self.ready.extend(waiting);
            if seen.lost > 0 {
                self.ready.push_back(Happened::lost(0, seen.lost));
            }
            self.ready.push_back(told);
        }
    }

    /// Whether what is looked for is in the exchange.
    fn finds(&self, id: &str) -> bool {
        if self.wanted.filter.grep.is_none() {
            return true;
        }
        self.ledger.mentions(id, &self.wanted.filter)
    }

    /// Puts a stage's body in if it is wanted: notices do not carry it.
    fn put_body(&self, told: &mut Happened) {
        let exchange = told.exchange;
        if let What::Stage { stage, body, .. } = &mut told.what
            && self.wanted.bodies.iter().any(|one| one.name() == stage)
            && let Some(exchange) = exchange
        {
            *body = self.ledger.body(exchange.as_str(), stage);
        }
    }
}

fn weight(told: &Happened) -> usize {
    let text = match &told.what {
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

/// A notice that is no text, without secrets, after what was held of texts that end with it.
fn shown(happened: &Happened, seen: &mut Seen, redactor: &Redactor, out: &mut Vec<Happened>) {
    let hide = |text: &str| redactor.redact(text).into_owned();
    let mut notice = happened.clone();
    let flush = |seen: &mut Seen, part: Option<u32>, out: &mut Vec<Happened>| {
        let ends = |held: &mut Tail| part.is_none_or(|part| held.part == part);
        for held in seen.held.extract_if(.., ends) {
            out.push(Happened {
                profile: Arc::clone(&happened.profile),
                what: (held.what)(held.part, redactor.redact(&held.text).into_owned()),
                ..*happened
            });
        }
    };
    match &mut notice.what {
        What::Close { part } => flush(seen, Some(*part), out),
        What::Finish { .. } | What::Closed { .. } => flush(seen, None, out),
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

type Next = Pin<Box<dyn Future<Output = (Reader, Option<Happened>)> + Send>>;

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
fn event(told: &Happened, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let name = match &told.what {
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
    if told.seq > 0 {
        out.extend_from_slice(b"id: ");
        put_number(told.seq, out);
        out.push(b'\n');
    }
    put(&["event: ", name, "\ndata: "], out);
    match &told.what {
        What::Text { part, text }
        | What::Thinking { part, text }
        | What::Arguments { part, text } => write_text(told, name, *part, text, out)?,
        _ => serde_json::to_writer(&mut *out, &told.notice())?,
    }
    out.extend_from_slice(b"\n\n");
    Ok(())
}

/// What [`Notice`](crate::exchange::told::Notice)'s `Serialize` writes of a text, which nearly all of them are: in half the time, since the
/// names are in one piece.
fn write_text(
    told: &Happened,
    name: &str,
    part: u32,
    text: &str,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    out.extend_from_slice(b"{\"seq\":");
    put_number(told.seq, out);
    // An id has no character that JSON would write another way.
    put(&[",\"exchange\":\"", told.name(), "\",\"profile\":"], out);
    serde_json::to_writer(&mut *out, &*told.profile)?;
    out.extend_from_slice(b",\"at_ms\":");
    serde_json::to_writer(&mut *out, &told.at_ms())?;
    put(&[",\"type\":\"", name, "\",\"part\":"], out);
    put_number(part.into(), out);
    out.extend_from_slice(b",\"text\":");
    serde_json::to_writer(&mut *out, text)?;
    out.push(b'}');
    Ok(())
}

fn put(texts: &[&str], out: &mut Vec<u8>) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

fn put_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
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
