#![no_main]

use aiproxy::wire::{Framing, MAX_FRAME};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    aiproxy_fuzz::framing(Framing::NdJson, MAX_FRAME, bytes);
    aiproxy_fuzz::framing(Framing::NdJson, 24, bytes);
});
