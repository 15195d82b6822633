//! What a program's exchanges came to.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    cli::{chat::cost::money, log, page},
    exchange::{Exchange, Observer, Redactor, told::Summary},
    term::{Ink, Problem, Term, sanitize},
};

/// So many failures are named.
const NAMED: usize = 3;

/// A failure's text is cut at so many characters.
const LONGEST: usize = 120;

/// Sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Receipt {
    exchanges: u64,
    failed: u64,
    cancelled: u64,
    input: u64,
    cached: u64,
    output: u64,
    /// Those whose tokens are known.
    counted: u64,
    estimated: bool,
    cost: f64,
    /// Those whose cost is known.
    priced: u64,
    sources: Vec<String>,
    slowest: Option<Slow>,
    failures: Vec<Failure>,
}

#[derive(Clone, Debug)]
struct Slow {
    ms: f64,
    id: String,
    model: String,
}

#[derive(Clone, Debug)]
struct Failure {
    id: String,
    what: String,
}

/// Where the exchanges are afterwards.
#[derive(Debug)]
pub(super) enum Kept {
    /// In the history on disk.
    OnDisk,
    /// In the memory of a server that goes on; its URL, if commands need it.
    There(Option<String>),
    /// Nowhere.
    Nowhere,
}

impl Receipt {
    /// Counts an exchange.
    pub(super) fn add(&mut self, summary: &Summary) {
        self.exchanges += 1;
        match summary.outcome.as_str() {
            "failed" => self.failed += 1,
            "cancelled" => self.cancelled += 1,
            _ => {}
        }
        if summary.outcome == "failed" && self.failures.len() < NAMED {
            let (_, ending) = log::ending(summary);
            let why = summary.error.as_deref().unwrap_or_default();
            let what = [ending.as_str(), why].join(": ");
            self.failures.push(Failure {
                id: summary.id.clone(),
                what: cut(what.trim_end_matches(": ")),
            });
        }
        if let Some(usage) = summary.usage {
            self.counted += 1;
            self.input += usage.prompt_tokens;
            self.cached += usage.cached_tokens;
            self.output += usage.completion_tokens;
            self.estimated |= usage.estimated;
        }
        if let Some(cost) = summary.cost {
            self.priced += 1;
            self.cost += cost;
            let source = summary.cost_source.as_deref().unwrap_or_default();
            if !source.is_empty() && !self.sources.iter().any(|known| known == source) {
                self.sources.push(source.to_owned());
            }
        }
        let ms = summary.timings.total_ms;
        if self.slowest.as_ref().is_none_or(|slowest| slowest.ms < ms) {
            self.slowest = Some(Slow {
                ms,
                id: summary.id.clone(),
                model: summary.model.clone(),
            });
        }
    }

    /// For people: a title, and a line for each thing that there is to say.
    pub(super) fn text(&self, took: Duration, since: &str, kept: &Kept, term: &Term) -> String {
        let took = page::time(took.as_secs_f64() * 1000.0);
        let title = term.ink_err(Ink::Strong, "aiproxy:");
        if self.exchanges == 0 {
            return format!(
                "{title} no exchange in {took}: the program asked nothing, or reads none of the variables that `aiproxy env` prints"
            );
        }
        let mut head = format!("{title} {} in {took}", number(self.exchanges, "exchange"));
        if self.failed > 0 {
            let failed = format!("{} failed", self.failed);
            head.push_str(&format!(", {}", term.ink_err(Ink::Bad, &failed)));
        }
        if self.cancelled > 0 {
            let cancelled = format!("{} cancelled", self.cancelled);
            head.push_str(&format!(", {}", term.ink_err(Ink::Warn, &cancelled)));
        }
        let mut lines = vec![head];
        let mut line = |name: &str, text: &str| {
            let name = term.ink_err(Ink::Faint, &format!("{name:8}"));
            lines.push(format!("  {name} {text}"));
        };
        if self.counted > 0 {
            line("tokens", &self.tokens());
            line("cost", &self.costs());
        }
        if let Some(slowest) = &self.slowest {
            let id = term.ink_err(Ink::Literal, &slowest.id);
            let model = sanitize(&slowest.model);
            let model = if model.is_empty() {
                String::new()
            } else {
                format!(", {model}")
            };
            line(
                "slowest",
                &format!("{} ({id}{model})", page::time(slowest.ms)),
            );
        }
        for failure in &self.failures {
            let id = term.ink_err(Ink::Literal, &failure.id);
            line("failure", &format!("{id} {}", failure.what));
        }
        line("look", &self.look(since, kept, term));
        lines.join("\n")
    }

    fn tokens(&self) -> String {
        let about = if self.estimated { "~" } else { "" };
        let cached = match self.cached {
            0 => String::new(),
            cached => format!(" ({cached} cached)"),
        };
        format!(
            "{about}{} in{cached}, {about}{} out",
            self.input, self.output
        )
    }

    fn costs(&self) -> String {
        let unpriced = self.counted.saturating_sub(self.priced);
        if self.priced == 0 {
            return "unknown: neither the profile nor the list has prices for it".to_owned();
        }
        let mut text = money(self.cost, self.estimated);
        let sources: Vec<&str> = self
            .sources
            .iter()
            .map(|source| match source.as_str() {
                "profile" => "the profile's prices",
                other => other,
            })
            .collect();
        if !sources.is_empty() {
            text.push_str(&format!(" by {}", sources.join(" and ")));
        }
        if unpriced > 0 {
            text.push_str(&format!(
                ", without {} of unknown price",
                number(unpriced, "exchange")
            ));
        }
        text
    }

