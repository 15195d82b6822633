//! The attacks that are one request each, and the paths that each of them is tried on.

/// How a request that belongs to nobody is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// With this status, whatever the path.
    Refused(u16),
    /// Not at all: what an honest client gets, it gets, too.
    Passes,
}

/// Which protocols can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// HTTP/1.1 and, with prior knowledge, HTTP/2.
    Both,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone.
    Http2,
}

/// One request. `PORT` in a text is the server's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    /// What it is, as `SECURITY.md` says it.
    pub(crate) what: &'static str,
    pub(crate) over: Over,
    /// What stands in front of the path in the request's target.
    pub(crate) target: &'static str,
    /// Its `host` lines. Over HTTP/2 the first is `:authority`.
    pub(crate) hosts: &'static [&'static str],
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) wanted: Wanted,
}

use Over::{Both, Http1, Http2};
use Wanted::{Passes, Refused};

/// A request under these names.
const fn named(
    what: &'static str,
    over: Over,
    hosts: &'static [&'static str],
    wanted: Wanted,
) -> Attack {
    Attack {
        what,
        over,
        target: "",
        hosts,
        headers: &[],
        wanted,
    }
}

/// A request of a page, to the right name.
const fn page(
    what: &'static str,
    headers: &'static [(&'static str, &'static str)],
    wanted: Wanted,
) -> Attack {
    Attack {
        what,
        over: Both,
        target: "",
        hosts: &["127.0.0.1:PORT"],
        headers,
        wanted,
    }
}

/// A request through the server, to somewhere else.
const fn through(
    what: &'static str,
    target: &'static str,
    host: &'static [&'static str],
) -> Attack {
    Attack {
        what,
        over: Http1,
        target,
        hosts: host,
        headers: &[],
        wanted: Refused(403),
    }
}

const REBINDING: &str = "DNS rebinding: a name of the attacker's that leads to loopback";
const ALIKE: &str = "DNS rebinding: names that begin, end or look like loopback";
const NUMBERS: &str = "Numbers that some resolvers take for loopback, and addresses that are not";
const BROKEN: &str = "A `Host` that is none, or hides another";
const MISSING: &str = "No `Host`";
const DOUBLED: &str = "Two hosts that differ, also `Host` beside `:authority`";
const ABSOLUTE: &str = "An absolute-form target: the server as a forward proxy";
const OWN_NAMES: &str = "(honest) loopback names and addresses, any port";
const ORIGINS: &str = "A page of another origin, port or scheme (`fetch`, forms, `EventSource`)";
const NULL: &str = "`Origin: null`: sandboxed frames, files, redirects; extensions";
const ORIGINS_TWICE: &str = "Two `Origin`s, one of them right";
const FETCHES: &str =
    "`no-cors` requests of images, scripts, styles and beacons, of another site or port";
const FRAMES: &str = "Navigation and frames by a page of another site or port";
const SIMPLE: &str = "Simple CORS requests: forms and `text/plain`";
const PREFLIGHTS: &str = "Preflights, also those of private network access";
const SOCKETS: &str = "A WebSocket handshake by a page";
const HONEST: &str = "(honest) a page of the server's own, a typed address, a program";

