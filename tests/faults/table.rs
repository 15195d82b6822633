//! The table: what an upstream does, and what its clients are told.

use std::time::Duration;

use async_compression::tokio::bufread::GzipEncoder;
use futures_util::FutureExt;
use tokio::io::AsyncReadExt;

use crate::{
    clients::{CHAT, CLIENTS, Client, FORWARDED, OWN_MESSAGES, TRANSLATED},
    frames,
    payload::SAYS,
    support::{CHUNKED_HEAD, STREAM_HEAD, chunk},
    upstream::{Asked, Script, Step},
};

/// How the upstream of a fault is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2, with an upstream of the fault's own.
    Http2,
    /// Nobody listens there.
    Nobody,
    /// A name without an address.
    Nameless,
    /// An address that no packet can reach.
    Unreachable,
    /// A listener that takes no more connections.
    Full,
    /// A TLS port that says nothing.
    SilentTls,
    Expired,
    WrongName,
    SelfSigned,
    /// `https://`, and the upstream speaks HTTP without TLS.
    PlainForTls,
    /// `http://`, and the upstream speaks TLS.
    TlsForPlain,
}

/// The limits of the profile that a fault is asked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A minute each: none of them has a part in it.
    None,
    /// This key is so many milliseconds.
    Of(&'static str, u64),
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The right answer.
    Right,
    /// An error in the client's format.
    Error {
        status: u16,
        kind: &'static str,
        message: String,
    },
    /// The provider's words as they are.
    Words { status: u16, body: &'static str },
    /// The text began; then an error in the client's format ends the stream.
    Breaks { kind: &'static str, message: String },
    /// The right answer, and what cannot be read of it as it is.
    Garbled(&'static str),
    /// It goes on until the client leaves.
    Endless,
}

/// What becomes of a fault, for some clients.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) clients: &'static [Client],
    /// Streamed, whole, or both.
    pub(crate) stream: Option<bool>,
    pub(crate) told: Told,
}

/// A fault.
pub(crate) struct Row {
    /// The model's name for it.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) place: Place,
    pub(crate) limit: Limit,
    pub(crate) script: Script,
    /// Requests that the upstream sees of each that is asked.
    pub(crate) seen: usize,
    /// Headers of the answer.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    lines: Vec<Line>,
}

impl Row {
    /// What becomes of it: of the lines that fit, the first holds.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What a client is told; `None` if that is not asked.
    pub(crate) fn told(&self, client: Client, stream: bool) -> Option<&Told> {
        let fits = |line: &&Line| {
            line.clients.contains(&client) && line.stream.is_none_or(|only| only == stream)
        };
        self.lines.iter().find(fits).map(|line| &line.told)
    }

    fn line(mut self, clients: &'static [Client], stream: Option<bool>, told: Told) -> Row {
        self.lines.push(Line {
            clients,
            stream,
            told,
        });
        self
    }

    /// Whole and streamed, to all clients.
    fn both(self, told: Told) -> Row {
        self.line(CLIENTS, None, told)
    }

    fn whole(self, told: Told) -> Row {
        self.line(CLIENTS, Some(false), told)
    }

    fn streamed(self, told: Told) -> Row {
        self.line(CLIENTS, Some(true), told)
    }

    fn limit(mut self, key: &'static str, ms: u64) -> Row {
        self.limit = Limit::Of(key, ms);
        self
    }

    fn place(mut self, place: Place) -> Row {
        self.place = place;
        self
    }

    fn unseen(mut self) -> Row {
        self.seen = 0;
        self
    }

    fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Row {
        self.headers = headers;
        self
    }
}

fn row(name: &'static str, what: &'static str, script: Script) -> Row {
    Row {
        name,
        what,
        place: Place::Plain,
        limit: Limit::None,
        script,
        seen: 1,
        headers: &[],
        lines: Vec::new(),
    }
}

/// A fault on the way there.
fn way(name: &'static str, what: &'static str, place: Place) -> Row {
    row(name, what, |_| Vec::new()).place(place).unseen()
}

fn error(status: u16, kind: &'static str, message: &str) -> Told {
    Told::Error {
        status,
        kind,
        message: message.to_owned(),
    }
}

/// What aiproxy itself says of an upstream.
fn bad(message: &str) -> Told {
    error(502, "upstream_error", message)
}

fn late(message: &str) -> Told {
    error(504, "upstream_error", message)
}

fn breaks(message: &str) -> Told {
    Told::Breaks {
        kind: "upstream_error",
        message: message.to_owned(),
    }
}

fn write(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Write(bytes.into())
}

/// A whole answer of this status and type, after which the connection closes.
fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Step {
    sized(status, headers, body.as_ref().len(), body)
}

/// The same with a length that may be wrong.
fn sized(status: &str, headers: &str, length: usize, body: impl AsRef<[u8]>) -> Step {
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    write([head.as_bytes(), body.as_ref()].concat())
}

const JSON: &str = "content-type: application/json\r\n";
const SSE: &str = "content-type: text/event-stream\r\n";

/// The right answer.
fn right(asked: &Asked) -> Vec<Step> {
    let step = if asked.stream {
        write([STREAM_HEAD.as_bytes(), asked.speaks.stream().as_bytes()].concat())
    } else {
        answer("200 OK", JSON, asked.speaks.whole())
    };
    vec![step, Step::Shut]
}

/// The right answer, coded.
fn coded(asked: &Asked, code: impl Fn(&str, &str) -> Vec<u8>) -> Vec<Step> {
    let (kind, body, half) = if asked.stream {
        let half = asked.speaks.opening() + &asked.speaks.text(SAYS[0]);
        (SSE, asked.speaks.stream(), half.len())
    } else {
        let body = asked.speaks.whole();
        let half = body.len() / 2;
        (JSON, body, half)
    };
    let headers = format!("{kind}content-encoding: gzip\r\n");
    let (first, second) = body.split_at(half);
    vec![answer("200 OK", &headers, code(first, second)), Step::Shut]
}

/// The first half of the right answer: of a stream, the first piece of its text, in chunks. Then these.
fn half(asked: &Asked, then: &[Step]) -> Vec<Step> {
    let mut steps = if asked.stream {
        let events = asked.speaks.opening() + &asked.speaks.text(SAYS[0]);
        vec![
            write([CHUNKED_HEAD.as_bytes(), &chunk(events)].concat()),
            Step::Met,
        ]
    } else {
        let body = asked.speaks.whole();
        let half = &body[..body.len() / 2];
        vec![sized("200 OK", JSON, body.len(), half)]
    };
    steps.extend_from_slice(then);
    steps
}

/// A stream's first piece of text, then these bytes as its end. Where a whole answer is asked for, it is the same stream.
fn events(asked: &Asked, then: impl AsRef<[u8]>) -> Vec<Step> {
    let begun = asked.speaks.opening() + &asked.speaks.text(SAYS[0]);
    let mut steps = vec![write([STREAM_HEAD.as_bytes(), begun.as_bytes()].concat())];
    if asked.stream {
        steps.push(Step::Met);
    }
    steps.extend([write(then.as_ref()), Step::Shut]);
    steps
}

/// The same before any content.
fn early(asked: &Asked, then: impl AsRef<[u8]>) -> Vec<Step> {
    let begun = STREAM_HEAD.to_owned() + &asked.speaks.opening();
    vec![
        write([begun.as_bytes(), then.as_ref()].concat()),
        Step::Shut,
    ]
}

/// The head of the right answer.
fn head(asked: &Asked) -> Step {
    if asked.stream {
        write(CHUNKED_HEAD)
    } else {
        sized("200 OK", JSON, 500, "")
    }
}

/// An error of the provider's.
fn refusal(asked: &Asked, status: &str, headers: &str, kind: &str) -> Vec<Step> {
    let headers = format!("{JSON}{headers}");
    let body = asked.speaks.error(kind, "the provider's own words");
    vec![answer(status, &headers, body), Step::Shut]
}

fn redirect(asked: &Asked, status: &str) -> Vec<Step> {
    let headers = format!(
        "location: http://{}/v1/elsewhere?key=secret\r\n",
        asked.elsewhere
    );
    vec![answer(status, &headers, ""), Step::Shut]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // What is in memory is never waited for.
    GzipEncoder::new(bytes)
        .read_to_end(&mut out)
        .now_or_never()
        .unwrap()
        .unwrap();
    out
}

/// So many MiB of spaces (RFC 8878): one frame of blocks that say "128 KiB of this byte".
fn zstd_bomb(mib: usize) -> Vec<u8> {
    const BEGIN: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    const BLOCK: &[u8] = &[0x02, 0, 0x10, b' '];
    const LAST: &[u8] = &[0x03, 0, 0x10, b' '];
    [BEGIN, &BLOCK.repeat(8 * mib - 1), LAST].concat()
}

const HTML: &str = "<html><body><h1>502 Bad Gateway</h1></body></html>";
const GARBAGE: &str = "{not json";
const CLOSED: &str = "{at} closed the connection before the response was whole";

fn cut(what: &str) -> Told {
    bad(&format!("the provider's answer broke: {what}"))
}

fn broke(what: &str) -> Told {
    breaks(&format!("the provider's stream broke: {what}"))
}

fn no_stream(what: &str) -> Told {
    bad(&format!("the provider's stream broke: {what}"))
}

fn unread(why: &str) -> Told {
    error(
        500,
        "upstream_error",
        &format!("transformation failed from type {{provider}}://{{route}}: {why}"),
    )
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = on_the_way();
    rows.extend(before_the_answer());
    rows.extend(within_the_answer());
    rows.extend(of_the_body());
    rows.extend(of_the_provider());
    rows.extend(of_the_events());
    rows.extend(of_http2());
    rows
}

fn on_the_way() -> Vec<Row> {
    let connect = late("upstream did not connect within 700 ms (connect_timeout)");
    vec![
        way("name", "a name without an address", Place::Nameless)
            .both(bad("could not resolve host {host}")),
        way("refused", "nobody listens", Place::Nobody).both(bad("{at} refused the connection")),
        way("unreachable", "no way to the address", Place::Unreachable)
            .both(bad("{at} is unreachable")),
        way("full", "connections are not accepted", Place::Full)
            .limit("connect_timeout", 700)
            .both(connect.clone()),
        way(
            "tls-silence",
            "silence in the TLS handshake",
            Place::SilentTls,
        )
        .limit("connect_timeout", 700)
        .both(connect),
        way("expired", "a certificate that has expired", Place::Expired)
            .both(bad("TLS: certificate of localhost has expired")),
        way(
            "wrong-name",
            "a certificate of another name",
            Place::WrongName,
        )
        .both(bad(
            r#"TLS: certificate of localhost is for another name (DnsName("other.test"))"#,
        )),
        way(
            "self-signed",
            "a self-signed certificate",
            Place::SelfSigned,
        )
        .both(bad(
            "TLS: certificate of localhost is not trusted (UnknownIssuer)",
        )),
        way("no-tls", "plain HTTP on a TLS port", Place::PlainForTls)
            .both(bad("TLS: {at} spoke no TLS: is this an http:// endpoint?")),
        way("no-http", "TLS on a plain port", Place::TlsForPlain).both(bad(
            "{at} did not answer in HTTP: is this an https:// endpoint?",
        )),
    ]
}

fn before_the_answer() -> Vec<Row> {
    let reset = bad("{at} reset the connection before the response began");
    let closed = bad("{at} closed the connection before the response began");
    let first = late("upstream did not answer within 700 ms (first_byte_timeout)");
    let long = bad("{at} answered with too long a header");
    vec![
        row("reset-before", "reset before the headers", |_| vec![Step::Reset]).both(reset.clone()),
        row("closed-before", "closed before the headers", |_| vec![Step::Shut])
            .both(closed.clone()),
        row("reset-inside", "reset inside the headers", |_| {
            vec![write("HTTP/1.1 200 OK\r\ncontent-ty"), Step::Reset]
        })
        .both(reset),
        row("closed-inside", "half-closed inside the headers", |_| {
            vec![write("HTTP/1.1 200 OK\r\ncontent-ty"), Step::Shut]
        })
        .both(closed),
        row("silence", "silence before the first byte", |_| Vec::new())
            .limit("first_byte_timeout", 700)
            .both(first.clone()),
        row("slow-head", "headers a byte at a time", |_| {
            let head = vec![b'x'; 1 << 16];
            vec![
                write("HTTP/1.1 200 OK\r\nx: "),
                Step::Slowly(head, Duration::from_millis(100)),
            ]
        })
        .limit("first_byte_timeout", 700)
        .both(first.clone()),
        row("endless-headers", "headers without an end", |_| {
            vec![write("HTTP/1.1 200 OK\r\n"), Step::Forever(b"x: y\r\n".repeat(1000))]
        })
        .both(long.clone()),
        row("endless-header", "one header without an end", |_| {
            vec![write("HTTP/1.1 200 OK\r\nx: "), Step::Forever(vec![b'y'; 1 << 14])]
        })
        .both(long),
        row("other-protocol", "another protocol", |_| {
            vec![write("SSH-2.0-OpenSSH_9.6\r\n"), Step::Shut]
        })
        .both(bad("{at} did not answer in HTTP: is this an https:// endpoint?")),
        row("interim", "1xx before the answer", |asked| {
            let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
            [vec![write(interim)], right(asked)].concat()
        })
        .both(Told::Right),
        row("endless-interim", "1xx without an end", |_| {
            vec![Step::Forever(b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100))]
        })
        .limit("first_byte_timeout", 700)
        .line(&[CHAT], None, first),
        row("switched", "101 to a request that asks for no other protocol", |_| {
            vec![write(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
            )]
        })
        .both(bad("{at} switched to another protocol, which nobody asked for")),
    ]
}

fn within_the_answer() -> Vec<Row> {
    let reset = "{at} reset the connection before the response was whole";
    let idle = "upstream did not continue within 700 ms (idle_timeout)";
    let silent = Told::Breaks {
        kind: "timeout_error",
        message: idle.to_owned(),
    };
    vec![
        row("reset-after", "reset after the headers", |asked| {
            vec![head(asked), Step::Reset]
        })
        .whole(cut(reset))
        .streamed(no_stream(reset)),
        row("closed-after", "half-closed after the headers", |asked| {
            vec![head(asked), Step::Shut]
        })
        .whole(cut(CLOSED))
        .streamed(no_stream(CLOSED)),
        row("reset-within", "reset inside the body", |asked| {
            half(asked, &[Step::Reset])
        })
        .whole(cut(reset))
        .streamed(broke(reset)),
        row(
            "closed-within",
            "half-closed inside the body (a `content-length` that is too long)",
            |asked| half(asked, &[Step::Shut]),
        )
        .whole(cut(CLOSED))
        .streamed(broke(CLOSED)),
        row("cut-tls", "TLS cut off inside the body", |asked| {
            half(asked, &[Step::Cut])
        })
        .place(Place::Tls)
        .whole(cut(CLOSED))
        .streamed(broke(CLOSED)),
        row("silence-after", "silence after the headers", |asked| {
            vec![head(asked)]
        })
        .limit("idle_timeout", 700)
        .both(late(idle)),
        row("silence-within", "silence inside the body", |asked| {
            half(asked, &[])
        })
        .limit("idle_timeout", 700)
        .whole(late(idle))
        .streamed(silent),
        row("slow-body", "a body of one byte a second", |asked| {
            let steps = right(asked);
            let [Step::Write(all), end] = &steps[..] else {
                unreachable!();
            };
            let (first, last) = all.split_at(all.len() - 5);
            let slowly = Step::Slowly(last.to_vec(), Duration::from_secs(1));
            vec![write(first), slowly, end.clone()]
        })
        .limit("idle_timeout", 4000)
        .both(Told::Right),
        row("endless-body", "a body without an end", |asked| {
            if asked.stream {
                let events = asked.speaks.opening() + &asked.speaks.text(SAYS[0]);
                let more = asked.speaks.text("more");
                return vec![
                    write([STREAM_HEAD.as_bytes(), events.as_bytes()].concat()),
                    Step::Forever(more.repeat(100).into_bytes()),
                ];
            }
            vec![
                write(format!("HTTP/1.1 200 OK\r\n{JSON}\r\n")),
                Step::Forever(vec![b' '; 1 << 20]),
            ]
        })
        .line(
            &[CHAT],
            Some(false),
            bad("the provider's answer is larger than 256 MiB"),
        )
        .streamed(Told::Endless),
    ]
}

fn of_the_body() -> Vec<Row> {
    let ended = "the provider closed the stream before its end";
    let framing = "{at} broke HTTP's framing before the response was whole";
    vec![
        row("short-length", "a `content-length` that is too short", |asked| {
            if asked.stream {
                let body = asked.speaks.opening() + &asked.speaks.text(SAYS[0]);
                let all = body.clone() + &asked.speaks.closing();
                return vec![sized("200 OK", SSE, body.len(), all), Step::Shut];
            }
            let body = asked.speaks.whole();
            vec![sized("200 OK", JSON, body.len() / 2, body), Step::Shut]
        })
        .whole(unread("not the expected JSON (line 1, column {half})"))
        .streamed(breaks("the provider closed the stream before its end")),
        row("two-lengths", "two lengths that differ", |asked| {
            let headers = format!("{JSON}content-length: 3\r\n");
            vec![answer("200 OK", &headers, asked.speaks.whole()), Step::Shut]
        })
        .both(bad("{at} did not answer in HTTP: is this an https:// endpoint?")),
        row("bad-chunk", "a chunk whose size is no number", |asked| {
            if asked.stream {
                return half(asked, &[write("zz\r\n"), Step::Shut]);
            }
            let head = format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\nzz\r\n");
            vec![write(head), Step::Shut]
        })
        .whole(cut(framing))
        .streamed(broke(framing)),
        row("long-chunk", "a chunk that is longer than its size", |asked| {
            if asked.stream {
                return half(asked, &[write("1\r\nabc\r\n"), Step::Shut]);
            }
            let head = format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n1\r\n{{}}\r\n0\r\n\r\n");
            vec![write(head), Step::Shut]
        })
        .whole(cut(framing))
        .streamed(broke(framing)),
        row("endless-chunk-head", "a chunk's extension without an end", |asked| {
            let forever = Step::Forever(vec![b'x'; 1 << 14]);
            if asked.stream {
                return half(asked, &[write("1;"), forever]);
            }
            let head = format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n1;");
            vec![write(head), forever]
        })
        .whole(cut(framing))
        .streamed(broke(framing)),
        row("endless-trailers", "trailers without an end", |asked| {
            let forever = Step::Forever(b"x: y\r\n".repeat(1000));
            if asked.stream {
                return half(asked, &[write("0\r\n"), forever]);
            }
            let head = format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n0\r\n");
            vec![write(head), forever]
        })
        .whole(cut(framing))
        .streamed(broke(framing)),
        row("bad-gzip", "gzip that is none", |asked| coded(asked, |first, _| first.into()))
            .whole(bad("the provider's answer does not inflate: Invalid gzip header"))
            .streamed(no_stream("it does not inflate: Invalid gzip header")),
        row("cut-gzip", "gzip that is cut off", |asked| {
            coded(asked, |first, second| {
                let begun = &gzip(second.as_bytes())[..12];
                [&gzip(first.as_bytes()), begun].concat()
            })
        })
        .whole(bad("the provider's answer does not inflate: it was cut off"))
        .streamed(broke("it does not inflate: it was cut off")),
        row("bomb", "a bomb (streamed: gzip; whole: zstd)", |asked| {
            if asked.stream {
                let more = gzip(asked.speaks.text("more").repeat(2000).as_bytes());
                let begun = gzip((asked.speaks.opening() + &asked.speaks.text(SAYS[0])).as_bytes());
                let head = format!("HTTP/1.1 200 OK\r\n{SSE}content-encoding: gzip\r\n\r\n");
                return vec![write(head), write(begun), Step::Forever(more)];
            }
            let headers = format!("{JSON}content-encoding: zstd\r\n");
            vec![answer("200 OK", &headers, zstd_bomb(257)), Step::Shut]
        })
        .line(
            &[CHAT],
            Some(false),
            bad("the provider's answer is larger than 256 MiB once inflated"),
        )
        .streamed(Told::Endless),
        row("no-content", "204 with a body", |asked| {
            vec![answer("204 No Content", JSON, asked.speaks.whole()), Step::Shut]
        })
        .both(unread("not the expected JSON (line 1, column 0)")),
        row("html", "JSON by its type, HTML in fact", |_| {
            vec![answer("200 OK", JSON, HTML), Step::Shut]
        })
        .both(unread("not the expected JSON (line 1, column 1)")),
        row("json-as-html", "HTML by its type, JSON in fact", |asked| {
            vec![
                answer("200 OK", "content-type: text/html\r\n", asked.speaks.whole()),
                Step::Shut,
            ]
        })
        .both(Told::Right),
        row("json-for-stream", "a whole answer to who asks for a stream", |asked| {
            vec![answer("200 OK", JSON, asked.speaks.whole()), Step::Shut]
        })
        .streamed(Told::Right),
        row("stream-for-json", "a stream to who asks for a whole answer", |asked| {
            vec![
                write([STREAM_HEAD.as_bytes(), asked.speaks.stream().as_bytes()].concat()),
                Step::Shut,
            ]
        })
        .whole(Told::Right),
        row("json-as-events", "events by its type, JSON in fact", |asked| {
            vec![answer("200 OK", SSE, asked.speaks.whole()), Step::Shut]
        })
        .whole(unread(ended))
        .streamed(bad(ended)),
        row("events-as-json", "JSON by its type, events in fact", |asked| {
            vec![answer("200 OK", JSON, asked.speaks.stream()), Step::Shut]
        })
        .both(unread("not the expected JSON (line 1, column 1)")),
    ]
}

fn of_the_provider() -> Vec<Row> {
    let words = |status: u16, kind: &'static str| error(status, kind, "the provider's own words");
    let moved = |status: u16| {
        bad(&format!(
            "the provider answered {status}, a redirect to http://{{elsewhere}}, which is not followed"
        ))
    };
    vec![
        row("moved", "301 to another host", |asked| {
            redirect(asked, "301 Moved")
        })
        .both(moved(301)),
        row("found", "302 to another host", |asked| {
            redirect(asked, "302 Found")
        })
        .both(moved(302)),
        row("elsewhere", "307 to another host", |asked| {
            redirect(asked, "307 Temporary Redirect")
        })
        .both(moved(307)),
        row("gone-elsewhere", "308 to another host", |asked| {
            redirect(asked, "308 Permanent Redirect")
        })
        .both(moved(308)),
        row("unauthorized", "401", |asked| {
            refusal(asked, "401 Unauthorized", "", "authentication_error")
        })
        .both(words(401, "authentication_error")),
        row("late", "408", |asked| {
            refusal(asked, "408 Request Timeout", "", "timeout_error")
        })
        .both(words(408, "timeout_error")),
        row("large", "413", |asked| {
            refusal(asked, "413 Too Large", "", "request_too_large")
        })
        .both(words(413, "request_too_large")),
        row("limited", "429 with `retry-after`", |asked| {
            let headers = "retry-after: 17\r\n";
            refusal(asked, "429 Too Many Requests", headers, "rate_limit_error")
        })
        .with(&[("retry-after", "17")])
        .both(words(429, "rate_limit_error")),
        row("error", "500 with JSON", |asked| {
            refusal(asked, "500 Internal Server Error", "", "api_error")
        })
        .both(words(500, "api_error")),
        row("overloaded", "529 with JSON", |asked| {
            refusal(asked, "529 Overloaded", "", "overloaded_error")
        })
        .both(words(529, "overloaded_error")),
        row("gateway", "502 with HTML", |_| {
            vec![
                answer("502 Bad Gateway", "content-type: text/html\r\n", HTML),
                Step::Shut,
            ]
        })
        .with(&[("content-type", "text/html")])
        .both(Told::Words {
            status: 502,
            body: HTML,
        }),
        row("unavailable", "503 with nothing", |_| {
            vec![answer("503 Service Unavailable", "", ""), Step::Shut]
        })
        .both(error(
            503,
            "api_error",
            "the provider answered 503 without a body",
        )),
        row("cut-error", "500 that breaks off", |asked| {
            let body = asked.speaks.error("api_error", "never whole");
            vec![
                sized("500 Internal Server Error", JSON, body.len(), &body[..9]),
                Step::Reset,
            ]
        })
        .both(cut(
            "{at} reset the connection before the response was whole",
        )),
        row("silent-error", "500 that does not go on", |_| {
            vec![sized("500 Internal Server Error", JSON, 500, "{")]
        })
        .limit("idle_timeout", 700)
        .both(late(
            "upstream did not continue within 700 ms (idle_timeout)",
        )),
        row("huge-error", "500 that announces 1 GiB", |_| {
            vec![sized("500 Internal Server Error", JSON, 1 << 30, "{")]
        })
        .both(bad("the provider's answer is larger than 256 MiB")),
    ]
}

fn of_the_events() -> Vec<Row> {
    let unreadable =
        "the provider sent an event that cannot be read: not the expected JSON (line 1, column 2)";
    let ended = "the provider closed the stream before its end";
    vec![
        row(
            "early-error",
            "an error event before any content",
            |asked| {
                let failing = asked
                    .speaks
                    .failing("overloaded_error", "the provider's own words");
                early(asked, failing)
            },
        )
        .line(
            &[OWN_MESSAGES],
            Some(true),
            error(529, "overloaded_error", "the provider's own words"),
        )
        .streamed(error(502, "overloaded_error", "the provider's own words")),
        row("late-error", "an error event after content", |asked| {
            let failing = asked
                .speaks
                .failing("overloaded_error", "the provider's own words");
            events(asked, failing + &asked.speaks.closing())
        })
        .streamed(Told::Breaks {
            kind: "overloaded_error",
            message: "the provider's own words".to_owned(),
        }),
        row("no-events", "a stream with nothing in it", |_| {
            vec![write(STREAM_HEAD), Step::Shut]
        })
        .whole(unread(ended))
        .streamed(bad(ended)),
        row(
            "no-content-no-end",
            "a stream that ends before any content",
            |asked| early(asked, ""),
        )
        .streamed(bad(ended)),
        row("no-end", "a stream without an end", |asked| {
            events(asked, "")
        })
        .streamed(breaks(ended)),
        row(
            "half-event",
            "a stream that ends inside an event",
            |asked| {
                let event = asked.speaks.text(SAYS[1]);
                events(asked, &event[..event.len() / 2])
            },
        )
        .streamed(breaks(ended)),
        row("garbage", "an event that is no JSON", |asked| {
            let rest = asked.speaks.text(SAYS[1]) + &asked.speaks.closing();
            events(asked, format!("data: {GARBAGE}\n\n{rest}"))
        })
        .line(FORWARDED, Some(true), Told::Garbled(GARBAGE))
        .line(TRANSLATED, Some(true), breaks(unreadable)),
        row(
            "early-garbage",
            "an event that is no JSON before any content",
            |asked| {
                let stream = asked.speaks.text(SAYS[0]) + &asked.speaks.text(SAYS[1]);
                early(
                    asked,
                    format!("data: {GARBAGE}\n\n{stream}{}", asked.speaks.closing()),
                )
            },
        )
        .line(FORWARDED, Some(true), Told::Garbled(GARBAGE))
        .line(TRANSLATED, Some(true), bad(unreadable)),
        row("no-events-at-all", "a stream of binary noise", |_| {
            vec![
                write([STREAM_HEAD.as_bytes(), &[0, 159, 146, 150, 255].repeat(100)].concat()),
                Step::Shut,
            ]
        })
        .streamed(bad(ended)),
        row("endless-event", "an event without an end", |asked| {
            let begun = asked.speaks.opening() + &asked.speaks.text(SAYS[0]);
            vec![
                write([STREAM_HEAD.as_bytes(), begun.as_bytes(), b"data: "].concat()),
                Step::Met,
                Step::Forever(vec![b'x'; 1 << 20]),
            ]
        })
        .line(
            TRANSLATED,
            Some(true),
            breaks("one stream event is larger than 8 MiB"),
        )
        .line(FORWARDED, Some(true), Told::Endless),
        row("endless-comments", "comments without an end", |asked| {
            let begun = asked.speaks.opening() + &asked.speaks.text(SAYS[0]);
            vec![
                write([STREAM_HEAD.as_bytes(), begun.as_bytes()].concat()),
                Step::Met,
                Step::Forever(b": and on\n\n".repeat(1000)),
            ]
        })
        .streamed(Told::Endless),
    ]
}

fn of_http2() -> Vec<Row> {
    fn row2(name: &'static str, what: &'static str, script: Script) -> Row {
        row(name, what, script).place(Place::Http2)
    }
    /// The first half of the right answer.
    fn half2(asked: &Asked, then: &[Step]) -> Vec<Step> {
        let mut steps = if asked.stream {
            let events = asked.speaks.opening() + &asked.speaks.text(SAYS[0]);
            vec![
                write(frames::headers(asked.id, "text/event-stream", false)),
                write(frames::data(asked.id, events.as_bytes(), false)),
                Step::Met,
            ]
        } else {
            vec![
                write(frames::headers(asked.id, "application/json", false)),
                write(frames::data(asked.id, b"{", false)),
            ]
        };
        steps.extend_from_slice(then);
        steps
    }
    fn right2(asked: &Asked) -> Vec<Step> {
        let (kind, body) = match asked.stream {
            true => ("text/event-stream", asked.speaks.stream()),
            false => ("application/json", asked.speaks.whole()),
        };
        vec![
            write(frames::headers(asked.id, kind, false)),
            write(frames::data(asked.id, body.as_bytes(), true)),
        ]
    }
    let closed = "{at} closed the connection before the response began";
    let before = |why: &str| {
        bad(&format!(
            "{{at}} broke the exchange before the response began ({why})"
        ))
    };
    let within =
        |why: &str| format!("{{at}} broke the exchange before the response was whole ({why})");
    vec![
        row2("h2-goaway", "GOAWAY in place of an answer", |_| {
            vec![write(frames::go_away(0, frames::NO_ERROR)), Step::Shut]
        })
        .both(before("connection error received: not a result of an error")),
        row2("h2-goaway-within", "GOAWAY inside the body, and the connection closes", |asked| {
            half2(
                asked,
                &[write(frames::go_away(asked.id, frames::ENHANCE_YOUR_CALM)), Step::Shut],
            )
        })
        .whole(cut(&within("stream closed because of a broken pipe")))
        .streamed(broke(&within("stream closed because of a broken pipe"))),
        row2("h2-goaway-after", "GOAWAY inside the body, and the answer goes on", |asked| {
            let mut steps = vec![write(frames::go_away(asked.id, frames::NO_ERROR))];
            steps.extend(right2(asked));
            steps.push(Step::Shut);
            steps
        })
        .both(Told::Right),
        row2("h2-reset", "RST_STREAM in place of an answer", |asked| {
            vec![write(frames::reset(asked.id, frames::INTERNAL_ERROR)), Step::Over]
        })
        .both(before("stream error received: unexpected internal error encountered")),
        row2("h2-refused", "RST_STREAM that refuses the stream", |asked| {
            vec![write(frames::reset(asked.id, frames::REFUSED_STREAM)), Step::Over]
        })
        .both(before("stream error received: refused stream before processing any application logic")),
        row2("h2-reset-within", "RST_STREAM inside the body", |asked| {
            half2(asked, &[write(frames::reset(asked.id, frames::CANCEL)), Step::Over])
        })
        .whole(cut(&within("stream error received: stream no longer needed")))
        .streamed(broke(&within("stream error received: stream no longer needed"))),
        row2("h2-closed", "an HTTP/2 connection that closes in place of an answer", |_| {
            vec![Step::Shut]
        })
        .both(bad(closed)),
        row2("h2-cut", "an HTTP/2 connection that is reset inside the body", |asked| {
            half2(asked, &[Step::Heard, Step::Reset])
        })
        .whole(cut(&within("connection reset")))
        .streamed(broke(&within("connection reset"))),
        row2("h2-noise", "no HTTP/2 after HTTP/2 was agreed on", |_| {
            vec![write("HTTP/1.1 400 Bad Request\r\n\r\n"), Step::Shut]
        })
        .both(before("connection error detected: frame with invalid size")),
        row2("h2-long-headers", "HTTP/2 headers that are too long", |asked| {
            vec![write(frames::long_headers(asked.id, 200_000)), Step::Over]
        })
        .both(before(
            r#"connection error detected: detected excessive load generating behavior (b"too_many_continuations")"#,
        )),
        row2("h2-silence", "silence on an HTTP/2 stream", |_| Vec::new())
            .limit("first_byte_timeout", 700)
            .both(late("upstream did not answer within 700 ms (first_byte_timeout)")),
        row2("h2-silence-within", "silence inside the body of an HTTP/2 stream", |asked| {
            half2(asked, &[])
        })
        .limit("idle_timeout", 700)
        .whole(late("upstream did not continue within 700 ms (idle_timeout)"))
        .streamed(Told::Breaks {
            kind: "timeout_error",
            message: "upstream did not continue within 700 ms (idle_timeout)".to_owned(),
        }),
    ]
}

/// The row of the requests that make sure that all is well.
pub(crate) const WELL: (&str, Script) = ("well", |asked| {
    if asked.id > 0 {
        let body = asked.speaks.whole();
        return vec![
            write(frames::headers(asked.id, "application/json", false)),
            write(frames::data(asked.id, body.as_bytes(), true)),
            Step::Over,
        ];
    }
    right(asked)
});
