use crate::profile::{RoutePath, RouteType, describe, load::tests::load_text};

/// Every key of Kong's three plugins, as an import from Kong would write them.
const EVERYTHING: &str = r#"
description: all of it
ai-proxy: &proxy
  route_type: llm/v1/chat
  auth: &auth
    header_name: Authorization
    header_value: Bearer {vault://env/some-key}
    param_name: key
    param_value: "{vault://file/key.txt}"
    param_location: query
    azure_use_managed_identity: false
    azure_client_id: a
    azure_client_secret: b
    azure_tenant_id: c
    gcp_use_service_account: false
    gcp_service_account_json: "{}"
    gcp_metadata_url: http://169.254.169.254
    gcp_oauth_token_url: https://oauth2.googleapis.com/token
    aws_access_key_id: d
    aws_secret_access_key: e
    allow_override: true
  model: &model
    provider: openai
    name: $(headers.x-model)
    model_alias: fast
    options:
      max_tokens: 512
      input_cost: 0.15
      output_cost: 0.6
      temperature: 0.7
      top_p: 0.9
      top_k: 40
      embeddings_dimensions: 256
      anthropic_version: "2023-06-01"
      azure_instance: i
      azure_api_version: 2024-10-21
      azure_deployment_id: d
      llama2_format: raw
      mistral_format: ollama
      upstream_url: https://example.com/$(query_params.where)
      upstream_path: /v1/chat/completions
      gemini: {api_endpoint: europe-west4-aiplatform.googleapis.com, project_id: p, location_id: l, endpoint_id: e}
      bedrock:
        aws_region: $(uri_captures.region)
        aws_assume_role_arn: arn:aws:iam::123456789012:role/x
        aws_role_session_name: s
        aws_sts_endpoint_url: https://sts.eu-west-1.amazonaws.com
        embeddings_normalize: true
        performance_config_latency: optimized
        video_output_s3_uri: s3://bucket/prefix
        batch_bucket_prefix: s3://bucket/prefix/
        batch_role_arn: arn:aws:iam::123456789012:role/y
      huggingface: {use_cache: true, wait_for_model: false}
      cohere: {embedding_input_type: search_query, wait_for_model: true}
      dashscope: {international: false}
      databricks: {workspace_instance_id: dbc-1}
  logging: &logging {log_statistics: true, log_payloads: true}
  response_streaming: always
  llm_format: anthropic
  genai_category: text/generation
  max_request_body_size: 0
  model_name_header: false
ai-request-transformer:
  prompt: p
  transformation_extract_pattern: '\{(.|\n)*\}'
  llm: &llm {route_type: llm/v1/chat, auth: *auth, model: *model, logging: *logging, description: d, weight: 100}
  http_timeout: 1000
  https_verify: false
  http_proxy_host: proxy.local
  http_proxy_port: 3128
  https_proxy_host: "::1"
  https_proxy_port: 3129
  max_request_body_size: 1
ai-response-transformer:
  prompt: p
  transformation_extract_pattern: x
  parse_llm_response_json_instructions: true
  llm: *llm
  http_timeout: 1000
  https_verify: false
  http_proxy_host: 127.0.0.1
  http_proxy_port: 3128
  https_proxy_host: proxy.local
  https_proxy_port: 3129
  max_request_body_size: 1
aiproxy:
  label: Everything
  base_url: https://example.com/v1/
  default_model: m
  models: {"z-*": m, "claude-*": other/m, "*": m}
  options: default
  ask_usage: never
  stream_transform: reject
  other_paths: forward
  path: ~/(?<region>[a-z-]+)/chat
  connect_timeout: 1
  first_byte_timeout: 2
  idle_timeout: 3
  http2: false
"#;

#[test]
fn every_key_is_read() {
    let profile = load_text("all.yaml", EVERYTHING).unwrap_or_else(|error| panic!("{error}"));
    let proxy = profile.ai_proxy.as_ref().unwrap();
    assert_eq!(proxy.route_type, RouteType::Chat);
    assert_eq!(
        proxy.model.name.as_ref().unwrap().text(),
        "$(headers.x-model)"
    );
    assert_eq!(
        profile.aiproxy.base_url.as_ref().unwrap().as_str(),
        "https://example.com/v1"
    );
    assert_eq!(
        profile.aiproxy.path,
        RoutePath::Pattern("/(?<region>[a-z-]+)/chat".into())
    );
    let models = &profile.aiproxy.models;
    assert_eq!(models.of("z-claude-1"), Some(("z-*", "m")));
    assert_eq!(models.of("claude-1"), Some(("claude-*", "other/m")));
    assert_eq!(profile.aiproxy.idle_timeout.as_millis(), 3);
    assert_eq!(profile.secrets().count(), 36);

    // Nothing that was read is missing from the view, and the view of JSON is that of YAML.
    let view = describe::view(&profile);
    for section in describe::reference() {
        let table = view
            .pointer(&format!("/{}", section.table.replace('.', "/")))
            .unwrap_or(&view);
        for row in section
            .rows
            .iter()
            .filter(|row| row.key != "upstream" && row.key != "url")
        {
            let azure = row.key == "azure_api_version";
            assert!(
                azure || !table[row.key].is_null(),
                "[{}] {}",
                section.table,
                row.key
            );
        }
    }
    let json =
        serde_json::to_string(&serde_saphyr::from_str::<serde_json::Value>(EVERYTHING).unwrap())
            .unwrap();
    let from_json = load_text("all.json", &json).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(describe::view(&from_json)["ai-proxy"], view["ai-proxy"]);
}
