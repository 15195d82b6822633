//! The profiles of a server, and which paths of theirs are taken.

use std::sync::Arc;

use pcre2::bytes::Regex;

use crate::{
    pipeline::body_limit,
    profile::{Profile, RoutePath, pattern},
};

/// The profiles that are served.
#[derive(Debug, Default)]
pub struct Served {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    profile: Arc<Profile>,
    path: Path,
}

/// `[aiproxy] path`, ready to match.
#[derive(Debug)]
enum Path {
    /// The default, `/`: everything, and nothing is taken off.
    Any,
    Prefix(String),
    Pattern(Box<Regex>),
    /// The pattern does not compile.
    None,
}

/// A path that a profile takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken<'a> {
    /// What follows the match.
    pub(super) rest: &'a str,
    /// What the pattern's named groups matched.
    pub(super) captures: Vec<(String, String)>,
    /// A path of the profile's own was matched, which by itself names the profile's own operation.
    pub(super) matched: bool,
}

impl Served {
    /// These, the first by default.
    #[must_use]
    pub fn new(profiles: Vec<Arc<Profile>>) -> Served {
        let entry = |profile: Arc<Profile>| Entry {
            path: Path::of(&profile.aiproxy.path),
            profile,
        };
        Served {
            entries: profiles.into_iter().map(entry).collect(),
        }
    }

    /// The profile of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Profile>> {
        self.iter().find(|profile| *profile.name == *name).cloned()
    }

    /// The one that requests go to which name none.
    #[must_use]
    pub fn default_profile(&self) -> Option<Arc<Profile>> {
        self.iter().next().cloned()
    }

    /// Their names, the default first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|profile| &*profile.name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.entries.iter().map(|entry| &entry.profile)
    }

    /// The largest body that any of them takes; 0 is no limit.
    pub(super) fn body_limit(&self) -> u64 {
        let limits = || self.iter().map(|profile| body_limit(profile));
        if limits().any(|limit| limit == 0) {
            0
        } else {
            limits().max().unwrap_or_default()
        }
    }

    /// What a profile makes of `rest`, the path after its name; `None` if its own `path` does not match.
    pub(super) fn take<'a>(&self, profile: &Profile, rest: &'a str) -> Option<Taken<'a>> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.profile.name == profile.name)?;
        entry.path.take(rest)
    }
}

impl Path {
    fn of(path: &RoutePath) -> Path {
        match path {
            RoutePath::Prefix(prefix) if prefix == "/" => Path::Any,
            RoutePath::Prefix(prefix) => Path::Prefix(prefix.trim_end_matches('/').to_owned()),
            RoutePath::Pattern(text) => {
                // Kong anchors a route's pattern at the beginning of the path.
                let regex = pattern::route(&format!("\\A(?:{text})"));
                regex.map_or(Path::None, |regex| Path::Pattern(Box::new(regex)))
            }
        }
    }

    fn take<'a>(&self, rest: &'a str) -> Option<Taken<'a>> {
        let after = |end: usize| {
            let after = rest.get(end..)?;
            // `/gpt` is no prefix of `/gpt4`.
            (after.is_empty() || after.starts_with('/')).then_some(after)
        };
        match self {
            Path::Any => Some(Taken {
                rest,
                captures: Vec::new(),
                matched: false,
            }),
            Path::Prefix(prefix) => {
                let rest = rest
                    .starts_with(prefix.as_str())
                    .then(|| after(prefix.len()))??;
                Some(Taken {
                    rest,
                    captures: Vec::new(),
                    matched: true,
                })
            }
            Path::Pattern(regex) => {
                let found = regex.captures(rest.as_bytes()).ok()??;
                let rest = after(found.get(0)?.end())?;
                let names = regex.capture_names().iter().flatten();
                let captures = names
                    .filter_map(|name| {
                        let value = found.name(name)?;
                        Some((
                            name.clone(),
                            String::from_utf8_lossy(value.as_bytes()).into_owned(),
                        ))
                    })
                    .collect();
                Some(Taken {
                    rest,
                    captures,
                    matched: true,
                })
            }
            Path::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &RoutePath, rest: &str) -> Option<(String, String)> {
        let taken = Path::of(path).take(rest).map(|taken| {
            let captures: Vec<String> = taken
                .captures
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            (taken.rest.to_owned(), captures.join(" "))
        })?;
        Some(taken)
    }

    fn some(rest: &str, captures: &str) -> Option<(String, String)> {
        Some((rest.into(), captures.into()))
    }

    #[test]
    fn prefixes_are_taken_off_by_whole_segments() {
        let path = RoutePath::Prefix("/gpt".into());
        assert_eq!(take(&path, "/gpt"), some("", ""));
        assert_eq!(
            take(&path, "/gpt/v1/chat/completions"),
            some("/v1/chat/completions", "")
        );
        assert_eq!(take(&path, "/gpt4"), None);
        assert_eq!(take(&path, ""), None);
        assert_eq!(
            take(&RoutePath::Prefix("/".into()), "/any"),
            some("/any", "")
        );
    }

    #[test]
    fn patterns_are_anchored_and_name_their_groups() {
        let path = RoutePath::Pattern("/(?<region>[a-z-]+)/(?<model>[^/]+)".into());
        assert_eq!(
            take(&path, "/eu-west/gpt"),
            some("", "region=eu-west model=gpt")
        );
        assert_eq!(
            take(&path, "/eu/gpt/v1/embeddings"),
            some("/v1/embeddings", "region=eu model=gpt")
        );
        assert_eq!(take(&path, "/x/eu"), some("", "region=x model=eu"));
        assert_eq!(take(&path, "x/eu/gpt"), None);
        let ends = RoutePath::Pattern("/a|/b".into());
        assert_eq!(take(&ends, "/b/c"), some("/c", ""));
        assert_eq!(take(&ends, "/bc"), None);
    }

    #[test]
    fn broken_and_running_away_patterns_match_nothing() {
        assert_eq!(take(&RoutePath::Pattern("/(".into()), "/("), None);
        let away = RoutePath::Pattern("/(a+)+$".into());
        assert_eq!(take(&away, &format!("/{}b", "a".repeat(5000))), None);
    }
}
