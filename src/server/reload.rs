//! Watches profile files, and swaps what the next requests see.
//!
//! A saved change is live within a second; a file that broke is told, and the last good profile stays (SPEC §4.8).

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::{App, Served};
use crate::profile::{Fingerprint, Loaded, Origin, Places, Profile, ProfileError};

/// After the first sign of a change: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(100);

/// How often folders are looked at where the system cannot tell of changes, or one of them is not there yet.
const LOOK: Duration = Duration::from_millis(500);

/// One thing that a reload changed.
#[derive(Debug)]
pub enum Change {
    /// A profile is served that was not.
    Added(Arc<str>),
    /// A profile has a new content.
    Changed(Arc<str>),
    /// A profile is not served any more: its file is gone.
    Removed(Arc<str>),
    /// A file does not load; what was served under its name before stays.
    Broken {
        /// The profile's name.
        name: String,
        /// Why.
        error: ProfileError,
        /// Whether an earlier profile of that name goes on.
        stays: bool,
    },
}

/// Reloads an app's profiles when their files change.
#[derive(Debug)]
pub struct Reloader {
    places: Places,
    /// Only these; none is all.
    names: Vec<String>,
    seen: BTreeMap<PathBuf, Fingerprint>,
}

impl Reloader {
    /// For an app that serves these names, or all.
    #[must_use]
    pub fn new(places: Places, names: Vec<String>) -> Reloader {
        let seen = places.fingerprints();
        Reloader {
            places,
            names,
            seen,
        }
    }

    /// Watches until `app` is gone; `told` hears of each change. Blocks: it wants a thread of its own.
    pub fn watch(mut self, app: &std::sync::Weak<App>, told: impl Fn(Change)) {
        let (sender, events) = mpsc::channel();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // A look at a file is no change, and each reload looks at all of them: it would be the sign for the next one.
                let looks = event.as_ref().is_ok_and(|event| event.kind.is_access());
                if !looks {
                    let _ = sender.send(event);
                }
            });
        while app.strong_count() > 0 {
            let watched = match &mut watcher {
                Ok(watcher) => self.attach(watcher),
                Err(_) => false,
            };
            match events.recv_timeout(LOOK) {
                Ok(_) => {
                    std::thread::sleep(SETTLE);
                    while events.try_recv().is_ok() {}
                }
                Err(mpsc::RecvTimeoutError::Timeout) if watched => continue,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
            }
            let Some(app) = app.upgrade() else { return };
            for change in self.reload(&app) {
                told(change);
            }
        }
    }

    /// Watches the folders that are there; whether all are.
    fn attach(&self, watcher: &mut RecommendedWatcher) -> bool {
        let mut all = true;
        for folder in self.places.folders() {
            // Watching a folder again renews the watch, also where another folder has taken its place.
            all &= folder.is_dir() && watcher.watch(folder, RecursiveMode::NonRecursive).is_ok();
        }
        all
    }

    /// Loads what changed since the last time, and swaps it in.
    fn reload(&mut self, app: &App) -> Vec<Change> {
        let now = self.places.fingerprints();
        if now == self.seen {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.seen, now);
        let loaded = if self.names.is_empty() {
            self.places.load_all()
        } else {
            let load = |name: &String| Loaded {
                name: name.clone(),
                result: self.places.load(name),
            };
            self.names.iter().map(load).collect()
        };
        let touched = |origin: &Origin| match origin {
            Origin::File(path) => before.get(path) != self.seen.get(path),
            Origin::BuiltIn => false,
        };
        let (served, changes) = merge(&app.served(), loaded, touched);
        if !changes.is_empty() {
            app.serve(served);
        }
        changes
    }
}

/// What to serve after `loaded`, and what is new about it. Profiles keep their order, new ones come last.
fn merge(
    old: &Served,
    loaded: Vec<Loaded>,
    touched: impl Fn(&Origin) -> bool,
) -> (Served, Vec<Change>) {
    let mut changes = Vec::new();
    let mut found: BTreeMap<String, Option<Arc<Profile>>> = BTreeMap::new();
    for Loaded { name, result } in loaded {
        let before = old.find(&name);
        let now = match result {
            Ok(profile) => {
                let same = before
                    .as_ref()
                    .filter(|before| before.origin == profile.origin && !touched(&profile.origin));
                match (same, &before) {
                    (Some(same), _) => Some(Arc::clone(same)),
                    (None, was) => {
                        let name = Arc::clone(&profile.name);
                        changes.push(if was.is_some() {
                            Change::Changed(name)
                        } else {
                            Change::Added(name)
                        });
                        Some(Arc::new(profile))
                    }
                }
            }
            Err(error) => {
                // A profile that was asked for by name and is gone altogether is told like a broken one.
                changes.push(Change::Broken {
                    name: name.clone(),
                    error,
                    stays: before.is_some(),
                });
                before
            }
        };
        found.insert(name, now);
    }
    let mut profiles = Vec::new();
    for profile in old.iter() {
        match found.remove(&*profile.name) {
            Some(Some(now)) => profiles.push(now),
            Some(None) => {}
            None => changes.push(Change::Removed(Arc::clone(&profile.name))),
        }
    }
    profiles.extend(found.into_values().flatten());
    (Served::new(profiles), changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.model]\nprovider = \"mock\"\n";

    fn names(served: &Served) -> Vec<&str> {
        served.names().collect()
    }

    #[test]
    fn changes_are_swapped_in_and_broken_files_leave_the_last_good_profile() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let all = |places: &Places| -> Vec<Loaded> {
            places
                .load_all()
                .into_iter()
                .filter(|loaded| loaded.name.starts_with("my-"))
                .collect()
        };
        write("my-a.toml", GOOD);
        write("my-b.toml", GOOD);
        let places = Places::new([folder.path().to_owned()]);
        let (served, changes) = merge(&Served::default(), all(&places), |_| true);
        assert_eq!(names(&served), ["my-a", "my-b"]);
        assert_eq!(changes.len(), 2);

        let (served, changes) = merge(&served, all(&places), |_| false);
        assert!(changes.is_empty(), "nothing was touched");

        write("my-a.toml", "[ai-proxy]\nnonsense = 1\n");
        write("my-c.toml", "nonsense");
        std::fs::remove_file(folder.path().join("my-b.toml")).unwrap();
        let (served, changes) = merge(&served, all(&places), |_| true);
        assert_eq!(
            names(&served),
            ["my-a"],
            "the last good one stays, the removed one goes"
        );
        let told: Vec<String> = changes
            .iter()
            .map(|change| match change {
                Change::Broken { name, stays, .. } => format!("broken {name} {stays}"),
                Change::Removed(name) => format!("removed {name}"),
                Change::Added(name) => format!("added {name}"),
                Change::Changed(name) => format!("changed {name}"),
            })
            .collect();
        assert_eq!(
            told,
            ["broken my-a true", "broken my-c false", "removed my-b"]
        );

        write("my-a.toml", &GOOD.replace("chat", "completions"));
        write("my-c.toml", GOOD);
        let (served, _) = merge(&served, all(&places), |_| true);
        assert_eq!(names(&served), ["my-a", "my-c"]);
    }
}
