//! OpenAI, and the services that speak its API without departures.

use super::{Call, Fault, Loss, Operation, Provider, segment};
use crate::{
    dialect::{
        Egress, openai_chat::OpenAiChat, openai_completions::OpenAiCompletions,
        openai_embeddings::OpenAiEmbeddings, openai_responses::OpenAiResponses,
    },
    wire::envelope::Envelope,
};

/// A service of OpenAI's API at a fixed root.
pub(super) struct OpenAi {
    pub(super) name: &'static str,
    pub(super) root: &'static str,
}

/// OpenAI's own host: <https://platform.openai.com/docs/api-reference>.
const OPENAI: &str = "api.openai.com";

/// Hosts whose documentation has `stream_options.include_usage`. Other servers may refuse the field (TRAPS 1.3).
const KNOWN: &[&str] = &[
    OPENAI,
    "api.groq.com",
    "openrouter.ai",
    "api.deepseek.com",
    "api.x.ai",
    "api.together.xyz",
    "api.fireworks.ai",
    "api.cerebras.ai",
    "dashscope.aliyuncs.com",
    "dashscope-intl.aliyuncs.com",
];

/// The format in which a service of OpenAI's API does an operation.
pub(super) fn egress(operation: Operation) -> Option<&'static dyn Egress> {
    match operation {
        Operation::Chat => Some(&OpenAiChat),
        Operation::Completions => Some(&OpenAiCompletions),
        Operation::Embeddings => Some(&OpenAiEmbeddings),
        _ => None,
    }
}

/// The same of a service that has Responses too.
pub(super) fn egress_and_responses(operation: Operation) -> Option<&'static dyn Egress> {
    match operation {
        Operation::Responses => Some(&OpenAiResponses),
        other => egress(other),
    }
}

/// Services that have Responses: <https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html>,
/// <https://docs.x.ai/docs/api-reference>. Those that a profile names by `base_url` alone (Groq, OpenRouter, Together, ...) have them, too.
const HAVE_RESPONSES: &[&str] = &["openai", "vllm", "xai"];

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        self.name
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        if HAVE_RESPONSES.contains(&self.name) {
            egress_and_responses(call.operation)
        } else {
            egress(call.operation)
        }
    }

    fn root(&self, _: &Call<'_>) -> Result<String, Fault> {
        Ok(self.root.into())
    }

    /// `top_k` is unknown to OpenAI itself, which refuses unknown fields; the others take it (SPEC §4.1).
    fn adjust(&self, body: &mut Envelope<'_>, _: &Call<'_>, host: &str, lost: &mut Vec<Loss>) {
        if host == OPENAI && body.remove("top_k") {
            lost.push(Loss::dropped("top_k"));
        }
    }

    fn takes_stream_options(&self, host: &str) -> bool {
        KNOWN.contains(&host) || matches!(self.name, "vllm" | "ollama" | "huggingface")
    }
}

/// Alibaba's DashScope, in its OpenAI-compatible mode:
/// <https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope>.
pub(super) struct Dashscope;

impl Provider for Dashscope {
    fn name(&self) -> &'static str {
        "dashscope"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        egress(call.operation)
    }

    fn root(&self, call: &Call<'_>) -> Result<String, Fault> {
        let host = if call.options.dashscope_international {
            "dashscope-intl"
        } else {
            "dashscope"
        };
        Ok(format!("https://{host}.aliyuncs.com/compatible-mode/v1"))
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        true
    }
}

/// Databricks' model serving: <https://docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models>.
pub(super) struct Databricks;

impl Provider for Databricks {
    fn name(&self) -> &'static str {
        "databricks"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        egress(call.operation)
    }

    fn root(&self, call: &Call<'_>) -> Result<String, Fault> {
        match &call.options.databricks_workspace {
            Some(workspace) => Ok(format!(
                "https://{}.cloud.databricks.com/serving-endpoints",
                segment(workspace)
            )),
            None => Err(Fault {
                kind: "configuration_error".into(),
                ..Fault::upstream(
                    500,
                    "`databricks.workspace_instance_id` or `[aiproxy] base_url` must be set",
                )
            }),
        }
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        false
    }
}
