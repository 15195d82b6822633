//! The rules of one model: its credentials, what its provider needs, the bounds of its options.

use super::{Checker, join};
use crate::profile::{
    schema::{
        kong::{Auth, Model, Options, Target},
        values::{HttpUrl, LlmFormat, RouteType},
    },
    secret::SecretRef,
    template::Template,
};

impl Checker<'_> {
    /// What holds wherever a model stands.
    pub(super) fn target(&mut self, table: &[&str], target: Target<'_>, has_base_url: bool) {
        self.auth(&join(table, &["auth"]), target.auth);
        self.provider(table, target, has_base_url);
        self.options(&join(table, &["model", "options"]), &target.model.options);
        let provider = target.model.provider.as_str();
        if target.logging.log_statistics
            && target.route_type == RouteType::Completions
            && provider == "anthropic"
        {
            self.fail(
                &join(table, &["logging", "log_statistics"]),
                "anthropic does not support statistics when route_type is llm/v1/completions",
                "turn `log_statistics` off, or use llm/v1/chat",
            );
        }
    }

    fn auth(&mut self, table: &[&str], auth: &Auth) {
        self.together(
            table,
            &[
                ("header_name", auth.header_name.is_some()),
                ("header_value", auth.header_value.is_some()),
            ],
        );
        self.together(
            table,
            &[
                ("param_name", auth.param_name.is_some()),
                ("param_value", auth.param_value.is_some()),
                ("param_location", auth.param_location.is_some()),
            ],
        );
        let literal = |secret: &Option<SecretRef>| {
            secret
                .as_ref()
                .and_then(|secret| secret.literal().map(str::to_owned))
        };
        if literal(&auth.header_name).is_some_and(|name| !is_header_name(&name)) {
            self.fail(
                &join(table, &["header_name"]),
                format!(
                    "`{}.header_name` must be the name of a header",
                    table.join(".")
                ),
                "such as Authorization or x-api-key",
            );
        }
        if literal(&auth.header_value)
            .is_some_and(|value| value.contains(|c: char| c.is_control() && c != '\t'))
        {
            self.fail(
                &join(table, &["header_value"]),
                format!(
                    "`{}.header_value` must not hold line ends or control characters",
                    table.join(".")
                ),
                "a header is one line",
            );
        }
        for (key, url) in [
            ("gcp_metadata_url", &auth.gcp_metadata_url),
            ("gcp_oauth_token_url", &auth.gcp_oauth_token_url),
        ] {
            if let Some(Err(error)) = literal(url).map(|text| HttpUrl::parse(&text)) {
                let message = format!("`{}.{key}` {error}", table.join("."));
                self.fail(
                    &join(table, &[key]),
                    message,
                    "such as https://oauth2.googleapis.com/token",
                );
            }
        }
    }

    /// What a provider cannot do without.
    fn provider(&mut self, table: &[&str], target: Target<'_>, has_base_url: bool) {
        let Model {
            provider, options, ..
        } = target.model;
        let needs: &[(&str, bool, &str)] = match provider.as_str() {
            "anthropic" => &[(
                "anthropic_version",
                options.anthropic_version.is_some(),
                "such as 2023-06-01",
            )],
            "azure" => &[
                (
                    "azure_instance",
                    options.azure_instance.is_some(),
                    "the first part of NAME.openai.azure.com",
                ),
                (
                    "azure_deployment_id",
                    options.azure_deployment_id.is_some(),
                    "the name of your deployment",
                ),
            ],
            "llama2" => &[
                (
                    "llama2_format",
                    options.llama2_format.is_some(),
                    "raw, openai or ollama",
                ),
                (
                    "upstream_url",
                    options.upstream_url.is_some() || has_base_url,
                    "the URL of your server, such as http://127.0.0.1:8080/completion",
                ),
            ],
            "mistral" => &[(
                "mistral_format",
                options.mistral_format.is_some(),
                "openai, also for Mistral's own service",
            )],
            _ => &[],
        };
        for (key, there, hint) in needs {
            if !there {
                self.fail(
                    &join(table, &["model", "options", key]),
                    format!(
                        "must set `{}.model.options.{key}` for {provider} provider",
                        table.join(".")
                    ),
                    *hint,
                );
            }
        }
        if target.auth.allow_override && matches!(provider.as_str(), "bedrock" | "gemini") {
            self.fail(
                &join(table, &["auth", "allow_override"]),
                "bedrock and gemini only support auth.allow_override = false",
                "leave `allow_override` out",
            );
        }
    }

    fn options(&mut self, table: &[&str], options: &Options) {
        let within = [
            ("temperature", options.temperature, 5.0),
            ("top_p", options.top_p, 1.0),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a number that loses precision is far above 500"
            )]
            ("top_k", options.top_k.map(|top_k| top_k as f64), 500.0),
        ];
        for (key, value, high) in within {
            if let Some(value) = value.filter(|value| !(0.0..=high).contains(value)) {
                let message = format!(
                    "`{}.{key}` must be between 0 and {high}, found {value}",
                    table.join(".")
                );
                self.fail(&join(table, &[key]), message, "Kong has the same bounds");
            }
        }
        for (key, value) in [
            ("input_cost", options.input_cost),
            ("output_cost", options.output_cost),
        ] {
            if let Some(value) = value.filter(|value| *value <= 0.0) {
                let message = format!(
                    "`{}.{key}` must be greater than 0, found {value}",
                    table.join(".")
                );
                self.fail(
                    &join(table, &[key]),
                    message,
                    "it is in USD per million tokens; leave it out if there is none",
                );
            }
        }
        self.url(
            &join(table, &["upstream_url"]),
            options.upstream_url.as_ref(),
        );
        let sts = options.bedrock.aws_sts_endpoint_url.as_ref();
        self.url(&join(table, &["bedrock", "aws_sts_endpoint_url"]), sts);
        self.together(
            &join(table, &["gemini"]),
            &[
                ("api_endpoint", options.gemini.api_endpoint.is_some()),
                ("project_id", options.gemini.project_id.is_some()),
                ("location_id", options.gemini.location_id.is_some()),
            ],
        );
    }

    fn url(&mut self, key: &[&str], url: Option<&Template>) {
        // Kong checks the text before templates are filled in, too: any value must leave a URL of this host.
        if let Some(Err(error)) = url.map(|url| HttpUrl::parse(&url.filled_with("1"))) {
            self.fail(
                key,
                format!("`{}` {error}", key.join(".")),
                "such as https://api.example.com/v1/chat/completions; a template can stand inside it",
            );
        }
    }

    /// A native `llm_format` is one provider's own way of asking, Anthropic's excepted: that one is translated.
    pub(super) fn format(&mut self, format: LlmFormat, target: Target<'_>) {
        if format == LlmFormat::Openai {
            return;
        }
        const NATIVE: [RouteType; 7] = [
            RouteType::Chat,
            RouteType::Embeddings,
            RouteType::Batches,
            RouteType::Files,
            RouteType::ImageGenerations,
            RouteType::ImageEdits,
            RouteType::VideoGenerations,
        ];
        if !NATIVE.contains(&target.route_type) {
            self.fail(
                &["ai-proxy", "llm_format"],
                format!(
                    "native llm_format `{format}` cannot be used with route_type {}",
                    target.route_type
                ),
                format!("it takes {}", NATIVE.map(RouteType::as_str).join(", ")),
            );
        }
        let provider = target.model.provider.as_str();
        if format != LlmFormat::Anthropic && format.as_str() != provider {
            self.fail(
                &["ai-proxy", "llm_format"],
                format!("native llm_format `{format}` can only be used with the `{format}` model.provider"),
                format!("leave it out, or choose provider {format} instead of {provider}"),
            );
        }
    }
}

/// RFC 9110's token.
fn is_header_name(text: &str) -> bool {
    text.bytes()
        .all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c))
}
