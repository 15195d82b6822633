#![no_main]

use aiproxy::wire::{Framing, MAX_FRAME};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    aiproxy_fuzz::framing(Framing::Sse, MAX_FRAME, bytes);
    aiproxy_fuzz::framing(Framing::Sse, 24, bytes);
});
