#![no_main]

use aiproxy::wire::{Framing, MAX_FRAME};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, from_slice};

fuzz_target!(|bytes: &[u8]| {
    let frames = aiproxy_fuzz::framing(Framing::JsonArray, MAX_FRAME, bytes);
    aiproxy_fuzz::framing(Framing::JsonArray, 24, bytes);
    // What is JSON is cut as JSON has it.
    let elements = match from_slice(bytes) {
        Ok(Value::Array(elements)) if elements.iter().all(Value::is_object) => elements,
        Ok(object @ Value::Object(_)) => vec![object],
        _ => return,
    };
    let cut: Vec<Value> = frames
        .iter()
        .map(|frame| from_slice(frame.data()).unwrap())
        .collect();
    assert_eq!(cut, elements);
});