/// The table.
pub(crate) const ATTACKS: &[Attack] = &[
    named(REBINDING, Both, &["evil.example"], Refused(403)),
    named(REBINDING, Both, &["evil.example:PORT"], Refused(403)),
    named(REBINDING, Both, &["EVIL.example:80"], Refused(403)),
    named(REBINDING, Both, &["a.rbndr.us:PORT"], Refused(403)),
    named(ALIKE, Both, &["127.0.0.1.evil.example"], Refused(403)),
    named(ALIKE, Both, &["127.0.0.1.nip.io:PORT"], Refused(403)),
    named(ALIKE, Both, &["localhost.evil.example"], Refused(403)),
    named(ALIKE, Both, &["evil-localhost"], Refused(403)),
    named(ALIKE, Both, &["x.localhost"], Refused(403)),
    named(ALIKE, Both, &["localhost."], Refused(403)),
    named(ALIKE, Both, &["localhostx:PORT"], Refused(403)),
    named(ALIKE, Http1, &["l\u{43e}calhost"], Refused(403)),
    named(
        ALIKE,
        Http1,
        &["127\u{3002}0\u{3002}0\u{3002}1"],
        Refused(403),
    ),
    named(NUMBERS, Both, &["0.0.0.0:PORT"], Refused(403)),
    named(NUMBERS, Both, &["0"], Refused(403)),
    named(NUMBERS, Both, &["127.1"], Refused(403)),
    named(NUMBERS, Both, &["2130706433:PORT"], Refused(403)),
    named(NUMBERS, Both, &["0x7f000001"], Refused(403)),
    named(NUMBERS, Both, &["0177.0.0.1"], Refused(403)),
    named(NUMBERS, Both, &["10.0.0.1"], Refused(403)),
    named(NUMBERS, Both, &["169.254.169.254"], Refused(403)),
    named(NUMBERS, Both, &["[::]:PORT"], Refused(403)),
    named(NUMBERS, Both, &["[::ffff:10.0.0.1]"], Refused(403)),
    named(NUMBERS, Both, &["[fe80::1]:PORT"], Refused(403)),
    named(BROKEN, Http1, &[""], Refused(400)),
    named(BROKEN, Http1, &["localhost@evil.example"], Refused(400)),
    named(BROKEN, Http1, &["evil.example@localhost"], Refused(400)),
    named(BROKEN, Http1, &["evil.example#localhost"], Refused(400)),
    named(BROKEN, Http1, &["evil.example/localhost"], Refused(400)),
    named(BROKEN, Http1, &["evil.example\\localhost"], Refused(400)),
    named(BROKEN, Http1, &["localhost, evil.example"], Refused(400)),
    named(BROKEN, Http1, &["localhost evil.example"], Refused(400)),
    named(BROKEN, Http1, &["localhost:PORT:80"], Refused(400)),
    named(BROKEN, Http1, &["localhost:"], Refused(400)),
    named(BROKEN, Http1, &["localhost:port"], Refused(400)),
    named(BROKEN, Http1, &["localhost:99999"], Refused(400)),
    named(BROKEN, Http1, &["::1"], Refused(400)),
    named(BROKEN, Http1, &["[::1"], Refused(400)),
    named(BROKEN, Http1, &["[::1].evil.example"], Refused(400)),
    named(BROKEN, Http1, &["[::1%25lo]"], Refused(400)),
    named(MISSING, Http1, &[], Refused(400)),
    named(DOUBLED, Http1, &["localhost", "evil.example"], Refused(400)),
    named(DOUBLED, Http1, &["evil.example", "localhost"], Refused(400)),
    named(
        DOUBLED,
        Http1,
        &["localhost", "localhost:PORT"],
        Refused(400),
    ),
    named(DOUBLED, Http2, &["localhost", "evil.example"], Refused(400)),
    named(DOUBLED, Http2, &["evil.example", "localhost"], Refused(400)),
    named(
        DOUBLED,
        Http2,
        &["localhost", "localhost", "evil.example"],
        Refused(400),
    ),
    through(ABSOLUTE, "http://evil.example", &["evil.example"]),
    through(ABSOLUTE, "http://evil.example", &["localhost"]),
    through(ABSOLUTE, "http://localhost:PORT", &["localhost:PORT"]),
    through(ABSOLUTE, "http://127.0.0.1:PORT", &["127.0.0.1:PORT"]),
    through(ABSOLUTE, "https://localhost", &["localhost"]),
    named(OWN_NAMES, Both, &["localhost"], Passes),
    named(OWN_NAMES, Both, &["LOCALHOST:PORT"], Passes),
    named(OWN_NAMES, Both, &["127.0.0.1:1"], Passes),
    named(OWN_NAMES, Both, &["127.9.9.9"], Passes),
    named(OWN_NAMES, Both, &["[::1]:PORT"], Passes),
    named(OWN_NAMES, Both, &["[::ffff:127.0.0.1]"], Passes),
    page(ORIGINS, &[("origin", "https://evil.example")], Refused(403)),
    page(
        ORIGINS,
        &[("origin", "http://evil.example:PORT")],
        Refused(403),
    ),
    page(
        ORIGINS,
        &[("origin", "http://127.0.0.1.evil.example:PORT")],
        Refused(403),
    ),
    page(ORIGINS, &[("origin", "http://localhost:1")], Refused(403)),
    page(ORIGINS, &[("origin", "http://127.0.0.1")], Refused(403)),
    page(
        ORIGINS,
        &[("origin", "https://localhost:PORT")],
        Refused(403),
    ),
    page(
        ORIGINS,
        &[("origin", "http://localhost:PORT@evil.example")],
        Refused(403),
    ),
    page(
        ORIGINS,
        &[("origin", "http://localhost:PORT.evil.example")],
        Refused(403),
    ),
    page(
        ORIGINS,
        &[("origin", "http://localhost:PORT/")],
        Refused(403),
    ),
    page(
        ORIGINS,
        &[("origin", "HTTP://LOCALHOST:PORT")],
        Refused(403),
    ),
    page(ORIGINS, &[("origin", "")], Refused(403)),
    page(
        ORIGINS,
        &[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
        ],
        Refused(403),
    ),
    page(NULL, &[("origin", "null")], Refused(403)),
    page(
        NULL,
        &[("origin", "null"), ("sec-fetch-site", "same-origin")],
        Refused(403),
    ),
    page(NULL, &[("origin", "file://")], Refused(403)),
    page(
        NULL,
        &[("origin", "chrome-extension://abcdefghijklmnop")],
        Refused(403),
    ),
    page(
        ORIGINS_TWICE,
        &[
            ("origin", "http://localhost:PORT"),
            ("origin", "https://evil.example"),
        ],
        Refused(400),
    ),
    page(
        FETCHES,
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "image"),
        ],
        Refused(403),
    ),
    page(
        FETCHES,
        &[
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "script"),
        ],
        Refused(403),
    ),
    page(
        FETCHES,
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "empty"),
        ],
        Refused(403),
    ),
    page(
        FRAMES,
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ],
        Refused(403),
    ),
    page(
        FRAMES,
        &[
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "object"),
        ],
        Refused(403),
    ),
    page(
        SIMPLE,
        &[
            ("origin", "https://evil.example"),
            ("content-type", "text/plain"),
        ],
        Refused(403),
    ),
    page(
        SIMPLE,
        &[
            ("origin", "null"),
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        Refused(403),
    ),
    page(
        SIMPLE,
        &[
            ("origin", "https://evil.example"),
            ("content-type", "multipart/form-data; boundary=x"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ],
        Refused(403),
    ),
    page(
        PREFLIGHTS,
        &[
            ("origin", "https://evil.example"),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "content-type, authorization",
            ),
        ],
        Refused(403),
    ),
    page(
        PREFLIGHTS,
        &[
            ("origin", "https://evil.example"),
            ("access-control-request-method", "GET"),
            ("access-control-request-private-network", "true"),
        ],
        Refused(403),
    ),
    Attack {
        over: Http1,
        ..page(
            SOCKETS,
            &[
                ("origin", "https://evil.example"),
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ],
            Refused(403),
        )
    },
    page(HONEST, &[], Passes),
    page(HONEST, &[("origin", "http://localhost:PORT")], Passes),
    page(
        HONEST,
        &[
            ("origin", "http://127.0.0.1:PORT"),
            ("sec-fetch-site", "same-origin"),
        ],
        Passes,
    ),
    page(
        HONEST,
        &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
        Passes,
    ),
];

