use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn told(old: &str, new: &str) -> Vec<String> {
    match compare(old.as_bytes(), new.as_bytes(), &Limits::patient()).content {
        Content::Same => Vec::new(),
        Content::Json { changes, more } => {
            assert_eq!(more, 0);
            let tell = |change: Change| {
                let edit = match change.edit {
                    Edit::Added(new) => format!("+ {new}"),
                    Edit::Removed(old) => format!("- {old}"),
                    Edit::Changed(old, new) => format!("{old} > {new}"),
                    Edit::Reworded(pieces) => worded(&pieces),
                };
                format!("{} {edit}", change.path)
            };
            changes.into_iter().map(tell).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn worded(pieces: &[Piece]) -> String {
    let mut out = String::new();
    for Piece { tag, text } in pieces {
        let _ = match tag {
            Tag::Both => write!(out, "{text}"),
            Tag::Old => write!(out, "[-{text}-]"),
            Tag::New => write!(out, "{{+{text}+}}"),
        };
    }
    out
}

/// Applies a patch as RFC 6902 says, strictly.
fn applied(mut to: Value, ops: &[Op]) -> Value {
    for op in ops {
        let value = match &op.kind {
            OpKind::Add(value) | OpKind::Replace(value) => serde_json::from_str(value).unwrap(),
            OpKind::Remove => Value::Null,
        };
        let Some((parent, last)) = op.path.rsplit_once('/') else {
            assert!(matches!(op.kind, OpKind::Replace(_)), "{op:?}");
            to = value;
            continue;
        };
        let last = last.replace("~1", "/").replace("~0", "~");
        match to.pointer_mut(parent).unwrap() {
            Value::Object(fields) => match op.kind {
                OpKind::Add(_) => assert_eq!(fields.insert(last, value), None),
                OpKind::Replace(_) => *fields.get_mut(&last).unwrap() = value,
                OpKind::Remove => assert!(fields.shift_remove(&last).is_some()),
            },
            Value::Array(items) => {
                let at: usize = last.parse().unwrap();
                match op.kind {
                    OpKind::Add(_) => items.insert(at, value),
                    OpKind::Replace(_) => items[at] = value,
                    OpKind::Remove => drop(items.remove(at)),
                }
            }
            other => panic!("{op:?} in {other}"),
        }
    }
    to
}

#[test]
fn changes_have_their_paths() {
    let old = r#"{"model":"a","n":1,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}],"old":[1]}"#;
    let new = r#"{"n":2,"model":"a","messages":[{"content":"be brief","role":"system"},{"role":"user","content":"ho"}],"a b":null}"#;
    assert_eq!(
        told(old, new),
        [
            "n 1 > 2",
            r#"messages[1].content "hi" > "ho""#,
            "old - [1]",
            r#"["a b"] + null"#,
        ]
    );
    assert_eq!(told("[1]", r#"{"a":1}"#), [r#"(all of it) [1] > {"a":1}"#]);
}

#[test]
fn moved_keys_and_spaces_are_no_change_and_said_to_be_none() {
    let compared = compare(
        b"{\"a\": {\"x\": [1, 2], \"y\": \"\\u00e9\"}, \"b\": 2}",
        "{\"b\":2,\"a\":{\"y\":\"é\",\"x\":[1,2]}}\n".as_bytes(),
        &Limits::patient(),
    );
    assert!(compared.is_same());
    assert_eq!(compared.notes, [FORM_ONLY]);
    assert!(compare(b"{}", b"{}", &Limits::patient()).notes.is_empty());
}

#[test]
fn numbers_are_compared_as_they_are_written() {
    assert_eq!(told("[1.0]", "[1]"), ["[0] 1.0 > 1"]);
    let (old, new) = ("[12345678901234567890123]", "[12345678901234567890124]");
    assert_eq!(
        told(old, new),
        ["[0] 12345678901234567890123 > 12345678901234567890124"]
    );
}

#[test]
fn an_item_in_front_moves_the_others_and_changes_none() {
    let old = r#"{"m":[{"role":"user","content":"one"},{"role":"user","content":"two"}]}"#;
    let new = r#"{"m":[{"role":"system","content":"zero"},{"role":"user","content":"one"},{"role":"user","content":"2"}]}"#;
    assert_eq!(
        told(old, new),
        [
            r#"m[0] + {"role":"system","content":"zero"}"#,
            r#"m[1→2].content "two" > "2""#,
        ]
    );
}

#[test]
fn of_unequal_items_the_most_alike_belong_together() {
    let old = r#"[{"id":1,"v":"a"},{"id":2,"v":"b"}]"#;
    let new = r#"[{"id":2,"v":"c"}]"#;
    assert_eq!(
        told(old, new),
        [r#"[0] - {"id":1,"v":"a"}"#, r#"[1→0].v "b" > "c""#]
    );
}

#[test]
fn long_strings_are_compared_by_word() {
    let old = r#"["Answer briefly and in the language of the question, please."]"#;
    let new = r#"["Answer at length and in the language of the question, please."]"#;
    assert_eq!(
        told(old, new),
        ["[0] Answer [-briefly-]{+at length+} and in the language of the question, please."]
    );
    let other = r#"["Nothing whatsoever stays: wholly unlike, unequal, distinct."]"#;
    assert!(
        told(old, other)[0].contains(" > "),
        "words in common are too few"
    );
}

#[test]
fn text_is_compared_by_line_and_word() {
    let old = "one\ntwo three four\nfive\n";
    let new = "one\ntwo 3 four\nfive";
    let compared = compare(old.as_bytes(), new.as_bytes(), &Limits::patient());
    let Content::Lines(hunks) = compared.content else {
        panic!("{compared:?}")
    };
    assert_eq!(
        unified(&hunks, "a", "b"),
        "--- a\n+++ b\n@@ -1,3 +1,3 @@\n one\n-two three four\n-five\n+two 3 four\n+five\n\\ No newline at end of file\n"
    );
    let changed = &hunks[0].lines[1];
    assert_eq!(changed.tag, Tag::Old);
    assert!(
        changed.pieces.contains(&(true, "three".into())),
        "{changed:?}"
    );
}

#[test]
fn unified_json_shows_no_moved_keys() {
    let compared = lines(
        br#"{"a":1,"b":{"x":1,"y":2},"c":[{"p":1,"q":2}]}"#,
        br#"{"c":[{"q":3,"p":1}],"b":{"y":2,"x":1},"a":1}"#,
        &Limits::patient(),
    );
    let Content::Lines(hunks) = compared.content else {
        panic!("{compared:?}")
    };
    let text = unified(&hunks, "a", "b");
    let changed: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(['-', '+']))
        .skip(2)
        .collect();
    assert_eq!(changed, ["-      \"q\": 2", "+      \"q\": 3"]);
}

#[test]
fn what_is_no_text_is_told_by_its_first_byte() {
    let compared = compare(b"ab\xff", b"ab\xfe!", &Limits::patient());
    assert!(
        matches!(
            compared.content,
            Content::Bytes {
                at: 2,
                old: 3,
                new: 4
            }
        ),
        "{compared:?}"
    );
    assert_eq!(compared.notes.len(), 1);
    assert_eq!(patch(b"ab", b"[]", &Limits::patient()), None);
}

#[test]
fn limits_make_the_result_coarser_and_are_told() {
    let (old, new) = (b"{\"a\":[1,2,3]}".as_slice(), b"{\"a\":[1,2,4]}".as_slice());
    let tight = |bytes, values, lines| Limits {
        bytes,
        values,
        lines,
        until: Limits::patient().until,
    };
    for limits in [tight(10, 100, 100), tight(1000, 3, 0)] {
        let old = [old, b"\n"].concat();
        let compared = compare(&old, new, &limits);
        assert!(
            matches!(compared.content, Content::Bytes { at: 10, .. }),
            "{compared:?}"
        );
        assert_eq!(compared.notes, [TOO_LARGE]);
    }
    let late = Limits {
        until: std::time::Instant::now(),
        ..Limits::patient()
    };
    let text = |seed: usize| -> String {
        (0..5000)
            .map(|n| format!("{}\n", (n * seed) % 4999))
            .collect()
    };
    let compared = compare(text(7).as_bytes(), text(11).as_bytes(), &late);
    assert!(!compared.is_same());
    assert_eq!(compared.notes, [HURRIED]);
}

#[test]
fn large_bodies_end_soon() {
    let items = |from: usize| -> String {
        let items: Vec<String> = (from..from + 60_000)
            .map(|n| format!("{{\"n\":{},\"t\":\"item {n}\"}}", n * 7919 % 60_013))
            .collect();
        format!("[{}]", items.join(","))
    };
    let (old, new) = (items(0), items(30_000));
    let began = Instant::now();
    let compared = compare(old.as_bytes(), new.as_bytes(), &Limits::patient());
    assert!(!compared.is_same());
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn deep_bodies_do_not_overflow() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [90, 120, 100_000] {
        let compared = compare(
            deep(depth).as_bytes(),
            deep(depth + 1).as_bytes(),
            &Limits::patient(),
        );
        assert!(!compared.is_same(), "{depth}");
    }
}

#[test]
fn a_key_that_stands_twice_counts_by_its_last_value() {
    assert_eq!(told(r#"{"a":1,"a":2}"#, r#"{"a":2}"#), Vec::<String>::new());
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(1.25)].prop_map(Value::from),
        "[ab~/é\"\\\\\n]{0,3}".prop_map(Value::from),
        "(word |other |~/){6,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[abc/~ \"]{0,2}", inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_patch_makes_the_new_of_the_old(old in values(), new in values()) {
        let (a, b) = (old.to_string(), new.to_string());
        let ops = patch(a.as_bytes(), b.as_bytes(), &Limits::patient()).unwrap();
        prop_assert_eq!(&applied(old.clone(), &ops), &new, "{}", as_text(&ops));
        let text: Value = serde_json::from_str(&as_text(&ops)).unwrap();
        prop_assert_eq!(text.as_array().unwrap().len(), ops.len());
        prop_assert_eq!(ops.is_empty(), old == new);
    }

    #[test]
    fn nothing_changed_where_all_is_equal(value in values()) {
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let compared = compare(value.to_string().as_bytes(), pretty.as_bytes(), &Limits::patient());
        prop_assert!(compared.is_same());
        let compared = lines(value.to_string().as_bytes(), pretty.as_bytes(), &Limits::patient());
        prop_assert!(compared.is_same());
        let own = super::pretty(pretty.as_bytes()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&own).unwrap(), value);
    }

    #[test]
    fn every_change_is_at_its_pointer(old in values(), new in values()) {
        let (a, b) = (old.to_string(), new.to_string());
        let compared = compare(a.as_bytes(), b.as_bytes(), &Limits::patient());
        if let Content::Json { changes, .. } = compared.content {
            for Change { path, edit } in changes {
                let (was, is) = (old.pointer(&path.in_old()), new.pointer(&path.in_new()));
                let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                match edit {
                    Edit::Added(value) => prop_assert_eq!(is, Some(&json(&value))),
                    Edit::Removed(value) => prop_assert_eq!(was, Some(&json(&value))),
                    Edit::Changed(before, after) => {
                        prop_assert_eq!(was, Some(&json(&before)));
                        prop_assert_eq!(is, Some(&json(&after)));
                    }
                    Edit::Reworded(pieces) => {
                        let side = |not: Tag| -> String {
                            let kept = pieces.iter().filter(|piece| piece.tag != not);
                            kept.map(|piece| piece.text.as_str()).collect()
                        };
                        prop_assert_eq!(was, Some(&json!(side(Tag::New))));
                        prop_assert_eq!(is, Some(&json!(side(Tag::Old))));
                    }
                }
            }
        }
    }

    #[test]
    fn hunks_hold_both_texts(old in "([ab c]{0,4}\n){0,12}[ab]{0,2}", new in "([ab c]{0,4}\n){0,12}[ab]{0,2}") {
        if let Content::Lines(hunks) = compare(old.as_bytes(), new.as_bytes(), &Limits::patient()).content {
            for hunk in hunks {
                for (not, text, (start, count)) in [(Tag::New, &old, hunk.old), (Tag::Old, &new, hunk.new)] {
                    let told: Vec<String> = hunk.lines.iter().filter(|line| line.tag != not).map(Line::text).collect();
                    let there: Vec<&str> = text.split_inclusive('\n').skip(start).take(count).map(|line| line.trim_end_matches('\n')).collect();
                    prop_assert_eq!(told, there);
                }
            }
        }
    }

    #[test]
    fn no_bytes_are_too_strange(old in prop::collection::vec(any::<u8>(), 0..64), new in prop::collection::vec(any::<u8>(), 0..64)) {
        let compared = compare(&old, &new, &Limits::patient());
        prop_assert!(!compared.is_same() || old == new || compared.notes == [FORM_ONLY]);
        let _ = lines(&old, &new, &Limits::patient());
        let _ = patch(&old, &new, &Limits::patient());
    }
}
