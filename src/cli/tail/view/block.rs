//! One exchange: what is printed of it, from its header to its end line.

use std::collections::{BTreeMap, BTreeSet};

use super::{Look, words};
use crate::{
    cli::tail::{prompt, raw::Raw},
    exchange::told::{Notice, Summary, Tokens, What},
    term::Ink,
};

/// Text of other choices that is kept while one speaks.
const HELD: usize = 64 << 10;

/// An exchange, and what it said that is not printed yet.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) id: String,
    /// As much of the id as tells it from others, and the number of its colour.
    pub(super) short: String,
    pub(super) tint: usize,
    /// What is known of it so far.
    pub(super) known: Summary,
    /// Whether the request's body was told.
    asked: bool,
    /// The header, once it is clear, until it is printed.
    header: Option<String>,
    headed: bool,
    /// Text that is not printed yet, and how many bytes before it were dropped.
    out: String,
    dropped: usize,
    at_line_start: bool,
    /// The part that speaks, and whether there was reasoning before.
    last: Option<u32>,
    thought: bool,
    parts: BTreeMap<u32, Spoken>,
    /// The choice that speaks, those that are whole, and what others have said meanwhile.
    choice: Option<u32>,
    finished: BTreeSet<u32>,
    held: BTreeMap<u32, Vec<(u32, String)>>,
    reasons: Vec<String>,
    calls: Count,
    usage: Option<Tokens>,
    /// Bytes of text.
    said: usize,
    raw: Raw,
}

/// A part of the answer.
#[derive(Debug, Default)]
struct Spoken {
    choice: u32,
    kind: Kind,
    name: Option<String>,
    bytes: Count,
}

/// What a part is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Text,
    Refusal,
    Thinking,
    ToolCall,
}

impl Kind {
    fn of(name: &str) -> Kind {
        match name {
            "refusal" => Kind::Refusal,
            "thinking" => Kind::Thinking,
            "tool_call" => Kind::ToolCall,
            _ => Kind::Text,
        }
    }
}

/// How much was told, and how much of it came since the telling began anew: a server tells a new reader all from the beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    told: usize,
    came: usize,
}

impl Count {
    /// So much more came: how much of that is known already.
    fn known(&mut self, more: usize) -> usize {
        let known = self.told.saturating_sub(self.came).min(more);
        self.came += more;
        self.told = self.told.max(self.came);
        known
    }
}

impl Block {
    pub(super) fn new(id: &str, short: String, number: u64) -> Block {
        Block {
            id: id.to_owned(),
            short,
            tint: usize::try_from(number).unwrap_or_default(),
            known: Summary::default(),
            asked: false,
            header: None,
            headed: false,
            out: String::new(),
            dropped: 0,
            at_line_start: true,
            last: None,
            thought: false,
            parts: BTreeMap::new(),
            choice: None,
            finished: BTreeSet::new(),
            held: BTreeMap::new(),
            reasons: Vec::new(),
            calls: Count::default(),
            usage: None,
            said: 0,
            raw: Raw::default(),
        }
    }

    /// Takes what happened to it.
    pub(super) fn tell(&mut self, look: &Look, notice: Notice) {
        if !notice.profile.is_empty() {
            self.known.profile = notice.profile;
        }
        match notice.what {
            What::Opened {
                began,
                method,
                path,
                ..
            } => {
                self.known.began = began;
                self.known.method = method;
                self.known.path = path;
                self.again();
            }
            What::Routed {
                provider,
                model,
                operation,
                stream,
            } => {
                self.known.provider = provider;
                self.known.model = model;
                self.known.operation = operation;
                self.known.stream = stream;
                if self.asked {
                    self.head(look);
                }
            }
            What::Stage { stage, body, .. } if stage == "client" => {
                self.asked = true;
                if let Some(asked) = body.as_deref().and_then(prompt::of_body) {
                    self.known.prompt = asked;
                }
                if !self.known.operation.is_empty() {
                    self.head(look);
                }
            }
            What::Stage { .. } => self.head(look),
            What::Call {
                plugin,
                provider,
                model,
                took_ms,
                usage,
                cost,
                error,
            } => {
                if self.calls.known(1) == 0 {
                    let call = words::Call {
                        plugin: &plugin,
                        provider: &provider,
                        model: &model,
                        took_ms,
                        usage,
                        cost,
                        error: error.as_deref(),
                    };
                    self.line(look, &call.line(look));
                }
            }
            What::Warning { warning } => self.warn(look, warning),
            What::Open {
                part,
                choice,
                kind,
                name,
                ..
            } => {
                let kind = Kind::of(&kind);
                let spoken = Spoken {
                    choice,
                    kind,
                    name,
                    bytes: Count::default(),
                };
                let is_new = !self.parts.contains_key(&part);
                self.parts.entry(part).or_insert(spoken);
                if is_new && kind == Kind::ToolCall {
                    // Its name says something before its arguments do.
                    self.speak(look, part, "");
                }
            }
            What::Text { part, text } => self.hear(look, part, Kind::Text, &text),
            What::Thinking { part, text } => self.hear(look, part, Kind::Thinking, &text),
            What::Arguments { part, text } => self.hear(look, part, Kind::ToolCall, &text),
            What::Finish { choice, reason } => {
                if self.finished.insert(choice) {
                    self.reasons.push(reason);
                }
                if self.choice == Some(choice) {
                    self.next_choice(look, false);
                }
            }
            What::Usage { usage } => self.usage = Some(usage),
            What::Raw { text, base64 } if look.raw => {
                let bytes = Raw::bytes(text.as_deref(), base64.as_deref());
                let lines = self.raw.lines(notice.at_ms, &bytes);
                self.raw_lines(look, lines);
            }
            What::Closed { summary } => self.close(look, *summary),
            What::Close { .. } | What::Raw { .. } | What::Lost { .. } => {}
        }
    }

