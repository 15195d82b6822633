//! What a path means (SPEC §2).

use std::sync::Arc;

use super::served::Served;
use crate::{
    dialect::Fault,
    pipeline::{Asked, Target, operation_of},
    profile::{OtherPaths, Profile, RouteType},
    provider::Operation,
};

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Place {
    /// `/_aiproxy/...`.
    Admin(String),
    /// The list of models, or one of them.
    Models {
        /// Of this profile alone.
        profile: Option<Arc<Profile>>,
        /// The model's id.
        id: Option<String>,
    },
    /// A profile that the path names.
    Profile(Way),
    /// The profile that the body's `model` names, else the default one.
    Root {
        /// The path as SDKs send it, with `/v1`.
        path: String,
    },
}

/// A profile, and what is asked of it.
#[derive(Debug)]
pub(super) struct Way {
    /// The profile.
    pub(super) profile: Arc<Profile>,
    /// What is asked for.
    pub(super) target: Target,
    /// Who named the model.
    pub(super) asked: Asked,
    /// What the named groups of the profile's `path` matched.
    pub(super) captures: Vec<(String, String)>,
}

impl Way {
    /// A path of the SDKs' own, below no profile's name.
    pub(super) fn of(profile: Arc<Profile>, path: &str, asked: Asked) -> Result<Way, Fault> {
        let target = target(&profile, path)?;
        Ok(Way {
            profile,
            target,
            asked,
            captures: Vec::new(),
        })
    }
}

/// First segments that belong to no profile (SPEC §2).
const ROOTS: &[&str] = &["v1", "v1beta", "api", "model"];

/// Finds the place of `path`.
pub(super) fn place(served: &Served, path: &str) -> Result<Place, Fault> {
    let (first, rest) = split(path);
    if first == "_aiproxy" {
        return Ok(Place::Admin(rest.to_owned()));
    }
    if ROOTS.contains(&first) {
        if let Some(id) = models(path) {
            return Ok(Place::Models { profile: None, id });
        }
        return Ok(Place::Root {
            path: path.to_owned(),
        });
    }
    if first.is_empty() {
        let message = "this is aiproxy: base URLs are /PROFILE/v1, or /v1 with PROFILE as the model; /v1/models lists them";
        return Err(Fault::invalid(404, message));
    }
    let Some(profile) = served.find(first) else {
        return Err(unknown_profile(served, first));
    };
    let Some(taken) = served.take(&profile, rest) else {
        let message = format!(
            "`{}` does not match `[aiproxy] path` of profile `{}`, which is `{}`",
            printable(rest),
            profile.name,
            profile.aiproxy.path
        );
        return Err(Fault::invalid(404, message));
    };
    if profile
        .ai_proxy
        .as_ref()
        .is_some_and(|proxy| proxy.route_type != RouteType::Preserve)
        && let Some(id) = models(taken.rest)
    {
        return Ok(Place::Models {
            profile: Some(profile),
            id,
        });
    }
    let target = if taken.matched && operation_of(taken.rest.trim_end_matches('/')).is_none() {
        own_target(&profile, taken.rest)
    } else {
        target(&profile, taken.rest)?
    };
    Ok(Place::Profile(Way {
        profile,
        target,
        asked: Asked::Body,
        captures: taken.captures,
    }))
}

/// A match of the profile's own `path` asks for the profile's own operation.
fn own_target(profile: &Profile, rest: &str) -> Target {
    let route_type = profile.ai_proxy.as_ref().map(|proxy| proxy.route_type);
    let own = route_type.and_then(|route_type| Operation::of_route_type(route_type.as_str()));
    match own {
        None | Some(Operation::Preserve) => Target::Unread(rest.to_owned()),
        Some(own) => Target::Operation(own, own.path().to_owned()),
    }
}

pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// `/first/rest` as `first` and `/rest`.
fn split(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    match path.find('/') {
        Some(at) => path.split_at(at),
        None => (path, ""),
    }
}

