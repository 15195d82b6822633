//! A conversation on a terminal.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use futures_util::FutureExt;
use serde_json::Value;

use super::{
    Args, Request,
    ask::Asker,
    command::{self, Said},
    content,
    cost::Prices,
    line::{Line, Lines},
    message,
    show::Show,
};
use crate::{
    cli::{hidden::redactor, signals},
    term::{Exit, Ink, Problem, Spinner, Term},
};

/// How a profile refuses a stream (SPEC §2).
const NO_STREAM: &str = "response streaming is not enabled for this LLM";

/// One conversation.
pub(super) struct Session<'a> {
    args: Args,
    term: &'a Term,
    asker: Asker,
    /// What was said, without the system message.
    messages: Vec<Value>,
    /// Go with the next message.
    images: Vec<String>,
    /// The profile lets answers be streamed, as far as is known.
    streams: bool,
    /// Written by this conversation, so it may write it again.
    saved: Vec<PathBuf>,
}

/// How a turn ended.
enum Turn {
    /// The next one may come.
    Over,
    /// The session ends like this.
    Leave(Exit),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        args: Args,
        images: Vec<String>,
        asker: Asker,
        term: &'a Term,
    ) -> Session<'a> {
        Session {
            args,
            term,
            asker,
            messages: Vec::new(),
            images,
            streams: true,
            saved: Vec::new(),
        }
    }

    /// Talks until the person leaves.
    pub(super) async fn run(mut self) -> Result<Exit, Problem> {
        // The line editor puts the handler of Ctrl-C back that it finds when a line begins. Without ours there by then, Ctrl-C would end
        // the session instead of the answer.
        let _ = signals::signal().now_or_never();
        let mut lines = Lines::open(self.term)?;
        self.faint(&format!(
            "talking to {} through {}; /help lists commands, Ctrl-D leaves",
            self.name(),
            self.asker.place()
        ));
        loop {
            lines.set_profiles(self.asker.names(&self.args.sources));
            let prompt = format!("{}> ", self.name());
            let mut reading = tokio::task::spawn_blocking(move || {
                let line = lines.read(&prompt);
                (lines, line)
            });
            // While a line is edited, Ctrl-C is a key; a signal comes from elsewhere.
            let read = loop {
                tokio::select! {
                    read = &mut reading => break read,
                    Some(signal) = signals::signal() => if signal != 2 {
                        return Ok(Exit::Signal(u8::try_from(signal).unwrap_or(15)));
                    },
                }
            };
            let (back, line) =
                read.map_err(|_| Problem::new("cannot read from the terminal any more"))?;
            lines = back;
            match line? {
                Line::End => return Ok(Exit::Done),
                Line::Stopped => self.faint("Ctrl-D or /quit leaves"),
                Line::Text(text) => {
                    if let Turn::Leave(exit) = self.line(&text).await? {
                        return Ok(exit);
                    }
                }
            }
        }
    }

    async fn line(&mut self, line: &str) -> Result<Turn, Problem> {
        match command::read(line) {
            Said::Nothing => {}
            Said::Text(text) => return self.turn(text).await,
            Said::Help => self.term.note(&command::help()),
            Said::Profile(None) => {
                let names = self.asker.names(&self.args.sources).join(", ");
                self.faint(&format!("{} of {names}", self.name()));
            }
            Said::Profile(Some(name)) => self.switch(name),
            Said::Model(model) => {
                self.args.model = model.map(str::to_owned);
                self.faint(&match model {
                    Some(model) => format!("asking for {model}"),
                    None => "asking for the profile's own model".to_owned(),
                });
            }
            Said::System(text) => {
                self.args.system = text.map(str::to_owned);
                self.faint(match text {
                    Some(_) => "system message set",
                    None => "no system message",
                });
            }
            Said::Clear => {
                self.messages.clear();
                self.faint("conversation forgotten");
            }
            Said::Save(None) => self.warn(Problem::new("/save takes a file's name")),
            Said::Save(Some(file)) => self.save(file),
            Said::Quit => return Ok(Turn::Leave(Exit::Done)),
            Said::Unknown(word) => self.warn(
                Problem::new(format!("there is no command `/{}`", word.escape_debug())).hint(
                    "/help lists them; a message that begins with a slash is written with two",
                ),
            ),
        }
        Ok(Turn::Over)
    }

    /// The profile that is asked, for people.
    fn name(&self) -> String {
        self.asker
            .profile_for(self.args.model.as_deref())
            .unwrap_or_else(|| "aiproxy".to_owned())
    }

    fn faint(&self, text: &str) {
        self.term.note(&self.term.ink_err(Ink::Faint, text));
    }

    #[expect(clippy::needless_pass_by_value, reason = "it was made for this")]
    fn warn(&self, problem: Problem) {
        problem.report(self.term);
    }

    /// Asks another profile from now on. The conversation stays, the model was the other's.
    fn switch(&mut self, name: &str) {
        let names = self.asker.names(&self.args.sources);
        if !names.iter().any(|known| known == name) {
            self.warn(
                Problem::new(format!("there is no profile `{}`", name.escape_debug()))
                    .hint(format!("there are {}", names.join(", "))),
            );
            return;
        }
        match self.asker.switched(name, &self.args.sources, self.term) {
            Ok(asker) => {
                self.asker = asker;
                self.streams = true;
                let model = self.args.model.take();
                self.faint(&match model {
                    Some(model) => format!("asking {name}, for its own model instead of {model}"),
                    None => format!("asking {name}"),
                });
            }
            Err(problem) => self.warn(problem),
        }
    }

    /// All that is sent before the next message.
    fn conversation(&self) -> Vec<Value> {
        let system = self.args.system.as_deref();
        system
            .map(|system| message("system", system.into()))
            .into_iter()
            .chain(self.messages.iter().cloned())
            .collect()
    }

    /// One message and its answer. A failed one leaves no trace; a stopped one stays as far as it came.
    async fn turn(&mut self, text: &str) -> Result<Turn, Problem> {
        let said = message("user", content(text, &self.images));
        let mut messages = self.conversation();
        messages.push(said.clone());
        let profile = self
            .asker
            .profile(self.args.model.as_deref(), &self.args.sources);
        loop {
            let request = Request {
                messages: &messages,
                model: self.args.model.as_deref(),
                max_tokens: self.args.max_tokens,
                temperature: self.args.temperature,
                stream: self.streams,
            };
            let body = request.body(profile.as_ref());
            let spinner = Spinner::start(self.term, "waiting for the first token");
            let prices = profile.as_ref().and_then(Prices::of);
            let hidden = redactor(profile.as_ref(), &*self.args.sources.vault()?);
            let mut show =
                Show::new(self.term, false, spinner, prices, self.asker.calls()).hiding(hidden);
            let told = async {
                let response = self.asker.ask(&body).await?;
                if self.streams {
                    show.stream(response).await
                } else {
                    show.whole(response).await
                }
            };
            let told = tokio::select! {
                told = told => told,
                Some(signal) = signals::signal() => {
                    show.stopped();
                    let answer = show.into_text();
                    if !answer.is_empty() {
                        self.keep(said, answer);
                    }
                    return Ok(match u8::try_from(signal) {
                        Ok(2) => Turn::Over,
                        other => Turn::Leave(Exit::Signal(other.unwrap_or(15))),
                    });
                }
            };
            let answer = show.into_text();
            match told {
                Ok(()) => {
                    self.keep(said, answer);
                    return Ok(Turn::Over);
                }
                Err(problem) if self.streams && problem.to_string().starts_with(NO_STREAM) => {
                    self.streams = false;
                }
                // Nobody reads the answers any more.
                Err(problem) => {
                    return Ok(match problem.report(self.term) {
                        Exit::Done => Turn::Leave(Exit::Done),
                        _ => Turn::Over,
                    });
                }
            }
        }
    }

    fn keep(&mut self, said: Value, answer: String) {
        self.images.clear();
        self.messages.push(said);
        self.messages.push(message("assistant", answer.into()));
    }

    fn save(&mut self, file: &str) {
        let path = match (file.strip_prefix("~/"), dirs::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(file),
        };
        let messages = self.conversation();
        match write(&path, &messages, self.saved.contains(&path)) {
            Ok(()) => {
                self.faint(&format!(
                    "{} messages in {}",
                    messages.len(),
                    path.display()
                ));
                self.saved.push(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => self.warn(
                Problem::new(format!("{} is there already", path.display()))
                    .hint("choose another name"),
            ),
            Err(error) => self.warn(Problem::new(format!(
                "cannot write {}: {error}",
                path.display()
            ))),
        }
    }
}

/// Writes the messages; over a file that is there only if it is this conversation's own.
fn write(path: &Path, messages: &[Value], own: bool) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    // Prompts and answers are nobody else's.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if own {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut json = serde_json::to_vec_pretty(messages)?;
    json.push(b'\n');
    options.open(path)?.write_all(&json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_somebody_else_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        let messages = [message("user", content("hi", &[]))];
        write(&path, &messages, false).unwrap();
        assert!(write(&path, &messages, false).is_err());
        write(&path, &[], true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[]\n");
    }
}
