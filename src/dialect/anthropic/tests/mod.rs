#![expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]

mod answers;
mod requests;
mod streams;
