use super::*;

fn uri_of(name: &str, operation: Operation, options: &Options) -> String {
    let call = Call {
        operation,
        path: operation.path(),
        model: "m/1",
        stream: false,
        tools: false,
        native: false,
        options,
    };
    uri(find(name).unwrap(), &call).map_or_else(|fault| fault.message, |uri| uri.to_string())
}

#[test]
fn names_and_paths_say_the_same() {
    for (operation, route_type, path) in OPERATIONS {
        assert_eq!(Operation::of_route_type(route_type), Some(*operation));
        assert_eq!(operation.route_type(), *route_type);
        if !path.is_empty() {
            assert_eq!(Operation::of_path(path), Some(*operation));
        }
    }
    assert_eq!(
        Operation::of_path("/files/file-1/content"),
        Some(Operation::Files)
    );
    assert_eq!(Operation::of_path("/chat/completions/x"), None);
    assert_eq!(Operation::of_path("/chat/completionsx"), None);
    assert_eq!(Operation::of_path(""), None);
    for provider in ALL {
        assert!(NAMES.contains(&provider.name()));
    }
}

#[test]
fn urls() {
    let none = Options::default();
    assert_eq!(
        uri_of("openai", Operation::Chat, &none),
        "https://api.openai.com/v1/chat/completions"
    );
    assert_eq!(
        uri_of("openai", Operation::Embeddings, &none),
        "https://api.openai.com/v1/embeddings"
    );
    assert_eq!(
        uri_of("mistral", Operation::Chat, &none),
        "https://api.mistral.ai/v1/chat/completions"
    );
    let base = Options {
        base_url: Some("https://api.groq.com/openai/v1/".into()),
        ..none.clone()
    };
    assert_eq!(
        uri_of("openai", Operation::Chat, &base),
        "https://api.groq.com/openai/v1/chat/completions"
    );
    let url = Options {
        upstream_url: Some("http://h:1/a/b?x=1".into()),
        ..base.clone()
    };
    assert_eq!(
        uri_of("openai", Operation::Chat, &url),
        "http://h:1/a/b?x=1"
    );
    let path = Options {
        upstream_path: Some("/p/q".into()),
        ..url
    };
    assert_eq!(uri_of("openai", Operation::Chat, &path), "http://h:1/p/q");
    let path = Options {
        upstream_path: Some("p".into()),
        ..none.clone()
    };
    assert_eq!(
        uri_of("openai", Operation::Chat, &path),
        "https://api.openai.com/p"
    );
    let broken = Options {
        upstream_url: Some("nowhere".into()),
        ..none
    };
    assert!(uri_of("openai", Operation::Chat, &broken).contains("`upstream_url` is no URL"));
}

#[test]
fn azure_urls() {
    let options = Options {
        azure_instance: Some("i".into()),
        azure_deployment_id: Some("../d?x".into()),
        azure_api_version: Some("2024-10-21".into()),
        ..Options::default()
    };
    assert_eq!(
        uri_of("azure", Operation::Chat, &options),
        "https://i.openai.azure.com/openai/deployments/..%2Fd%3Fx/chat/completions"
    );
}

#[test]
fn segments_cannot_steer() {
    assert_eq!(segment("gpt-4.1_mini~"), "gpt-4.1_mini~");
    assert_eq!(segment("../../x?y#z"), "..%2F..%2Fx%3Fy%23z");
    assert_eq!(segment(".."), "%2E%2E");
    assert_eq!(segment("a:b é"), "a%3Ab%20%C3%A9");
}

#[test]
fn paths_that_climb() {
    for (path, expected) in [
        ("", false),
        ("/v1/files/f1", false),
        ("/v1/files/a.b..c/...", false),
        ("/v1/%2Fpath//x", false),
        ("/v1/..", true),
        ("/v1/../x", true),
        ("/./x", true),
        ("/%2e%2E/x", true),
        ("/.%2e/x", true),
        ("/a%2f..%2fb", true),
        ("/a\\..\\b", true),
        ("/a%5c..", true),
        ("/..;x=1/b", true),
    ] {
        assert_eq!(climbs(path), expected, "{path}");
    }
}
