use crate::profile::load::tests::load_text;

/// `[ai-proxy]` with these lines under `auth`, `model` and `model.options`.
fn proxy(provider: &str, auth: &str, options: &str) -> String {
    format!(
        "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.auth]\n{auth}\n[ai-proxy.model]\nprovider = \"{provider}\"\n[ai-proxy.model.options]\n{options}\n"
    )
}

/// The first lines of what is wrong with a text, without file and place.
fn wrong(text: &str) -> Vec<String> {
    match load_text("x.toml", text) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .problems()
            .iter()
            .map(|problem| problem.message.clone())
            .collect(),
    }
}

#[test]
fn credentials_belong_together() {
    for (auth, expected) in [
        ("", None),
        ("header_name = \"a\"\nheader_value = \"b\"", None),
        (
            "header_name = \"a\"",
            Some("[ai-proxy.auth] has `header_name` without `header_value`"),
        ),
        (
            "header_value = \"b\"",
            Some("[ai-proxy.auth] has `header_value` without `header_name`"),
        ),
        (
            "param_value = \"b\"",
            Some("[ai-proxy.auth] has `param_value` without `param_name`, `param_location`"),
        ),
        (
            "param_name = \"b\"\nparam_value = \"b\"\nparam_location = \"body\"",
            None,
        ),
        (
            "header_name = \"a b\"\nheader_value = \"b\"",
            Some("`ai-proxy.auth.header_name` must be the name of a header"),
        ),
        (
            "header_name = \"a\"\nheader_value = \"b\\n\"",
            Some("`ai-proxy.auth.header_value` must not hold line ends or control characters"),
        ),
        (
            "gcp_metadata_url = \"x\"",
            Some("`ai-proxy.auth.gcp_metadata_url` must be an http or https URL"),
        ),
        ("gcp_metadata_url = \"{vault://env/url}\"", None),
    ] {
        let found = wrong(&proxy("openai", auth, ""));
        assert_eq!(found.first().map(String::as_str), expected, "{auth}");
        assert!(found.len() < 2, "{found:?}");
    }
}

#[test]
fn providers_need_their_options() {
    for (provider, options, expected) in [
        ("anthropic", "", vec!["anthropic_version"]),
        ("anthropic", "anthropic_version = \"2023-06-01\"", vec![]),
        ("azure", "", vec!["azure_instance", "azure_deployment_id"]),
        (
            "azure",
            "azure_instance = \"i\"\nazure_deployment_id = \"d\"",
            vec![],
        ),
        ("llama2", "", vec!["llama2_format", "upstream_url"]),
        (
            "llama2",
            "llama2_format = \"raw\"\nupstream_url = \"http://x\"",
            vec![],
        ),
        ("mistral", "", vec!["mistral_format"]),
        ("mistral", "mistral_format = \"openai\"", vec![]),
        ("mock", "", vec![]),
        ("bedrock", "", vec![]),
        ("gemini", "", vec![]),
    ] {
        let expected: Vec<String> = expected
            .into_iter()
            .map(|key| format!("must set `ai-proxy.model.options.{key}` for {provider} provider"))
            .collect();
        assert_eq!(wrong(&proxy(provider, "", options)), expected, "{provider}");
    }
    let own_server = format!(
        "{}[aiproxy]\nbase_url = \"http://x\"\n",
        proxy("llama2", "", "llama2_format = \"raw\"")
    );
    assert!(wrong(&own_server).is_empty());
}

