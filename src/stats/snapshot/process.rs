//! What the system says of the process, in `/proc/self`.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stats::units::{Bytes, Count, Span};

/// Clock ticks a second in `/proc`: the kernel shows user space no other number on any architecture that haflux runs on.
const TICKS: u64 = 100;

/// What the system says of the process; nothing where `/proc` does not say it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProcessView {
    /// Bytes of memory that are resident.
    pub resident: Option<Bytes>,
    /// File descriptors that are open, connections among them.
    pub open_files: Option<Count>,
    /// Most file descriptors that may be open.
    pub open_files_limit: Option<Count>,
    /// Processor time that was used; seconds when serialised.
    pub cpu: Option<Span>,
}

impl ProcessView {
    /// Reads it.
    pub(super) fn read() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self {
            resident: resident().map(Bytes),
            // The listing itself holds one open.
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .and_then(|files| u64::try_from(files.count()).ok())
                .map(|files| Count(files.saturating_sub(1))),
            open_files_limit: limit.map(Count),
            cpu: cpu().map(Span),
        }
    }
}

fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold anything.
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let ticks = user.checked_add(system)?;
    Some(Duration::from_millis(ticks.checked_mul(1000 / TICKS)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_this_process() {
        let process = ProcessView::read();
        assert!(process.resident.unwrap() > Bytes(1 << 20));
        let files = process.open_files.unwrap();
        assert!(files > Count(2) && files <= process.open_files_limit.unwrap());
        assert!(process.cpu.is_some());
    }
}
