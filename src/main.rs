//! The `haflux` command.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives blocks of half a MiB and more back to the system when they are freed, whichever thread frees them, and keeps the 64 KiB
/// that each request frees for the next one: `.cargo/config.toml` sets it so.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    haflux::cli::main()
}
