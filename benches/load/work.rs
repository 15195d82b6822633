//! What is asked, and of whom: all of it follows from the seed.

use serde_json::json;

/// Numbers that follow from a seed (xorshift64*, <https://vigna.di.unimi.it/ftp/papers/xorshift.pdf>).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        // Neighbouring seeds are to have nothing in common.
        Chance(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.number() >> 11) % limit.max(1)
    }

    fn one<T: Copy>(&mut self, of: &[(u64, T)]) -> Option<T> {
        let mut at = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, thing) in of {
            match at.checked_sub(*weight) {
                Some(left) => at = left,
                None => return Some(*thing),
            }
        }
        None
    }
}

/// What is asked for. `oai` is a profile of OpenAI's format, `ant` one of Anthropic's: half of what goes there is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Chat,
    Messages,
    Responses,
    Completions,
    Embeddings,
    Models,
    CountTokens,
    /// Unread, there and back.
    File,
    /// The exchange before, as it was recorded.
    Exchange,
    Metrics,
    Health,
}

/// What goes wrong at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    None,
    /// An error of this status.
    Status(u16),
    /// The connection ends without an answer.
    Hangup,
    /// It ends in the middle of one.
    Cut,
    /// The answer is no JSON.
    Garbage,
    /// An error event in the middle of a stream.
    Event,
}

impl Fault {
    pub(crate) fn name(self) -> String {
        match self {
            Fault::None => "none".into(),
            Fault::Status(status) => format!("{status}"),
            Fault::Hangup => "hangup".into(),
            Fault::Cut => "cut".into(),
            Fault::Garbage => "garbage".into(),
            Fault::Event => "event".into(),
        }
    }

    pub(crate) fn of_name(name: &str) -> Fault {
        match name {
            "hangup" => Fault::Hangup,
            "cut" => Fault::Cut,
            "garbage" => Fault::Garbage,
            "event" => Fault::Event,
            _ => name.parse().map_or(Fault::None, Fault::Status),
        }
    }
}

/// How the client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Reads,
    /// A little at a time.
    Slowly,
    /// Leaves once it has so many bytes of the answer.
    Leaves(usize),
    /// Leaves in the middle of its own request.
    Stops,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) kind: Kind,
    /// The profile; empty for the root, where the model names it.
    pub(crate) profile: &'static str,
    pub(crate) root: bool,
    pub(crate) stream: bool,
    pub(crate) fault: Fault,
    pub(crate) manner: Manner,
    pub(crate) words: u64,
    /// Bytes of the request beside what it needs.
    pub(crate) weight: usize,
    pub(crate) token: String,
}

/// How a token begins: as nothing else does that is in a request or an answer.
pub(crate) const TOKEN: &str = "zqx";
/// How long one is.
pub(crate) const LENGTH: usize = TOKEN.len() + 16;

impl Task {
    pub(crate) fn next(chance: &mut Chance) -> Task {
        use Kind::*;
        let kind = chance.one(&[
            (30, Chat),
            (20, Messages),
            (12, Responses),
            (5, Completions),
            (6, Embeddings),
            (3, Models),
            (4, CountTokens),
            (6, File),
            (4, Exchange),
            (1, Metrics),
            (2, Health),
        ]);
        let kind = kind.unwrap_or(Chat);
        let speaks = matches!(kind, Chat | Messages | Responses | Completions);
        let stream = speaks && chance.below(2) == 0;
        let translated = matches!(kind, Chat | Messages | Responses | CountTokens);
        let profile = if translated && chance.below(2) == 0 {
            "ant"
        } else {
            "oai"
        };
        let fault = match kind {
            Chat | Messages | Responses | Completions => chance.one(&[
                (85, Fault::None),
                (3, Fault::Status(500)),
                (3, Fault::Status(429)),
                (2, Fault::Hangup),
                (4, Fault::Cut),
                (3, if stream { Fault::Event } else { Fault::Garbage }),
            ]),
            Embeddings | File => chance.one(&[
                (90, Fault::None),
                (5, Fault::Status(500)),
                (5, Fault::Hangup),
            ]),
            _ => None,
        };
        let manner = chance.one(&[
            (84, Manner::Reads),
            (6, Manner::Slowly),
            (4, Manner::Leaves(0)),
            (4, Manner::Leaves(200)),
            (2, Manner::Stops),
        ]);
        let root = matches!(kind, Chat | Messages | Responses | Completions | Embeddings);
        Task {
            kind,
            profile,
            root: root && chance.below(4) == 0,
            stream,
            fault: fault.unwrap_or(Fault::None),
            manner: manner.unwrap_or(Manner::Reads),
            words: 2 + chance.below(60),
            weight: if chance.below(20) == 0 { 60_000 } else { 500 },
            token: token(chance),
        }
    }

    /// Whether it is asked with a body.
    pub(crate) fn is_post(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Models | Kind::Exchange | Kind::Metrics | Kind::Health
        )
    }

    pub(crate) fn path(&self, exchange: &str) -> String {
        let below = match self.kind {
            Kind::Chat => "/v1/chat/completions",
            Kind::Messages => "/v1/messages",
            Kind::Responses => "/v1/responses",
            Kind::Completions => "/v1/completions",
            Kind::Embeddings => "/v1/embeddings",
            Kind::CountTokens => "/v1/messages/count_tokens",
            Kind::File => "/v1/files",
            Kind::Models => return "/v1/models".into(),
            Kind::Exchange => return format!("/_aiproxy/exchanges/{exchange}"),
            Kind::Metrics => return "/_aiproxy/metrics".into(),
            Kind::Health => return "/_aiproxy/health".into(),
        };
        if self.root {
            below.to_owned()
        } else {
            format!("/{}{below}", self.profile)
        }
    }

    pub(crate) fn body(&self) -> String {
        let text = format!(
            "{} fault={} words={} {}",
            self.token,
            self.fault.name(),
            self.words,
            "lorem ipsum ".repeat(self.weight / 12)
        );
        let model = if self.root {
            format!("{}/m", self.profile)
        } else {
            "m".to_owned()
        };
        let messages = json!([{"role": "user", "content": text}]);
        let body = match self.kind {
            Kind::Chat => json!({"model": model, "stream": self.stream, "messages": messages}),
            Kind::Messages => {
                json!({"model": model, "max_tokens": 999, "stream": self.stream, "messages": messages})
            }
            Kind::CountTokens => json!({"model": model, "messages": messages}),
            Kind::Responses => {
                json!({"model": model, "stream": self.stream, "store": false, "input": text})
            }
            Kind::Completions => json!({"model": model, "stream": self.stream, "prompt": text}),
            Kind::Embeddings | Kind::File => json!({"model": model, "input": text}),
            _ => return String::new(),
        };
        body.to_string()
    }

    /// The text of a right answer.
    pub(crate) fn text(&self) -> String {
        said(&self.token, self.words)
    }
}

/// So many words, each of which names its request.
pub(crate) fn said(token: &str, words: u64) -> String {
    (0..words).map(|at| word(token, at)).collect()
}

pub(crate) fn word(token: &str, at: u64) -> String {
    format!("{token}-{at} ")
}

/// Numbers that follow from a token.
pub(crate) fn numbers(token: &str) -> Vec<u32> {
    token.bytes().skip(TOKEN.len()).map(u32::from).collect()
}

fn token(chance: &mut Chance) -> String {
    format!("{TOKEN}{:016x}", chance.number())
}
