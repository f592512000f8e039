//! The user and the groups that the process has, or is to have once its sockets are bound.
//!
//! # Invariants
//!
//! - [`Identity::take_on`] changes all threads of the process and keeps no way back: real, effective and saved ids are all set, and
//!   that the old ones are gone is tried out. Linux takes the capabilities away with them. Nobody of that user can look into
//!   the process, and it leaves no core dump, whatever `fs.suid_dumpable` says.
//! - A thread that has [forbidden itself new privileges](forbid_new_privileges) gets none by what it executes, and neither do
//!   those that it starts. The allocator's threads are there before; they execute nothing.

use std::ffi::{CString, NulError};
use std::fs;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{
    Gid, Group, Uid, User, getegid, geteuid, getgroups, getresgid, getresuid, initgroups,
    setgroups, setresgid, setresuid, setuid,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use thiserror::Error;

/// Why the process cannot be who it is told to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Nobody has that name.
    #[error("this machine knows no user {name:?}")]
    UnknownUser {
        /// The name, or a number.
        name: String,
    },
    /// No group has that name.
    #[error("this machine knows no group {name:?}")]
    UnknownGroup {
        /// The name, or a number.
        name: String,
    },
    /// A number that belongs to no user whose group could be looked up.
    #[error(
        "this machine knows no user {user}, and so no group of that user; expected \"group\" beside it"
    )]
    NoGroup {
        /// The number.
        user: u32,
    },
    /// Root would stay root.
    #[error("{name:?} is root, who has all rights; expected a user of haflux's own")]
    IsRoot {
        /// The name, or a number.
        name: String,
    },
    /// Only root can become somebody else.
    #[error(
        "haflux was started by user {current} and cannot become user {wanted}: start it as root, or leave \"user\" out"
    )]
    NotRoot {
        /// The number of the user who started it.
        current: u32,
        /// The number of the user who is wanted.
        wanted: u32,
    },
    /// Only root can become a member of a group.
    #[error(
        "haflux was started with group {current} and cannot take group {wanted}: start it as root or with that group, or leave \"group\" out"
    )]
    OtherGroup {
        /// The number of the group that it has.
        current: u32,
        /// The number of the group that is wanted.
        wanted: u32,
    },
    /// The operating system does not say who is who.
    #[error("users and groups cannot be looked up: {reason}")]
    LookUp {
        /// Its reason.
        reason: Errno,
    },
    /// The operating system does not let the process change.
    #[error("{step} cannot be changed: {reason}")]
    Change {
        /// What was to be changed.
        step: &'static str,
        /// The operating system's reason.
        reason: Errno,
    },
    /// The change had no effect, which must not pass for one.
    #[error("haflux could still become root again")]
    WayBack,
}

/// A user with groups, as files are judged by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    user: Uid,
    group: Gid,
    /// The further groups, `group` possibly among them.
    others: Vec<Gid>,
    /// The name by which the system knows the further groups; nobody's if it knows none.
    name: Option<CString>,
}

impl Identity {
    /// Who the process is now.
    ///
    /// # Errors
    /// The operating system does not say in which groups it is.
    pub fn current() -> Result<Identity, IdentityError> {
        Ok(Identity {
            user: geteuid(),
            group: getegid(),
            others: getgroups().map_err(|reason| IdentityError::LookUp { reason })?,
            name: None,
        })
    }

    /// The user of that name or number, with that group or else the user's own.
    ///
    /// # Errors
    /// This machine does not know them, or the user is root.
    pub fn named(user: &str, group: Option<&str>) -> Result<Identity, IdentityError> {
        let look_up = |reason| IdentityError::LookUp { reason };
        let number = user.parse().ok().map(Uid::from_raw);
        let found = match number {
            Some(number) => User::from_uid(number),
            None => User::from_name(user),
        };
        let found = found.map_err(look_up)?;
        let id = found.as_ref().map(|found| found.uid).or(number);
        let id = id.ok_or_else(|| IdentityError::UnknownUser {
            name: user.to_owned(),
        })?;
        if id.is_root() {
            let name = user.to_owned();
            return Err(IdentityError::IsRoot { name });
        }
        let group = match (group, &found) {
            (Some(name), _) => group_named(name)?,
            (None, Some(found)) => found.gid,
            (None, None) => return Err(IdentityError::NoGroup { user: id.as_raw() }),
        };
        let name = found.map(|found| CString::new(found.name)).transpose();
        Ok(Identity {
            user: id,
            group,
            others: Vec::new(),
            name: name.map_err(|_: NulError| look_up(Errno::EINVAL))?,
        })
    }

    /// The user's number.
    pub fn user(&self) -> u32 {
        self.user.as_raw()
    }

    /// The group's number.
    pub fn group(&self) -> u32 {
        self.group.as_raw()
    }

    /// Whether `group` is one of its groups.
    pub fn is_in(&self, group: u32) -> bool {
        let group = Gid::from_raw(group);
        self.group == group || self.others.contains(&group)
    }

