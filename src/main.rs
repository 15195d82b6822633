//! The `aiproxy` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    aiproxy::cli::main()
}
