//! Where the notices come from: `/_aiproxy/events` of a running server, found, waited for and found again.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header::ACCEPT};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{
    sync::mpsc::Sender,
    time::{sleep, timeout},
};

use crate::{
    cli::servers::{self, Found, Server, ServerFlag},
    exchange::told::{Detail, Notice},
    term::Problem,
    transport::{Body, Dial, full},
    wire::{Frame, Framer, Framing},
};

/// Before the first look for a server that is gone, and between two later ones: it doubles from the one to the other.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// The server writes something every 15 s: a connection that is silent for this long is dead.
const SILENCE: Duration = Duration::from_secs(45);

/// How long a server on this machine may take to begin an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest notice: a stage's body of 1 MiB takes six at worst, escaped as JSON.
const MOST: usize = 32 << 20;

/// The largest whole answer.
const MOST_WHOLE: usize = 64 << 20;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) server: ServerFlag,
    pub(super) usual: SocketAddr,
    /// Filters, without the `?`.
    pub(super) query: String,
    /// One exchange alone: its id, a prefix of it, or `last`.
    pub(super) follow: Option<String>,
}

/// What there is to tell.
#[derive(Debug)]
pub(super) enum News {
    /// No server answers, and why; it is waited for.
    Waiting(String),
    /// The events of this server come from now on; if not for the first time, after the connection broke.
    Connected {
        server: Server,
        again: bool,
        /// The whole id of the exchange that is followed.
        follow: Option<String>,
    },
    /// Something happened.
    Told(Told),
}

/// One event.
#[derive(Debug)]
pub(super) struct Told {
    /// As the server wrote it.
    pub(super) json: String,
    /// What it says, if that is understood.
    pub(super) notice: Option<Notice>,
}

