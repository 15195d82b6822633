//! What an answer is called.

use std::borrow::Cow;

use crate::llm::{ChatResponse, Event, Finish};

/// What an answer is called where the provider does not say.
#[derive(Clone, Debug, Default)]
pub(super) struct Called {
    pub(super) id: String,
    /// The provider's name for it is not told: answers are asked for by it here, and some servers call all of theirs the same.
    pub(super) own_id: bool,
    pub(super) model: String,
    /// Seconds since the epoch.
    pub(super) created: u64,
    /// Most tokens that were asked for.
    pub(super) limit: Option<u64>,
    /// The model that the provider names is a version of this one.
    pub(super) versioned: bool,
}

impl Called {
    /// Names the beginning of a stream.
    pub(super) fn name<'e>(&self, event: Event<'e>) -> Event<'e> {
        let Event::Start {
            id,
            model,
            created,
            fingerprint,
        } = event
        else {
            return event;
        };
        let or = |told: Cow<'e, str>, own: &str| {
            if told.is_empty() {
                Cow::Owned(own.to_owned())
            } else {
                told
            }
        };
        let versioned = self.versioned && !model.is_empty();
        let (model, fingerprint) = if versioned {
            (Cow::Owned(self.model.clone()), fingerprint.or(Some(model)))
        } else {
            (or(model, &self.model), fingerprint)
        };
        Event::Start {
            id: if self.own_id {
                Cow::Owned(self.id.clone())
            } else {
                or(id, &self.id)
            },
            model,
            created: created.or(Some(self.created)),
            fingerprint,
        }
    }

    /// Names a whole answer.
    pub(super) fn answer(&self, response: &mut ChatResponse) {
        if self.own_id || response.id.is_empty() {
            response.id.clone_from(&self.id);
        }
        if self.versioned && !response.model.is_empty() {
            let version = std::mem::take(&mut response.model);
            response.fingerprint.get_or_insert(version);
        }
        if response.model.is_empty() {
            response.model.clone_from(&self.model);
        }
        response.created = response.created.or(Some(self.created));
        // Some servers do not say why they stopped: at the limit, it was the limit.
        let full = response
            .usage
            .zip(self.limit)
            .is_some_and(|(usage, limit)| usage.output >= limit);
        for choice in response.choices.iter_mut().filter(|_| full) {
            if choice.finish == Some(Finish::Other) {
                choice.finish = Some(Finish::Length);
            }
        }
    }
}
