//! A real HAProxy, to compare with what it says.

use std::path::Path;
use std::process::Command;

use super::process::Process;
use super::wait::{SOON, wait_until};

/// A running HAProxy. Dropped, it is ended.
pub struct Haproxy {
    _process: Process,
}

impl Haproxy {
    /// Starts it in `folder` on this configuration, and waits until its socket `haproxy.sock` there answers.
    pub fn start(folder: &Path, configuration: &str) -> Haproxy {
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, configuration).expect("HAProxy's configuration");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        let process = Process::start("haproxy", &mut command, &folder.join("haproxy.log"));
        let socket = folder.join("haproxy.sock");
        wait_until("HAProxy's socket", SOON, || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        Haproxy { _process: process }
    }
}
