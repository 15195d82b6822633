//! `--watch`: again whenever the profile or the body's file changes.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::{Args, Input, faint, once, profile_text};
use crate::{
    cli::signals,
    profile::Origin,
    term::{Exit, Problem, Term},
};

/// After the first sign of a change: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(100);

/// How often files are looked at where the system cannot tell of changes.
const LOOK: Duration = Duration::from_millis(500);

/// Runs until a signal comes. What goes wrong in a run is told, and the next change is waited for.
pub(super) async fn run(args: &Args, input: &mut Input, term: &Term) -> Result<Exit, Problem> {
    let (sender, mut changes) = mpsc::unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A look at a file is no change, and this command looks at every sign of one.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = sender.send(());
        }
    });
    // One for all runs: between two of them a signal would have nobody who waits for it.
    let mut signal = std::pin::pin!(signals::signal());
    let stopped = |signal: i32| Ok(Exit::Signal(u8::try_from(signal).unwrap_or(2)));
    loop {
        let told = match &mut watcher {
            Ok(watcher) => watch(watcher, args, input),
            Err(_) => false,
        };
        let seen = fingerprint(args, input);
        tokio::select! {
            ran = once(args, input, term) => {
                if let Err(problem) = ran {
                    problem.report(term);
                }
            }
            Some(signal) = &mut signal => return stopped(signal),
        }
        // `--save` has changed the file itself.
        let seen = if args.save {
            fingerprint(args, input)
        } else {
            seen
        };
        faint(
            term,
            "waiting for a change of the profile or the body; Ctrl-C ends",
        );
        loop {
            tokio::select! {
                Some(()) = changes.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while changes.try_recv().is_ok() {}
                }
                () = tokio::time::sleep(LOOK), if !told => {}
                Some(signal) = &mut signal => return stopped(signal),
            }
            if fingerprint(args, input) != seen {
                break;
            }
        }
        faint(
            term,
            &format!("── {} ──", jiff::Zoned::now().strftime("%H:%M:%S")),
        );
    }
}

/// Watches the folders in which files are replaced; whether all of them could be.
fn watch(watcher: &mut RecommendedWatcher, args: &Args, input: &Input) -> bool {
    let mut folders: Vec<PathBuf> = args
        .sources
        .places()
        .folders()
        .map(Path::to_owned)
        .collect();
    // A folder that is not there yet is none to watch; a profile that was found is in one that is.
    folders.retain(|folder| folder.is_dir());
    let parent = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    folders.extend(input.file().map(|path| parent(path)));
    if let Ok(text) = profile_text(args)
        && let Origin::File(path) = &text.origin
    {
        folders.push(parent(path));
    }
    folders
        .iter()
        .all(|folder| watcher.watch(folder, RecursiveMode::NonRecursive).is_ok())
}

/// Stands for what profile and body are now.
fn fingerprint(args: &Args, input: &Input) -> u64 {
    let mut hasher = DefaultHasher::new();
    match profile_text(args) {
        Ok(text) => text.bytes.hash(&mut hasher),
        Err(problem) => problem.to_string().hash(&mut hasher),
    }
    if let Some(path) = input.file() {
        std::fs::read(path).ok().hash(&mut hasher);
    }
    hasher.finish()
}
