//! The answer on the screen.

use std::time::{Duration, Instant};

use http::Response;
use http_body_util::BodyExt;
use serde_json::Value;

use super::{
    cost::{Prices, tokens},
    spent::Calls,
};
use crate::{
    dialect::{Egress, openai_chat::OpenAiChat},
    exchange::Redactor,
    llm::{Accumulator, Event, Kind, Part, Sink, Usage},
    pipeline::MODEL_HEADER,
    term::{Ink, Problem, Spinner, Term, sanitize},
    transport::Body,
    wire::{Framer, Framing, MAX_FRAME},
};

/// Prints one answer.
pub(super) struct Show<'a> {
    term: &'a Term,
    json: bool,
    /// Turns until the first thing is printed.
    spinner: Option<Spinner>,
    began: Instant,
    first: Option<Instant>,
    /// Whether stdout stands at the beginning of a line.
    at_line_start: bool,
    thinking: bool,
    model: String,
    /// The answer's text so far.
    text: String,
    prices: Option<Prices>,
    /// Of the transformers' LLMs.
    calls: Calls,
    /// What errors of the upstream may not repeat.
    hidden: Redactor,
}

impl<'a> Show<'a> {
    pub(super) fn new(
        term: &'a Term,
        json: bool,
        spinner: Spinner,
        prices: Option<Prices>,
        calls: Calls,
    ) -> Show<'a> {
        Show {
            term,
            json,
            spinner: Some(spinner),
            began: Instant::now(),
            first: None,
            at_line_start: true,
            thinking: false,
            model: String::new(),
            text: String::new(),
            prices,
            calls,
            hidden: Redactor::default(),
        }
    }

    /// Keeps these out of the upstream's errors.
    pub(super) fn hiding(self, hidden: Redactor) -> Show<'a> {
        Show { hidden, ..self }
    }

    /// The answer's text, as far as it came.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Leaves the screen clean after an answer that was stopped.
    pub(super) fn stopped(&mut self) {
        self.spinner = None;
        if self.at_line_start {
            // After the terminal's own `^C`.
            self.term.note("");
        }
        let _ = self.end_line();
        self.term.note(&self.term.ink_err(Ink::Faint, "stopped"));
    }

    /// A whole answer.
    pub(super) async fn whole(&mut self, response: Response<Body>) -> Result<(), Problem> {
        let response = self.checked(response).await?;
        let body = body(response).await?;
        self.first = None;
        self.spinner = None;
        let answer = OpenAiChat
            .decode_response(&body)
            .map_err(|error| Problem::new(format!("the answer cannot be read: {error}")))?;
        if self.json {
            self.term.json(String::from_utf8_lossy(&body).trim_end())?;
        } else {
            for part in answer
                .choices
                .first()
                .map(|choice| choice.parts.as_slice())
                .unwrap_or_default()
            {
                self.part(part)?;
            }
            self.end_line()?;
        }
        if !answer.model.is_empty() {
            self.model = answer.model;
        }
        self.summary(answer.usage);
        Ok(())
    }

    /// A stream.
    pub(super) async fn stream(&mut self, response: Response<Body>) -> Result<(), Problem> {
        let response = self.checked(response).await?;
        let mut body = response.into_body();
        let (mut framer, mut decoder) = (
            Framer::new(Framing::Sse, MAX_FRAME),
            OpenAiChat.stream_decoder(),
        );
        let (mut answer, mut events) = (Accumulator::default(), Vec::new());
        let mut ended = false;
        while !ended {
            match body.frame().await {
                Some(Ok(frame)) => framer.feed(frame.into_data().unwrap_or_default()),
                Some(Err(error)) => {
                    self.end_line()?;
                    return Err(Problem::new(format!("the answer broke off: {error}")));
                }
                None => ended = true,
            }
            loop {
                let next = framer
                    .frame()
                    .map_err(|error| Problem::new(error.to_string()))?;
                let Some(frame) = next.or_else(|| ended.then(|| framer.finish()).flatten()) else {
                    break;
                };
                let mut keep = |event: Event<'_>| events.push(event.into_owned());
                let read = decoder.frame(&frame, &mut keep);
                read.map_err(|error| Problem::new(format!("the answer cannot be read: {error}")))?;
                if self.json {
                    self.json_line(frame.data())?;
                }
                for event in events.drain(..) {
                    self.event(&event)?;
                    answer.event(event);
                }
            }
        }
        self.spinner = None;
        self.end_line()?;
        if let Some(message) = answer.failed() {
            let message = self.hidden.redact(message);
            return Err(Problem::new(sanitize(&message)));
        }
        if !decoder.is_complete() {
            return Err(Problem::new("the answer broke off before its end"));
        }
        // Its end is the exchange's, which the summary tells of.
        drop(body);
        self.summary(answer.into_response().usage);
        Ok(())
    }

    /// An error status becomes the command's own error.
    async fn checked(&mut self, response: Response<Body>) -> Result<Response<Body>, Problem> {
        if let Some(model) = response.headers().get(MODEL_HEADER) {
            self.model = String::from_utf8_lossy(model.as_bytes()).into_owned();
        }
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        self.spinner = None;
        let body = body(response).await?;
        let fault = OpenAiChat.decode_error(status.as_u16(), &body);
        if self.json {
            let body = String::from_utf8_lossy(&body);
            self.term.json(self.hidden.redact(&body).trim_end())?;
        }
        let message = self.hidden.redact(&fault.message);
        let message = sanitize(&message).into_owned();
        let problem = Problem::new(format!("{message} (status {})", status.as_u16()));
        Err(match status.as_u16() {
            401 | 403 => problem.hint("the provider refuses the key: `aiproxy serve` shows which variable the profile reads"),
            429 => problem.hint("the provider asks for patience; its limits are in the response's headers"),
            _ => problem,
        })
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), Problem> {
        if self.first.is_none() && event.is_content() {
            self.first = Some(Instant::now());
            self.spinner = None;
        }
        if let Event::Start { model, .. } = event
            && !model.is_empty()
        {
            self.model = model.to_string();
        }
        if self.json {
            return Ok(());
        }
        match event {
            Event::Thinking { text, .. } => self.think(text),
            Event::Text { text, .. } => {
                self.text.push_str(text);
                self.say(text)
            }
            Event::Open {
                kind: Kind::ToolCall { name, .. },
                ..
            } => {
                self.end_line()?;
                self.say(&format!("→ {name} "))
            }
            Event::Arguments { json, .. } => self.say(json),
            _ => Ok(()),
        }
    }

    fn part(&mut self, part: &Part) -> Result<(), Problem> {
        match part {
            Part::Text(text) | Part::Refusal(text) => {
                self.text.push_str(text);
                self.say(text)
            }
            Part::Thinking { text, .. } => self.think(text),
            Part::ToolCall {
                name, arguments, ..
            } => {
                self.end_line()?;
                self.say(&format!("→ {name} {arguments}"))
            }
            _ => Ok(()),
        }
    }

    /// The model's words. A pipe gets them as they are.
    fn say(&mut self, text: &str) -> Result<(), Problem> {
        if std::mem::take(&mut self.thinking) {
            self.end_line()?;
        }
        self.print(text, |term, text| {
            if term.out_is_terminal() {
                sanitize(text).into_owned()
            } else {
                text.to_owned()
            }
        })
    }

    /// Reasoning is no part of the answer: only people see it.
    fn think(&mut self, text: &str) -> Result<(), Problem> {
        if !self.term.out_is_terminal() {
            return Ok(());
        }
        self.thinking = true;
        self.print(text, |term, text| term.ink(Ink::Faint, &sanitize(text)))
    }

    fn print(
        &mut self,
        text: &str,
        form: impl FnOnce(&Term, &str) -> String,
    ) -> Result<(), Problem> {
        if !text.is_empty() {
            self.term.out(&form(self.term, text))?;
            self.at_line_start = text.ends_with('\n');
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), Problem> {
        if !std::mem::replace(&mut self.at_line_start, true) {
            self.term.line("")?;
        }
        Ok(())
    }

    fn json_line(&self, data: &[u8]) -> Result<(), Problem> {
        let Ok(json) = serde_json::from_slice::<Value>(data) else {
            return Ok(());
        };
        self.term.json(&json.to_string())?;
        Ok(())
    }

    /// Model, tokens, times and costs, on stderr.
    fn summary(&self, usage: Option<Usage>) {
        let mut words = Vec::new();
        if !self.model.is_empty() {
            words.push(sanitize(&self.model).into_owned());
        }
        if let Some(usage) = usage {
            words.push(tokens(usage.prompt(), usage.output, usage.estimated));
        }
        let all = self.began.elapsed();
        match self.first {
            Some(first) => {
                words.push(format!(
                    "first token after {}",
                    seconds(first.duration_since(self.began))
                ));
                let rest = first.elapsed().as_secs_f64();
                // The first token is there when the clock starts.
                let tokens = usage
                    .map(|usage| usage.output.saturating_sub(1))
                    .unwrap_or_default();
                if rest > 0.0 && tokens > 0 {
                    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
                    words.push(format!("{:.1} tokens/s", tokens as f64 / rest));
                }
            }
            None => words.push(format!("took {}", seconds(all))),
        }
        if let (Some(prices), Some(usage)) = (self.prices, usage) {
            words.push(prices.cost(usage));
        }
        words.extend(self.calls.told());
        self.term
            .note(&self.term.ink_err(Ink::Faint, &words.join(" · ")));
    }
}

fn seconds(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

async fn body(response: Response<Body>) -> Result<bytes::Bytes, Problem> {
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| Problem::new(format!("the answer broke off: {error}")))?;
    Ok(body.to_bytes())
}