    /// How to see more.
    fn look(&self, since: &str, kept: &Kept, term: &Term) -> String {
        let server = match kept {
            Kept::Nowhere => {
                let live = term.ink_err(Ink::Literal, "aiproxy tail");
                let record = term.ink_err(Ink::Literal, "aiproxy run --record");
                return format!("{live} while it runs; {record} keeps exchanges for later");
            }
            Kept::There(Some(url)) => format!(" --server {url}"),
            Kept::There(None) | Kept::OnDisk => String::new(),
        };
        let failure = self.failures.first().map(|failure| &failure.id);
        let slowest = self.slowest.as_ref().map(|slowest| &slowest.id);
        let id = failure.or(slowest).map_or("last", String::as_str);
        let show = format!("aiproxy show {id}{server}");
        let log = format!("aiproxy log --since {since}{server}");
        format!(
            "{}, {}",
            term.ink_err(Ink::Literal, &show),
            term.ink_err(Ink::Literal, &log)
        )
    }
}

fn number(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// One line of what a provider said.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = sanitize(line);
    match line.char_indices().nth(LONGEST) {
        None => line.into_owned(),
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
    }
}

/// Counts the exchanges of a ledger as they end: the ledger itself forgets the oldest when they are many.
pub(super) struct Tally {
    sender: Sender<News>,
    thread: JoinHandle<Receipt>,
}

enum News {
    Closed(Arc<Exchange>, Arc<Redactor>),
    End,
}

/// A ledger's way to a tally.
struct Feed(Mutex<Sender<News>>);

impl Observer for Feed {
    fn closed(&self, exchange: &Arc<Exchange>, redactor: &Arc<Redactor>) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // After its end nobody counts.
        let _ = sender.send(News::Closed(Arc::clone(exchange), Arc::clone(redactor)));
    }
}

impl Tally {
    /// Begins at nothing.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub(super) fn start() -> Result<Tally, Problem> {
        let (sender, news) = mpsc::channel();
        // Summaries take a while: they are not for the threads that answer requests.
        let thread = std::thread::Builder::new()
            .name("receipt".into())
            .spawn(move || count(&news))
            .map_err(|error| Problem::new(format!("cannot start: {error}")))?;
        Ok(Tally { sender, thread })
    }

    /// What tells it of exchanges.
    pub(super) fn observer(&self) -> Box<dyn Observer> {
        Box::new(Feed(Mutex::new(self.sender.clone())))
    }

    /// The sums of those that ended.
    pub(super) async fn receipt(self) -> Receipt {
        let _ = self.sender.send(News::End);
        let ended = tokio::task::spawn_blocking(|| self.thread.join()).await;
        ended.ok().and_then(Result::ok).unwrap_or_default()
    }
}

fn count(news: &Receiver<News>) -> Receipt {
    let mut receipt = Receipt::default();
    while let Ok(News::Closed(exchange, redactor)) = news.recv() {
        receipt.add(&exchange.summary(&redactor));
    }
    receipt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::told::{Timings, Tokens};

    fn summary(id: &str, ms: f64) -> Summary {
        Summary {
            id: id.into(),
            outcome: "ok".into(),
            status: Some(200),
            model: "m".into(),
            usage: Some(Tokens {
                prompt_tokens: 10,
                completion_tokens: 5,
                cached_tokens: 4,
                ..Tokens::default()
            }),
            timings: Timings {
                total_ms: ms,
                ..Timings::default()
            },
            ..Summary::default()
        }
    }

    fn text(all: &[Summary], kept: &Kept) -> String {
        let mut receipt = Receipt::default();
        for summary in all {
            receipt.add(summary);
        }
        receipt.text(Duration::from_millis(1500), "T", kept, &Term::plain())
    }

    #[test]
    fn sums_and_where_to_look() {
        let mut dear = summary("bbbbbbbbbb", 2000.0);
        dear.cost = Some(0.5);
        dear.cost_source = Some("list price of 2026-11-10".into());
        let mut failed = summary("cccccccccc", 30.0);
        failed.outcome = "failed".into();
        failed.status = Some(429);
        failed.usage = None;
        failed.error = Some("slow \u{1b}[2Jdown\nplease".into());
        let all = [summary("aaaaaaaaaa", 100.0), dear, failed];
        assert_eq!(
            text(&all, &Kept::OnDisk),
            "aiproxy: 3 exchanges in 1.50 s, 1 failed\n\
             \x20 tokens   20 in (8 cached), 10 out\n\
             \x20 cost     $0.50 by list price of 2026-11-10, without 1 exchange of unknown price\n\
             \x20 slowest  2.00 s (bbbbbbbbbb, m)\n\
             \x20 failure  cccccccccc failed 429: slow \\u{1b}[2Jdown\n\
             \x20 look     aiproxy show cccccccccc, aiproxy log --since T"
        );
        let there = text(&all[..1], &Kept::There(Some("http://h:1".into())));
        assert!(
            there.ends_with(
                "aiproxy show aaaaaaaaaa --server http://h:1, aiproxy log --since T --server http://h:1"
            ),
            "{there}"
        );
        let gone = text(&all[..1], &Kept::Nowhere);
        assert!(gone.contains("aiproxy run --record"), "{gone}");
        assert!(gone.contains("cost     unknown"), "{gone}");
    }

    #[test]
    fn nothing_happened() {
        let none = text(&[], &Kept::Nowhere);
        assert!(none.starts_with("aiproxy: no exchange in 1.50 s"), "{none}");
    }
}
