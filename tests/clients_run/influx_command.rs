//! The `influx` command, of any release.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;

use super::place::{NAME, PASSWORD, Place};
use super::ways::Client;

/// Points that are inserted by one invocation each, and in each phase.
const INSERTED: usize = 6;

/// Points of a file that is imported, 5000 by one request. Each phase imports a thousand that are new.
const IMPORTED: usize = 6000;

/// The command.
pub struct InfluxCommand {
    program: String,
    address: String,
    folder: PathBuf,
}

impl InfluxCommand {
    /// The command at `program`.
    pub fn new(program: &str, place: &Place) -> InfluxCommand {
        InfluxCommand {
            program: program.to_owned(),
            address: place.address.clone(),
            folder: place.folder_of("influx"),
        }
    }

    /// What one invocation says, and how it ends.
    fn run(&self, arguments: &[&str]) -> String {
        let (host, port) = self.address.split_once(':').expect("host:port");
        let output = Command::new(&self.program)
            .args(["-host", host, "-port", port])
            .args(["-username", NAME, "-password", PASSWORD])
            .args(arguments)
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.program));
        let said = [output.stdout, output.stderr].map(|text| {
            let text = String::from_utf8_lossy(&text);
            text.replace(&self.address, "ADDRESS")
        });
        format!("{arguments:?} => {} {}", output.status, said.concat())
    }

    fn execute(&self, statement: &str) -> String {
        let arguments = ["-database", "shell", "-execute", statement];
        self.run(&[&arguments[..], &["-format", "csv"]].concat())
    }

    /// A file that is imported in one phase.
    fn import(&self, number: usize) -> String {
        let mut text =
            "# DDL\nCREATE DATABASE imported\n# DML\n# CONTEXT-DATABASE: imported\n".to_owned();
        for point in (0..IMPORTED).map(|point| point + number * 1000) {
            text.push_str(&format!("line,n={} v={point} {point}\n", point % 7));
        }
        let file = self.folder.join("import.txt");
        std::fs::write(&file, text).expect("a file to import");
        let said = self.run(&["-import", "-path", file.to_str().expect("a plain name")]);
        without_moments(&said.replace(&self.folder.display().to_string(), "FOLDER"))
    }
}

/// An import says when it was.
fn without_moments(said: &str) -> String {
    static MOMENT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ").expect("a sound expression")
    });
    MOMENT.replace_all(said, "").into_owned()
}

impl Client for InfluxCommand {
    fn phase(&mut self, number: usize) -> Vec<String> {
        let mut seen = Vec::new();
        if number == 0 {
            seen.push(self.execute("CREATE DATABASE shell"));
        }
        for point in number * INSERTED..(number + 1) * INSERTED {
            let second = point * 1_000_000_000;
            seen.push(self.execute(&format!(
                "INSERT tree,kind=oak height={point},old=true {second}"
            )));
            seen.push(self.execute("SELECT count(height), last(height) FROM tree"));
        }
        let week =
            format!("CREATE RETENTION POLICY week{number} ON shell DURATION INF REPLICATION 1");
        seen.push(self.execute(&week));
        seen.push(self.execute(&format!(
            "INSERT INTO week{number} tree,kind=fir height=1 4000"
        )));
        seen.push(self.execute(&format!("SELECT * FROM week{number}.tree")));
        seen.push(self.execute("INSERT tree,kind=bad height= 1"));
        seen.push(self.execute("INSERT tree,kind=oak height=\"high\" 1000000000"));
        seen.push(self.execute("SELECT * FROM"));
        seen.push(self.execute(&format!(
            "DELETE FROM tree WHERE time = {}s",
            number * INSERTED
        )));
        seen.push(self.execute("SELECT * FROM tree"));
        seen.push(self.import(number));
        seen.push(self.execute("SELECT count(v) FROM imported..line"));
        seen.push(self.execute("SHOW RETENTION POLICIES; SHOW FIELD KEYS; SHOW SERIES"));
        seen
    }
}
