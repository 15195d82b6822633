//! The values that are not to be shown to anybody.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
};

use secrecy::{ExposeSecret, SecretString};

use super::redact::Redactor;

/// Most secrets whose values are looked for. Tokens of clouds change every hour: the oldest go.
const MOST_SECRETS: usize = 1024;

/// All that are known, and what takes them out of texts.
#[derive(Default)]
pub(super) struct Secrets(RwLock<Known>);

#[derive(Default)]
struct Known {
    values: VecDeque<SecretString>,
    redactor: Option<Arc<Redactor>>,
}

impl Secrets {
    /// These are from now on, if they were not before.
    pub(super) fn hide<'s>(&self, values: impl Iterator<Item = &'s str>) {
        for value in values {
            let is_known = |known: &Known| {
                let mut values = known.values.iter().rev();
                values.any(|known| known.expose_secret() == value)
            };
            if is_known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
                continue;
            }
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if known.values.len() >= MOST_SECRETS {
                known.values.pop_front();
            }
            known.values.push_back(SecretString::from(value.to_owned()));
            known.redactor = None;
        }
    }

    /// What takes them out of texts.
    pub(super) fn redactor(&self) -> Arc<Redactor> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(redactor) = &known.redactor {
            return Arc::clone(redactor);
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let values = known.values.iter().map(ExposeSecret::expose_secret);
        let redactor = Arc::new(Redactor::new(values));
        known.redactor = Some(Arc::clone(&redactor));
        redactor
    }
}
