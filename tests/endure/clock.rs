//! The time of day may be set at any moment, forwards and backwards. What waits or measures looks at a clock that is never set.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Files that read the time of day, each because a date is meant: it is told, signed, compared with a date from elsewhere, or a price's.
const DATES: &[&str] = &[
    "cli/log/export.rs",
    "cli/log/mod.rs",
    "cli/log/since.rs",
    "cli/replay/local.rs",
    "cli/run/mod.rs",
    "cli/state.rs",
    "cli/transform/dry.rs",
    "cli/transform/watch.rs",
    "exchange/history/prune.rs",
    "exchange/history/row.rs",
    "exchange/id.rs",
    "exchange/record.rs",
    "net/keys/mod.rs",
    "server/app.rs",
    "term/log.rs",
];

/// How it is read.
const CLOCKS: [&str; 3] = ["SystemTime::now", "Timestamp::now", "Zoned::now"];

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push(path);
        }
    }
}

#[test]
fn durations_are_never_measured_by_the_time_of_day() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    let mut reads = Vec::new();
    for path in all {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        if name.contains("tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        if CLOCKS.iter().any(|clock| text.contains(clock)) {
            reads.push(name.to_owned());
        }
    }
    reads.sort();
    assert_eq!(
        reads, DATES,
        "who reads the time of day has changed: waits and durations are `Instant`'s"
    );
}
