//! The built-in mock. Its scheme is no network's: whatever sends the request knows that it stays in the process.

use super::{Call, Fault, Operation, Options, Provider, openai};
use crate::dialect::Egress;

pub(super) struct Mock;

impl Provider for Mock {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn egress(&self, operation: Operation, _: &Options) -> Option<&'static dyn Egress> {
        openai::egress(operation)
    }

    fn root(&self, _: &Call<'_>) -> Result<String, Fault> {
        Ok("mock://mock/v1".into())
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        true
    }
}
