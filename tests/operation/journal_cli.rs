//! `haflux journal`, on the journal of a haflux that runs, was killed, and whose files were damaged.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, http, wait_until};

/// haflux before one replica that takes everything and one that is not there.
struct Place {
    haflux: Haflux,
    _folder: tempfile::TempDir,
    _node: StandIn,
}

const SECRET: &str = "Basic aHVudGVyMg==";

impl Place {
    /// With records 1 to `records`; each holds one line, `m v=<number> <number>`.
    fn with(records: u64) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let node = StandIn::start(|_| Behaviour::no_content());
        let configuration = format!(
            "[server]\ndata_dir = \"FOLDER/data\"\n\
             [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"influx_relay\"\n\
             [[relay]]\nname = \"influx_relay\"\nreplicate_to = \"influx_back\"\nrewind = \"500ms\"\n\
             [[backend]]\nname = \"influx_back\"\nservers = [\
             {{ name = \"influx1\", address = {:?} }}, {{ name = \"influx2\", address = \"127.0.0.1:1\" }}]\n",
            node.address()
        );
        let haflux = Haflux::start(folder.path(), &configuration);
        for number in 1..=records {
            let answer = http::request(
                "POST",
                &format!("{}/write?db=telegraf&precision=s", haflux.url("front")),
                &[("Authorization", SECRET)],
                format!("m v={number} {number}").as_bytes(),
            );
            assert_eq!(answer.status, 204);
        }
        Place {
            haflux,
            _folder: folder,
            _node: node,
        }
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let config = self.haflux.file().to_str().unwrap();
        let mut all = vec!["journal", arguments[0], "--config", config];
        all.extend(&arguments[1..]);
        let output = Haflux::command(&all);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!said.contains("aHVudGVyMg"), "{said}");
        (output.status.code().unwrap(), said)
    }

    fn folder(&self) -> PathBuf {
        self.haflux.folder().join("data/influx_relay")
    }

    fn segment(&self) -> PathBuf {
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|file| file.extension().is_some_and(|end| end == "segment"))
            .collect();
        files.sort();
        files.remove(0)
    }

    /// Waits until it is saved that the replica that is there has had record `sequence`.
    fn wait_for_cursor(&self, sequence: &str) {
        wait_until("the cursor to be saved", SOON, || {
            let said = self.run(&["inspect"]).1;
            said.lines().any(|line| {
                let mut words = line.split_whitespace();
                words.next() == Some("influx1") && words.next() == Some(sequence)
            })
        });
    }

    /// Flips a bit in the only place at which `text` stands in the first segment.
    fn damage(&self, text: &str) {
        let bytes = fs::read(self.segment()).unwrap();
        let at = bytes
            .windows(text.len())
            .position(|window| window == text.as_bytes())
            .unwrap();
        let file = fs::File::options()
            .write(true)
            .open(self.segment())
            .unwrap();
        file.write_all_at(&[bytes[at] ^ 4], at as u64).unwrap();
    }
}

fn row<'a>(said: &'a str, name: &str) -> Vec<&'a str> {
    said.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.first() == Some(&name))
        .unwrap_or_else(|| panic!("no row {name} in\n{said}"))
}

#[test]
fn a_running_haflux_is_looked_at_without_being_in_its_way() {
    let mut place = Place::with(20);
    place.wait_for_cursor("20");
    let (status, said) = place.run(&["inspect"]);
    assert_eq!(status, 0);
    let id = place.haflux.id();
    assert!(
        said.contains(&format!("  owner          process {id}, since 2")),
        "{said}"
    );
    assert!(said.contains("  newest record  20, "), "{said}");
    assert!(said.contains("no: it is in use"), "{said}");
    assert_eq!(row(&said, "influx1")[1..3], ["20", "0"]);
    assert_eq!(row(&said, "influx2")[1..3], ["0", "20"]);
    let (status, said) = place.run(&["verify"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("20 sound records, 1 to 20"), "{said}");
    assert!(
        said.contains("Nothing is lost. Newest record: 20."),
        "{said}"
    );

    assert!(place.haflux.terminate().success());
    let (status, said) = place.run(&["inspect"]);
    assert_eq!(status, 0);
    assert!(said.contains("  closed         properly"), "{said}");
    assert!(
        said.contains("nobody that can be seen from here; last process"),
        "{said}"
    );
    place.haflux.restart();
}

#[test]
fn records_are_listed_and_shown_without_credentials() {
    let mut place = Place::with(9);
    place.haflux.kill9();
    let (status, said) = place.run(&["inspect"]);
    assert!(
        status == 0 && said.contains("its last owner was cut off"),
        "{said}"
    );
    let (status, said) = place.run(&["inspect", "--records", "3..5"]);
    assert_eq!(status, 0);
    let rows: Vec<Vec<&str>> = said
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 3, "{said}");
    assert_eq!(
        (rows[0][0], &rows[0][2..]),
        ("3", &["write", "1", "7", "telegraf"][..])
    );
    let (status, said) = place.run(&["inspect", "--show", "4"]);
    assert_eq!(status, 0);
    assert!(
        said.contains("an Authorization header, not shown"),
        "{said}"
    );
    assert!(said.ends_with("\n\nm v=4 4\n"), "{said}");
    assert_eq!(
        place.run(&["inspect", "--show", "4", "--body"]),
        (0, "m v=4 4".to_owned())
    );
    let (status, said) = place.run(&["inspect", "--show", "99"]);
    assert!(
        status == 1 && said.contains("no readable record 99"),
        "{said}"
    );
    for wrong in [
        &["inspect", "--records", "5..3"][..],
        &["inspect", "--body"],
        &["inspect", "--relay", "x"],
    ] {
        assert_eq!(place.run(wrong).0, 2, "{wrong:?}");
    }
}

#[test]
fn damage_is_found_and_what_it_means_is_said() {
    let mut place = Place::with(20);
    place.wait_for_cursor("20");
    place.haflux.kill9();
    assert_eq!(place.run(&["verify"]).0, 0);
    place.damage("m v=13 13");
    let (status, said) = place.run(&["verify"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("DAMAGED in 1 places"), "{said}");
    let lost = said
        .lines()
        .find(|line| line.starts_with("LOST: "))
        .unwrap();
    assert!(
        lost.starts_with("LOST: record 13 (") && lost.contains("at least in part: influx2."),
        "{lost}"
    );
    let (status, said) = place.run(&["inspect", "--records", "12..14"]);
    assert!(
        status == 0 && said.contains("what lies between 12 and 14 cannot be read"),
        "{said}"
    );
    let (status, said) = place.run(&["inspect", "--show", "13"]);
    assert!(
        status == 1 && said.contains("no readable record 13"),
        "{said}"
    );

    let cursors = place.folder().join("cursors.0");
    fs::write(&cursors, b"nothing").unwrap();
    fs::write(cursors.with_extension("1"), b"nothing").unwrap();
    let (status, said) = place.run(&["verify"]);
    assert!(
        status == 1 && said.contains("LOST: both cursor tables."),
        "{said}"
    );
}

#[test]
fn a_journal_that_is_not_there_is_said() {
    let mut place = Place::with(0);
    let (status, said) = place.run(&["inspect"]);
    assert!(status == 0 && said.contains("none yet"), "{said}");
    place.haflux.kill9();
    fs::rename(place.folder(), place.folder().with_extension("away")).unwrap();
    for command in ["inspect", "verify"] {
        let (status, said) = place.run(&[command]);
        assert!(status == 1 && said.contains("cannot read "), "{said}");
    }
    assert!(!place.folder().exists(), "nothing is made");
}
