//! How much memory a process had: proc_pid_status(5).

/// The most that a process ever had resident, in bytes. None: there is no such process any more.
pub fn resident_peak(id: u32) -> Option<u64> {
    bytes_of(&status(id)?, "VmHWM:")
}

/// The same without pages of files. Those are the program's own, many more of a debug build than of a release, and the system
/// takes them back when it wants.
pub fn held_peak(id: u32) -> Option<u64> {
    let status = status(id)?;
    Some(bytes_of(&status, "VmHWM:")?.saturating_sub(bytes_of(&status, "RssFile:")?))
}

fn status(id: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{id}/status")).ok()
}

/// A process that has ended and is not waited for has no memory.
fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}
