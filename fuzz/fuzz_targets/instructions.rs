//! What a transformer's LLM answers as instructions for a response.

#![no_main]

use aiproxy::pipeline::fuzzed_instructions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok((status, headers, body)) = fuzzed_instructions(text) else {
        return;
    };
    assert!((200..1000).contains(&status.as_u16()));
    for (name, value) in &headers {
        let clean = |bytes: &[u8]| !bytes.contains(&b'\n') && !bytes.contains(&b'\r');
        assert!(clean(name.as_str().as_bytes()) && clean(value.as_bytes()));
    }
    assert!(body.len() <= text.len() * 6);
});
