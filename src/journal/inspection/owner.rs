//! Who owns a journal, without asking for its lock: even a lock held for an instant could be in an owner's way.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::directory::LOCK;

/// Linux's list of all locks.
const LOCKS: &str = "/proc/locks";

/// Who owns a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Nobody ever has.
    Nobody,
    /// This process has the lock.
    Process {
        /// Its id, as it wrote it itself.
        id: Option<u32>,
        /// Since when, in seconds since 1970.
        since: Option<u64>,
    },
    /// Nobody that can be seen from here has the lock. (What runs in another container may not be seen.)
    Last {
        /// The process that had it.
        id: Option<u32>,
        /// Since when, in seconds since 1970.
        since: Option<u64>,
    },
}

/// Reads who owns the journal in `folder`.
pub(super) fn read(folder: &Path) -> Owner {
    let path = folder.join(LOCK);
    let Ok(metadata) = fs::metadata(&path) else {
        return Owner::Nobody;
    };
    let (id, since) = parse_note(&fs::read_to_string(&path).unwrap_or_default());
    let device = (
        rustix::fs::major(metadata.dev()),
        rustix::fs::minor(metadata.dev()),
    );
    let locks = fs::read_to_string(LOCKS).unwrap_or_default();
    if locks
        .lines()
        .any(|line| is_lock_on(line, device, metadata.ino(), id))
    {
        Owner::Process { id, since }
    } else {
        Owner::Last { id, since }
    }
}

/// `process 12, since unix time 34`; what the next line says is for the next owner.
fn parse_note(note: &str) -> (Option<u32>, Option<u64>) {
    let first = note.lines().next().unwrap_or_default();
    let Some((process, since)) = first.split_once(", since unix time ") else {
        return (None, None);
    };
    let id = process
        .strip_prefix("process ")
        .and_then(|id| id.parse().ok());
    (id, since.parse().ok())
}

/// A line such as `1: FLOCK  ADVISORY  WRITE 12 fd:01:131090 0 EOF`. Some file systems name another device there than for the
/// file; then the process decides.
fn is_lock_on(line: &str, device: (u32, u32), inode: u64, process: Option<u32>) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| *word != "FLOCK");
    let (Some(holder), Some(file)) = (words.nth(3), words.next()) else {
        return false;
    };
    let mut parts = file.split(':');
    let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
    let found = number().zip(number());
    let holder: Option<u32> = holder.parse().ok();
    parts.next().and_then(|inode| inode.parse().ok()) == Some(inode)
        && (found == Some(device) || (process.is_some() && holder == process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_list_are_understood() {
        let line = "12: FLOCK  ADVISORY  WRITE 4711 fd:01:131090 0 EOF";
        assert!(is_lock_on(line, (0xfd, 1), 131_090, None));
        assert!(is_lock_on(line, (9, 9), 131_090, Some(4711)));
        assert!(!is_lock_on(line, (9, 9), 131_090, None));
        assert!(!is_lock_on(line, (0xfd, 1), 131_091, Some(4711)));
        assert!(!is_lock_on(
            "12: POSIX  ADVISORY  WRITE 4711 fd:01:131090 0 EOF",
            (0xfd, 1),
            131_090,
            None
        ));
        for line in [
            "",
            "FLOCK",
            "1: FLOCK A W x y",
            "1: FLOCK A W 1 fd:zz:1 0 EOF",
        ] {
            assert!(!is_lock_on(line, (0xfd, 1), 1, None), "{line}");
        }
    }

    #[test]
    fn the_owners_note_is_understood() {
        assert_eq!(
            parse_note("process 12, since unix time 34\nboot 5-6\n"),
            (Some(12), Some(34))
        );
        assert_eq!(parse_note("someone"), (None, None));
    }
}
