use std::{
    fs,
    path::{Path, PathBuf},
    sync::{LazyLock, mpsc},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    queue::{BARE, MOST_WAITING},
    *,
};
use crate::exchange::{
    Filter,
    told::{ChunkTold, EventTold, PartTold, Rest, StageTold, Summary, Tokens},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    (folder, path)
}

fn id(number: usize) -> String {
    format!("{number:0>10}")
}

/// The time `seconds` after an hour ago; it is the same each time.
fn time(seconds: i64) -> String {
    static NOW: LazyLock<i64> = LazyLock::new(|| jiff::Timestamp::now().as_second());
    let time = jiff::Timestamp::from_second(*NOW - 3600 + seconds).unwrap();
    format!("{time:.3}")
}

fn kept(number: usize) -> Kept {
    Kept {
        detail: Detail {
            summary: Summary {
                id: id(number),
                profile: "mock".into(),
                began: time(number as i64),
                outcome: "ok".into(),
                model: "gpt-5".into(),
                ..Summary::default()
            },
            rest: Rest::default(),
        },
        prompt: format!("question {number}"),
        answer: format!("answer {number}"),
    }
}

fn entry(kept: Kept) -> Entry {
    Entry {
        weight: 1000,
        make: Box::new(move || kept),
    }
}

fn write(path: &Path, limits: Limits, all: impl IntoIterator<Item = Kept>) {
    let history = History::start(path, limits).unwrap();
    for kept in all {
        history.keep(entry(kept));
    }
    assert!(history.close(PATIENCE));
}

fn reader(path: &Path) -> Reader {
    Reader::open(path).unwrap().unwrap()
}

fn ids(reader: &Reader, query: &str) -> Vec<String> {
    let filter = Filter::of_query(Some(query)).unwrap();
    let list = reader.list(&filter).unwrap();
    list.into_iter().map(|summary| summary.id).collect()
}

fn numbers(reader: &Reader, filter: &Filter) -> Vec<usize> {
    let list = reader.list(filter).unwrap();
    list.iter()
        .map(|summary| summary.id.parse().unwrap())
        .collect()
}

/// Waits until something is so.
fn until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_exchange_comes_back_as_it_was() {
    let (_folder, path) = place();
    assert!(Reader::open(&path).unwrap().is_none());
    let body = |name: &str, bytes: &[u8]| {
        let mut stage = StageTold {
            stage: name.into(),
            ..StageTold::default()
        };
        stage.set_body(bytes);
        stage
    };
    let numbers = br#"{"n": 12345678901234567890123, "x": 1.00, "s": "\u0000\ud83d\ude00"}"#;
    let mut original = kept(1);
    original.detail.summary.usage = Some(Tokens {
        prompt_tokens: u64::MAX,
        ..Tokens::default()
    });
    original.detail.summary.cost = Some(0.000_123);
    original.detail.rest = Rest {
        stages: vec![
            body("client", numbers),
            body("sent", b"\xff\x00\xfe"),
            body("received", "a\0b \u{1f600}".as_bytes()),
            body("returned", &vec![b'x'; 3 << 20]),
        ],
        parts: vec![PartTold {
            text: "say".into(),
            ..PartTold::default()
        }],
        events: [0.0, 0.001, 17.5, 17.5, 12.25, 86_400_000.007]
            .map(|at_ms| EventTold {
                at_ms,
                what: "text".into(),
                part: (at_ms > 1.0).then_some(0),
                text: format!("at {at_ms}"),
            })
            .into(),
        chunks: [(0.1, 7), (0.3, u64::MAX)]
            .map(|(at_ms, bytes)| ChunkTold { at_ms, bytes })
            .into(),
        returned_chunks: vec![ChunkTold {
            at_ms: 1_234.567,
            bytes: 0,
        }],
        ..Rest::default()
    };
    let expected = serde_json::to_string(&original.detail).unwrap();
    write(&path, Limits::default(), [original]);
    let reader = reader(&path);
    let detail = reader.get(&id(1)).unwrap().unwrap();
    assert_eq!(serde_json::to_string(&detail).unwrap(), expected);
    assert_eq!(detail.body("client").unwrap(), numbers);
    assert_eq!(detail.body("sent").unwrap(), b"\xff\x00\xfe");
    assert_eq!(
        detail.body("received").unwrap(),
        "a\0b \u{1f600}".as_bytes()
    );
    assert!(reader.get(&id(2)).unwrap().is_none());
}

