//! Requests of every client format into every provider's.

#![no_main]

use aiproxy_fuzz::{EGRESS, INGRESS};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, from_slice};

fuzz_target!(|bytes: &[u8]| {
    for ingress in INGRESS {
        if let Ok(request) = ingress.decode_request(bytes) {
            for egress in EGRESS {
                if let Ok(encoded) = egress.encode_request(&request) {
                    assert!(from_slice::<Value>(&encoded.body).unwrap().is_object());
                }
            }
        }
        if let Ok(request) = ingress.decode_embeddings(bytes) {
            for egress in EGRESS {
                if let Ok(encoded) = egress.encode_embeddings(&request) {
                    assert!(from_slice::<Value>(&encoded.body).unwrap().is_object());
                }
            }
        }
    }
});
