//! Where the requests of a profile go, with its templates still in it.

use std::{borrow::Cow, cell::RefCell};

use serde::Serialize;

use crate::{
    pipeline,
    profile::{AiProxy, Lookup, OtherPaths, Profile, describe},
    provider::{self, Call, Operation, Options, Provider},
};

/// One operation's address.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Endpoint {
    /// Whose: the table that names the model.
    pub(super) table: &'static str,
    /// Kong's `route_type`, or `other paths`.
    pub(super) operation: String,
    /// The address.
    pub(super) url: Option<String>,
    /// Why there is none.
    pub(super) problem: Option<String>,
}

const OTHER_PATHS: &str = "other paths";

/// Stands for the rest of a path.
const REST: &str = "xrestx";

/// Every address of a profile.
pub(super) fn endpoints(profile: &Profile) -> Vec<Endpoint> {
    let mut all = Vec::new();
    for (table, target) in profile.targets() {
        let placeholders = Placeholders::default();
        let (options, of_proxy) = (&target.model.options, table == "ai-proxy");
        let base_url = profile.aiproxy.base_url.as_ref().filter(|_| of_proxy);
        let name = target.model.provider.as_str();
        let route_type = target.route_type.as_str();
        // Every template gets a placeholder, so none is missing.
        let Ok(options) = pipeline::options(options, base_url, &placeholders) else {
            continue;
        };
        let Some(provider) = provider::find(name) else {
            all.push(Endpoint {
                table,
                operation: route_type.to_owned(),
                url: None,
                problem: Some(format!("no transformer for {name}://{route_type}")),
            });
            continue;
        };
        let model = target.model.name.as_ref().map(|name| {
            let name = name.render(&placeholders).map(Cow::into_owned);
            name.unwrap_or_default()
        });
        let model = model.or_else(|| profile.aiproxy.default_model.clone().filter(|_| of_proxy));
        let asked = Asked {
            table,
            provider,
            options: &options,
            model: model.as_deref().unwrap_or("MODEL"),
            placeholders: &placeholders,
        };
        match &profile.ai_proxy {
            Some(proxy) if of_proxy => asked.all(proxy, profile, &mut all),
            _ => all.push(asked.one(Operation::Chat)),
        }
    }
    if let Some(upstream) = &profile.upstream {
        all.push(Endpoint {
            table: "upstream",
            operation: "every path".to_owned(),
            url: Some(format!("{}/...", describe::url(upstream.url.as_str()))),
            problem: None,
        });
    }
    all
}

struct Asked<'a> {
    table: &'static str,
    provider: &'static dyn Provider,
    options: &'a Options,
    model: &'a str,
    placeholders: &'a Placeholders,
}

impl Asked<'_> {
    fn all(&self, proxy: &AiProxy, profile: &Profile, all: &mut Vec<Endpoint>) {
        let own = Operation::of_route_type(proxy.route_type.as_str());
        let own = own.unwrap_or(Operation::Preserve);
        let alone = self.options.upstream_url.is_some() || own == Operation::Preserve;
        if alone {
            all.push(self.one(own));
            return;
        }
        let mut operations = vec![own];
        let read = [
            Operation::Chat,
            Operation::Completions,
            Operation::Embeddings,
            Operation::Responses,
        ];
        operations.extend(read.into_iter().filter(|operation| {
            *operation != own && self.provider.egress(&self.call(*operation)).is_some()
        }));
        all.extend(operations.into_iter().map(|operation| self.one(operation)));
        let forwards = profile.aiproxy.other_paths == OtherPaths::Forward
            && !profile.has_transformer()
            && self.provider.forwards_unread(Operation::Preserve);
        if forwards {
            let url = self.unread(&format!("/v1/{REST}"));
            all.push(self.endpoint(OTHER_PATHS, url));
        }
    }

    fn one(&self, operation: Operation) -> Endpoint {
        let mut call = self.call(operation);
        if operation == Operation::Responses && self.provider.egress(&call).is_none() {
            // It is translated.
            call = self.call(Operation::Chat);
        }
        let reads = self.provider.egress(&call).is_some();
        let url = if operation == Operation::Preserve {
            self.unread(&format!("/{REST}"))
        } else if reads || self.provider.forwards_unread(operation) {
            provider::uri(self.provider, &call).map_err(|fault| fault.message)
        } else {
            Err(format!(
                "no transformer for {}://{}",
                self.provider.name(),
                operation.route_type()
            ))
        };
        self.endpoint(operation.route_type(), url)
    }

    fn call(&self, operation: Operation) -> Call<'_> {
        Call {
            operation,
            path: operation.path(),
            model: self.model,
            stream: false,
            tools: false,
            native: false,
            options: self.options,
        }
    }

    fn unread(&self, path: &str) -> Result<http::Uri, String> {
        let call = self.call(Operation::Preserve);
        provider::unread_uri(self.provider, &call, path).map_err(|fault| fault.message)
    }

    fn endpoint(&self, operation: &str, url: Result<http::Uri, String>) -> Endpoint {
        let (url, problem) = match (url, &self.options.upstream_url) {
            (Ok(url), _) => (Some(url.to_string()), None),
            // A template can stand where no placeholder can, such as in a port.
            (Err(_), Some(url)) => (Some(url.clone()), None),
            (Err(problem), None) => (None, Some(problem)),
        };
        Endpoint {
            table: self.table,
            operation: operation.to_owned(),
            url: url.map(|url| self.placeholders.restore(&url)),
            problem,
        }
    }
}

/// Answers every template with a word that survives in a URL and can be found again.
#[derive(Default)]
struct Placeholders {
    expressions: RefCell<Vec<String>>,
}

impl Placeholders {
    fn word(&self, expression: String) -> Option<Cow<'_, str>> {
        let mut expressions = self.expressions.borrow_mut();
        expressions.push(expression);
        Some(Cow::Owned(word(expressions.len() - 1)))
    }

    fn restore(&self, url: &str) -> String {
        let expressions = self.expressions.borrow();
        let filled = expressions
            .iter()
            .enumerate()
            .fold(url.replace(REST, "..."), |url, (number, expression)| {
                url.replace(&word(number), expression)
            });
        describe::url(&filled)
    }
}

fn word(number: usize) -> String {
    format!("xtemplate{number}x")
}

impl Lookup for Placeholders {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.word(format!("$(headers.{name})"))
    }

    fn uri_capture(&self, name: &str) -> Option<Cow<'_, str>> {
        self.word(format!("$(uri_captures.{name})"))
    }

    fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.word(format!("$(query_params.{name})"))
    }
}
