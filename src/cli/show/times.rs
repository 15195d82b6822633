//! A bar of where the time went, drawn to scale.

use crate::{
    cli::page,
    exchange::told::Timings,
    term::{Ink, Term},
};

/// The bar's width where no terminal says one, and at most.
const WIDTH: usize = 60;

/// A length of time with a name.
#[derive(Debug, PartialEq)]
struct Span {
    name: &'static str,
    from: f64,
    to: f64,
}

/// The spans of an exchange, one after the other; of what is not known there is none.
fn spans(timings: &Timings) -> Vec<Span> {
    let total = timings.total_ms.max(0.0);
    let mut spans = Vec::new();
    let mut at = 0.0;
    let mut until = |name, to: Option<f64>| {
        // Clocks of different places may cross by a hair.
        let Some(to) = to.map(|to| to.clamp(at, total.max(at))) else {
            return;
        };
        spans.push(Span { name, from: at, to });
        at = to;
    };
    until("prepare", timings.sent_ms);
    let connected = timings
        .sent_ms
        // Next to nothing: a connection was open.
        .zip(timings.connect_ms.filter(|connect| *connect >= 0.5))
        .map(|(sent, connect)| match timings.first_byte_ms {
            Some(first) => (sent + connect).min(first),
            None => sent + connect,
        });
    until("connect", connected);
    until("wait", timings.first_byte_ms);
    until("first token", timings.first_token_ms);
    let rest = match (timings.first_byte_ms, timings.first_token_ms) {
        (_, Some(_)) => "stream",
        (Some(_), None) => "answer",
        (None, None) => "rest",
    };
    until(rest, Some(total));
    spans.retain(|span| span.name != "rest" || span.to > span.from);
    spans
}

/// Adds the bar.
pub(super) fn draw(timings: &Timings, term: &Term, out: &mut String) {
    let spans = spans(timings);
    let label = spans
        .iter()
        .map(|span| span.name.len())
        .max()
        .unwrap_or_default();
    // Two spaces in front, between and behind, and the numbers.
    let room = term
        .columns()
        .map_or(WIDTH, |columns| columns.saturating_sub(label + 16));
    let width = room.clamp(10, WIDTH);
    page::line(out, &term.ink(Ink::Strong, "times"));
    for span in &spans {
        let (before, length) = cells(span, timings.total_ms, width);
        let bar = format!("{}{}", " ".repeat(before), "█".repeat(length));
        let ink = match span.name {
            "prepare" | "connect" => Ink::Faint,
            "stream" | "answer" => Ink::Good,
            _ => Ink::Literal,
        };
        let bar = format!(
            "{}{}",
            term.ink(ink, &bar),
            " ".repeat(width.saturating_sub(before + length))
        );
        let took = page::time(span.to - span.from);
        page::line(out, &format!("  {:label$}  {bar}  {took:>8}", span.name));
    }
    let mut total = format!(
        "  {:label$}  {:width$}  {:>8}",
        "total",
        "",
        page::time(timings.total_ms)
    );
    if let Some(rate) = timings.tokens_per_second {
        total.push_str(&format!(" · {rate:.1} tokens/s"));
    }
    page::line(out, &total);
}

/// Where a span begins and how long it is, in characters: what took any time at all is seen.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "characters on a screen"
)]
fn cells(span: &Span, total: f64, width: usize) -> (usize, usize) {
    if total <= 0.0 {
        return (0, 0);
    }
    let at = |ms: f64| (ms / total * width as f64).round() as usize;
    let (from, to) = (at(span.from).min(width - 1), at(span.to).min(width));
    let least = usize::from(span.to > span.from);
    (from, to.saturating_sub(from).max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(timings: &Timings) -> String {
        let mut out = String::new();
        draw(timings, &Term::plain(), &mut out);
        out
    }

    #[test]
    fn a_stream_to_scale() {
        let timings = Timings {
            sent_ms: Some(3.0),
            connect_ms: Some(57.0),
            first_byte_ms: Some(400.0),
            first_token_ms: Some(412.0),
            total_ms: 1200.0,
            tokens_per_second: Some(42.54),
        };
        assert_eq!(
            drawn(&timings),
            "\
times
  prepare      █                                                                 3 ms
  connect      ███                                                              57 ms
  wait            █████████████████                                            340 ms
  first token                      █                                            12 ms
  stream                            ███████████████████████████████████████    788 ms
  total                                                                        1.20 s · 42.5 tokens/s
"
        );
    }

    #[test]
    fn what_is_not_known_has_no_span() {
        let names = |timings: &Timings| -> Vec<&str> {
            spans(timings).iter().map(|span| span.name).collect()
        };
        let whole = Timings {
            sent_ms: Some(1.0),
            connect_ms: Some(0.02),
            first_byte_ms: Some(90.0),
            total_ms: 91.0,
            ..Timings::default()
        };
        assert_eq!(names(&whole), ["prepare", "wait", "answer"]);
        let refused = Timings {
            total_ms: 0.4,
            ..Timings::default()
        };
        assert_eq!(names(&refused), ["rest"]);
        assert_eq!(names(&Timings::default()), [""; 0]);
        // A clock that went wrong draws no endless bar.
        let crossed = Timings {
            sent_ms: Some(50.0),
            connect_ms: Some(500.0),
            first_byte_ms: Some(40.0),
            total_ms: 60.0,
            ..Timings::default()
        };
        assert!(
            drawn(&crossed)
                .lines()
                .all(|line| line.chars().count() < 90)
        );
    }
}
