//! What happens in an exchange, as it happens: made of the same record while it is written and when it is read again.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    bodies,
    id::ExchangeId,
    record::Exchange,
    redact::Redactor,
    render::{ended_at_once, ms, time},
    spoken::{self, Saying, Spoke},
    stages::{Held, LlmCall, Stage},
    told::{Notice, Summary, Tokens, What},
};
use crate::llm::Event;

/// Something that happened, as who listens in this process is told of it: there is one for each word of each stream, so nothing of it is
/// copied that need not be. [`Notice`] is what leaves the process.
#[derive(Clone, Debug)]
pub struct Happened {
    /// Its number: later ones have higher ones.
    pub seq: u64,
    /// The exchange; none for [`What::Lost`].
    pub exchange: Option<ExchangeId>,
    /// Its profile.
    pub profile: Arc<str>,
    /// When, in microseconds from the exchange's beginning.
    pub at: u64,
    /// What.
    pub what: What,
}

impl Happened {
    /// So many notices were lost.
    #[must_use]
    pub fn lost(seq: u64, events: u64) -> Happened {
        Happened {
            seq,
            exchange: None,
            profile: Arc::default(),
            at: 0,
            what: What::Lost { events },
        }
    }

    /// The exchange's name; empty for what was lost.
    #[must_use]
    pub fn name(&self) -> &str {
        self.exchange.as_ref().map_or("", ExchangeId::as_str)
    }

    /// When, in milliseconds.
    #[must_use]
    pub fn at_ms(&self) -> f64 {
        self.at as f64 / 1000.0
    }

    /// What is told of it elsewhere.
    #[must_use]
    pub fn notice(&self) -> Notice {
        Notice {
            seq: self.seq,
            exchange: self.name().to_owned(),
            profile: self.profile.to_string(),
            at_ms: self.at_ms(),
            what: self.what.clone(),
        }
    }
}

fn notice(exchange: &Exchange, at: u64, seq: u64, what: What) -> Happened {
    Happened {
        seq,
        exchange: Some(exchange.id),
        profile: Arc::clone(&exchange.profile),
        at,
        what,
    }
}

pub(super) fn opened(exchange: &Exchange, seq: u64) -> Happened {
    let what = What::Opened {
        began: time(exchange.began),
        method: exchange.method.to_string(),
        path: exchange.path.clone(),
        client_ip: exchange.client.map(|ip| ip.to_string()),
    };
    notice(exchange, 0, seq, what)
}

pub(super) fn routed(exchange: &Exchange, at: u64, seq: u64) -> Happened {
    let what = What::Routed {
        provider: exchange.provider.to_owned(),
        model: exchange.model.clone(),
        operation: exchange.operation.to_owned(),
        stream: exchange.stream,
    };
    notice(exchange, at, seq, what)
}

pub(super) fn stage(exchange: &Exchange, held: Option<&Held>, seq: u64) -> Happened {
    let what = What::Stage {
        stage: held.map_or("", |held| held.stage.name()).to_owned(),
        method: held.and_then(|held| held.method.as_ref().map(ToString::to_string)),
        url: held.and_then(|held| Some(held.url.as_ref()?.text().into_owned())),
        status: held.and_then(|held| held.status),
        size: held.map_or(0, |held| bodies::size(exchange, &held.body)),
        body: None,
    };
    notice(exchange, held.map_or(0, |held| held.at), seq, what)
}

pub(super) fn call(exchange: &Exchange, call: &LlmCall, seq: u64) -> Happened {
    let what = What::Call {
        plugin: call.plugin.to_owned(),
        provider: call.provider.clone(),
        model: call.model.clone(),
        took_ms: ms(call.took),
        usage: call.usage.map(Tokens::from),
        cost: exchange.call_cost(call).map(|(cost, _)| cost),
        error: call.error.clone(),
    };
    notice(exchange, call.at, seq, what)
}

pub(super) fn warning(exchange: &Exchange, warning: &str, at: u64, seq: u64) -> Happened {
    let what = What::Warning {
        warning: warning.to_owned(),
    };
    notice(exchange, at, seq, what)
}

