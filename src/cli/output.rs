//! Standard output of a command. A reader that has seen enough, as `head` has, is no error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Writes a line to standard error. Where nobody reads it any more nobody can be told; `eprintln!` would panic.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
pub(super) use tell;

/// Writes what `print` writes, line by line.
///
/// # Errors
/// Standard output does not take it, as on a disk that is full. Standard error says why.
pub(super) fn write(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ExitCode> {
    let mut out = io::stdout().lock();
    match print(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            tell!("haflux: standard output: {error}");
            Err(ExitCode::FAILURE)
        }
        _ => Ok(()),
    }
}

/// Writes text and gives `status`, or `failed` if standard output does not take it.
pub(super) fn print(text: &str, status: u8, failed: u8) -> ExitCode {
    let written = write(|out| out.write_all(text.as_bytes()));
    ExitCode::from(if written.is_ok() { status } else { failed })
}

/// Writes what an order came to and gives 0, or 1 with the reason on standard error.
pub(super) fn said(said: Result<String, impl Display>) -> ExitCode {
    match said {
        Ok(said) => print(&said, 0, 1),
        Err(error) => {
            tell!("haflux: {error}");
            ExitCode::FAILURE
        }
    }
}
