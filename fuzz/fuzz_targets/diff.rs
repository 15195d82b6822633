//! What changed between two bodies; a patch makes the one of the other.

#![no_main]

use std::time::{Duration, Instant};

use aiproxy::diff::{Limits, OpKind, compare, lines, patch, pretty};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, from_slice, from_str};

fn limits() -> Limits {
    Limits {
        bytes: 1 << 16,
        values: 4096,
        lines: 4096,
        until: Instant::now() + Duration::from_secs(1),
    }
}

/// Where a JSON pointer leads: its parent, and the last step.
fn place<'v>(value: &'v mut Value, path: &str) -> Option<(&'v mut Value, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Some((
        value.pointer_mut(parent).expect("the parent is there"),
        last,
    ))
}

fn put(value: &mut Value, path: &str, new: Value, adds: bool) {
    match place(value, path) {
        None => *value = new,
        Some((Value::Array(list), step)) if adds => {
            let at = step.parse().unwrap_or(list.len());
            list.insert(at, new);
        }
        Some((Value::Array(list), step)) => list[step.parse::<usize>().unwrap()] = new,
        Some((Value::Object(map), step)) => {
            assert_eq!(map.insert(step, new).is_none(), adds);
        }
        Some((other, _)) => panic!("{other} has no parts"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.iter().position(|byte| *byte == 0);
    let (old, new) = bytes.split_at(cut.unwrap_or(bytes.len() / 2));
    let new = new.strip_prefix(&[0]).unwrap_or(new);
    let same = compare(old, new, &limits()).is_same();
    assert!(same || old != new);
    let _ = lines(old, new, &limits());
    let _ = pretty(old);
    let (Ok(old), Ok(new)) = (from_slice::<Value>(old), from_slice::<Value>(new)) else {
        return;
    };
    // Written anew: of equal keys one is left. And read anew: of 31 digits it can be another number.
    let (old, new) = (old.to_string(), new.to_string());
    let mut value: Value = from_str(&old).unwrap();
    let wanted: Value = from_str(&new).unwrap();
    let Some(ops) = patch(old.as_bytes(), new.as_bytes(), &limits()) else {
        return;
    };
    for op in ops {
        match op.kind {
            OpKind::Add(new) => put(&mut value, &op.path, from_str(&new).unwrap(), true),
            OpKind::Replace(new) => put(&mut value, &op.path, from_str(&new).unwrap(), false),
            OpKind::Remove => match place(&mut value, &op.path) {
                Some((Value::Array(list), step)) => drop(list.remove(step.parse().unwrap())),
                Some((Value::Object(map), step)) => assert!(map.remove(&step).is_some()),
                other => panic!("{other:?}"),
            },
        }
    }
    assert_eq!(value, wanted);
});