    /// All is told again from the beginning; what is known already is not shown twice.
    fn again(&mut self) {
        for part in self.parts.values_mut() {
            part.bytes.came = 0;
        }
        self.calls.came = 0;
        self.raw.again();
    }

    /// The header is as clear as it gets.
    fn head(&mut self, look: &Look) {
        if !std::mem::replace(&mut self.headed, true) {
            self.header = Some(words::header(self, look));
        }
    }

    /// Whether there is anything to show.
    pub(super) fn is_ready(&self) -> bool {
        self.headed
    }

    /// What is to be printed now.
    pub(super) fn take(&mut self, look: &Look) -> String {
        let mut out = self.header.take().unwrap_or_default();
        if self.dropped > 0 {
            let dropped = words::bytes(std::mem::take(&mut self.dropped));
            out.push_str(&look.ink(Ink::Faint, &format!("… {dropped} are not shown here …")));
            out.push('\n');
        }
        if out.is_empty() {
            return std::mem::take(&mut self.out);
        }
        out.push_str(&self.out);
        self.out.clear();
        out
    }

    /// Keeps no more than `most` bytes, the last ones. They begin a line where there are lines, and never within a colour's code: each
    /// line has its own, so that none is cut from its end.
    pub(super) fn trim(&mut self, most: usize) {
        // Not at every event: that would move all of it each time.
        if self.out.len() <= most {
            return;
        }
        let from = self.out.len() - most / 2;
        let rest = self.out.as_bytes().get(from..).unwrap_or_default();
        let find = |needle: &[u8]| {
            let found = memchr::memmem::find(rest, needle);
            found.map(|at| from + at + needle.len())
        };
        let cut = find(b"\n")
            .or_else(|| find(b"\x1b[0m"))
            .unwrap_or_else(|| self.out.ceil_char_boundary(from));
        self.dropped += cut;
        self.out.drain(..cut);
    }

    /// Ends a line that is begun.
    pub(super) fn interrupt(&mut self) {
        if !std::mem::replace(&mut self.at_line_start, true) {
            self.out.push('\n');
        }
        self.last = None;
    }

    /// After an interruption by other blocks.
    pub(super) fn goes_on(&mut self, look: &Look) {
        let name = look.term.tint(self.tint, &self.short);
        self.line(look, &format!("{name} {}", look.ink(Ink::Faint, "goes on")));
    }

    /// The server knows it no more.
    pub(super) fn gone(&mut self, look: &Look) {
        self.next_choice(look, true);
        let name = look.term.tint(self.tint, &self.short);
        let why = look.ink(Ink::Warn, "lost");
        self.line(
            look,
            &format!("{name} {why}: the server does not know it any more"),
        );
    }

    /// Its entry in the status line.
    pub(super) fn status(&self, look: &Look) -> String {
        let of = words::answerer(&self.known);
        let of = if of.is_empty() { &self.known.path } else { &of };
        let said = match (self.usage, self.said) {
            (Some(usage), _) if usage.completion_tokens > 0 => {
                format!("{} tok", usage.completion_tokens)
            }
            (_, 0) => "waiting".to_owned(),
            // Four bytes a token is near enough for a glance.
            (_, bytes) => format!("~{} tok", bytes.div_ceil(4)),
        };
        format!("{} {} {said}", self.short, look.line(of))
    }

