//! What only the machine knows: are folders and files there, who else can write or read them, what do certificates hold?
//!
//! haflux reads certificates as whoever starts it, and does everything else as the user that it becomes. A check by root becomes that user
//! in between, too.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Access, access};

use super::data_dir::DataDirError;
use super::decode::Decoded;
use super::error::{Notice, Origin, Problem, Sink};
use super::model::{Config, LogTo};
use super::{left_journals, read_password, secret_files};
use crate::identity::{Identity, IdentityError, group_number, name_of_user};
use crate::tls::{Acceptor, Certificate, Connector};
use crate::users::Users;

/// Has the process be that user, for good.
pub type BecomeUser = fn(&Identity) -> Result<(), IdentityError>;

/// Asks whether the process can run by what was `decoded` from the file of that name; with `check`, whether a haflux could that is started as this
/// process was.
pub(super) fn ask(decoded: &Decoded, file_name: &str, check: Option<BecomeUser>, sink: &Sink) {
    let config = &decoded.config;
    let whole = Origin::file(file_name);
    // Whose journal a folder holds is known only where the names of relays and servers are.
    if sink.is_right()
        && let Some(origin) = &decoded.data_dir
    {
        left_journals::look(decoded, origin, sink);
    }
    let identity = match config.identity() {
        Ok(identity) => Some(identity),
        Err(error) => {
            report_identity(decoded, &whole, error, sink);
            None
        }
    };
    let is_folder_right = match (&identity, &decoded.data_dir) {
        (Some(identity), Some(origin)) => data_dir(config, identity, origin, check.is_some(), sink),
        _ => false,
    };
    warn_of_open_files(decoded, file_name, sink);
    certificates_for_clients(decoded, sink);
    certificates_for_servers(decoded, sink);
    if let (Some(become_user), Some(identity), true) =
        (check, &identity, config.server.run_as.is_some())
    {
        match identity.check_start().and_then(|()| become_user(identity)) {
            Ok(()) if identity.is_taken_on() => {
                // What is wrong with the folder for root's eyes is said once.
                if is_folder_right {
                    folders_of_its_user(decoded, identity, &whole, sink);
                }
                places_of_its_user(config, identity, &whole, sink);
            }
            Ok(()) => {}
            Err(error) => report_identity(decoded, &whole, error, sink),
        }
    }
    passwords(decoded, sink);
}

/// Warns of each file that haflux relies on, and that everybody can write or replace, or read although it holds a secret.
pub(super) fn warn_of_open_files(decoded: &Decoded, file_name: &str, sink: &Sink) {
    let whole = Origin::file(file_name);
    secret_files::warn_of_configuration(Path::new(file_name), &whole, sink);
    for path in sink.secret_files() {
        secret_files::warn_of(&path, &whole, sink);
    }
    for (tls, origin) in &decoded.tls {
        let is_key = |file: &Path| tls.certificates.iter().any(|files| files.key == file);
        secret_files::warn_of_certificate(known(tls.files(), sink), is_key, origin, sink);
    }
    for (tls, origin) in &decoded.server_tls {
        let is_key = |file: &Path| tls.certificate.iter().any(|files| files.key == file);
        secret_files::warn_of_certificate(known(tls.files(), sink), is_key, origin, sink);
    }
    let users = decoded.config.users.iter().map(|settings| &settings.file);
    let users = users.zip(&decoded.users);
    let passwords = decoded.password_files.iter();
    for (path, origin) in passwords.map(|(path, origin)| (path, origin)).chain(users) {
        if !sink.is_withheld(path) {
            secret_files::warn_of(path, origin, sink);
        }
    }
}

/// Those of these files whose names can be told.
fn known<'a>(files: impl Iterator<Item = &'a Path>, sink: &Sink) -> impl Iterator<Item = &'a Path> {
    files.filter(|file| !sink.is_withheld(file))
}

fn report_identity(decoded: &Decoded, whole: &Origin, error: IdentityError, sink: &Sink) {
    let origin = decoded.run_as.as_ref().unwrap_or(whole);
    sink.report_from(origin, Problem::Identity(error));
}

/// Whether `data_dir` can be used, as far as this process sees it.
fn data_dir(
    config: &Config,
    identity: &Identity,
    origin: &Origin,
    is_check: bool,
    sink: &Sink,
) -> bool {
    let owner = match is_check {
        true => owner_in_place_of_root(config, identity),
        false => None,
    };
    if let Some(owner) = &owner {
        let (user, path) = (name_of_user(owner.user()), &config.server.data_dir);
        let path = path.display().to_string();
        sink.warn_from(origin, Notice::CheckedForOwner { path, user });
    }
    let checked = config.check_paths(owner.as_ref().unwrap_or(identity));
    let is_right = checked.is_ok();
    if let Err(error) = checked {
        sink.report_from(origin, Problem::DataDir(error));
    }
    is_right
}

