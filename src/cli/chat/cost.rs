//! What answers took: tokens, and their cost by the prices that a profile names.

use crate::{exchange::LlmCall, llm::Usage, profile::Profile};

/// USD for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prices {
    input: f64,
    output: f64,
}

impl Prices {
    /// A profile's, if it has both.
    pub(super) fn of(profile: &Profile) -> Option<Prices> {
        let options = &profile.ai_proxy.as_ref()?.model.options;
        Some(Prices {
            input: options.input_cost?,
            output: options.output_cost?,
        })
    }

    /// The cost of an answer, for people: as exact as it takes to see it.
    pub(super) fn cost(self, usage: Usage) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a sum for people")]
        let cost =
            (usage.prompt() as f64 * self.input + usage.output as f64 * self.output) / 1_000_000.0;
        money(cost, usage.estimated)
    }
}

/// Tokens and cost of LLM calls, as far as they are known.
pub(in crate::cli) fn spent(calls: &[LlmCall]) -> Vec<String> {
    let mut words = Vec::new();
    let usages: Vec<Usage> = calls.iter().filter_map(|call| call.usage).collect();
    let estimated = usages.iter().any(|usage| usage.estimated);
    if !usages.is_empty() {
        words.push(tokens(
            usages.iter().map(Usage::prompt).sum(),
            usages.iter().map(|usage| usage.output).sum(),
            estimated,
        ));
    }
    let costs: Vec<f64> = calls.iter().filter_map(|call| call.cost).collect();
    if !costs.is_empty() {
        words.push(money(costs.iter().sum(), estimated));
    }
    words
}

/// Counts of tokens for people.
pub(in crate::cli) fn tokens(input: u64, output: u64, estimated: bool) -> String {
    let about = if estimated { "~" } else { "" };
    format!("{about}{input} tokens in, {about}{output} out")
}

/// US dollars for people: as exact as it takes to see them.
pub(in crate::cli) fn money(cost: f64, estimated: bool) -> String {
    let about = if estimated { "~" } else { "" };
    if cost == 0.0 {
        return format!("{about}$0");
    }
    if cost < 0.000_001 {
        return "<$0.000001".to_owned();
    }
    let digits = if cost < 1.0 { 6 } else { 2 };
    let text = format!("{cost:.digits$}");
    let text = if digits > 2 {
        let cut = text.trim_end_matches('0');
        // Cents have two digits.
        let least = text.find('.').map_or(text.len(), |point| point + 3);
        text.get(..cut.len().max(least)).unwrap_or(&text).to_owned()
    } else {
        text
    };
    format!("{about}${text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_readable() {
        let prices = Prices {
            input: 0.15,
            output: 0.60,
        };
        let usage = |input, output| Usage {
            input,
            output,
            ..Usage::default()
        };
        for (input, output, expected) in [
            (0, 0, "$0"),
            (1, 0, "<$0.000001"),
            (9, 9, "$0.000007"),
            (1_000, 1_000, "$0.00075"),
            (1_000_000, 0, "$0.15"),
            (2_000_000, 0, "$0.30"),
            (0, 20_000_000, "$12.00"),
        ] {
            assert_eq!(prices.cost(usage(input, output)), expected);
        }
        let estimated = Usage {
            estimated: true,
            ..usage(0, 1_000_000)
        };
        assert_eq!(prices.cost(estimated), "~$0.60");
    }
}
