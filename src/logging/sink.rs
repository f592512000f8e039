//! Where lines go: standard error, a file, or syslog.
//!
//! A file whose name leads to another file, or to none, is opened anew before the next lines are written: `logrotate` renames it and
//! need tell nobody. A syslog socket whose receiver went away is connected anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::queue::Batch;
use crate::config::model::LogTo;

/// A log file is its owner's, and its group may read it.
const FILE_MODE: u32 = 0o640;

/// Lines that could not be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) lines: usize,
    /// It is no use to try again at once.
    pub(super) is_lasting: bool,
}

pub(super) enum Sink {
    Stderr,
    File(LogFile),
    Unix(UnixSink),
    Udp(UdpSocket),
}

impl Sink {
    /// Opens the target.
    ///
    /// # Errors
    /// The file cannot be written, or there is no socket to be had. A syslog that does not listen is no error: it may come later.
    pub(super) fn open(to: &LogTo) -> io::Result<Sink> {
        Ok(match to {
            LogTo::Stderr => Sink::Stderr,
            LogTo::File(path) => Sink::File(LogFile::open(path)?),
            LogTo::Unix { path, .. } => Sink::Unix(UnixSink {
                path: path.clone(),
                socket: None,
            }),
            LogTo::Udp { address, .. } => Sink::Udp(udp(*address)?),
        })
    }

    /// Writes the lines.
    ///
    /// # Errors
    /// How many were not written.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), Lost> {
        match self {
            Sink::Stderr => write_all(&mut io::stderr().lock(), batch),
            Sink::File(file) => file.write(batch),
            Sink::Unix(socket) => socket.write(batch),
            Sink::Udp(socket) => each(batch, |line| {
                // An error may be about the datagram before; then this one has not been sent.
                socket.send(line).or_else(|_| socket.send(line))
            }),
        }
    }
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    Ok(socket)
}

fn write_all(to: &mut impl Write, batch: &Batch) -> Result<(), Lost> {
    let mut rest = batch.bytes();
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => {
                let written = batch.bytes().len() - rest.len();
                return Err(Lost {
                    lines: batch.len() - batch.lines_within(written),
                    is_lasting: true,
                });
            }
        }
    }
    Ok(())
}

fn each(batch: &Batch, mut send: impl FnMut(&[u8]) -> io::Result<usize>) -> Result<(), Lost> {
    let lines = batch.lines().filter(|line| send(line).is_err()).count();
    match lines {
        0 => Ok(()),
        lines => Err(Lost {
            lines,
            is_lasting: false,
        }),
    }
}

/// A file that is appended to.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Device and inode.
    id: (u64, u64),
    /// What was said of a name that leads elsewhere and cannot be opened anew: whether the file has another one.
    astray: Option<bool>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<LogFile> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(FILE_MODE);
        let file = options.open(path)?;
        let found = file.metadata()?;
        Ok(LogFile {
            path: path.to_owned(),
            file,
            id: (found.dev(), found.ino()),
            astray: None,
        })
    }

    fn write(&mut self, batch: &Batch) -> Result<(), Lost> {
        let found = std::fs::metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.id) {
            self.astray = None;
            return write_all(&mut self.file, batch);
        }
        match Self::open(&self.path) {
            Ok(opened) => *self = opened,
            // The file has another name, by which its lines are found.
            Err(error) if self.has_name_left(&error) => {}
            Err(_) => {
                return Err(Lost {
                    lines: batch.len(),
                    is_lasting: true,
                });
            }
        }
        write_all(&mut self.file, batch)
    }

    /// Whether any name leads to the file that is open; `error` stands against opening its own anew. Says so in the log, once.
    fn has_name_left(&mut self, error: &io::Error) -> bool {
        let has_name = self.file.metadata().is_ok_and(|found| found.nlink() > 0);
        if self.astray.replace(has_name) != Some(has_name) {
            let path = self.path.display();
            match has_name {
                true => log::warn!(
                    "{path} cannot be opened anew: {error}; lines go on to the file that had this name"
                ),
                false => log::error!(
                    "{path} was removed and cannot be opened anew: {error}; lines for it are dropped until it can"
                ),
            }
        }
        has_name
    }
}

/// A socket of the syslog of this machine.
pub(super) struct UnixSink {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl UnixSink {
    fn write(&mut self, batch: &Batch) -> Result<(), Lost> {
        let lost = each(batch, |line| {
            if let Some(socket) = &self.socket
                && let Ok(sent) = socket.send(line)
            {
                return Ok(sent);
            }
            let socket = UnixDatagram::unbound()?;
            socket.connect(&self.path)?;
            self.socket.insert(socket).send(line)
        });
        lost.map_err(|lost| Lost {
            is_lasting: true,
            ..lost
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::SyslogForm;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_renamed_file_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Sink::open(&LogTo::File(path.clone())).unwrap();
        sink.write(&Batch::of(b"one\n")).unwrap();
        let renamed = folder.path().join("log.1");
        std::fs::rename(&path, &renamed).unwrap();
        sink.write(&Batch::of(b"two\n")).unwrap();
        assert_eq!(
            (text(&renamed), text(&path)),
            ("one\n".into(), "two\n".into())
        );
        std::fs::remove_file(&path).unwrap();
        sink.write(&Batch::of(b"three\n")).unwrap();
        assert_eq!(text(&path), "three\n");
        std::fs::write(&path, "").unwrap();
        sink.write(&Batch::of(b"four\n")).unwrap();
        assert_eq!(text(&path), "four\n", "after copytruncate");
        assert!(Sink::open(&LogTo::File(folder.path().join("no/log"))).is_err());
    }

    #[test]
    fn lines_are_lost_with_a_file_that_has_no_name_left() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let path = below.join("log");
        let mut sink = Sink::open(&LogTo::File(path.clone())).unwrap();
        let renamed = folder.path().join("log.1");
        std::fs::rename(&path, &renamed).unwrap();
        std::fs::remove_dir(&below).unwrap();
        sink.write(&Batch::of(b"one\n")).unwrap();
        assert_eq!(text(&renamed), "one\n", "its other name leads there");
        std::fs::remove_file(&renamed).unwrap();
        let lost = Lost {
            lines: 1,
            is_lasting: true,
        };
        assert_eq!(sink.write(&Batch::of(b"two\n")), Err(lost));
        std::fs::create_dir(&below).unwrap();
        sink.write(&Batch::of(b"three\n")).unwrap();
        assert_eq!(text(&path), "three\n");
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted() {
        let mut sink = Sink::open(&LogTo::File("/dev/full".into())).unwrap();
        let lost = Lost {
            lines: 1,
            is_lasting: true,
        };
        assert_eq!(sink.write(&Batch::of(b"one\n")), Err(lost));
    }

    #[test]
    fn a_syslog_that_comes_back_gets_lines_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Sink::open(&LogTo::Unix {
            path: path.clone(),
            facility: 1,
            form: SyslogForm::Rfc3164,
        })
        .unwrap();
        assert!(sink.write(&Batch::of(b"none")).is_err());
        let mut space = [0; 10];
        for line in ["one", "two"] {
            let receiver = UnixDatagram::bind(&path).unwrap();
            sink.write(&Batch::of(line.as_bytes())).unwrap();
            let length = receiver.recv(&mut space).unwrap();
            assert_eq!(&space[..length], line.as_bytes());
            drop(receiver);
            std::fs::remove_file(&path).unwrap();
        }
    }
}
