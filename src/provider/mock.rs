//! The built-in mock. Its scheme is no network's: whatever sends the request knows that it stays in the process.

use super::{Call, Fault, Provider, openai};
use crate::dialect::Egress;

pub(super) struct Mock;

impl Provider for Mock {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        openai::egress_and_responses(call.operation)
    }

    fn root(&self, _: &Call<'_>) -> Result<String, Fault> {
        Ok("mock://mock/v1".into())
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        true
    }
}
