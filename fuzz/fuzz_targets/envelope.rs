//! The top-level fields of a body, held against what `serde_json` makes of them; and an edit of them.

#![no_main]

use std::collections::HashMap;

use aiproxy::wire::envelope::Envelope;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, from_slice, value::RawValue};

fuzz_target!(|bytes: &[u8]| {
    let expected = from_slice::<HashMap<String, Box<RawValue>>>(bytes);
    let mut envelope = match (Envelope::parse(bytes), &expected) {
        (Ok(envelope), Ok(_)) => envelope,
        (Err(_), Err(_)) => return,
        (envelope, _) => panic!("{:?} and {expected:?}", envelope.map(|_| "read")),
    };
    let expected = expected.unwrap();
    let original = Bytes::copy_from_slice(bytes);
    assert_eq!(envelope.finish(&original), original, "nothing was changed");
    // The last of several equal keys, as most parsers have it.
    for (key, value) in &expected {
        let value: Option<Value> = serde_json::from_str(value.get()).ok();
        assert_eq!(envelope.read::<Value>(key), value, "{key}");
    }
    assert!(envelope.set("model", &"fuzzed").is_ok());
    let edited = envelope.finish(&original);
    let edited = from_slice::<HashMap<String, Box<RawValue>>>(&edited).unwrap();
    assert_eq!(edited["model"].get(), "\"fuzzed\"");
    for (key, value) in &expected {
        assert!(key == "model" || edited[key].get() == value.get(), "{key}");
    }
});