    /// Finds out whether the process could be this user.
    ///
    /// # Errors
    /// It is somebody else, or has another group, and was not started by root.
    pub fn check_start(&self) -> Result<(), IdentityError> {
        let (user, group) = (geteuid(), getegid());
        if user.is_root() || (user == self.user && group == self.group) {
            return Ok(());
        }
        if user == self.user {
            return Err(IdentityError::OtherGroup {
                current: group.as_raw(),
                wanted: self.group(),
            });
        }
        Err(IdentityError::NotRoot {
            current: user.as_raw(),
            wanted: self.user(),
        })
    }

    /// Whether the process is this user already, with this group, and could not become anybody else.
    pub fn is_taken_on(&self) -> bool {
        let users = getresuid().is_ok_and(|ids| {
            [ids.real, ids.effective, ids.saved]
                .iter()
                .all(|id| *id == self.user)
        });
        let groups = getresgid().is_ok_and(|ids| {
            [ids.real, ids.effective, ids.saved]
                .iter()
                .all(|id| *id == self.group)
        });
        users && groups
    }

    /// Has the whole process be this user, for good. Does nothing if it is already.
    ///
    /// # Errors
    /// It was not started by root, or the operating system refuses. The process must end then: it may be half changed.
    pub fn take_on(&self) -> Result<(), IdentityError> {
        self.check_start()?;
        if self.is_taken_on() {
            return Ok(());
        }
        let groups = match &self.name {
            _ if !geteuid().is_root() => Ok(()),
            Some(name) => initgroups(name, self.group),
            None => setgroups(&[self.group]),
        };
        let changed = |step| move |reason| IdentityError::Change { step, reason };
        groups.map_err(changed("the further groups"))?;
        setresgid(self.group, self.group, self.group).map_err(changed("the group"))?;
        setresuid(self.user, self.user, self.user).map_err(changed("the user"))?;
        forbid_core_dumps()?;
        match setuid(Uid::from_raw(0)) {
            Ok(()) => Err(IdentityError::WayBack),
            Err(_) => Ok(()),
        }
    }
}

/// The number of the group of that name or number.
///
/// # Errors
/// This machine does not know it.
pub fn group_number(name: &str) -> Result<u32, IdentityError> {
    group_named(name).map(Gid::as_raw)
}

fn group_named(name: &str) -> Result<Gid, IdentityError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let found = Group::from_name(name).map_err(|reason| IdentityError::LookUp { reason })?;
    let unknown = || IdentityError::UnknownGroup {
        name: name.to_owned(),
    };
    found.map(|group| group.gid).ok_or_else(unknown)
}

/// Has the process leave no core dump: passwords would be in it.
fn forbid_core_dumps() -> Result<(), IdentityError> {
    let changed = |reason| IdentityError::Change {
        step: "whether it leaves core dumps",
        reason,
    };
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)
        .map_err(|error| changed(Errno::from_raw(error.raw_os_error())))?;
    prctl::set_dumpable(false).map_err(changed)
}

/// Has this thread, and those that it starts from now on, get no rights by what they execute: a file with the set-user-id bit or
/// with capabilities gives none.
///
/// # Errors
/// The operating system refuses.
pub fn forbid_new_privileges() -> Result<(), IdentityError> {
    prctl::set_no_new_privs().map_err(|reason| IdentityError::Change {
        step: "what executed files may do",
        reason,
    })
}

/// The name of a user for a message; the number if there is none.
pub fn name_of_user(user: u32) -> String {
    let found = User::from_uid(Uid::from_raw(user)).ok().flatten();
    found.map_or_else(|| format!("user {user}"), |found| found.name)
}

/// The name of a group for a message; the number if there is none.
pub fn name_of_group(group: u32) -> String {
    let found = Group::from_gid(Gid::from_raw(group)).ok().flatten();
    found.map_or_else(|| format!("group {group}"), |found| found.name)
}

/// The user who stands for all whom the process cannot tell apart, because it runs in a namespace that knows a few users only; nobody in
/// a process that sees all users.
pub fn unmapped_user() -> Option<u32> {
    let map = fs::read_to_string("/proc/self/uid_map").ok()?;
    let known = map
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    let known: u64 = known.filter_map(|count| count.parse::<u64>().ok()).sum();
    if known >= u64::from(u32::MAX) {
        return None;
    }
    let stands_for = fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?;
    stands_for.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known_by_name_and_by_number() {
        let nobody = Identity::named("nobody", None).unwrap();
        assert_eq!((nobody.user(), nobody.group()), (65534, 65534));
        assert_eq!(Identity::named("65534", Some("0")).unwrap().group(), 0);
        assert_eq!(
            Identity::named("4000000001", Some("daemon"))
                .unwrap()
                .user(),
            4_000_000_001
        );
        for (user, group, said) in [
            ("4000000001", None, "expected \"group\" beside it"),
            ("no such user", None, "knows no user \"no such user\""),
            ("nobody", Some("no such group"), "knows no group"),
            ("root", None, "\"root\" is root"),
            ("0", Some("daemon"), "\"0\" is root"),
        ] {
            let error = Identity::named(user, group).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn who_is_somebody_already_need_not_change() {
        let current = Identity::current().unwrap();
        assert!(current.is_taken_on() && current.is_in(current.group()));
        current.take_on().unwrap();
    }
}