#[test]
fn a_file_of_the_first_format_is_read_and_written_on() {
    let (_folder, path) = place();
    write(&path, Limits::default(), [kept(1)]);
    let rest = Rest {
        parts: vec![PartTold {
            text: "said before".into(),
            ..PartTold::default()
        }],
        ..Rest::default()
    };
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("ALTER TABLE contents DROP COLUMN packed; PRAGMA user_version = 1;")
        .unwrap();
    db.execute(
        "UPDATE contents SET rest = ?1",
        [serde_json::to_string(&rest).unwrap()],
    )
    .unwrap();
    drop(db);
    write(&path, Limits::default(), [kept(2)]);
    let reader = reader(&path);
    assert_eq!(ids(&reader, ""), [id(2), id(1)]);
    let detail = reader.get(&id(1)).unwrap().unwrap();
    assert_eq!(detail.rest.parts[0].text, "said before");
    assert!(reader.get(&id(2)).unwrap().is_some());
}

#[test]
fn what_is_packed_is_small_and_what_cannot_be_unpacked_is_an_error() {
    let (_folder, path) = place();
    let mut stage = StageTold::default();
    stage.set_body(&b"data: {\"delta\":{\"content\":\" word\"}}\n\n".repeat(10_000));
    let mut large = kept(1);
    large.detail.rest.stages.push(stage);
    write(&path, Limits::default(), [large]);
    let db = rusqlite::Connection::open(&path).unwrap();
    let length: i64 = db
        .query_row("SELECT length(packed) FROM contents", [], |row| row.get(0))
        .unwrap();
    assert!(length < 4_000, "{length} bytes");
    let put = |packed: &[u8]| {
        db.execute("UPDATE contents SET packed = ?1", [packed])
            .unwrap();
        reader(&path).get(&id(1))
    };
    let pack = |texts: &str, behind: &[u8]| {
        let rest = r#"{"stages":[{"stage":"client"},{"stage":"received"}]}"#;
        let json =
            format!(r#"{{"rest":{rest},"events":[],"chunks":[],"returned_chunks":[]{texts}}}"#);
        zstd::bulk::compress(&[json.as_bytes(), behind].concat(), 1).unwrap()
    };
    let whole = put(&pack(r#","texts":[[1,4],[0,2]]"#, b"\"a\nbc{"))
        .unwrap()
        .unwrap();
    assert_eq!(whole.body("received").unwrap(), b"\"a\nb");
    assert_eq!(whole.body("client").unwrap(), b"c{");
    // As it was packed before bodies came behind.
    assert!(put(&pack("", b"")).unwrap().is_some());
    for broken in [
        vec![0],
        pack(r#","texts":[[1,5]]"#, b"four"),
        pack(r#","texts":[[2,4]]"#, b"four"),
        pack(r#","texts":[[1,2]]"#, b"\xff\xfe"),
        zstd::bulk::compress(b"", 1).unwrap(),
    ] {
        let error = put(&broken).unwrap_err().to_string();
        assert!(
            error.contains("an exchange in it cannot be read"),
            "{error}"
        );
    }
}

#[test]
fn lists_are_filtered() {
    let (_folder, path) = place();
    let all = (0..10).map(|number| {
        let mut kept = kept(number);
        let summary = &mut kept.detail.summary;
        summary.profile = ["a", "b", "c"][number % 3].into();
        summary.outcome = ["ok", "failed", "cancelled", "ok"][number % 4].into();
        if number == 7 {
            summary.answered_by = "Claude-X".into();
        }
        kept
    });
    write(&path, Limits::default(), all);
    let reader = reader(&path);
    let since = url::form_urlencoded::byte_serialize(time(8).as_bytes()).collect::<String>();
    for (query, expected) in [
        ("", vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("limit=3", vec![9, 8, 7]),
        ("limit=0", vec![]),
        ("profile=a", vec![9, 6, 3, 0]),
        ("profile=a&profile=c", vec![9, 8, 6, 5, 3, 2, 0]),
        ("failed=1", vec![9, 6, 5, 2, 1]),
        ("model=claude", vec![7]),
        ("model=GPT-5&limit=2", vec![9, 8]),
        ("model=%25", vec![]),
        ("before=0000000003", vec![2, 1, 0]),
        ("before=0000000009&limit=2", vec![8, 7]),
        ("failed=1&profile=a&before=0000000009", vec![6]),
        ("grep=question&profile=b", vec![7, 4, 1]),
        (&format!("since={since}"), vec![9, 8]),
    ] {
        let filter = Filter::of_query(Some(query)).unwrap();
        assert_eq!(numbers(&reader, &filter), expected, "{query}");
    }
    let filter = Filter::of_query(Some("before=zzz")).unwrap();
    let error = reader.list(&filter).unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "{error}");
    let elsewhere = Summary {
        id: "zzz".into(),
        began: time(2),
        ..Summary::default()
    };
    let list = reader.list_before(&Filter::default(), &elsewhere).unwrap();
    assert_eq!(list.len(), 3);
}

#[test]
fn what_began_at_once_is_paged_through() {
    let (_folder, path) = place();
    let began = time(0);
    let all = (0..20).map(|number| {
        let mut kept = kept(number);
        kept.detail.summary.began.clone_from(&began);
        kept
    });
    write(&path, Limits::default(), all);
    let reader = reader(&path);
    let mut seen = Vec::new();
    let mut query = "limit=7".to_owned();
    loop {
        let page = ids(&reader, &query);
        let Some(last) = page.last() else { break };
        query = format!("limit=7&before={last}");
        seen.extend(page);
    }
    let expected: Vec<String> = (0..20).rev().map(id).collect();
    assert_eq!(seen, expected);
}

#[test]
fn what_is_looked_for_is_taken_literally() {
    let (_folder, path) = place();
    let texts = [
        r#"She said "hi" AND left"#,
        "100% of it_all*",
        "Grüße aus KÖLN, ΟΔΥΣΣΕΥΣ",
        "東京は夜の七時",
        "so glad \u{1f600}\u{1f601}\u{1f602} and \u{1f468}\u{200d}\u{1f469}",
        "a\0bcdef",
        "x",
        &format!(
            "{} needle {}",
            "long ".repeat(50_000),
            "tail ".repeat(50_000)
        ),
    ];
    let all = texts.iter().enumerate().map(|(number, text)| {
        let mut kept = kept(number);
        // In the prompt of one, in the answer of the next.
        kept.prompt.clear();
        kept.answer.clear();
        if number % 2 == 0 {
            kept.prompt = (*text).to_owned();
        } else {
            kept.answer = (*text).to_owned();
        }
        kept
    });
    write(&path, Limits::default(), all);
    let reader = reader(&path);
    for wanted in [
        "",
        "x",
        "hi",
        "\"hi\"",
        "\"",
        "' OR 1=1 --",
        "hi\" AND",
        "AND",
        "NOT",
        "and left",
        "said left",
        "%",
        "100%",
        "1__%",
        "*",
        "all*",
        "it_all",
        "itxall",
        "gl*",
        "grüße",
        "köln",
        "Οδυσσευς",
        "οδυσσεύς",
        "東京",
        "東京は",
        "夜の七時",
        "東夜",
        "\u{1f600}",
        "\u{1f600}\u{1f601}\u{1f602}",
        "\u{1f600}\u{1f602}",
        "\u{1f468}\u{200d}\u{1f469}",
        "a\0b",
        "bcd",
        "abcd",
        "needle",
        "long needle tail",
        "prompt:hi",
        "NEAR(hi left)",
        "^she",
        "a\nb",
    ] {
        let filter = Filter {
            grep: Some(wanted.into()),
            ..Filter::default()
        };
        let mut expected: Vec<usize> = (0..texts.len())
            .filter(|number| filter.finds(texts[*number]))
            .collect();
        expected.reverse();
        assert_eq!(numbers(&reader, &filter), expected, "{wanted:?}");
    }
    // A long one.
    let filter = Filter {
        grep: Some("long ".repeat(50_000) + " needle"),
        ..Filter::default()
    };
    assert_eq!(numbers(&reader, &filter), [7]);
}

#[test]
fn a_prefix_names_an_exchange() {
    let (_folder, path) = place();
    let all = ["abc0000000", "abd0000000", "b000000000"];
    let all = all.iter().enumerate().map(|(number, id)| {
        let mut kept = kept(number);
        kept.detail.summary.id = (*id).into();
        kept
    });
    write(&path, Limits::default(), all);
    let reader = reader(&path);
    let one = |id: &str| Found::One(id.into());
    for (prefix, expected) in [
        ("abc", one("abc0000000")),
        ("ABC", one("abc0000000")),
        ("b", one("b000000000")),
        ("b000000000", one("b000000000")),
        ("last", one("b000000000")),
        ("c", Found::None),
        ("", Found::None),
        ("%", Found::None),
        (
            "ab",
            Found::Many(vec!["abd0000000".into(), "abc0000000".into()]),
        ),
    ] {
        assert_eq!(reader.find(prefix).unwrap(), expected, "{prefix}");
    }
}

#[test]
fn what_is_too_old_goes() {
    let (_folder, path) = place();
    let limits = Limits {
        age: Duration::from_secs(1800),
        ..Limits::default()
    };
    // Of the last hour, one a minute.
    let all = (0..60).map(|minute| {
        let mut kept = kept(minute);
        kept.detail.summary.began = time(minute as i64 * 60 + 30);
        kept
    });
    write(&path, Limits::default(), all);
    let mut reader = reader(&path);
    assert_eq!(ids(&reader, "").len(), 60);
    let history = History::start(&path, limits).unwrap();
    until(|| ids(&reader, "").len() == 30);
    assert!(history.close(PATIENCE));
    assert_eq!(ids(&reader, "grep=question").len(), 30);
    let shorter = Limits {
        age: Duration::from_secs(600),
        ..limits
    };
    let pruned = reader.prune(&shorter).unwrap();
    assert_eq!(pruned.exchanges, 20);
    assert_eq!(ids(&reader, "").last().unwrap(), &id(50));
    let none = reader.prune(&shorter).unwrap();
    assert_eq!((none.exchanges, none.bytes), (0, 0));
    // It protects itself again.
    let all = reader.prune(&Limits { bytes: 0, ..limits }).unwrap();
    assert_eq!(all.exchanges, 10);
    assert_eq!(ids(&reader, ""), Vec::<String>::new());
    write(&path, Limits::default(), [kept(70)]);
    assert_eq!(ids(&reader, "grep=question"), [id(70)]);
}

/// Text that says something else each time, of words.
fn prose(number: usize, words: usize) -> String {
    let mut seed = number as u64 + 1;
    let mut text = String::new();
    for _ in 0..words {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{:x} ", (seed >> 33) % 100_000));
    }
    text
}

fn size(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[test]
fn what_is_too_much_goes() {
    let (_folder, path) = place();
    let limits = Limits {
        bytes: 2 << 20,
        ..Limits::default()
    };
    let of_size = |number: usize| {
        let mut kept = kept(number);
        kept.prompt = format!("marker{number:04} {}", prose(number, 500));
        let mut stage = StageTold::default();
        stage.set_body(prose(number, 2000).as_bytes());
        kept.detail.rest.stages.push(stage);
        kept
    };
    let history = History::start(&path, limits).unwrap();
    for number in 0..300 {
        history.keep(Entry {
            weight: 20_000,
            make: Box::new(move || of_size(number)),
        });
        if number % 50 == 49 {
            until(|| ids(&reader(&path), "limit=1") == [id(number)]);
        }
    }
    assert!(history.close(PATIENCE));
    let mut reader = reader(&path);
    let there = ids(&reader, "");
    // The newest without a gap, and not far less than fits: each has some 20 KiB of text.
    let expected: Vec<String> = (300 - there.len()..300).rev().map(id).collect();
    assert_eq!(there, expected);
    assert!(there.len() > 60, "{}", there.len());
    // A batch and its pruning may still be beside the limit.
    assert!(size(&path) <= limits.bytes + (1 << 20), "{}", size(&path));
    assert_eq!(ids(&reader, "grep=marker0299"), [id(299)]);
    assert_eq!(ids(&reader, "grep=marker0001"), Vec::<String>::new());
    let before = size(&path);
    let half = Limits {
        bytes: 1 << 20,
        ..limits
    };
    let pruned = reader.prune(&half).unwrap();
    assert!(pruned.exchanges > 20, "{pruned:?}");
    assert_eq!(
        ids(&reader, "").len() as u64,
        there.len() as u64 - pruned.exchanges
    );
    let after = size(&path);
    assert!(after <= half.bytes, "{after}");
    assert!(before - after <= pruned.bytes + (1 << 20), "{pruned:?}");
    assert!(after > half.bytes / 2, "{after}");
}

#[test]
fn two_write_at_once() {
    let (_folder, path) = place();
    let threads: Vec<_> = [0, 1000]
        .into_iter()
        .map(|from| {
            let path = path.clone();
            std::thread::spawn(move || {
                let history = History::start(&path, Limits::default()).unwrap();
                for number in from..from + 300 {
                    history.keep(entry(kept(number)));
                    if number % 100 == 0 {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
                assert!(history.close(PATIENCE));
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let reader = reader(&path);
    assert_eq!(ids(&reader, "").len(), 600);
    assert_eq!(ids(&reader, "grep=question").len(), 600);
}

#[test]
fn many_begin_it_at_once() {
    for _ in 0..10 {
        let (_folder, path) = place();
        std::thread::scope(|scope| {
            for number in 0..6 {
                let path = &path;
                scope.spawn(move || {
                    if number % 2 == 0 {
                        write(path, Limits::default(), [kept(number)]);
                    } else if let Some(reader) = Reader::open(path).unwrap() {
                        assert!(ids(&reader, "").len() <= 3);
                    }
                });
            }
        });
        assert_eq!(ids(&reader(&path), "").len(), 3);
    }
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (_folder, path) = place();
    let history = History::start(&path, Limits::default()).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    // It holds the thread up.
    history.keep(Entry {
        weight: 0,
        make: Box::new(move || {
            let _ = wait.recv();
            kept(0)
        }),
    });
    let weight = 1 << 20;
    let fit = (MOST_WAITING - BARE) / (weight + BARE);
    for number in 1..=fit + 3 {
        let kept = kept(number);
        history.keep(Entry {
            weight,
            make: Box::new(move || kept),
        });
    }
    assert_eq!(history.lost(), 3);
    assert!(!history.close(Duration::from_millis(50)));
    go.send(()).unwrap();
    assert!(!history.close(PATIENCE));
    let there = ids(&reader(&path), "");
    assert_eq!(there.len(), fit + 1);
    // Nobody writes any more: it is counted, not kept.
    history.keep(entry(kept(0)));
    assert_eq!(history.lost(), 4);
}

#[test]
fn one_that_cannot_be_rendered_does_not_end_the_others() {
    let (_folder, path) = place();
    let history = History::start(&path, Limits::default()).unwrap();
    history.keep(Entry {
        weight: 0,
        make: Box::new(|| panic!("as it was meant to")),
    });
    history.keep(entry(kept(1)));
    // Twice the same: once is enough.
    history.keep(entry(kept(1)));
    assert!(!history.close(PATIENCE));
    assert_eq!(history.lost(), 1);
    assert_eq!(ids(&reader(&path), ""), [id(1)]);
}

#[test]
fn what_is_kept_is_there_within_a_second() {
    let (_folder, path) = place();
    let history = History::start(&path, Limits::default()).unwrap();
    let watcher = reader(&path);
    let mut times = Vec::new();
    for number in 0..5 {
        let began = Instant::now();
        history.keep(entry(kept(number)));
        until(|| watcher.get(&id(number)).unwrap().is_some());
        times.push(began.elapsed());
    }
    // A busy machine may be late, but not each time.
    assert!(times.iter().min() < Some(&Duration::from_secs(1)));
    assert!(history.close(PATIENCE));
}

#[test]
fn an_abrupt_end_leaves_a_file_that_opens() {
    let (folder, path) = place();
    let history = History::start(&path, Limits::default()).unwrap();
    for number in 0..300 {
        history.keep(entry(kept(number)));
    }
    let watcher = reader(&path);
    until(|| ids(&watcher, "").len() == 300);
    // What a killed process leaves: file and log, whose end may be half written.
    let copy = |name: &str, cut: u64| {
        let other = folder.path().join(name);
        fs::copy(&path, &other).unwrap();
        let log = schema::beside(&other, "-wal");
        fs::copy(schema::beside(&path, "-wal"), &log).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
        assert!(size(&log) > cut);
        file.set_len(size(&log) - cut).unwrap();
        other
    };
    let whole = copy("whole.db", 0);
    let cut = copy("cut.db", 5000);
    assert!(history.close(PATIENCE));
    assert_eq!(ids(&reader(&whole), "").len(), 300);
    assert_eq!(ids(&reader(&whole), "grep=question 299"), [id(299)]);
    let there = reader(&cut);
    let listed = ids(&there, "");
    assert_eq!(ids(&there, "grep=question").len(), listed.len());
    drop(there);
    write(&cut, Limits::default(), [kept(1000)]);
    let there = reader(&cut);
    assert_eq!(ids(&there, "").len(), listed.len() + 1);
    let check: String = rusqlite::Connection::open(&cut)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[cfg(unix)]
#[test]
fn the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let (_folder, path) = place();
    let modes = || {
        ["", "-wal", "-shm"].map(|end| {
            let file = schema::beside(&path, end);
            file.metadata()
                .map(|meta| meta.permissions().mode() & 0o777)
        })
    };
    let history = History::start(&path, Limits::default()).unwrap();
    assert!(modes().into_iter().all(|mode| mode.unwrap() == 0o600));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let other = History::start(&path, Limits::default()).unwrap();
    assert!(modes().into_iter().all(|mode| mode.unwrap() == 0o600));
    assert!(history.close(PATIENCE) && other.close(PATIENCE));
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let (folder, path) = place();
    write(&path, Limits::default(), [kept(1)]);
    let change = |name: &str, sql: &str| {
        let other = folder.path().join(name);
        fs::copy(&path, &other).unwrap();
        rusqlite::Connection::open(&other)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        other
    };
    let newer = change("newer.db", "PRAGMA user_version = 99;");
    let other = change("other.db", "PRAGMA application_id = 7;");
    let text = folder.path().join("text.db");
    fs::write(&text, "no database".repeat(100)).unwrap();
    let short = folder.path().join("short.db");
    fs::write(&short, "hi").unwrap();
    for (path, expected, hint) in [
        (
            &newer,
            "has format 99; this aiproxy knows formats up to 2",
            "update",
        ),
        (&other, "is no history of aiproxy", "move it away"),
        (&text, "is no history of aiproxy", "move it away"),
        (&short, "is no history of aiproxy", "move it away"),
    ] {
        for error in [
            Reader::open(path).unwrap_err(),
            History::start(path, Limits::default()).unwrap_err(),
        ] {
            let said = error.to_string();
            assert!(said.contains(expected), "{said}");
            assert!(said.contains(&path.display().to_string()), "{said}");
            assert!(error.hint().contains(hint), "{}", error.hint());
        }
    }
    let error = History::start(&folder.path().join("none/h.db"), Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let error = Reader::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error}");
}

#[test]
fn a_damaged_file_is_named() {
    let (_folder, path) = place();
    write(&path, Limits::default(), (0..200).map(kept));
    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 3 * 4096);
    for byte in bytes.iter_mut().skip(4096) {
        *byte = 0xa5;
    }
    fs::write(&path, bytes).unwrap();
    let said = match Reader::open(&path) {
        Err(error) => error,
        Ok(reader) => reader.unwrap().list(&Filter::default()).unwrap_err(),
    };
    assert!(matches!(said, Error::Damaged { .. }), "{said}");
    assert!(said.hint().contains("mv '"), "{}", said.hint());
}

#[test]
fn a_file_that_is_taken_away_is_begun_anew() {
    let (folder, path) = place();
    let history = History::start(&path, Limits::default()).unwrap();
    history.keep(entry(kept(1)));
    until(|| ids(&reader(&path), "").len() == 1);
    fs::rename(&path, folder.path().join("old.db")).unwrap();
    // Something is in its place that no file can be: it waits, and is written later.
    fs::create_dir(&path).unwrap();
    history.keep(entry(kept(2)));
    std::thread::sleep(Duration::from_millis(500));
    history.keep(entry(kept(3)));
    fs::remove_dir(&path).unwrap();
    until(|| {
        Reader::open(&path)
            .unwrap()
            .is_some_and(|reader| ids(&reader, "") == [id(3), id(2)])
    });
    assert!(history.close(PATIENCE));
    assert_eq!(history.lost(), 0);
}

#[test]
fn a_file_that_stays_broken_does_not_hold_up_the_end() {
    let (_folder, path) = place();
    let history = History::start(&path, Limits::default()).unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    history.keep(entry(kept(1)));
    assert!(!history.close(Duration::from_secs(20)));
    assert_eq!(history.lost(), 1);
}

#[test]
fn a_newer_program_is_not_disturbed() {
    let (_folder, path) = place();
    let history = History::start(&path, Limits::default()).unwrap();
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA user_version = 99;")
        .unwrap();
    history.keep(entry(kept(1)));
    assert!(!history.close(PATIENCE));
    assert_eq!(history.lost(), 1);
}

#[test]
fn an_empty_file_is_an_empty_history() {
    let (_folder, path) = place();
    fs::write(&path, "").unwrap();
    assert_eq!(ids(&reader(&path), ""), Vec::<String>::new());
    write(&path, Limits::default(), [kept(1)]);
    assert_eq!(ids(&reader(&path), ""), [id(1)]);
}
