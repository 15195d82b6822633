//! Mistral's own service: <https://docs.mistral.ai/api>. OpenAI's format, but it refuses what it does not know.

use super::{Call, Fault, Loss, Operation, Options, Provider, openai};
use crate::{dialect::Egress, wire::envelope::Envelope};

pub(super) struct Mistral;

impl Provider for Mistral {
    fn name(&self) -> &'static str {
        "mistral"
    }

    fn egress(&self, operation: Operation, options: &Options) -> Option<&'static dyn Egress> {
        match options.mistral_format.as_deref() {
            None | Some("openai") => openai::egress(operation),
            Some(_) => None,
        }
    }

    fn root(&self, _: &Call<'_>) -> Result<String, Fault> {
        Ok("https://api.mistral.ai/v1".into())
    }

    /// Mistral knows `max_tokens` alone, calls the seed `random_seed`, and sends usage without being asked: nothing is lost.
    fn adjust(&self, body: &mut Envelope<'_>, call: &Call<'_>, _: &str, _: &mut Vec<Loss>) {
        if !call.operation.is_read() {
            return;
        }
        body.rename("max_completion_tokens", "max_tokens");
        body.rename("seed", "random_seed");
        body.remove("stream_options");
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        false
    }
}
