//! `aiproxy tail`: every exchange of a running server as it happens.
//!
//! `source` brings the notices, `view` decides what the screen shows of them; `prompt` and `raw` read what is in them.

mod prompt;
mod raw;
mod source;
mod view;

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::{sync::mpsc, task::JoinSet};

use self::{
    source::{News, Told, Wanted},
    view::{Look, View},
};
use super::{
    servers::{self, Server, ServerFlag},
    signals,
};
use crate::{
    exchange::{
        Filter,
        told::{Detail, What},
    },
    term::{Exit, Ink, Live, Problem, Term, sanitize},
};

/// News that wait for the screen; what does not fit waits in the server, which says what it drops.
const WAITING: usize = 256;

/// News that are printed in one piece.
const AT_ONCE: usize = 256;

/// The status line changes no more often.
const REDRAW: Duration = Duration::from_millis(100);

/// After a connection broke or events were lost: so long the events themselves have to say what became of an exchange.
const SETTLE: Duration = Duration::from_secs(1);

/// Most exchanges that are asked for then.
const MOST_ASKED: usize = 200;

/// Watch every exchange of a running server, tokens live.
///
/// When several run at once, one is in front and its words are printed as they come; the others stand in a line below it, and follow when it
/// has ended. On a pipe there are no colours and no such line. It waits for a server where none runs, and finds it again after a restart.
/// Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy tail\n  aiproxy tail --profile openai --failed\n  aiproxy tail --follow last\n  aiproxy tail --json | jq -j 'select(.type == \"text\").text'"
)]
pub(super) struct Args {
    /// Only exchanges of this profile (repeatable)
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// Only exchanges whose model's name holds this text
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// Only exchanges that fail or are cancelled, each whole at its end
    #[arg(long)]
    failed: bool,
    /// Only exchanges in whose prompt or answer this text is, each whole at its end
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// One exchange alone, until it ends: its id, the beginning of it, or `last`
    #[arg(long, value_name = "ID", conflicts_with_all = ["profiles", "model", "failed", "grep"])]
    follow: Option<String>,
    /// Show the provider's own events, with the time of each, in the place of what they say
    #[arg(long)]
    raw: bool,
    /// Print one JSON object a line for everything that happens
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlag,
}

impl Args {
    fn wanted(&self) -> Wanted {
        let filter = Filter {
            profiles: self.profiles.clone(),
            model: self.model.clone(),
            failed: self.failed,
            grep: self.grep.clone(),
            ..Filter::default()
        };
        let mut query = vec![filter.query()];
        query.extend(self.raw.then(|| "raw=1".to_owned()));
        // For the beginning of the prompt. Programs have `show`.
        query.extend((!self.json).then(|| "bodies=client".to_owned()));
        query.retain(|part| !part.is_empty());
        Wanted {
            server: self.server.clone(),
            usual: servers::usual_address(None),
            query: query.join("&"),
            follow: self.follow.clone(),
        }
    }
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let stop = signals::stop();
    let (sender, mut news) = mpsc::channel(WAITING);
    let mut source = std::pin::pin!(source::run(args.wanted(), sender));
    let mut tail = Tail::new(&args, term);
    while !tail.done {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(first) = news.recv() => {
                tail.take(first)?;
                for _ in 1..AT_ONCE {
                    match news.try_recv() {
                        Ok(next) if !tail.done => tail.take(next)?,
                        _ => break,
                    }
                }
                tail.flush()?;
            }
            () = tokio::time::sleep_until(tail.redraw.into()), if tail.stale => {
                tail.draw("")?;
            }
            Some(Ok((id, found))) = tail.asked.join_next() => tail.settle(&id, found)?,
            ended = &mut source => {
                tail.finish()?;
                return ended.map(|()| Exit::Done);
            }
        }
    }
    tail.finish()?;
    Ok(Exit::Done)
}

/// The screen, and what is behind it.
struct Tail<'a> {
    term: &'a Term,
    json: bool,
    view: View,
    live: Live,
    /// Text to print.
    text: String,
    /// The line below it, when it may change, and whether it has to.
    status: String,
    redraw: Instant,
    stale: bool,
    server: Option<Server>,
    /// The whole id of the exchange that is followed.
    follow: Option<String>,
    /// What became of exchanges whose end may have been missed.
    asked: JoinSet<(String, Option<Option<Detail>>)>,
    /// There was reason to ask again meanwhile.
    ask_again: bool,
    done: bool,
}

