//! How much memory a process had.

/// The most that a process ever had resident, in bytes: `VmHWM` of proc_pid_status(5). None: there is no such process any more.
pub fn resident_peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    // A process that has ended and is not waited for has no memory.
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}