/// The user to whom `data_dir` belongs, if that is another one than root, who asks.
fn owner_in_place_of_root(config: &Config, identity: &Identity) -> Option<Identity> {
    if config.server.run_as.is_some() || identity.user() != 0 {
        return None;
    }
    let found = std::fs::metadata(&config.server.data_dir).ok()?;
    let (user, group) = (found.uid().to_string(), found.gid().to_string());
    // Root itself is no user that haflux could become.
    Identity::named(&user, Some(&group)).ok()
}

/// Reports which of `data_dir` and the folders of relays `identity`, which the process is, cannot write.
fn folders_of_its_user(decoded: &Decoded, identity: &Identity, whole: &Origin, sink: &Sink) {
    let config = &decoded.config;
    let data_dir = &config.server.data_dir;
    let origin = decoded.data_dir.as_ref().unwrap_or(whole);
    let report = |error| sink.report_from(origin, Problem::DataDir(error));
    // One that is not there yet is made by root.
    if access(data_dir, Access::EXISTS) != Err(rustix::io::Errno::NOENT) {
        if let Err(error) = config.check_paths(identity) {
            report(error);
        }
        for relay in &config.relays {
            let path = data_dir.join(&relay.name);
            if path.exists()
                && let Err(reason) = may_write(&path)
            {
                let reason = reason.to_string();
                report(DataDirError::Write { path, reason });
            }
        }
    }
}

/// Reports which log files and sockets `identity`, which the process is, cannot make.
fn places_of_its_user(config: &Config, identity: &Identity, whole: &Origin, sink: &Sink) {
    let targets = config.server.log.targets.iter();
    for path in targets.filter_map(|target| match &target.to {
        LogTo::File(path) => Some(path),
        _ => None,
    }) {
        if let Err(reason) = may_append(path) {
            let (path, reason) = (path.clone(), reason.to_string());
            sink.report_from(whole, Problem::NotWritable { path, reason });
        }
    }
    if let Some(socket) = &config.server.stats_socket {
        let folder = socket.path.parent().unwrap_or(Path::new("/"));
        if let Err(reason) = may_write(folder) {
            let (path, reason) = (socket.path.clone(), reason.to_string());
            sink.report_from(whole, Problem::NotWritable { path, reason });
        }
        let is_member = |group: u32| Identity::current().is_ok_and(|user| user.is_in(group));
        if let Some(group) = &socket.group
            && group_number(group).is_ok_and(|number| !is_member(number))
        {
            let (group, user) = (group.clone(), name_of_user(identity.user()));
            sink.report_from(whole, Problem::NotAMember { user, group });
        }
    }
}

fn may_write(folder: &Path) -> io::Result<()> {
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Whether the file can be appended to, or made.
fn may_append(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            may_write(path.parent().unwrap_or(Path::new("/")))
        }
        opened => opened.map(drop),
    }
}

fn passwords(decoded: &Decoded, sink: &Sink) {
    for (path, origin) in &decoded.password_files {
        if sink.is_withheld(path) {
            continue;
        }
        if let Err(error) = read_password(path) {
            sink.report_from(origin, Problem::PasswordFile(error));
        }
    }
    if let (Some(settings), Some(origin)) = (&decoded.config.users, &decoded.users)
        && !sink.is_withheld(&settings.file)
        && let Err(error) = Users::read(settings)
    {
        sink.report_from(origin, Problem::Users(error));
    }
}

fn certificates_for_clients(decoded: &Decoded, sink: &Sink) {
    for (tls, origin) in &decoded.tls {
        if tls.files().any(|file| sink.is_withheld(file)) {
            continue;
        }
        match Acceptor::build(tls) {
            Ok(acceptor) => {
                for certificate in acceptor.certificates() {
                    warn_of_end(certificate, origin, sink, |file| {
                        Notice::CertificateExpired { file }
                    });
                    if let Some(staple) = certificate.staple()
                        && let Some(fault) = staple.fault(SystemTime::now())
                    {
                        let file = staple.file().display().to_string();
                        sink.warn_from(origin, Notice::NotStapled { file, fault });
                    }
                }
            }
            Err(error) => sink.report_from(origin, Problem::Tls(error)),
        }
    }
}

fn certificates_for_servers(decoded: &Decoded, sink: &Sink) {
    for (tls, origin) in &decoded.server_tls {
        if tls.files().any(|file| sink.is_withheld(file)) {
            continue;
        }
        match Connector::build(tls) {
            Ok(connector) => {
                if let Some(certificate) = connector.certificate() {
                    warn_of_end(certificate, origin, sink, |file| {
                        Notice::OwnCertificateExpired { file }
                    });
                }
            }
            Err(error) => sink.report_from(origin, Problem::Tls(error)),
        }
    }
}

/// Warns of a certificate that ends soon, or has ended, which `expired` says.
fn warn_of_end(
    certificate: &Certificate,
    origin: &Origin,
    sink: &Sink,
    expired: impl Fn(String) -> Notice,
) {
    let file = certificate.file().display().to_string();
    match certificate.ends_soon(SystemTime::now()) {
        None => {}
        Some(Duration::ZERO) => sink.warn_from(origin, expired(file)),
        Some(left) => sink.warn_from(
            origin,
            Notice::CertificateExpires {
                file,
                days: left.as_secs() / (24 * 60 * 60),
            },
        ),
    }
}
