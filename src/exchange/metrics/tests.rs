use std::collections::{BTreeMap, BTreeSet};

use super::*;

const ERRORS: [ErrorKind; 10] = [
    ErrorKind::Client,
    ErrorKind::Configuration,
    ErrorKind::Connect,
    ErrorKind::Timeout,
    ErrorKind::Upstream4xx,
    ErrorKind::Upstream5xx,
    ErrorKind::RateLimited,
    ErrorKind::Stream,
    ErrorKind::Transformer,
    ErrorKind::Other,
];

fn request(profile: &str) -> Measured<'_> {
    Measured {
        profile,
        provider: "openai",
        operation: "llm/v1/chat",
        status: Some(200),
        ended: Ended::Ok,
        error: None,
        usage: None,
        cost: None,
        took: Duration::from_millis(1_200),
        first_token: None,
        stream: false,
    }
}

fn metrics() -> Metrics {
    let metrics = Metrics::default();
    metrics.serve(["gpt", "mock"]);
    metrics
}

/// The samples of a text, after a check of its form: every one belongs to the family above it, and the last line is the end.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("an end");
    let name = |name: &str| {
        let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(rest && name.starts_with("aiproxy_"), "{name}");
    };
    let (mut families, mut samples) = (BTreeSet::new(), BTreeMap::new());
    let (mut helped, mut family, mut kind) = ("", "", "");
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (of, words) = help.split_once(' ').unwrap();
            name(of);
            assert!(words.ends_with('.'), "{line}");
            assert!(families.insert(of), "{of} comes twice");
            helped = of;
            continue;
        }
        if let Some(is) = line.strip_prefix("# TYPE ") {
            (family, kind) = is.split_once(' ').unwrap();
            assert_eq!(helped, family);
            let known = ["counter", "gauge", "histogram", "info"];
            assert!(known.contains(&kind), "{line}");
            continue;
        }
        if let Some(unit) = line.strip_prefix("# UNIT ") {
            let (of, unit) = unit.split_once(' ').unwrap();
            assert_eq!(of, family);
            assert!(of.ends_with(&format!("_{unit}")), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().expect("a number");
        let (of, labels) = match series.split_once('{') {
            Some((of, labels)) => (of, labels.strip_suffix('}').expect("a brace")),
            None => (series, ""),
        };
        name(of);
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            _ => &["_sum", "_count", "_bucket"],
        };
        let suffix = of.strip_prefix(family).expect("of another family");
        assert!(suffixes.contains(&suffix), "{line}");
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, text) = label.split_once('=').unwrap();
            assert!(key.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            assert!(text.len() > 1 && text.starts_with('"') && text.ends_with('"'));
        }
        assert!(samples.insert(series.to_owned(), value).is_none(), "{line}");
    }
    samples
}

/// The sum of a family's samples that have all of these labels.
fn sum(metrics: &Metrics, name: &str, labels: &[&str]) -> f64 {
    samples(&metrics.text())
        .iter()
        .filter(|(series, _)| series.split('{').next() == Some(name))
        .filter(|(series, _)| labels.iter().all(|label| series.contains(label)))
        .map(|(_, value)| value)
        .sum()
}

#[test]
fn what_is_never_touched_is_text_too() {
    let text = Metrics::default().text();
    let all = samples(&text);
    let version = format!(
        "aiproxy_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(all.get(&version), Some(&1.0), "{text}");
    assert_eq!(all.get("aiproxy_upstream_connections"), Some(&0.0));
    assert_eq!(all.get("aiproxy_events_lost_total"), Some(&0.0));
}

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let metrics = metrics();
    for _ in 0..4 {
        metrics.opened("gpt");
    }
    assert_eq!(
        sum(&metrics, "aiproxy_requests_in_flight", &["\"gpt\""]),
        4.0
    );
    metrics.closed(&request("gpt"));
    metrics.closed(&Measured {
        ended: Ended::Failed,
        status: Some(429),
        error: ErrorKind::of_upstream(429),
        ..request("gpt")
    });
    metrics.closed(&Measured {
        ended: Ended::Cancelled,
        status: None,
        provider: "",
        ..request("gpt")
    });
    let all = samples(&metrics.text());
    let at = |labels: &str| {
        let labels = format!("profile=\"gpt\",operation=\"llm/v1/chat\",{labels}");
        all.get(&format!("aiproxy_requests_total{{{labels}}}"))
            .copied()
    };
    assert_eq!(at("outcome=\"ok\",status=\"2xx\""), Some(1.0), "{all:?}");
    assert_eq!(at("outcome=\"failed\",status=\"4xx\""), Some(1.0));
    assert_eq!(at("outcome=\"cancelled\",status=\"none\""), Some(1.0));
    assert_eq!(sum(&metrics, "aiproxy_requests_total", &[]), 3.0);
    assert_eq!(sum(&metrics, "aiproxy_requests_in_flight", &[]), 1.0);
    let limited = sum(&metrics, "aiproxy_errors_total", &["rate_limited"]);
    assert_eq!(limited, 1.0);
}

