#![no_main]

use aiproxy::wire::{Framing, MAX_FRAME, eventstream::write_event};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    aiproxy_fuzz::framing(Framing::EventStream, MAX_FRAME, bytes);
    aiproxy_fuzz::framing(Framing::EventStream, 24, bytes);

    // Checksums cannot be guessed: the same bytes as headers and payload of a message whose checksums are right.
    if let [headers, rest @ ..] = bytes {
        let length = 16 + rest.len() as u32;
        let mut message = [length.to_be_bytes(), u32::from(*headers).to_be_bytes()].concat();
        message.extend(crc32fast::hash(&message).to_be_bytes());
        message.extend(rest);
        message.extend(crc32fast::hash(&message).to_be_bytes());
        aiproxy_fuzz::framing(Framing::EventStream, MAX_FRAME, &message);
    }

    // What is written is read.
    let mut out = BytesMut::new();
    let payloads: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .take(16)
        .collect();
    for payload in &payloads {
        write_event(&mut out, "chunk", payload);
    }
    let frames = aiproxy_fuzz::framing(Framing::EventStream, MAX_FRAME, &out);
    assert!(frames.iter().all(|frame| frame.name() == b"chunk"));
    assert!(frames.iter().map(|frame| frame.data()).eq(payloads));
});