pub(super) fn raw(exchange: &Exchange, data: &[u8], at: u64, seq: u64) -> Happened {
    let what = match std::str::from_utf8(data) {
        Ok(text) => What::Raw {
            text: Some(text.to_owned()),
            base64: None,
        },
        Err(_) => What::Raw {
            text: None,
            base64: Some(STANDARD.encode(data)),
        },
    };
    notice(exchange, at, seq, what)
}

/// Whether an event is told: it says something that a reader could see.
pub(super) fn speaks(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Open { .. }
            | Event::Text { .. }
            | Event::Thinking { .. }
            | Event::Arguments { .. }
            | Event::Close { .. }
            | Event::Finish { .. }
            | Event::Usage(_)
    )
}

pub(super) fn event(exchange: &Exchange, event: &Event<'_>, at: u64, seq: u64) -> Happened {
    let what = match event {
        Event::Open { part, choice, kind } => open(&spoken::opened(*part, *choice, kind)),
        Event::Text { part, text } => What::Text {
            part: *part,
            text: text.to_string(),
        },
        Event::Thinking { part, text } => What::Thinking {
            part: *part,
            text: text.to_string(),
        },
        Event::Arguments { part, json } => What::Arguments {
            part: *part,
            text: json.to_string(),
        },
        Event::Finish { choice, reason } => What::Finish {
            choice: *choice,
            reason: spoken::reason(*reason).to_owned(),
        },
        Event::Usage(usage) => What::Usage {
            usage: (*usage).into(),
        },
        Event::Close { part } => What::Close { part: *part },
        // `speaks` lets no other through.
        _ => What::Warning {
            warning: String::new(),
        },
    };
    notice(exchange, at, seq, what)
}

fn open(opened: &spoken::Opened) -> What {
    let (id, name) = opened.tool.clone().unzip();
    What::Open {
        part: opened.part,
        choice: opened.choice,
        kind: opened.kind.to_owned(),
        id,
        name,
    }
}

pub(super) fn closed(exchange: &Exchange, summary: Summary, seq: u64) -> Happened {
    let at = u64::try_from(exchange.took.as_micros()).unwrap_or(u64::MAX);
    let what = What::Closed {
        summary: Box::new(summary),
    };
    notice(exchange, at, seq, what)
}

/// All that is known to have happened in an exchange, in order.
pub(super) fn notices(exchange: &Exchange, raw: bool, redactor: &Redactor) -> Vec<Happened> {
    let mut out = Vec::new();
    let [began, went, closed] = exchange.numbers;
    if began > 0 {
        out.push(opened(exchange, began));
    }
    if went > 0 {
        let at = exchange.sent_after.unwrap_or_default().as_micros();
        out.push(routed(
            exchange,
            u64::try_from(at).unwrap_or(u64::MAX),
            went,
        ));
    }
    out.extend(
        exchange
            .stages
            .iter()
            .map(|held| stage(exchange, Some(held), held.seq)),
    );
    out.extend(
        exchange
            .calls
            .iter()
            .map(|made| call(exchange, made, made.seq)),
    );
    out.extend(exchange.spoken().events().filter_map(|spoke| {
        Some(notice(
            exchange,
            spoke.at,
            spoke.seq,
            said(exchange, &spoke)?,
        ))
    }));
    // Their numbers are not kept: they stand with the answer's head.
    if raw && let Some(received) = exchange.stage(Stage::Received) {
        out.extend(
            bodies::pieces(received)
                .into_iter()
                .map(|(at, data)| self::raw(exchange, &data, at, received.seq)),
        );
    }
    if closed > 0 {
        out.push(self::closed(
            exchange,
            ended_at_once(exchange, redactor),
            closed,
        ));
    }
    out.sort_by_key(|notice| notice.seq);
    out
}

fn said(exchange: &Exchange, spoke: &Spoke<'_>) -> Option<What> {
    let (part, text) = (spoke.part, spoke.text.to_owned());
    Some(match spoke.what {
        Saying::Open => open(spoke.opened?),
        Saying::Text => What::Text { part, text },
        Saying::Thinking => What::Thinking { part, text },
        Saying::Arguments => What::Arguments { part, text },
        Saying::Close => What::Close { part },
        Saying::Finish(reason) => What::Finish {
            choice: part,
            reason: spoken::reason(reason).to_owned(),
        },
        Saying::Usage => What::Usage {
            usage: exchange.usage?.into(),
        },
    })
}
