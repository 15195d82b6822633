//! Kong's three AI plugins, their `config` blocks as of Kong Gateway 3.15, Enterprise keys included.
//!
//! Names, values and defaults are Kong's; the one default that differs is `max_request_body_size`. A key that stands
//! in no description of ours as doing something is accepted so that one file serves both.

use std::time::Duration;

use super::{
    table::table,
    values::{
        EmbeddingInputType, GenaiCategory, Llama2Format, LlmFormat, MistralFormat, ParamLocation,
        ProviderName, ResponseStreaming, RouteType,
    },
};
use crate::profile::{secret::SecretRef, template::Template};

/// 64 MiB: agents send images and whole files. Kong's 1 MiB (8 KiB in its open source edition) is too little for them.
const MAX_REQUEST_BODY_SIZE: u64 = 64 << 20;

/// Kong's default for all Azure instances.
const AZURE_API_VERSION: &str = "2023-05-15";

/// What `[ai-proxy]` and a transformer's `llm` have in common: one model of one provider and how to reach it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What the route does.
    pub route_type: RouteType,
    /// How the upstream is authenticated with.
    pub auth: &'a Auth,
    /// The model and its options.
    pub model: &'a Model,
    /// What is logged.
    pub logging: &'a Logging,
}

table! {
    /// `[ai-proxy]`: requests go to an LLM.
    pub struct AiProxy {
        /// What the route does. `llm/v1/chat`, `llm/v1/completions`, `llm/v1/embeddings`, `llm/v1/responses` and
        /// `preserve` are understood; the others are forwarded unread to providers of OpenAI's format.
        route_type: RouteType,
        /// How the upstream is authenticated with.
        auth: Auth = Auth::default(),
        /// The model and its options.
        model: Model,
        /// What is logged.
        logging: Logging = Logging::default(),
        /// Whether answers are streamed: as the client asks, never, or always.
        response_streaming: ResponseStreaming = ResponseStreaming::Allow,
        /// The format that clients speak.
        llm_format: LlmFormat = LlmFormat::Openai,
        /// Kong's label for what the requests are about. Accepted and not used here.
        genai_category: GenaiCategory = GenaiCategory::TextGeneration,
        /// Largest request body in bytes; 0 means no limit. Kong's own default is 1048576.
        max_request_body_size: u64 = MAX_REQUEST_BODY_SIZE,
        /// Name the model in the response header `X-Kong-LLM-Model`.
        model_name_header: bool = true,
    }
}

table! {
    /// `[ai-request-transformer]`: an LLM rewrites requests before they go on.
    pub struct AiRequestTransformer {
        /// What the LLM is told to do with the request's body.
        prompt: String,
        /// PCRE that the LLM's answer has to match; its first match becomes the body. Without it the whole answer does.
        transformation_extract_pattern: Option<String>,
        /// The LLM that rewrites.
        llm: Llm,
        /// Longest wait for the LLM's answer.
        http_timeout: Duration = Duration::from_millis(60_000),
        /// Verify the certificate of the LLM's service.
        https_verify: bool = true,
        /// Host of the proxy for `http://` services. Belongs together with `http_proxy_port`.
        http_proxy_host: Option<String>,
        /// Port of the proxy for `http://` services.
        http_proxy_port: Option<u16>,
        /// Host of the proxy for `https://` services. Belongs together with `https_proxy_port`.
        https_proxy_host: Option<String>,
        /// Port of the proxy for `https://` services.
        https_proxy_port: Option<u16>,
        /// Largest request body in bytes; 0 means no limit. Kong's own default is 1048576.
        max_request_body_size: u64 = MAX_REQUEST_BODY_SIZE,
    }
}

table! {
    /// `[ai-response-transformer]`: an LLM rewrites responses before they go back.
    pub struct AiResponseTransformer {
        /// What the LLM is told to do with the response's body.
        prompt: String,
        /// PCRE that the LLM's answer has to match; its first match becomes the body. Without it the whole answer does.
        transformation_extract_pattern: Option<String>,
        /// The LLM answers with a JSON object of `status`, `headers` and `body` that becomes the response.
        parse_llm_response_json_instructions: bool = false,
        /// The LLM that rewrites.
        llm: Llm,
        /// Longest wait for the LLM's answer.
        http_timeout: Duration = Duration::from_millis(60_000),
        /// Verify the certificate of the LLM's service.
        https_verify: bool = true,
        /// Host of the proxy for `http://` services. Belongs together with `http_proxy_port`.
        http_proxy_host: Option<String>,
        /// Port of the proxy for `http://` services.
        http_proxy_port: Option<u16>,
        /// Host of the proxy for `https://` services. Belongs together with `https_proxy_port`.
        https_proxy_host: Option<String>,
        /// Port of the proxy for `https://` services.
        https_proxy_port: Option<u16>,
        /// Largest request body in bytes; 0 means no limit. Kong's own default is 1048576.
        max_request_body_size: u64 = MAX_REQUEST_BODY_SIZE,
    }
}

