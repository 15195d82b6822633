//! Azure OpenAI: <https://learn.microsoft.com/azure/ai-foundry/openai/reference>.

use super::{Call, Cloud, Fault, Operation, Provider, openai, segment};
use crate::dialect::Egress;

/// Kong's default `azure_api_version`.
const API_VERSION: &str = "2023-05-15";

pub(super) struct Azure;

impl Provider for Azure {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        openai::egress_and_responses(call.operation)
    }

    fn cloud(&self, _: &Call<'_>) -> Option<Cloud> {
        Some(Cloud::Entra)
    }

    fn root(&self, call: &Call<'_>) -> Result<String, Fault> {
        match &call.options.azure_instance {
            Some(instance) => Ok(format!("https://{}.openai.azure.com", segment(instance))),
            None => Err(Fault {
                kind: "configuration_error".into(),
                ..Fault::upstream(500, "`azure_instance` or `upstream_url` must be set")
            }),
        }
    }

    /// Model operations go through a deployment, the others (files, batches, responses) do not.
    fn path(&self, call: &Call<'_>) -> String {
        match call.operation {
            Operation::Files
            | Operation::Batches
            | Operation::Assistants
            | Operation::Responses
            | Operation::Preserve => format!("/openai{}", call.path),
            _ => self.replaced_path(call, call.path),
        }
    }

    fn replaced_path(&self, call: &Call<'_>, path: &str) -> String {
        let deployment = call.options.azure_deployment_id.as_deref();
        format!(
            "/openai/deployments/{}{path}",
            segment(deployment.unwrap_or(call.model))
        )
    }

    fn query(&self, call: &Call<'_>) -> Option<(&'static str, String)> {
        let version = call.options.azure_api_version.as_deref();
        Some(("api-version", version.unwrap_or(API_VERSION).to_owned()))
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        true
    }
}