impl Tail<'_> {
    fn new<'a>(args: &Args, term: &'a Term) -> Tail<'a> {
        Tail {
            term,
            json: args.json,
            view: View::new(Look {
                term: *term,
                zone: TimeZone::system(),
                raw: args.raw,
                width: term.columns(),
            }),
            live: Live::new(term),
            text: String::new(),
            status: String::new(),
            redraw: Instant::now(),
            stale: false,
            server: None,
            follow: None,
            asked: JoinSet::new(),
            ask_again: false,
            done: false,
        }
    }

    fn take(&mut self, news: News) -> Result<(), Problem> {
        match news {
            News::Waiting(why) => {
                let why = format!("{}; waiting for one", sanitize(&why));
                self.note(&why)?;
            }
            News::Connected {
                server,
                again,
                follow,
            } => {
                if again {
                    self.view.reconnected();
                }
                if self.term.err_is_terminal() {
                    let root = sanitize(&server.root).into_owned();
                    let what = if again { "again at" } else { "watching" };
                    self.note(&format!("{what} {root}; Ctrl-C ends"))?;
                }
                self.server = Some(server);
                self.follow = follow;
                if again || self.follow.is_some() {
                    self.ask();
                }
            }
            News::Told(told) => self.told(told),
        }
        Ok(())
    }

    fn told(&mut self, told: Told) {
        let Told { json, notice } = told;
        if self.json {
            let line = if self.term.out_is_terminal() {
                sanitize(&json).into_owned()
            } else {
                json
            };
            self.text.push_str(&line);
            self.text.push('\n');
        }
        let Some(notice) = notice else {
            return;
        };
        let lost = matches!(notice.what, What::Lost { .. });
        let ends = matches!(notice.what, What::Closed { .. });
        self.done |= ends && self.follow.as_ref() == Some(&notice.exchange);
        if !self.json {
            let more = self.view.notice(notice);
            self.text.push_str(&more);
        }
        if lost {
            self.ask();
        }
    }

    /// Asks the server what became of the exchanges that run as far as is known here.
    fn ask(&mut self) {
        let Some(server) = &self.server else {
            return;
        };
        // One round at a time.
        self.ask_again = !self.asked.is_empty();
        if self.ask_again {
            return;
        }
        let mut ids = self.view.live();
        ids.truncate(MOST_ASKED);
        if let Some(id) = &self.follow
            && !ids.contains(id)
        {
            ids.push(id.clone());
        }
        for id in ids {
            let server = server.clone();
            self.asked.spawn(async move {
                tokio::time::sleep(SETTLE).await;
                let found = source::detail(&server, &id).await;
                (id, found)
            });
        }
    }

    fn settle(&mut self, id: &str, found: Option<Option<Detail>>) -> Result<(), Problem> {
        if self.asked.is_empty() && self.ask_again {
            self.ask();
        }
        let Some(detail) = found else {
            return Ok(());
        };
        let ended = detail
            .as_ref()
            .is_none_or(|detail| detail.summary.outcome != "live");
        if self.json {
            // The events of it are gone: what they would have said.
            let followed = self.follow.as_deref() == Some(id);
            if let Some(detail) = detail.filter(|_| ended && followed && !self.done) {
                for notice in view::retold(detail) {
                    let line = serde_json::to_string(&notice).unwrap_or_default();
                    self.told(Told {
                        json: line,
                        notice: Some(notice),
                    });
                }
            }
        } else {
            let more = self.view.settle(id, detail);
            self.text.push_str(&more);
        }
        self.done |= ended && self.follow.as_deref() == Some(id);
        self.flush()
    }

    /// Writes a line to stderr, between two lines of stdout.
    fn note(&mut self, text: &str) -> Result<(), Problem> {
        if !self.json {
            let line_end = self.view.interrupt();
            self.text.push_str(&line_end);
        }
        let before = std::mem::take(&mut self.text);
        self.live.print(&before, "")?;
        self.term.note(&self.term.ink_err(Ink::Faint, text));
        self.stale = true;
        Ok(())
    }

    /// Prints what there is to print.
    fn flush(&mut self) -> Result<(), Problem> {
        let text = std::mem::take(&mut self.text);
        self.draw(&text)
    }

    fn draw(&mut self, text: &str) -> Result<(), Problem> {
        if !self.term.moves() || self.json {
            return Ok(self.live.print(text, "")?);
        }
        let now = Instant::now();
        // With a line's end another one may have come to the front.
        if now >= self.redraw || text.contains('\n') {
            self.view.set_width(self.term.columns());
            self.status = self.view.status();
            self.redraw = now + REDRAW;
            self.stale = false;
        } else {
            self.stale = true;
        }
        Ok(self.live.print(text, &self.status)?)
    }

    /// Leaves a clean terminal.
    fn finish(&mut self) -> Result<(), Problem> {
        if !self.json {
            let rest = self.view.finish();
            self.text.push_str(&rest);
        }
        let text = std::mem::take(&mut self.text);
        Ok(self.live.print(&text, "")?)
    }
}