/// `[/v1]/models[/ID]`: the id, if any.
fn models(path: &str) -> Option<Option<String>> {
    let below = path
        .strip_prefix("/v1")
        .unwrap_or(path)
        .strip_prefix("/models")?;
    match below.strip_prefix('/') {
        None => below.is_empty().then_some(None),
        Some("") => Some(None),
        Some(id) => Some(Some(percent_decoded(id))),
    }
}

fn percent_decoded(text: &str) -> String {
    // `+` is itself in a path.
    let query = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(query.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// What `rest`, the path after `/{profile}`, asks of a profile.
fn target(profile: &Profile, rest: &str) -> Result<Target, Fault> {
    let Some(proxy) = &profile.ai_proxy else {
        return Ok(Target::Unread(rest.to_owned()));
    };
    let own = Operation::of_route_type(proxy.route_type.as_str()).unwrap_or(Operation::Preserve);
    if own == Operation::Preserve {
        return Ok(Target::Unread(rest.to_owned()));
    }
    if matches!(rest, "" | "/" | "/v1" | "/v1/") {
        return Ok(Target::Operation(own, own.path().to_owned()));
    }
    if let Some((operation, below)) = operation_of(rest.trim_end_matches('/')) {
        if proxy.model.options.upstream_url.is_some() && operation != own {
            let (asked, serves) = (operation.route_type(), own.route_type());
            return Err(Fault::invalid(
                400,
                format!(
                    "`{rest}` is {asked}, but profile `{}` sets `upstream_url`, which serves {serves} alone",
                    profile.name
                ),
            ));
        }
        return Ok(Target::Operation(operation, below.to_owned()));
    }
    if profile.aiproxy.other_paths == OtherPaths::Forward && !profile.has_transformer() {
        return Ok(Target::Unread(rest.to_owned()));
    }
    let why = if profile.has_transformer() {
        "it has a transformer, which other paths would walk around".to_owned()
    } else {
        "set `[aiproxy] other_paths = \"forward\"` to send it on unread".to_owned()
    };
    Err(Fault::invalid(
        404,
        format!(
            "`{rest}` is no operation of profile `{}`: {why}",
            profile.name
        ),
    ))
}

/// 404 that names those there are, nearest first.
fn unknown_profile(served: &Served, asked: &str) -> Fault {
    let asked: String = asked.chars().filter(|c| !c.is_control()).take(64).collect();
    let mut names: Vec<&str> = served.names().collect();
    names.sort_by_key(|name| distance(name, &asked));
    let names: Vec<String> = names
        .iter()
        .take(20)
        .map(|name| format!("`{name}`"))
        .collect();
    Fault::invalid(
        404,
        format!(
            "there is no profile `{asked}` here; there are {}",
            names.join(", ")
        ),
    )
    .code("unknown_profile")
}

/// Levenshtein distance, for short names.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(row.first_mut().unwrap_or(&mut 0), i + 1);
        let mut left = i + 1;
        for (slot, cb) in row.iter_mut().skip(1).zip(b.chars()) {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = *slot;
            left = substituted.min(left + 1).min(*slot + 1);
            *slot = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_at_their_first_segment() {
        assert_eq!(split("/mock/v1/chat"), ("mock", "/v1/chat"));
        assert_eq!(split("/mock"), ("mock", ""));
        assert_eq!(split("/"), ("", ""));
    }

    #[test]
    fn models_and_their_ids() {
        assert_eq!(models("/v1/models"), Some(None));
        assert_eq!(models("/models/"), Some(None));
        assert_eq!(models("/v1/models/mock"), Some(Some("mock".into())));
        assert_eq!(models("/v1/models/a%2Fb+c/d"), Some(Some("a/b+c/d".into())));
        assert_eq!(models("/v1/modelsx"), None);
    }

    #[test]
    fn the_nearest_name_comes_first() {
        assert_eq!(distance("mock", "mock"), 0);
        assert_eq!(distance("mock", "mok"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("openai", "opneai"), 2);
    }
}
