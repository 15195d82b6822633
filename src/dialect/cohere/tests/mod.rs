mod embed;
mod request;
mod response;

use serde_json::Value;

use crate::dialect::Encoded;

fn body(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

fn lost(encoded: &Encoded) -> Vec<String> {
    encoded.lost.iter().map(ToString::to_string).collect()
}
