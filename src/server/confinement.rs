//! What the process may still do with files once its start is over: landlock(7), if `server.landlock` says so.
//!
//! # Invariants
//!
//! - A thread confines itself and those that it starts, for good. So this comes before any thread of haflux; those of the allocator,
//!   which are there before, open no files.
//! - Rights are given for folders and not for files, because files are put in place of others: by editors, by what renews
//!   certificates, by what rotates logs.
//! - What is open already stays usable. Connections, and sockets in the file system that somebody else made, are not confined.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, path_beneath_rules,
};

use crate::config::model::{Config, LogTo};

/// What is asked of the kernel: all that landlock of Linux 6.10 can do with files. Older kernels do what they can.
const ASKED: ABI = ABI::V5;

/// Read by libraries and of the kernel: who is who, names of hosts, authorities, time zones, the modules of the C library that look
/// these up, and what haflux says of the machine and of itself.
const OF_THE_SYSTEM: [&str; 14] = [
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/sys",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
];

/// In place of the system's authorities: a file, and a folder.
const OF_AUTHORITIES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The kernel refuses what is asked of it.
#[derive(Debug, thiserror::Error)]
#[error("landlock: {0}")]
pub struct ConfinementError(#[from] RulesetError);

/// How far the process is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confined {
    /// In all that is asked.
    Whole,
    /// In what an older kernel can do.
    InPart,
    /// Not at all.
    No,
}

/// The folders that the process may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Confinement {
    read: BTreeSet<PathBuf>,
    written: BTreeSet<PathBuf>,
}

impl Confinement {
    /// What a process needs that runs `config`, which stands in `file` and took texts from the files `secrets`.
    pub(super) fn of(config: &Config, file: &Path, secrets: &[PathBuf]) -> Self {
        let mut this = Self {
            read: OF_THE_SYSTEM.iter().map(PathBuf::from).collect(),
            written: BTreeSet::from([real(&config.server.data_dir)]),
        };
        for path in OF_AUTHORITIES.iter().filter_map(std::env::var_os) {
            this.read_beside(Path::new(&path));
            this.read.insert(path.into());
        }
        this.read_beside(file);
        for path in secrets {
            this.read_beside(path);
        }
        for tls in config
            .frontends
            .iter()
            .filter_map(|frontend| frontend.tls.as_ref())
        {
            tls.files().for_each(|path| this.read_beside(path));
        }
        let servers = config.backends.iter().flat_map(|backend| &backend.servers);
        for tls in servers.filter_map(|server| server.tls.as_ref()) {
            tls.files().for_each(|path| this.read_beside(path));
        }
        let of_relays = config.relays.iter().map(|relay| &relay.heal.login);
        let of_udp = config.udp.iter().map(|udp| &udp.login);
        let of_pools = config.backends.iter().flat_map(|backend| &backend.logins);
        let of_pools = of_pools.map(|of_users| &of_users.login);
        let servers = config.backends.iter().flat_map(|backend| &backend.servers);
        let of_servers = servers.flat_map(|server| &server.logins);
        let of_servers = of_servers.map(|own| &own.login);
        let of_pools = of_pools.chain(of_servers);
        for login in of_relays.chain(of_udp).flatten().chain(of_pools) {
            this.read_beside(&login.password_file);
        }
        if let Some(users) = &config.users {
            this.read_beside(&users.file);
        }
        if let Some(socket) = &config.server.stats_socket {
            this.write_beside(&socket.path);
        }
        for target in &config.server.log.targets {
            if let LogTo::File(path) = &target.to {
                this.write_beside(path);
            }
        }
        this
    }

    fn read_beside(&mut self, path: &Path) {
        self.read.extend(folders_of(path));
    }

    fn write_beside(&mut self, path: &Path) {
        self.written.extend(folders_of(path));
    }

