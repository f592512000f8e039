//! What has a form in the file. Only such values can be shown, so that nobody is told what Rust calls them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::model::{AllowedMeasurements, Pattern};
use crate::config::units::format_duration;
use crate::influx::influxql::Groups;

/// Something whose form in the file is known.
pub(super) trait InFile {
    /// As it stands there; `none` for what does not.
    fn in_file(&self) -> String;
}

macro_rules! shown_as_they_are {
    ($($kind:ty),*) => {
        $(impl InFile for $kind {
            fn in_file(&self) -> String {
                self.to_string()
            }
        })*
    };
}

shown_as_they_are!(bool, u8, u16, u32, u64, usize);

impl InFile for str {
    fn in_file(&self) -> String {
        format!("{self:?}")
    }
}

impl InFile for String {
    fn in_file(&self) -> String {
        self.as_str().in_file()
    }
}

impl InFile for PathBuf {
    fn in_file(&self) -> String {
        self.to_string_lossy().in_file()
    }
}

impl InFile for Duration {
    fn in_file(&self) -> String {
        format_duration(*self).in_file()
    }
}

impl InFile for SocketAddr {
    fn in_file(&self) -> String {
        self.to_string().in_file()
    }
}

impl InFile for Pattern {
    fn in_file(&self) -> String {
        self.to_string().in_file()
    }
}

impl InFile for AllowedMeasurements {
    fn in_file(&self) -> String {
        self.patterns().in_file()
    }
}

impl InFile for Groups {
    fn in_file(&self) -> String {
        let words = Self::WORDS.iter().filter(|(_, group)| self.meet(*group));
        let words: Vec<&str> = words.map(|(word, _)| *word).collect();
        words.in_file()
    }
}

impl<T: InFile + ?Sized> InFile for &T {
    fn in_file(&self) -> String {
        (**self).in_file()
    }
}

impl<T: InFile> InFile for Option<T> {
    fn in_file(&self) -> String {
        match self {
            Some(value) => value.in_file(),
            None => "none".to_owned(),
        }
    }
}

impl<T: InFile> InFile for [T] {
    fn in_file(&self) -> String {
        let values: Vec<String> = self.iter().map(InFile::in_file).collect();
        format!("[{}]", values.join(", "))
    }
}

impl<T: InFile> InFile for Vec<T> {
    fn in_file(&self) -> String {
        self.as_slice().in_file()
    }
}
