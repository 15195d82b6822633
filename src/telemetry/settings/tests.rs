use super::*;
use crate::telemetry::span::Value;

fn read(pairs: &[(&str, &str)]) -> Read {
    let variable = |name: &str| {
        let found = pairs.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Settings::read(&variable)
}

/// With an endpoint.
fn with(pairs: &[(&str, &str)]) -> (Settings, Vec<String>) {
    let all: Vec<_> = [(ENDPOINT, "http://h:4318")]
        .iter()
        .chain(pairs)
        .copied()
        .collect();
    let read = read(&all);
    (read.settings.unwrap(), read.warnings)
}

#[test]
fn without_an_endpoint_nothing_is_sent() {
    for pairs in [
        &[][..],
        &[(ENDPOINT, " ")],
        &[
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_SERVICE_NAME", "me"),
        ],
        &[(ENDPOINT, "http://h"), ("OTEL_SDK_DISABLED", "True")],
        &[(ENDPOINT, "http://h"), ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        let read = read(pairs);
        assert!(
            read.settings.is_none() && read.warnings.is_empty(),
            "{read:?}"
        );
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    for (pairs, expected) in [
        (
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")][..],
            "aiproxy does not speak; set it to http/protobuf",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "carrier")],
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is `carrier`",
        ),
        (
            &[("OTEL_TRACES_EXPORTER", "console")],
            "OTEL_TRACES_EXPORTER is `console`",
        ),
        (
            &[(TRACES_ENDPOINT, "user:password@h:4318")],
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no URL",
        ),
    ] {
        let all: Vec<_> = [(ENDPOINT, "http://h:4318")]
            .iter()
            .chain(pairs)
            .copied()
            .collect();
        let read = read(&all);
        assert!(read.settings.is_none());
        let [warning] = &read.warnings[..] else {
            panic!("{read:?}");
        };
        assert!(
            warning.starts_with("no spans are sent: ") && warning.contains(expected),
            "{warning}"
        );
        assert!(!warning.contains("password"), "{warning}");
    }
}

#[test]
fn what_is_wrong_falls_back_to_the_usual() {
    let (settings, warnings) = with(&[
        ("OTEL_TRACES_SAMPLER", "dice"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=1,secret-without-name,b=%zz",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        (CONTENT, "EVENT_ONLY"),
    ]);
    assert_eq!(settings.batch.delay, Duration::from_secs(5));
    assert_eq!(settings.batch.waiting, 2048);
    assert_eq!(settings.tracing.sampler, Sampler::On);
    assert!(!settings.gzip && !settings.tracing.content);
    assert_eq!(settings.headers.len(), 1);
    assert_eq!(warnings.len(), 9, "{warnings:#?}");
    assert!(!warnings.concat().contains("secret-without-name"));
    assert_eq!(settings.resource.len(), 5);
}

#[test]
fn endpoints_end_as_the_specification_has_it() {
    for (name, url, expected) in [
        (ENDPOINT, "http://h:4318", "http://h:4318/v1/traces"),
        (ENDPOINT, "https://h/otlp/", "https://h/otlp/v1/traces"),
        (TRACES_ENDPOINT, "http://h:4318/x", "http://h:4318/x"),
        (TRACES_ENDPOINT, "http://h:4318", "http://h:4318/"),
        (
            TRACES_ENDPOINT,
            "http://me:pw@h:4318/x?key=k",
            "http://h:4318/x",
        ),
    ] {
        let settings = read(&[(name, url)]).settings.unwrap();
        assert_eq!(settings.place(), expected);
        assert!(!format!("{settings:?}").contains("pw"));
    }
    // That of traces wins.
    let (settings, _) = with(&[(TRACES_ENDPOINT, "http://other/t")]);
    assert_eq!(settings.place(), "http://other/t");
}

#[test]
fn headers_are_decoded_and_secret() {
    let (settings, warnings) = with(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-all=1"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "authorization=Bearer%20sk-1, x-key = a=b ,",
        ),
    ]);
    assert_eq!(warnings, Vec::<String>::new());
    let secrets: Vec<&str> = settings.secrets().collect();
    assert_eq!(secrets, ["Bearer sk-1", "a=b"]);
    assert!(
        settings
            .headers
            .iter()
            .all(|(_, value)| value.is_sensitive())
    );
    assert!(!format!("{settings:?}").contains("sk-1"));
}

#[test]
fn the_program_says_what_it_is() {
    let (settings, _) = with(&[
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=other,deployment.environment.name=a%20b",
        ),
        ("OTEL_SERVICE_NAME", "mine"),
    ]);
    let value = |name: &str| {
        let found = settings.resource.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(value("service.name"), Some(Value::from("mine")));
    assert_eq!(
        value("deployment.environment.name"),
        Some(Value::from("a b"))
    );
    assert_eq!(
        value("service.version"),
        Some(Value::from(env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn samplers_and_propagators_are_known_by_their_names() {
    let quarter = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
    for (name, sampler, parent_based) in [
        ("always_on", Sampler::On, false),
        ("always_off", Sampler::Off, false),
        ("traceidratio", Sampler::Ratio(0.25), false),
        ("parentbased_always_off", Sampler::Off, true),
        ("parentbased_traceidratio", Sampler::Ratio(0.25), true),
    ] {
        let (settings, warnings) = with(&[("OTEL_TRACES_SAMPLER", name), quarter]);
        let tracing = settings.tracing;
        assert_eq!(
            (tracing.sampler, tracing.parent_based),
            (sampler, parent_based)
        );
        assert!(tracing.propagates && warnings.is_empty());
    }
    let (settings, _) = with(&[("OTEL_PROPAGATORS", "b3,baggage")]);
    assert!(!settings.tracing.propagates);
    for (value, expected) in [("true", true), ("SPAN_ONLY", true), ("no_content", false)] {
        assert_eq!(with(&[(CONTENT, value)]).0.has_content(), expected);
    }
}