    fn line(&mut self, look: &Look, text: &str) {
        self.head(look);
        self.interrupt();
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn warn(&mut self, look: &Look, warning: String) {
        if self.known.warnings.contains(&warning) {
            return;
        }
        let text = look.line(&warning);
        self.line(look, &format!("{} {text}", look.ink(Ink::Warn, "warning:")));
        self.known.warnings.push(warning);
    }

    fn raw_lines(&mut self, look: &Look, lines: impl IntoIterator<Item = (f64, String)>) {
        for (at, line) in lines {
            let at = look.ink(Ink::Faint, &format!("{at:>10.1} ms"));
            self.line(look, &format!("{at}  {}", look.foreign(&line)));
        }
    }

    /// Text of a part came.
    fn hear(&mut self, look: &Look, part: u32, kind: Kind, text: &str) {
        let spoken = self.parts.entry(part).or_insert_with(|| Spoken {
            kind,
            ..Spoken::default()
        });
        let known = spoken.bytes.known(text.len());
        let text = text.get(known..).unwrap_or_default();
        if !text.is_empty() {
            self.said += text.len();
            self.speak(look, part, text);
        }
    }

    /// Prints it, if it is its choice's turn.
    fn speak(&mut self, look: &Look, part: u32, text: &str) {
        if look.raw {
            return;
        }
        let choice = self.parts.get(&part).map_or(0, |spoken| spoken.choice);
        if *self.choice.get_or_insert(choice) == choice {
            self.say(look, part, text);
            return;
        }
        let held = self.held.entry(choice).or_default();
        let size: usize = held.iter().map(|(_, text)| text.len()).sum();
        if size + text.len() > HELD {
            return;
        }
        match held.last_mut() {
            Some((last, before)) if *last == part => before.push_str(text),
            _ => held.push((part, text.to_owned())),
        }
    }

    /// The choice that spoke is whole, or all are: the next ones' turn.
    fn next_choice(&mut self, look: &Look, all: bool) {
        while all
            || self
                .choice
                .is_none_or(|choice| self.finished.contains(&choice))
        {
            let Some((choice, held)) = self.held.pop_first() else {
                break;
            };
            self.choice = Some(choice);
            for (part, text) in held {
                self.say(look, part, &text);
            }
        }
    }

    fn say(&mut self, look: &Look, part: u32, text: &str) {
        self.head(look);
        let Some(spoken) = self.parts.get(&part) else {
            return;
        };
        let kind = spoken.kind;
        if self.last != Some(part) {
            let label = label(spoken, self.thought, look);
            self.interrupt();
            self.at_line_start = label.is_empty();
            self.out.push_str(&label);
            self.last = Some(part);
        }
        self.thought |= kind == Kind::Thinking;
        let text = look.foreign(text);
        if kind == Kind::Thinking {
            // Each line its own colour: see `trim`.
            for line in text.split_inclusive('\n') {
                let words = line.trim_end_matches('\n');
                if !words.is_empty() {
                    self.out.push_str(&look.ink(Ink::Faint, words));
                }
                self.out
                    .push_str(line.get(words.len()..).unwrap_or_default());
            }
        } else {
            self.out.push_str(&text);
        }
        if !text.is_empty() {
            self.at_line_start = text.ends_with('\n');
        }
    }

    fn close(&mut self, look: &Look, summary: Summary) {
        // What was lost is in the summary.
        let told = std::mem::take(&mut self.known.warnings);
        let prompt = std::mem::take(&mut self.known.prompt);
        let warnings = summary.warnings.clone();
        self.known = summary;
        self.known.warnings = told;
        if !prompt.is_empty() {
            self.known.prompt = prompt;
        }
        if self.usage.is_none() || self.known.usage.is_some() {
            self.usage = self.known.usage;
        }
        self.head(look);
        for warning in warnings {
            self.warn(look, warning);
        }
        let rest = self.raw.end();
        self.raw_lines(look, rest);
        self.next_choice(look, true);
        if self.said == 0 && !look.raw && !self.known.answer.is_empty() {
            let answer = look.line(&self.known.answer);
            self.line(look, &answer);
        }
        let end = words::end(self, look);
        self.line(look, &end);
    }

    /// Why its choices ended.
    pub(super) fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// Its tokens so far.
    pub(super) fn usage(&self) -> Option<Tokens> {
        self.usage
    }
}

/// What stands before a part's text.
fn label(spoken: &Spoken, thought: bool, look: &Look) -> String {
    let choice = match spoken.choice {
        0 => String::new(),
        choice => look.ink(Ink::Faint, &format!("choice {choice}: ")),
    };
    let kind = match spoken.kind {
        Kind::Text if thought => look.ink(Ink::Faint, "answer: "),
        Kind::Text => String::new(),
        Kind::Refusal => look.ink(Ink::Warn, "refusal: "),
        Kind::Thinking => look.ink(Ink::Faint, "thinking: "),
        Kind::ToolCall => {
            let name = look.line(spoken.name.as_deref().unwrap_or("tool call"));
            format!("→ {} ", look.ink(Ink::Literal, &name))
        }
    };
    choice + &kind
}
