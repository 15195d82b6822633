//! The `aiproxy` command.

fn main() {}
