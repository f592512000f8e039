//! Access control lists of files, as Linux keeps them in an extended attribute (acl(5), `include/uapi/linux/posix_acl_xattr.h`).

use std::path::Path;

use rustix::fs::getxattr;
use rustix::io::Errno;

use crate::identity::{Identity, name_of_group, name_of_user};

const ATTRIBUTE: &str = "system.posix_acl_access";

/// The largest extended attribute that Linux keeps, in bytes.
const LARGEST: usize = 64 << 10;

/// Bytes before the entries: the version.
const HEADER: usize = 4;

/// A user and a group that the list names.
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;

const WRITE: u16 = 0x02;

const ROOT: u32 = 0;

/// Somebody whom the list of the folder at `path` lets write, beside root and `identity`. That the list's mask allows it is known.
pub(super) fn other_writer(path: &Path, identity: &Identity) -> Option<String> {
    let mut list = vec![0; LARGEST];
    let length = match getxattr(path, ATTRIBUTE, list.as_mut_slice()) {
        Ok(length) => length,
        // There is none, or the file system knows none.
        Err(Errno::NODATA | Errno::NOTSUP) => return None,
        Err(error) => return Some(format!("whom its access control list names ({error})")),
    };
    in_list(list.get(..length)?, identity)
}

fn in_list(list: &[u8], identity: &Identity) -> Option<String> {
    let (entries, _) = list.get(HEADER..)?.as_chunks::<8>();
    entries.iter().find_map(|[t0, t1, p0, p1, id @ ..]| {
        let (tag, permissions) = (
            u16::from_le_bytes([*t0, *t1]),
            u16::from_le_bytes([*p0, *p1]),
        );
        let id = u32::from_le_bytes(*id);
        let is_ours = match tag {
            USER => id == ROOT || id == identity.user(),
            GROUP => id == ROOT || identity.is_in(id),
            _ => true,
        };
        let name = if tag == USER {
            name_of_user
        } else {
            name_of_group
        };
        (!is_ours && permissions & WRITE != 0).then(|| name(id))
    })
}

#[cfg(test)]
mod tests {
    use rustix::fs::{XattrFlags, setxattr};

    use super::*;

    /// A list with the entries that every list has, whose mask allows all, and with one more.
    fn list(tag: u16, permissions: u16, id: u32) -> Vec<u8> {
        let mut list = 2_u32.to_le_bytes().to_vec();
        let nobody = u32::MAX;
        let mut entries = vec![
            (0x01, 7, nobody),
            (tag, permissions, id),
            (0x04, 5, nobody),
            (0x10, 7, nobody),
            (0x20, 5, nobody),
        ];
        entries.sort_by_key(|(tag, ..)| *tag);
        for (tag, permissions, id) in entries {
            list.extend(u16::to_le_bytes(tag));
            list.extend(u16::to_le_bytes(permissions));
            list.extend(u32::to_le_bytes(id));
        }
        list
    }

    #[test]
    fn who_is_named_and_may_write_is_found() {
        let identity = Identity::current().unwrap();
        let nobody = 65534;
        for (list, expected) in [
            (list(USER, 7, nobody), Some("nobody")),
            (list(GROUP, 2, nobody), Some("nogroup")),
            (list(USER, 5, nobody), None),
            (list(USER, 7, identity.user()), None),
            (list(GROUP, 7, ROOT), None),
            (vec![2, 0, 0], None),
            (Vec::new(), None),
        ] {
            assert_eq!(in_list(&list, &identity).as_deref(), expected, "{list:?}");
        }
    }

    #[test]
    fn the_list_of_a_folder_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::current().unwrap();
        assert_eq!(other_writer(folder.path(), &identity), None);
        let list = list(USER, 7, 65534);
        match setxattr(folder.path(), ATTRIBUTE, &list, XattrFlags::empty()) {
            Ok(()) => assert_eq!(
                other_writer(folder.path(), &identity).as_deref(),
                Some("nobody")
            ),
            Err(error) => eprintln!("not tried, because this file system knows no lists: {error}"),
        }
    }
}