/// One place that an attack is tried on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// JSON, or nothing.
    pub(crate) body: &'static str,
}

const fn at(method: &'static str, path: &'static str) -> Place {
    Place {
        method,
        path,
        body: "",
    }
}

const fn post(path: &'static str, body: &'static str) -> Place {
    Place {
        method: "POST",
        path,
        body,
    }
}

/// What an attacker would like to read: it is in a prompt that the server remembers.
pub(crate) const PROMPT: &str = "the-prompt-of-somebody-else";

const CHAT: &str = r#"{"model":"m1","messages":[{"role":"user","content":"spend"}]}"#;
const MESSAGES: &str =
    r#"{"model":"m1","max_tokens":5,"messages":[{"role":"user","content":"spend"}]}"#;
const INPUT: &str = r#"{"model":"m1","input":"spend"}"#;

/// Every kind of path, with the methods that it knows and some that it does not. `ID` is that of an exchange with [`PROMPT`] in it,
/// `STORED` that of a stored response.
pub(crate) const PLACES: &[Place] = &[
    at("GET", "/"),
    at("GET", "/nothing/here"),
    at("GET", "/v1/models"),
    at("HEAD", "/v1/models/up"),
    post("/v1/chat/completions", CHAT),
    post("/v1/messages", MESSAGES),
    post("/v1/messages/count_tokens", MESSAGES),
    post("/v1/responses", INPUT),
    at("GET", "/v1/responses/STORED"),
    at("DELETE", "/v1/responses/STORED"),
    at("GET", "/up/v1/models"),
    post("/up", CHAT),
    post("/up/v1/chat/completions", CHAT),
    post("/up/v1/chat/completions?stream=1", CHAT),
    post("/up/v1/embeddings", INPUT),
    at("GET", "/up/v1/files"),
    at("OPTIONS", "/up/v1/chat/completions"),
    at("GET", "/plain/any/path?x=1"),
    post("/plain/any/path", CHAT),
    at("PUT", "/plain/any/path"),
    at("PATCH", "/plain/any/path"),
    at("DELETE", "/plain/any/path"),
    at("GET", "/_aiproxy/health"),
    at("GET", "/_aiproxy/events"),
    at("GET", "/_aiproxy/events?raw=1&bodies=1"),
    at("GET", "/_aiproxy/exchanges"),
    at("GET", "/_aiproxy/exchanges/ID"),
    at("GET", "/_aiproxy/metrics"),
    at("GET", "/_aiproxy/ui"),
    at("POST", "/_aiproxy/exchanges"),
    at("DELETE", "/_aiproxy/exchanges/ID"),
    at("GET", "/_aiproxy/nothing"),
];
