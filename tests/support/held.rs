//! A haflux on sockets that outlive it, as under systemd's socket activation.

use std::path::Path;
use std::process::Command;

use super::haflux::Haflux;
use super::http;
use super::process::Process;
use super::status;
use super::wait::{SOON, wait_until};

/// The sockets' holder, which runs haflux on them.
pub struct Held {
    holder: Process,
    url: String,
}

impl Held {
    /// Stops haflux and runs it again on sockets that are held. `url`: of a frontend, `folder`: for the log.
    #[track_caller]
    pub fn start(haflux: &mut Haflux, url: &str, folder: &Path) -> Held {
        assert!(haflux.terminate().success());
        let holder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/holder.py");
        let mut command = Command::new("python3");
        command.arg(holder).arg(env!("CARGO_BIN_EXE_haflux"));
        command.args(["run", "--config"]).arg(haflux.file());
        let log = folder.join("held.log");
        let holder = Process::start("the holder of haflux", &mut command, &log);
        let ping = format!("{url}/ping");
        let answers = || http::try_request("GET", &ping, &[], b"").is_ok();
        wait_until("haflux to answer", SOON, answers);
        Held {
            holder,
            url: url.to_owned(),
        }
    }

    /// Lets another process take the place of the one that runs; it reads the configuration anew.
    #[track_caller]
    pub fn upgrade(&self) {
        let process = || status::page(&self.url)["pid"].as_u64().expect("a process");
        let before = process();
        let id = self.holder.id().to_string();
        let told = Command::new("kill").args(["-USR1", &id]).status();
        assert!(told.expect("kill").success());
        wait_until("another process", SOON, || process() != before);
    }

    /// Ends both.
    #[track_caller]
    pub fn end(mut self) {
        assert!(self.holder.terminate(SOON).success());
    }
}