#[test]
fn tokens_money_and_time_add_up() {
    let metrics = metrics();
    let usage = Usage {
        input: 10,
        cache_read: 20,
        cache_write: 0,
        output: 30,
        reasoning: 5,
        ..Usage::default()
    };
    for (stream, cost) in [
        (true, Some(0.25)),
        (true, Some(0.5)),
        (false, None),
        (false, Some(-1.0)),
        (false, Some(f64::NAN)),
    ] {
        metrics.closed(&Measured {
            usage: Some(usage),
            cost,
            stream,
            first_token: Some(Duration::from_millis(300)),
            ..request("gpt")
        });
    }
    let tokens = |kind| sum(&metrics, "aiproxy_tokens_total", &[kind]);
    assert_eq!(tokens("kind=\"input\""), 50.0);
    assert_eq!(tokens("kind=\"cache_read\""), 100.0);
    assert_eq!(tokens("kind=\"output\""), 150.0);
    assert_eq!(tokens("kind=\"reasoning\""), 25.0);
    assert_eq!(tokens("kind=\"cache_write\""), 0.0);
    assert_eq!(sum(&metrics, "aiproxy_cost_usd_total", &[]), 0.75);
    let durations = "aiproxy_request_duration_seconds";
    let count = |labels: &[&str]| sum(&metrics, &format!("{durations}_count"), labels);
    assert_eq!(count(&["stream=\"true\""]), 2.0);
    assert_eq!(count(&["stream=\"false\""]), 3.0);
    let total = sum(&metrics, &format!("{durations}_sum"), &[]);
    assert!((total - 6.0).abs() < 1e-9);
    let buckets = format!("{durations}_bucket");
    assert_eq!(sum(&metrics, &buckets, &["le=\"1.0\""]), 0.0);
    assert_eq!(sum(&metrics, &buckets, &["le=\"2.5\""]), 5.0);
    assert_eq!(sum(&metrics, &buckets, &["le=\"+Inf\""]), 5.0);
    // Of a whole answer, the first token's time says nothing.
    let first = "aiproxy_time_to_first_token_seconds";
    assert_eq!(sum(&metrics, &format!("{first}_count"), &[]), 2.0);
}

#[test]
fn every_error_has_a_name_of_its_own() {
    let metrics = metrics();
    for error in ERRORS {
        metrics.closed(&Measured {
            ended: Ended::Failed,
            error: Some(error),
            ..request("mock")
        });
    }
    let all = samples(&metrics.text());
    let named = all.keys().filter(|key| key.contains("errors_total"));
    assert_eq!(named.count(), ErrorKind::COUNT);
    assert_eq!(ERRORS.len(), ErrorKind::COUNT);
    assert_eq!(ErrorKind::of_upstream(200), None);
    assert_eq!(ErrorKind::of_upstream(404), Some(ErrorKind::Upstream4xx));
    assert_eq!(ErrorKind::of_upstream(503), Some(ErrorKind::Upstream5xx));
}

#[test]
fn profiles_that_nobody_serves_are_one() {
    let metrics = metrics();
    for number in 0..1_000 {
        let name = format!("nobody-{number}");
        metrics.opened(&name);
        metrics.closed(&Measured {
            status: Some(404),
            ended: Ended::Failed,
            error: Some(ErrorKind::Client),
            ..request(&name)
        });
    }
    let all = samples(&metrics.text());
    assert!(!all.keys().any(|key| key.contains("nobody")));
    let other = ["profile=\"other\""];
    assert_eq!(sum(&metrics, "aiproxy_requests_total", &other), 1_000.0);
    assert_eq!(sum(&metrics, "aiproxy_requests_in_flight", &other), 0.0);

    // One that comes later, by a reload.
    metrics.serve(["nobody-1", "gpt"]);
    metrics.closed(&request("nobody-1"));
    let later = ["profile=\"nobody-1\""];
    assert_eq!(sum(&metrics, "aiproxy_requests_total", &later), 1.0);
}

#[test]
fn connections_and_lost_events_are_told() {
    let Connections { open, made } = Connections::default();
    let metrics = Metrics::new(Connections {
        open: Arc::clone(&open),
        made: Arc::clone(&made),
    });
    open.fetch_add(3, Ordering::Relaxed);
    made.fetch_add(3, Ordering::Relaxed);
    open.fetch_sub(1, Ordering::Relaxed);
    metrics.lost(7);
    for _ in 0..2 {
        let all = samples(&metrics.text());
        assert_eq!(all.get("aiproxy_upstream_connections"), Some(&2.0));
        let made = all.get("aiproxy_upstream_connections_opened_total");
        assert_eq!(made, Some(&3.0));
        assert_eq!(all.get("aiproxy_events_lost_total"), Some(&7.0));
    }
}

#[test]
fn all_threads_are_counted() {
    let metrics = Arc::new(metrics());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    metrics.opened("gpt");
                    metrics.closed(&request("gpt"));
                }
            });
        }
    });
    assert_eq!(sum(&metrics, "aiproxy_requests_total", &[]), 4_000.0);
    assert_eq!(sum(&metrics, "aiproxy_requests_in_flight", &[]), 0.0);
}
