//! Power fails under `sync = "never"` and `sync = "interval"`: the newest records are gone from the journal, though replicas
//! have applied some of them. What was synced is there, nothing torn is sent, the start says that the replicas may differ, and
//! what is written then reaches all of them, in order, under numbers that were never used.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::support::wait::SOON;
use crate::support::{Follower, Haflux, Numbered, relay_over, status, wait_until};

/// What is said of power that failed.
const POWER: &str = "the system went down without stopping haflux";

/// Numbers written before a clean stop: those are synced.
const SYNCED: usize = 20;
/// Numbers that both replicas have then, and those that one has alone.
const BOTH: usize = 20;
const ALONE: usize = 20;

fn head(haflux: &Haflux) -> u64 {
    status::relay(&haflux.url("front"))["head"]
        .as_u64()
        .expect("a number")
}

/// The newest segment, and where in it the record of this number begins to be written.
fn place_of(folder: &Path, number: usize) -> (PathBuf, u64) {
    let files = fs::read_dir(folder).expect("a folder");
    let paths = files.map(|file| file.expect("an entry").path());
    let segments = paths.filter(|path| path.extension().is_some_and(|end| end == "segment"));
    let newest = segments.max().expect("a segment");
    let bytes = fs::read(&newest).expect("read");
    let line = format!("numbered p=\"x\" {number}");
    let found = bytes
        .windows(line.len())
        .position(|window| window == line.as_bytes());
    (newest, found.expect("the record is there") as u64)
}

/// Bytes behind the first lost record that may have been on their way to the disk: more than the test writes.
const ON_THE_WAY: usize = 65_536;

/// Zeros, or nonsense, from here on: pages that never reached the disk.
fn forget_from(segment: &Path, at: u64, with: u8) {
    let file = fs::OpenOptions::new().write(true).open(segment);
    let file = file.expect("open");
    let lost = [with; ON_THE_WAY];
    file.write_all_at(&lost, at).expect("written");
}

/// The system is another one, or its name was never synced.
fn boot_anew(folder: &Path, name_is_lost: bool) {
    let lock = folder.join("lock");
    let note = fs::read_to_string(&lock).expect("read");
    let note = note.replace("boot ", "boot another-");
    fs::write(&lock, if name_is_lost { String::new() } else { note }).expect("written");
}

struct Scene {
    haflux: Haflux,
    replicas: [Follower; 2],
    written: Numbered,
    journal: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// Both have what was synced and more; one of them has the newest alone. Then haflux is killed.
    fn new(sync: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let replicas = [Follower::start(), Follower::start()];
        // Places are saved so late that nothing is synced for them.
        let keys = format!("sync = \"{sync}\"\nrewind = \"10m\"");
        let servers = replicas.each_ref().map(|replica| &replica.server);
        let mut haflux = Haflux::start(folder.path(), &relay_over(&servers, &keys));
        let mut written = Numbered::new();
        wait_until("both to be known", SOON, || {
            written.write(&haflux, 1).status == 204 && !replicas[1].taken().is_empty()
        });
        let write = |haflux: &Haflux, written: &mut Numbered, count: usize| {
            for _ in 0..count {
                assert_eq!(written.write(haflux, 1).status, 204);
            }
        };
        write(&haflux, &mut written, SYNCED);
        haflux.restart();
        assert!(!haflux.log().contains(POWER), "a clean stop loses nothing");
        wait_until("both to be known again", SOON, || {
            written.write(&haflux, 1).status == 204
                && replicas
                    .iter()
                    .all(|replica| replica.taken().last().copied() == written.newest_acknowledged())
        });
        write(&haflux, &mut written, BOTH);
        for replica in &replicas {
            replica.assert_has(&written, SOON);
        }
        replicas[1].set_away(true);
        write(&haflux, &mut written, ALONE);
        replicas[0].assert_has(&written, SOON);
        haflux.kill9();
        Scene {
            haflux,
            replicas,
            written,
            journal: folder.path().join("data/relay"),
            _folder: folder,
        }
    }

    /// Starts again; then what is written reaches both, and whoever was away has all that the journal has.
    fn goes_on(&mut self, held: &Numbered) {
        for replica in &self.replicas {
            replica.forget();
        }
        self.haflux.restart();
        let mut written = Numbered::starting_after(&self.written);
        written.acknowledged.clone_from(&held.acknowledged);
        wait_until("writes to be taken", SOON, || {
            written.write(&self.haflux, 1).status == 204
        });
        self.replicas[1].set_away(false);
        for _ in 0..20 {
            assert_eq!(written.write(&self.haflux, 1).status, 204);
        }
        // They are sent again all that came since their saved places, which are from before the first number.
        for replica in &self.replicas {
            replica.assert_has(&written, SOON);
        }
        assert!(!self.haflux.log().contains("panicked"));
    }
}

fn power_takes_the_end(sync: &str, name_is_lost: bool, with: u8) {
    let mut scene = Scene::new(sync);
    let newest = scene.written.newest_acknowledged().expect("a number");
    // Lost: all that one replica has alone, and some of what both have. The first of them is torn.
    let first_lost = newest - ALONE - BOTH / 2;
    let (segment, at) = place_of(&scene.journal, first_lost);
    forget_from(&segment, at, with);
    boot_anew(&scene.journal, name_is_lost);
    let mut held = Numbered::new();
    held.acknowledged = scene.written.acknowledged.clone();
    held.acknowledged.retain(|number| *number < first_lost);
    // Each of them was a record of its own.
    let head_before = scene.written.acknowledged.len() as u64;
    scene.goes_on(&held);
    scene.haflux.says(POWER);
    let error = status::relay(&scene.haflux.url("front"))["journal"]["last_error"]["text"].clone();
    assert!(error.as_str().is_some_and(|text| text.contains(POWER)));
    let head = head(&scene.haflux);
    assert!(head > head_before, "numbers are used again: {head}");
}

#[test]
fn power_takes_the_end_of_a_journal_that_is_never_synced() {
    power_takes_the_end("never", false, 0);
}

#[test]
fn power_leaves_nonsense_at_the_end_of_a_journal_that_is_never_synced() {
    power_takes_the_end("never", true, 0xa5);
}

#[test]
fn power_takes_the_last_interval() {
    power_takes_the_end("10m", true, 0);
}

#[test]
fn a_killed_haflux_loses_nothing_whatever_the_policy() {
    for sync in ["never", "10m"] {
        let mut scene = Scene::new(sync);
        let mut held = Numbered::new();
        held.acknowledged = scene.written.acknowledged.clone();
        scene.goes_on(&held);
        assert!(!scene.haflux.log().contains(POWER));
    }
}