#[test]
fn options_have_bounds() {
    for (option, expected) in [
        ("temperature = 0", None),
        ("temperature = 5.0", None),
        (
            "temperature = 5.1",
            Some("must be between 0 and 5, found 5.1"),
        ),
        (
            "temperature = -0.1",
            Some("must be between 0 and 5, found -0.1"),
        ),
        ("temperature = nan", Some("must be a number, found NaN")),
        ("top_p = 1", None),
        ("top_p = 1.5", Some("must be between 0 and 1, found 1.5")),
        ("top_k = 500", None),
        ("top_k = 501", Some("must be between 0 and 500, found 501")),
        (
            "top_k = -1",
            Some("must be a whole number of 0 or more, found -1"),
        ),
        ("input_cost = 0", Some("must be greater than 0, found 0")),
        ("output_cost = -1", Some("must be greater than 0, found -1")),
        ("output_cost = 0.5", None),
        ("upstream_url = \"http://x/$(headers.y)\"", None),
        (
            "upstream_url = \"https://$(headers.y).example.com:$(headers.port)/\"",
            None,
        ),
        (
            "upstream_url = \"$(headers.y)\"",
            Some("must be an http or https URL"),
        ),
        (
            "upstream_url = \"http://\"",
            Some("must be a URL with a host"),
        ),
        (
            "upstream_url = \"http:///x\"",
            Some("must be a URL with a host"),
        ),
        (
            "upstream_url = \"http://a:b@c\"",
            Some("must not hold a user name or password"),
        ),
        (
            "upstream_url = \"http:x\"",
            Some("must be an http or https URL"),
        ),
        (
            "bedrock.aws_sts_endpoint_url = \"sts\"",
            Some("must be an http or https URL"),
        ),
    ] {
        let found = wrong(&proxy("openai", "", option));
        let key = option.split(" =").next().unwrap();
        let expected: Vec<String> = expected
            .iter()
            .map(|text| format!("`ai-proxy.model.options.{key}` {text}"))
            .collect();
        assert_eq!(found, expected, "{option}");
    }
    assert_eq!(
        wrong(&proxy("gemini", "", "gemini.project_id = \"p\"")),
        ["[ai-proxy.model.options.gemini] has `project_id` without `api_endpoint`, `location_id`"]
    );
}

#[test]
fn the_clouds_take_no_override() {
    for (provider, refused) in [("bedrock", true), ("gemini", true), ("openai", false)] {
        let found = wrong(&proxy(provider, "allow_override = true", ""));
        assert_eq!(!found.is_empty(), refused, "{provider}: {found:?}");
    }
}

#[test]
fn models_that_stand_for_others() {
    let proxy =
        "[ai-proxy]\nroute_type = \"llm/v1/chat\"\nmodel.provider = \"openai\"\n[aiproxy.models]\n";
    let plain =
        "[upstream]\nurl = \"http://127.0.0.1:9\"\n[aiproxy.models]\n\"claude-*\" = \"x\"\n";
    for (text, expected) in [
        (
            format!("{proxy}\"claude-*\" = \"gpt-5\"\n\"*\" = \"other/m\"\n"),
            "",
        ),
        (
            format!("{proxy}\"claude-[a-z]\" = \"gpt-5\"\n"),
            "`claude-[a-z]` has `[`: the wildcards are `*` and `?` alone in [aiproxy.models]",
        ),
        (
            format!("{proxy}\"\" = \"gpt-5\"\n"),
            "`` is empty in [aiproxy.models]",
        ),
        (
            format!("{proxy}\"a b\" = \"gpt-5\"\n"),
            "`a b` has white space, and no model's name has in [aiproxy.models]",
        ),
        (
            format!("{proxy}\"claude-*\" = \"\"\n"),
            "`aiproxy.models.claude-*` must not be empty",
        ),
        (
            format!("{proxy}\"claude-*\" = 5\n"),
            "`aiproxy.models.claude-*` must be a string, found 5",
        ),
        (plain.to_owned(), "[aiproxy.models] needs [ai-proxy]"),
    ] {
        let expected: Vec<&str> = Some(expected)
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect();
        assert_eq!(wrong(&text), expected, "{text}");
    }
}

#[test]
fn native_formats_go_with_their_provider() {
    for (format, route_type, provider, expected) in [
        ("gemini", "llm/v1/chat", "gemini", None),
        ("gemini", "llm/v1/embeddings", "gemini", None),
        (
            "gemini",
            "llm/v1/chat",
            "openai",
            Some("can only be used with the `gemini` model.provider"),
        ),
        (
            "cohere",
            "llm/v1/chat",
            "openai",
            Some("can only be used with the `cohere` model.provider"),
        ),
        ("anthropic", "llm/v1/chat", "openai", None),
        (
            "bedrock",
            "llm/v1/completions",
            "bedrock",
            Some("cannot be used with route_type llm/v1/completions"),
        ),
        ("openai", "llm/v1/completions", "bedrock", None),
    ] {
        let found = wrong(&format!(
            "[ai-proxy]\nroute_type = \"{route_type}\"\nllm_format = \"{format}\"\nmodel.provider = \"{provider}\"\n"
        ));
        let expected: Vec<String> = expected
            .iter()
            .map(|text| format!("native llm_format `{format}` {text}"))
            .collect();
        assert_eq!(found, expected, "{format} {route_type} {provider}");
    }
}

#[test]
fn statistics_of_anthropic_completions_are_refused() {
    let text = "[ai-proxy]\nroute_type = \"llm/v1/completions\"\nlogging.log_statistics = true\n[ai-proxy.model]\nprovider = \"anthropic\"\noptions.anthropic_version = \"1\"\n";
    assert_eq!(
        wrong(text),
        ["anthropic does not support statistics when route_type is llm/v1/completions"]
    );
}

