//! Answers of every provider's format into every client's: whole ones, errors and streams.

#![no_main]

use aiproxy::{
    dialect::{Egress, StreamEncoder},
    llm::{Event, events_of},
    wire::{Framing, MAX_FRAME, eventstream::write_event},
};
use aiproxy_fuzz::{EGRESS, INGRESS, MEDIA_TYPES, cuts, read};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, from_slice};

/// A stream as each client format sees it.
struct Clients {
    encoders: Vec<Box<dyn StreamEncoder>>,
    out: BytesMut,
}

impl Clients {
    fn new() -> Clients {
        let encoders = INGRESS.iter().map(|ingress| ingress.stream_encoder(true));
        Clients {
            encoders: encoders.collect(),
            out: BytesMut::new(),
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        for encoder in &mut self.encoders {
            encoder.event(event, &mut self.out);
        }
    }
}

/// The events of a stream, as text, and whether it was complete.
fn events(
    egress: &dyn Egress,
    framing: Framing,
    bytes: &[u8],
    cuts: &[usize],
) -> (Vec<String>, bool) {
    let (mut decoder, mut clients) = (egress.stream_decoder(), Clients::new());
    let mut events = Vec::new();
    let (error, whole) = read(framing, MAX_FRAME, bytes, cuts, |frame| {
        let mut sink = |event: Event<'_>| {
            clients.event(&event);
            events.push(format!("{event:?}"));
        };
        let bare = decoder.is_bare_usage(frame);
        let decoded = decoder.frame(frame, &mut sink);
        if bare || decoded.is_err() {
            events.push(format!("{bare} {decoded:?}"));
        }
    });
    if whole {
        decoder.end(&mut |event: Event<'_>| {
            clients.event(&event);
            events.push(format!("{event:?}"));
        });
    }
    events.extend(error.map(|error| error.to_string()));
    (events, whole && decoder.is_complete())
}

fuzz_target!(|bytes: &[u8]| {
    for egress in EGRESS {
        if let Ok(answer) = egress.decode_response(bytes) {
            for ingress in INGRESS {
                from_slice::<Value>(&ingress.encode_response(&answer)).unwrap();
            }
            let mut clients = Clients::new();
            events_of(&answer, &mut |event: Event<'_>| clients.event(&event));
        }
        let _ = egress.decode_embeddings(bytes);
        for status in [400, 429, 503] {
            let fault = egress.decode_error(status, &Bytes::copy_from_slice(bytes));
            for ingress in INGRESS {
                if fault.verbatim.is_none() {
                    from_slice::<Value>(&ingress.encode_fault(&fault)).unwrap();
                }
            }
        }
        let mut framings: Vec<Framing> = Vec::new();
        for framing in MEDIA_TYPES.iter().filter_map(|of| egress.framing(of)) {
            if framings.contains(&framing) {
                continue;
            }
            framings.push(framing);
            let mut stream = BytesMut::from(bytes);
            if framing == Framing::EventStream {
                // Checksums cannot be guessed: names and payloads come as server-sent events.
                stream.clear();
                read(Framing::Sse, MAX_FRAME, bytes, &[], |frame| {
                    let name = String::from_utf8_lossy(frame.name());
                    write_event(&mut stream, &name, frame.data());
                });
            }
            let [whole, others @ ..] = cuts(&stream);
            let whole = events(*egress, framing, &stream, &whole);
            for cuts in others {
                assert_eq!(events(*egress, framing, &stream, &cuts), whole);
            }
        }
    }
});
