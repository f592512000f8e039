//! Standard output of a command. A reader that has seen enough, as `head` has, is no error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Writes text.
///
/// # Errors
/// Standard output does not take it, although its reader is there.
pub(super) fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes text and gives `status`, or `failed` with the reason on standard error.
pub(super) fn print(text: &str, status: u8, failed: u8) -> ExitCode {
    match write(text.as_bytes()) {
        Ok(()) => ExitCode::from(status),
        Err(error) => {
            eprintln!("haflux: standard output: {error}");
            ExitCode::from(failed)
        }
    }
}

/// Writes what an order came to and gives 0, or 1 with the reason on standard error.
pub(super) fn said(said: Result<String, impl Display>) -> ExitCode {
    match said {
        Ok(said) => print(&said, 0, 1),
        Err(error) => {
            eprintln!("haflux: {error}");
            ExitCode::FAILURE
        }
    }
}