table! {
    /// `llm` of a transformer: the model that rewrites.
    pub struct Llm {
        /// What is asked of the model: `llm/v1/chat` and nothing else.
        route_type: RouteType,
        /// How the LLM's service is authenticated with.
        auth: Auth = Auth::default(),
        /// The model and its options.
        model: Model,
        /// What is logged.
        logging: Logging = Logging::default(),
        /// Description for Kong's balancer. Accepted and not used here.
        description: Option<String>,
        /// Weight for Kong's balancer, 1 to 65535. Accepted and not used here.
        weight: Option<u16>,
    }
}

table! {
    /// `auth`: a header, a parameter, or a cloud's own credentials. Without any of them no credentials are sent, except
    /// those that bedrock, vertex and azure find on the machine.
    pub struct Auth default {
        /// Name of the header that carries the key. Belongs together with `header_value`.
        header_name: Option<SecretRef>,
        /// The header's whole value, such as `Bearer {vault://env/openai-api-key}`.
        header_value: Option<SecretRef>,
        /// Name of the parameter that carries the key. Belongs together with `param_value` and `param_location`.
        param_name: Option<SecretRef>,
        /// The parameter's whole value.
        param_value: Option<SecretRef>,
        /// Where the parameter is put: into the query string or the JSON body.
        param_location: Option<ParamLocation>,
        /// Authenticate with Azure's managed identity.
        azure_use_managed_identity: bool = false,
        /// Client ID of a user-assigned identity.
        azure_client_id: Option<SecretRef>,
        /// Client secret of that identity.
        azure_client_secret: Option<SecretRef>,
        /// Tenant ID of that identity.
        azure_tenant_id: Option<SecretRef>,
        /// Authenticate as a Google Cloud service account.
        gcp_use_service_account: bool = false,
        /// The service account's whole JSON. Without it the variable `GCP_SERVICE_ACCOUNT` is read.
        gcp_service_account_json: Option<SecretRef>,
        /// Google's metadata server, if it is not the usual one.
        gcp_metadata_url: Option<SecretRef>,
        /// Google's OAuth token endpoint, if it is not the usual one.
        gcp_oauth_token_url: Option<SecretRef>,
        /// Access key ID of an AWS user. Without it AWS's own credential chain is asked.
        aws_access_key_id: Option<SecretRef>,
        /// Secret access key of that user.
        aws_secret_access_key: Option<SecretRef>,
        /// The client's own credentials, if it sends any, go to the upstream instead of the profile's.
        allow_override: bool = false,
    }
}

table! {
    /// `model`: whose, which, and with what options.
    pub struct Model {
        /// The provider, which decides on format and address.
        provider: ProviderName,
        /// The model. It binds: a request that names another one is refused.
        name: Option<Template>,
        /// The name under which requests ask for this model. Accepted; names of profiles do this here.
        model_alias: Option<String>,
        /// Settings of the model.
        options: Options = Options::default(),
    }
}

table! {
    /// `model.options`: what the model is asked with and where it is.
    pub struct Options default {
        /// Largest number of tokens in an answer. It goes out under whichever name the operation and model take.
        max_tokens: Option<u64>,
        /// Price of a million input tokens in USD.
        input_cost: Option<f64>,
        /// Price of a million output tokens in USD.
        output_cost: Option<f64>,
        /// Sampling temperature, 0 to 5.
        temperature: Option<f64>,
        /// Nucleus sampling, 0 to 1.
        top_p: Option<f64>,
        /// Sample among the k likeliest tokens, 0 to 500.
        top_k: Option<u64>,
        /// Number of dimensions of an embedding.
        embeddings_dimensions: Option<u64>,
        /// API version for anthropic, such as `2023-06-01`. Required there.
        anthropic_version: Option<Template>,
        /// Name of the Azure resource, the first part of its host. Required for azure.
        azure_instance: Option<Template>,
        /// Azure's `api-version`.
        azure_api_version: Template = Template::literal(AZURE_API_VERSION),
        /// Name of the Azure deployment. Required for azure.
        azure_deployment_id: Option<Template>,
        /// What a llama2 server speaks. Required for llama2.
        llama2_format: Option<Llama2Format>,
        /// What a Mistral server speaks. Required for mistral.
        mistral_format: Option<MistralFormat>,
        /// Whole URL of the operation, instead of the provider's own. Required for llama2.
        upstream_url: Option<Template>,
        /// Path that replaces the upstream's, for `preserve` and beside `upstream_url`.
        upstream_path: Option<Template>,
        /// Settings for gemini.
        gemini: Gemini = Gemini::default(),
        /// Settings for bedrock.
        bedrock: Bedrock = Bedrock::default(),
        /// Settings for huggingface.
        huggingface: Huggingface = Huggingface::default(),
        /// Settings for cohere.
        cohere: Cohere = Cohere::default(),
        /// Settings for dashscope.
        dashscope: Dashscope = Dashscope::default(),
        /// Settings for databricks.
        databricks: Databricks = Databricks::default(),
    }
}