/// Tells what happens until nobody listens any more.
///
/// # Errors
///
/// If waiting helps no one: a server that refuses, an exchange that is not there.
pub(super) async fn run(mut wanted: Wanted, news: Sender<News>) -> Result<(), Problem> {
    let mut pause = PAUSE.0;
    // Said once, until a server is there.
    let mut waits = false;
    let mut place = Place::default();
    let mut again = false;
    while !news.is_closed() {
        match servers::awaited(&wanted.server, wanted.usual).await? {
            Found::Nobody(why) => {
                if !std::mem::replace(&mut waits, true)
                    && news.send(News::Waiting(why)).await.is_err()
                {
                    return Ok(());
                }
            }
            Found::Running(server) => {
                place.go_to(&server.root);
                if let Some(body) = open(&server, &mut wanted, &place).await? {
                    waits = false;
                    let connected = News::Connected {
                        server,
                        again,
                        follow: wanted.follow.clone(),
                    };
                    if news.send(connected).await.is_err() {
                        return Ok(());
                    }
                    again = true;
                    if listen(body, &mut place, &news).await {
                        pause = PAUSE.0;
                    }
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
    Ok(())
}

/// How far a server's events were read.
#[derive(Debug, Default)]
struct Place {
    root: String,
    last: Option<String>,
}

impl Place {
    /// Numbers of one server say nothing to another.
    fn go_to(&mut self, root: &str) {
        if self.root != root {
            root.clone_into(&mut self.root);
            self.last = None;
        }
    }
}

/// Asks for the events; nothing if the server is not ready for that.
async fn open(
    server: &Server,
    wanted: &mut Wanted,
    place: &Place,
) -> Result<Option<Body>, Problem> {
    let mut query = wanted.query.clone();
    if let Some(named) = &wanted.follow {
        let Some(id) = whole_id(server, named).await? else {
            return Ok(None);
        };
        let parameter = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("exchange", &id)
            .finish();
        query = [parameter, query]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("&");
        // From now on by its whole name: `last` is another one soon.
        wanted.follow = Some(id);
    }
    let path = match query.as_str() {
        "" => "/_aiproxy/events".to_owned(),
        query => format!("/_aiproxy/events?{query}"),
    };
    let mut request = server
        .request(&Method::GET, &path)?
        .header(ACCEPT, "text/event-stream");
    let last = place.last.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(last)) = last {
        request = request.header("last-event-id", last);
    }
    let request = request
        .body(full(""))
        .map_err(|error| Problem::new(error.to_string()))?;
    let dial = Dial {
        connect_timeout: PATIENCE,
        first_byte_timeout: PATIENCE,
        stream: true,
        ..Dial::default()
    };
    let Ok(response) = server.send(request, &dial).await else {
        return Ok(None);
    };
    let status = response.status();
    if status.is_success() {
        return Ok(Some(response.into_body()));
    }
    let body = whole(response.into_body()).await.unwrap_or_default();
    refused(server, status, &body).map(|()| None)
}

/// The whole id of an exchange; nothing if the server does not answer.
async fn whole_id(server: &Server, named: &str) -> Result<Option<String>, Problem> {
    let Some((status, body)) = get(server, named).await else {
        return Ok(None);
    };
    if !status.is_success() {
        return refused(server, status, &body).map(|()| None);
    }
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = json.get("id").and_then(Value::as_str).unwrap_or(named);
    Ok(Some(id.to_owned()))
}

/// A refusal that time does not change is an error.
fn refused(server: &Server, status: StatusCode, body: &[u8]) -> Result<(), Problem> {
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Ok(());
    }
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = json.pointer("/error/message").and_then(Value::as_str);
    let message = message.map_or_else(
        || format!("{} answers with status {}", server.root, status.as_u16()),
        |message| crate::term::sanitize(message).into_owned(),
    );
    let problem = Problem::new(message);
    Err(match status.as_u16() {
        401 => problem.hint("set AIPROXY_TOKEN to the token that the server was started with"),
        404 | 409 => problem.hint("aiproxy log lists the exchanges"),
        _ => problem,
    })
}

/// One exchange as the server remembers it: nothing if the server does not answer, `Some(None)` if it knows none of that name.
pub(super) async fn detail(server: &Server, id: &str) -> Option<Option<Detail>> {
    let (status, body) = get(server, id).await?;
    if status == StatusCode::NOT_FOUND {
        return Some(None);
    }
    let text = std::str::from_utf8(&body).ok()?;
    Detail::parse(text)
        .ok()
        .filter(|_| status.is_success())
        .map(Some)
}

async fn get(server: &Server, id: &str) -> Option<(StatusCode, Bytes)> {
    // What stands in a path: an id has nothing else.
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let request = server
        .request(&Method::GET, &format!("/_aiproxy/exchanges/{id}"))
        .ok()?
        .body(full(""))
        .ok()?;
    let dial = Dial {
        connect_timeout: PATIENCE,
        first_byte_timeout: PATIENCE,
        ..Dial::default()
    };
    let response = server.send(request, &dial).await.ok()?;
    let status = response.status();
    let body = whole(response.into_body()).await?;
    Some((status, body))
}

/// A whole body; nothing if it breaks off, stands still or is too large.
async fn whole(mut body: Body) -> Option<Bytes> {
    let mut all = BytesMut::new();
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.ok()? {
        all.extend_from_slice(&frame.ok()?.into_data().unwrap_or_default());
        if all.len() > MOST_WHOLE {
            return None;
        }
    }
    Some(all.freeze())
}

/// Tells what comes until the connection breaks; whether anything came at all.
async fn listen(mut body: Body, place: &mut Place, news: &Sender<News>) -> bool {
    let mut framer = Framer::new(Framing::Sse, MOST);
    let mut came = false;
    loop {
        // An event that is cut is none: it comes again, whole.
        let Ok(Some(Ok(data))) = timeout(SILENCE, body.frame()).await else {
            return came;
        };
        came = true;
        framer.feed(data.into_data().unwrap_or_default());
        loop {
            match framer.frame() {
                Ok(Some(frame)) => {
                    let Some(told) = told(&frame, place) else {
                        continue;
                    };
                    if news.send(News::Told(told)).await.is_err() {
                        return came;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    // Too large to be read, this time and the next: go on after it.
                    place.last = None;
                    return came;
                }
            }
        }
    }
}

/// What one event tells; nothing if it only keeps the connection alive.
fn told(frame: &Frame, place: &mut Place) -> Option<Told> {
    if let Some(id) = id(&frame.raw) {
        place.last = Some(id);
    }
    if frame.data().is_empty() {
        return None;
    }
    let json = String::from_utf8_lossy(frame.data()).into_owned();
    let notice = serde_json::from_str(&json).ok();
    Some(Told { json, notice })
}

/// The `id` of an event.
fn id(raw: &[u8]) -> Option<String> {
    let value = raw
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| line.strip_prefix(b"id:"))
        .next_back()?;
    let id = std::str::from_utf8(value).ok()?;
    Some(id.strip_prefix(' ').unwrap_or(id).to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::exchange::told::What;

    fn body(pieces: &[&'static str]) -> Body {
        let frames = pieces
            .iter()
            .map(|piece| Ok(http_body::Frame::data(Bytes::from_static(piece.as_bytes()))))
            .collect::<Vec<_>>();
        http_body_util::StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
    }

    async fn heard(pieces: &[&'static str], place: &mut Place) -> (Vec<Told>, bool) {
        let (sender, mut news) = mpsc::channel(64);
        let came = listen(body(pieces), place, &sender).await;
        drop(sender);
        let mut all = Vec::new();
        while let Some(one) = news.recv().await {
            match one {
                News::Told(told) => all.push(told),
                other => panic!("{other:?}"),
            }
        }
        (all, came)
    }

    #[tokio::test]
    async fn events_are_read_whatever_the_split() {
        let mut place = Place::default();
        let (told, came) = heard(
            &[
                ": hello\n\nid: 7\nev",
                "ent: text\r\ndata: {\"seq\":7,\"exchange\":\"x\",\"type\":\"text\",\"part\":0,\"te",
                "xt\":\"hi\"}\n\n:\n\nid: 8\ndata: {\"type\":\"new kind\"}\n\nid: 9\ndata: {\"cut",
            ],
            &mut place,
        )
        .await;
        assert!(came);
        assert_eq!(told.len(), 2);
        assert_eq!(
            told[0].json,
            r#"{"seq":7,"exchange":"x","type":"text","part":0,"text":"hi"}"#
        );
        assert!(matches!(
            &told[0].notice.as_ref().unwrap().what,
            What::Text { text, .. } if text == "hi"
        ));
        assert_eq!(told[1].json, r#"{"type":"new kind"}"#);
        assert!(told[1].notice.is_none());
        assert_eq!(place.last.as_deref(), Some("8"));
    }

    #[tokio::test]
    async fn nothing_came() {
        let (told, came) = heard(&[], &mut Place::default()).await;
        assert!(told.is_empty() && !came);
    }

    #[test]
    fn another_server_has_other_numbers() {
        let mut place = Place::default();
        place.go_to("http://a");
        place.last = Some("5".into());
        place.go_to("http://a");
        assert_eq!(place.last.as_deref(), Some("5"));
        place.go_to("http://b");
        assert_eq!(place.last, None);
    }

    #[test]
    fn ids_of_events() {
        for (raw, expected) in [
            ("id: 5\ndata: x\n\n", Some("5")),
            ("data: x\r\nid:6\r\n\r\n", Some("6")),
            ("data: id: 6\n\n", None),
        ] {
            assert_eq!(id(raw.as_bytes()).as_deref(), expected);
        }
    }
}
