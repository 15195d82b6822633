//! Rules across keys: Kong's entity checks, in words near its own, and ours.
//!
//! Each problem stands at the key that it is about, or at the table where that key is missing.

use super::{
    pattern::{self, BadPattern},
    reader::Finding,
    schema::{
        Document,
        kong::Target,
        table,
        values::{RoutePath, RouteType},
    },
    source::Node,
};

mod model;

/// Checks what each key alone cannot know. Tables in which keys were already wrong are left alone: what is missing
/// there may only be mistyped.
pub(crate) fn check(document: &Document, root: &Node, found: &mut Vec<Finding>) {
    let mut checker = Checker {
        root,
        wrong: found
            .iter()
            .map(|finding| table_of(&finding.path))
            .collect(),
        found,
    };
    checker.destination();
    if let RoutePath::Pattern(pattern) = &document.aiproxy.path {
        checker.pattern(&["aiproxy", "path"], pattern::route(pattern).err());
    }
    if document.ai_proxy.is_none() && !document.aiproxy.models.is_empty() {
        checker.fail(
            &["aiproxy", "models"],
            "[aiproxy.models] needs [ai-proxy]",
            "a plain HTTP backend has no models",
        );
    }
    if let Some(proxy) = &document.ai_proxy {
        checker.target(
            &["ai-proxy"],
            proxy.target(),
            document.aiproxy.base_url.is_some(),
        );
        checker.format(proxy.llm_format, proxy.target());
    }
    if let Some(transformer) = &document.ai_request_transformer {
        let http = (&transformer.http_proxy_host, transformer.http_proxy_port);
        let https = (&transformer.https_proxy_host, transformer.https_proxy_port);
        checker.transformer(
            "ai-request-transformer",
            transformer.llm.target(),
            http,
            https,
        );
        checker.extraction(
            "ai-request-transformer",
            transformer.transformation_extract_pattern.as_deref(),
        );
    }
    if let Some(transformer) = &document.ai_response_transformer {
        let http = (&transformer.http_proxy_host, transformer.http_proxy_port);
        let https = (&transformer.https_proxy_host, transformer.https_proxy_port);
        checker.transformer(
            "ai-response-transformer",
            transformer.llm.target(),
            http,
            https,
        );
        checker.extraction(
            "ai-response-transformer",
            transformer.transformation_extract_pattern.as_deref(),
        );
    }
}

struct Checker<'a> {
    root: &'a Node,
    /// The tables in which reading found mistakes.
    wrong: Vec<Vec<String>>,
    found: &'a mut Vec<Finding>,
}

type Proxy<'a> = (&'a Option<String>, Option<u16>);

impl Checker<'_> {
    /// Where requests go. What counts is what the file has, also if it could not be read.
    fn destination(&mut self) {
        let root = self.root;
        let there = |name: &str| table::present(root.entries(), name).is_some();
        let transformer = ["ai-request-transformer", "ai-response-transformer"]
            .into_iter()
            .find(|name| there(name));
        match (there("ai-proxy"), there("upstream"), transformer) {
            (true, true, _) => self.fail(
                &["upstream"],
                "a profile has [ai-proxy] or [upstream], not both",
                "[ai-proxy] sends requests to an LLM, [upstream] to a plain HTTP backend",
            ),
            (false, false, Some(table)) => self.fail(
                &[table],
                format!("[{table}] needs [ai-proxy] or [upstream] beside it"),
                "add `url` under [upstream] for a plain HTTP backend, or an [ai-proxy] for an LLM",
            ),
            (false, false, None) => self.fail(
                &["ai-proxy"],
                "a profile needs [ai-proxy] or [upstream]",
                "`aiproxy profile new` writes one",
            ),
            _ => {}
        }
    }

    fn transformer(&mut self, table: &str, target: Target<'_>, http: Proxy<'_>, https: Proxy<'_>) {
        let llm = [table, "llm"];
        if target.route_type != RouteType::Chat {
            self.fail(
                &join(&llm, &["route_type"]),
                format!("`{table}.llm.route_type` must be llm/v1/chat"),
                "a transformer talks with its LLM",
            );
        }
        self.target(&llm, target, false);
        for ((host, port), (host_key, port_key)) in [
            (http, ("http_proxy_host", "http_proxy_port")),
            (https, ("https_proxy_host", "https_proxy_port")),
        ] {
            self.together(
                &[table],
                &[(host_key, host.is_some()), (port_key, port.is_some())],
            );
            if host.as_deref().is_some_and(|host| !is_host(host)) {
                self.fail(
                    &[table, host_key],
                    format!("`{table}.{host_key}` must be a host name or address"),
                    format!("without scheme and port; the port is `{port_key}`"),
                );
            }
        }
    }

    fn extraction(&mut self, table: &str, pattern: Option<&str>) {
        let bad = pattern.and_then(|pattern| pattern::extraction(pattern).err());
        self.pattern(&[table, "transformation_extract_pattern"], bad);
    }

    fn pattern(&mut self, key: &[&str], bad: Option<BadPattern>) {
        if let Some(bad) = bad {
            self.fail(
                key,
                format!("`{}` is no regular expression: {bad}", key.join(".")),
                "it is a PCRE, as in Kong; in TOML single quotes keep backslashes as they are",
            );
        }
    }

    /// Keys of which all are there or none.
    fn together(&mut self, table: &[&str], keys: &[(&str, bool)]) {
        let names = |set: bool| -> Vec<String> {
            keys.iter()
                .filter(|(_, there)| *there == set)
                .map(|(key, _)| format!("`{key}`"))
                .collect()
        };
        let first = keys.iter().find(|(_, there)| *there);
        let (there, missing) = (names(true), names(false));
        if let (Some((first, _)), false) = (first, missing.is_empty()) {
            self.fail(
                &join(table, &[first]),
                format!(
                    "[{}] has {} without {}",
                    table.join("."),
                    there.join(", "),
                    missing.join(", ")
                ),
                "set all of them or none",
            );
        }
    }

    fn fail(&mut self, key: &[&str], message: impl Into<String>, hint: impl Into<String>) {
        let path: Vec<String> = key.iter().map(|step| (*step).to_owned()).collect();
        if self.wrong.contains(&table_of(&path)) {
            return;
        }
        let (message, hint) = (message.into(), Some(hint.into()));
        self.found.push(Finding {
            span: self.root.place(key),
            path,
            message,
            hint,
        });
    }
}

fn join<'a>(table: &[&'a str], keys: &[&'a str]) -> Vec<&'a str> {
    [table, keys].concat()
}

fn table_of(path: &[String]) -> Vec<String> {
    path.split_last()
        .map(|(_, table)| table.to_vec())
        .unwrap_or_default()
}

/// A name, an IPv4 address, or an IPv6 address with or without brackets.
fn is_host(text: &str) -> bool {
    match text.matches(':').count() {
        0 => !text.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#".contains(c)),
        1 => false,
        _ => text
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::Ipv6Addr>()
            .is_ok(),
    }
}

#[cfg(test)]
mod tests;