table! {
    /// `options.gemini`: Gemini on Vertex AI. The first three keys belong together.
    pub struct Gemini default {
        /// Host of the regional endpoint, such as `europe-west4-aiplatform.googleapis.com`.
        api_endpoint: Option<Template>,
        /// Google Cloud project.
        project_id: Option<Template>,
        /// Region, such as `europe-west4`.
        location_id: Option<Template>,
        /// Endpoint of a model from Vertex's Model Garden.
        endpoint_id: Option<Template>,
    }
}

table! {
    /// `options.bedrock`: Amazon Bedrock.
    pub struct Bedrock default {
        /// Region, such as `eu-west-1`. Without it the variable `AWS_REGION` is read.
        aws_region: Option<Template>,
        /// Role to assume with the credentials found.
        aws_assume_role_arn: Option<Template>,
        /// Name of that role's session.
        aws_role_session_name: Option<Template>,
        /// Endpoint of the token service, if it is not the region's own.
        aws_sts_endpoint_url: Option<Template>,
        /// Normalise embeddings. Off if absent.
        embeddings_normalize: Option<bool>,
        /// Performance setting for all requests, `standard` or `optimized`. Without it the request decides.
        performance_config_latency: Option<Template>,
        /// `s3://bucket/prefix` where generated videos are stored.
        video_output_s3_uri: Option<Template>,
        /// `s3://bucket/prefix/` for the input and results of batches.
        batch_bucket_prefix: Option<Template>,
        /// Role that runs batches.
        batch_role_arn: Option<Template>,
    }
}

table! {
    /// `options.huggingface`: Hugging Face's inference API.
    pub struct Huggingface default {
        /// Use the service's cache.
        use_cache: Option<bool>,
        /// Wait for a model that is not loaded, instead of an error.
        wait_for_model: Option<bool>,
    }
}

table! {
    /// `options.cohere`: Cohere.
    pub struct Cohere default {
        /// What embeddings are for. `classification` if absent.
        embedding_input_type: Option<EmbeddingInputType>,
        /// Wait for a model that is not loaded, instead of an error.
        wait_for_model: Option<bool>,
    }
}

table! {
    /// `options.dashscope`: Alibaba Cloud.
    pub struct Dashscope default {
        /// Use the international endpoint. On if absent.
        international: Option<bool>,
    }
}

table! {
    /// `options.databricks`: Databricks model serving.
    pub struct Databricks default {
        /// The workspace's instance, such as `dbc-a1b2c3d4-e5f6`.
        workspace_instance_id: Option<Template>,
    }
}

table! {
    /// `logging`: what goes into log lines.
    pub struct Logging default {
        /// Log model, tokens and cost.
        log_statistics: bool = false,
        /// Log the bodies of requests and responses.
        log_payloads: bool = false,
    }
}

impl AiProxy {
    /// The model and how to reach it.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        Target {
            route_type: self.route_type,
            auth: &self.auth,
            model: &self.model,
            logging: &self.logging,
        }
    }
}

impl Llm {
    /// The model and how to reach it.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        Target {
            route_type: self.route_type,
            auth: &self.auth,
            model: &self.model,
            logging: &self.logging,
        }
    }
}

impl Auth {
    /// Every secret in it with its key, in order.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &SecretRef)> {
        [
            ("header_name", &self.header_name),
            ("header_value", &self.header_value),
            ("param_name", &self.param_name),
            ("param_value", &self.param_value),
            ("azure_client_id", &self.azure_client_id),
            ("azure_client_secret", &self.azure_client_secret),
            ("azure_tenant_id", &self.azure_tenant_id),
            ("gcp_service_account_json", &self.gcp_service_account_json),
            ("gcp_metadata_url", &self.gcp_metadata_url),
            ("gcp_oauth_token_url", &self.gcp_oauth_token_url),
            ("aws_access_key_id", &self.aws_access_key_id),
            ("aws_secret_access_key", &self.aws_secret_access_key),
        ]
        .into_iter()
        .filter_map(|(key, secret)| secret.as_ref().map(|secret| (key, secret)))
    }
}
