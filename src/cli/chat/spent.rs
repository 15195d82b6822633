//! What the LLMs of transformers took, where this process asks them itself.

use std::sync::{Arc, Mutex, PoisonError};

use super::cost::spent;
use crate::exchange::{Exchange, LlmCall, Observer, Redactor};

/// The calls of the last exchange that ended. A running server tells of none.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<LlmCall>>>);

impl Observer for Calls {
    fn closed(&self, exchange: &Arc<Exchange>, _: &Arc<Redactor>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone_from(&exchange.calls);
    }
}

impl Calls {
    /// Number, tokens and cost of the calls, once; nothing without calls.
    pub(super) fn told(&self) -> Option<String> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = std::mem::take(&mut *last);
        drop(last);
        let number = match calls.len() {
            0 => return None,
            1 => "1 transformer call".to_owned(),
            number => format!("{number} transformer calls"),
        };
        let took = spent(&calls).join(", ");
        let colon = if took.is_empty() { "" } else { ": " };
        Some(format!("+ {number}{colon}{took}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Usage;

    #[test]
    fn calls_are_told_once() {
        let calls = Calls::default();
        assert_eq!(calls.told(), None);
        let call = |cost: Option<f64>| LlmCall {
            usage: cost.map(|_| Usage {
                input: 30,
                output: 5,
                ..Usage::default()
            }),
            cost,
            ..LlmCall::default()
        };
        for (made, expected) in [
            (vec![call(None)], "+ 1 transformer call"),
            (
                vec![call(Some(0.01))],
                "+ 1 transformer call: 30 tokens in, 5 out, $0.01",
            ),
            (
                vec![call(Some(0.01)), call(Some(0.02))],
                "+ 2 transformer calls: 60 tokens in, 10 out, $0.03",
            ),
        ] {
            *calls.0.lock().unwrap() = made;
            assert_eq!(calls.told().as_deref(), Some(expected));
            assert_eq!(calls.told(), None);
        }
    }
}
