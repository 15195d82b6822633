//! The `aiproxy` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

// Of a request's work a tenth is memory that lives for a millisecond, asked for on one thread and given back on another: mimalloc takes
// half as long as glibc's allocator for that, and musl's takes several times as long as either. jemalloc is as quick, and takes a minute
// to build.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    aiproxy::cli::main()
}