    /// Has this thread, and those that it starts, use files in these folders alone, and execute nothing.
    ///
    /// # Errors
    /// The kernel has landlock and refuses.
    pub(super) fn enter(&self) -> Result<Confined, ConfinementError> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let all: BitFlags<AccessFs> = AccessFs::from_all(ASKED);
        let status = Ruleset::default()
            .handle_access(all)?
            .create()?
            .add_rules(path_beneath_rules(&self.read, read))?
            .add_rules(path_beneath_rules(&self.written, all & !AccessFs::Execute))?
            .restrict_self()?;
        Ok(match status.ruleset {
            RulesetStatus::FullyEnforced => Confined::Whole,
            RulesetStatus::PartiallyEnforced => Confined::InPart,
            RulesetStatus::NotEnforced => Confined::No,
        })
    }

    /// The folders that `other` reads and this does not let it.
    pub(super) fn lacks(&self, other: &Confinement) -> Vec<PathBuf> {
        let may = |folder: &PathBuf| {
            let mut known = self.read.iter().chain(&self.written);
            known.any(|known| folder.starts_with(known))
        };
        other
            .read
            .iter()
            .filter(|folder| !may(folder))
            .cloned()
            .collect()
    }

    /// Says how far the process is confined.
    pub(super) fn say(&self, confined: Confined) {
        let list = |folders: &BTreeSet<PathBuf>| {
            let each = folders.iter().map(|folder| folder.display().to_string());
            each.collect::<Vec<_>>().join(", ")
        };
        let (read, written) = (list(&self.read), list(&self.written));
        match confined {
            Confined::Whole => {
                log::info!("landlock: haflux writes in {written} alone, and reads in {read}");
            }
            Confined::InPart => log::info!(
                "landlock, as far as this kernel has it: haflux writes in {written} alone, and reads in {read}"
            ),
            Confined::No => {
                log::warn!(
                    "this kernel has no landlock, has it switched off, or haflux is forbidden to use it: nothing confines haflux"
                );
            }
        }
    }
}

/// The folder of a file, and that of what it is a link to, as the kernel knows them.
fn folders_of(path: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = |path: &Path| path.parent().map(real);
    let linked = path.canonicalize().ok().as_deref().and_then(folder);
    folder(path).into_iter().chain(linked)
}

/// The same without links on the way; as it is if it is not there.
fn real(path: &Path) -> PathBuf {
    let here = path.as_os_str().is_empty();
    let path = if here { Path::new(".") } else { path };
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::process::Command;

    use super::*;

    fn only(read: &Path, written: &Path) -> Confinement {
        Confinement {
            read: BTreeSet::from([read.to_owned()]),
            written: BTreeSet::from([written.to_owned()]),
        }
    }

    #[test]
    fn a_confined_thread_uses_its_folders_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let [read, written, other] =
            ["read", "written", "other"].map(|name| folder.path().join(name));
        for folder in [&read, &written, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "text").unwrap();
        }
        // The thread that runs tests stays as it is.
        let confined = std::thread::spawn(move || {
            let confined = only(&read, &written).enter().unwrap();
            if confined == Confined::No {
                return confined;
            }
            let denied = |result: std::io::Result<()>| {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
            };
            assert_eq!(fs::read_to_string(read.join("file")).unwrap(), "text");
            denied(fs::write(read.join("file"), "x"));
            denied(fs::write(read.join("new"), "x"));
            fs::write(written.join("new"), "x").unwrap();
            fs::rename(written.join("new"), written.join("moved")).unwrap();
            fs::remove_file(written.join("moved")).unwrap();
            denied(fs::read(other.join("file")).map(drop));
            denied(fs::write(other.join("new"), "x"));
            denied(fs::remove_file(other.join("file")));
            denied(Command::new("/bin/true").status().map(drop));
            confined
        });
        // A kernel without landlock has nothing to show.
        assert_ne!(confined.join().unwrap(), Confined::InPart);
    }

    #[test]
    fn what_a_new_configuration_reads_elsewhere_is_told() {
        let folder = Path::new("/etc/haflux");
        let now = only(folder, Path::new("/var/lib/haflux"));
        let lacks = |folder: &str| {
            !now.lacks(&only(Path::new(folder), folder.as_ref()))
                .is_empty()
        };
        assert!(!lacks("/etc/haflux") && !lacks("/etc/haflux/tls") && !lacks("/var/lib/haflux/x"));
        assert!(lacks("/etc") && lacks("/etc/haflux2") && lacks("/srv"));
    }
}