#[test]
fn transformers_have_their_own_rules() {
    let with = |lines: &str, route_type: &str| {
        wrong(&format!(
            "upstream.url = \"http://127.0.0.1:9000\"\n[ai-response-transformer]\nprompt = \"p\"\n{lines}\n[ai-response-transformer.llm]\nroute_type = \"{route_type}\"\nmodel.provider = \"openai\"\n"
        ))
    };
    for (lines, route_type, expected) in [
        ("", "llm/v1/chat", None),
        (
            "",
            "preserve",
            Some("`ai-response-transformer.llm.route_type` must be llm/v1/chat"),
        ),
        (
            "http_proxy_host = \"p\"\nhttp_proxy_port = 3128",
            "llm/v1/chat",
            None,
        ),
        (
            "https_proxy_host = \"::1\"\nhttps_proxy_port = 3128",
            "llm/v1/chat",
            None,
        ),
        (
            "http_proxy_host = \"p\"",
            "llm/v1/chat",
            Some("[ai-response-transformer] has `http_proxy_host` without `http_proxy_port`"),
        ),
        (
            "https_proxy_port = 1",
            "llm/v1/chat",
            Some("[ai-response-transformer] has `https_proxy_port` without `https_proxy_host`"),
        ),
        (
            "http_proxy_host = \"http://p\"\nhttp_proxy_port = 1",
            "llm/v1/chat",
            Some("`ai-response-transformer.http_proxy_host` must be a host name or address"),
        ),
        (
            "http_proxy_host = \"p:3128\"\nhttp_proxy_port = 1",
            "llm/v1/chat",
            Some("`ai-response-transformer.http_proxy_host` must be a host name or address"),
        ),
        (
            "http_proxy_host = \"p\"\nhttp_proxy_port = 70000",
            "llm/v1/chat",
            Some(
                "`ai-response-transformer.http_proxy_port` must be a whole number from 0 to 65535, found 70000",
            ),
        ),
    ] {
        let found = with(lines, route_type);
        assert_eq!(found.first().map(String::as_str), expected, "{lines}");
    }
}

#[test]
fn requests_go_to_one_place() {
    let transformer = "[ai-request-transformer]\nprompt = \"p\"\n[ai-request-transformer.llm]\nroute_type = \"llm/v1/chat\"\nmodel.provider = \"openai\"\n";
    assert_eq!(
        wrong(transformer),
        ["[ai-request-transformer] needs [ai-proxy] or [upstream] beside it"]
    );
    let both = format!("upstream.url = \"http://x\"\n{}", proxy("openai", "", ""));
    assert_eq!(
        wrong(&both),
        ["a profile has [ai-proxy] or [upstream], not both"]
    );
    assert_eq!(
        wrong("[aiproxy]\nlabel = \"x\"\n"),
        ["a profile needs [ai-proxy] or [upstream]"]
    );
}

#[test]
fn what_may_only_be_mistyped_is_not_missed_too() {
    let found = wrong(&proxy(
        "anthropic",
        "",
        "anthropic_versoin = \"2023-06-01\"",
    ));
    assert_eq!(
        found,
        ["unknown key `anthropic_versoin` in [ai-proxy.model.options]"]
    );
}

#[test]
fn patterns_compile() {
    let path = |path: &str| {
        wrong(&format!(
            "{}[aiproxy]\npath = '{path}'\n",
            proxy("openai", "", "")
        ))
    };
    assert!(path("~/(?<tier>[a-z]+)/chat").is_empty());
    assert!(path("/(").is_empty());
    assert_eq!(
        path("~/(?<tier>[a-z]+"),
        [
            "`aiproxy.path` is no regular expression: missing closing parenthesis at byte 15 of the pattern"
        ]
    );
    let transformer = |table: &str, pattern: &str| {
        wrong(&format!(
            "upstream.url = \"http://127.0.0.1:9000\"\n[{table}]\nprompt = \"p\"\ntransformation_extract_pattern = '{pattern}'\n[{table}.llm]\nroute_type = \"llm/v1/chat\"\nmodel.provider = \"openai\"\n"
        ))
    };
    for table in ["ai-request-transformer", "ai-response-transformer"] {
        assert!(transformer(table, r"\{(.|\n)*\}").is_empty());
        assert_eq!(
            transformer(table, "[a"),
            [format!(
                "`{table}.transformation_extract_pattern` is no regular expression: missing terminating ] for character class at byte 2 of the pattern"
            )]
        );
    }
}
