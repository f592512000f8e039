//! The files that keep what a mend overwrites or deletes: one for each node, lines that can be written again.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::lines::series_of;
use super::plan::Held;
use crate::durable_file::sync_folder;
use crate::heal::error::WorkError;
use crate::heal::node::{Slice, append_lines, push_value};
use crate::heal::place::{Fields, Tags};

/// What stands in a comment as `%` and two digits, and so nothing does that leads InfluxDB past the comment's newline, as to the end of
/// quotes: it looks for the end of a comment as for that of any line.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The files of one mend.
pub(super) struct Kept {
    folder: PathBuf,
    began: Timestamp,
    files: Vec<Option<(PathBuf, File)>>,
}

impl Kept {
    /// For so many nodes, in the relay's folder.
    pub(super) fn new(folder: &Path, nodes: usize) -> Kept {
        Kept {
            folder: folder.to_owned(),
            began: Timestamp::now(),
            files: (0..nodes).map(|_| None).collect(),
        }
    }

    /// Keeps what this node holds, durably when it returns.
    ///
    /// # Errors
    /// [`WorkError::File`]: it may not be kept.
    pub(super) fn keep(&mut self, node: usize, name: &str, text: &[u8]) -> Result<(), WorkError> {
        if text.is_empty() {
            return Ok(());
        }
        let path = self.path(name);
        let failed = |source| WorkError::File {
            path: path.clone(),
            source,
        };
        let Some(place) = self.files.get_mut(node) else {
            return Ok(());
        };
        let file = match place {
            Some((_, file)) => file,
            None => {
                let file = self.folder.as_path();
                let opened = open(&path).and_then(|opened| sync_folder(file).map(|()| opened));
                &mut place.insert((path.clone(), opened.map_err(failed)?)).1
            }
        };
        let written = file.write_all(text).and_then(|()| file.sync_data());
        written.map_err(failed)
    }

    /// The files that there are.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let files = self.files.iter().flatten();
        files.map(|(path, _)| path.as_path())
    }

    /// `mend-20261129T090000.123Z-NODE.lp`
    fn path(&self, node: &str) -> PathBuf {
        let time = self.began.strftime("%Y%m%dT%H%M%S%.3fZ");
        // A server's name may hold what a file's may not.
        let safe = |character: char| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => character,
            _ => '_',
        };
        let node: String = node.chars().map(safe).collect();
        self.folder.join(format!("mend-{time}-{node}.lp"))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Points of one series as they are kept: a comment that names node, database and policy, then lines. What no line can express stands
/// in a comment.
pub(super) fn text_of(node: &str, slice: &Slice, tags: &Tags, held: &Held) -> Vec<u8> {
    let mut text = Vec::new();
    if held.is_empty() {
        return text;
    }
    text.extend_from_slice(head_of(node, slice).as_bytes());
    let measurement = slice.measurement.as_bstr();
    for (time, fields) in held {
        let series = series_of(tags, std::iter::once((time, fields)));
        if append_lines(&mut text, measurement, &series) > 0 {
            let said = inexpressible(measurement, tags, *time, fields);
            text.extend_from_slice(said.as_bytes());
        }
    }
    text
}

/// The comment before lines. Its names are written as the URL of a write takes them.
pub(super) fn head_of(node: &str, slice: &Slice) -> String {
    let Slice {
        database, policy, ..
    } = slice;
    format!(
        "# node {} database {} policy {}\n",
        encoded(node),
        encoded(database),
        encoded(policy)
    )
}

/// The comment in the place of a point that no line can express in full.
fn inexpressible(measurement: &BStr, tags: &Tags, time: i64, fields: &Fields) -> String {
    let tags = tags.iter();
    let tags = tags.map(|(key, value)| format!(" tag {} {}", encoded(key), encoded(value)));
    let fields = fields.iter().map(|(name, value)| {
        let mut text = Vec::new();
        push_value(&mut text, value);
        format!(" field {} {}", encoded(name), encoded(&text))
    });
    format!(
        "# no line can be: measurement {}{}{} time {time}\n",
        encoded(measurement),
        tags.collect::<String>(),
        fields.collect::<String>()
    )
}

fn encoded<T: AsRef<[u8]> + ?Sized>(name: &T) -> impl fmt::Display {
    percent_encode(name.as_ref(), ENCODED)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::heal::node::Value;
    use crate::influx::line_protocol::{LineKind, Lines};

    #[test]
    fn what_is_kept_can_be_written_again_and_read_by_its_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut kept = Kept::new(folder.path(), 2);
        let slice = Slice {
            database: "d".to_owned(),
            policy: "a b".to_owned(),
            measurement: "m".into(),
            from: 0,
            until: 9,
        };
        let tags = vec![("host".into(), "x".into())];
        let fields = |name: &str| vec![(name.into(), Value::Integer(1))];
        let held = Held::from([(5, fields("v")), (6, fields("odd\n"))]);
        let text = text_of("n/2", &slice, &tags, &held);
        kept.keep(1, "n/2", &text).expect("kept");
        kept.keep(1, "n/2", b"more\n").expect("kept");
        kept.keep(0, "n1", b"").expect("nothing to keep");
        let paths: Vec<&Path> = kept.paths().collect();
        let [path] = paths.as_slice() else {
            panic!("{paths:?}");
        };
        let name = path.file_name().and_then(|name| name.to_str());
        assert!(
            name.is_some_and(|name| name.ends_with("Z-n_2.lp")),
            "{name:?}"
        );
        let text = std::fs::read_to_string(path).expect("the file");
        assert_eq!(
            text,
            "# node n%2F2 database d policy a%20b\nm,host=x v=1i 5\n# no line can be: measurement m tag host x field odd%0A 1i time 6\nmore\n"
        );
        let mode = std::fs::metadata(path).expect("the file").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn no_name_makes_a_comment_longer_than_its_line() {
        for name in [
            "a=b", "a=\"", "=\"\n", "a\\", "\\", "a\nm v=1", "a\r\0", "# =\"", "ö",
        ] {
            let slice = Slice {
                database: name.to_owned(),
                policy: format!("{name} p=1"),
                measurement: "m".into(),
                from: 0,
                until: 9,
            };
            let tags = vec![("host=".into(), "x".into())];
            let fields = |field: &str| vec![(field.into(), Value::Text(name.into()))];
            let held = Held::from([(5, fields("v")), (6, fields("odd\n")), (7, fields("v"))]);
            let mut text = text_of(name, &slice, &tags, &held);
            text.extend(text_of("n1", &slice, &tags, &held));
            let mut kinds = Lines::new(&text).map(|line| line.kind).collect::<Vec<_>>();
            let half = kinds.split_off(4);
            for kinds in [kinds, half] {
                assert_eq!(
                    kinds,
                    [
                        LineKind::Comment,
                        LineKind::Line,
                        LineKind::Comment,
                        LineKind::Line
                    ],
                    "{}",
                    text.as_bstr()
                );
            }
        }
    }
}
