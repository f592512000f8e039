//! The disk under `data_dir` does not take writes any more, or is not there any more, while haflux runs: what cannot be made
//! durable is not acknowledged, the status page says why, reads go on, what was acknowledged reaches every replica, and writes
//! go on by themselves when the disk is well again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::support::http::{self, Answer};
use crate::support::numbered::READ;
use crate::support::wait::SOON;
use crate::support::{FileSystem, Follower, Haflux, Numbered, relay_over, status, wait_until};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(120);

/// A segment is full after some thirty of these.
const LARGE: usize = 1_000_000;

/// Both replicas are known, then one goes away, so that the journal is all that keeps what it lacks.
struct Scene {
    haflux: Haflux,
    well: Follower,
    away: Follower,
    written: Numbered,
}

impl Scene {
    fn new(start: impl FnOnce(&str) -> Haflux) -> Self {
        let (well, away) = (Follower::start(), Follower::start());
        // Who waits for a disk that does not answer is told so within the timeout.
        let keys = "rewind = \"100ms\"\ntimeout = \"4s\"";
        let haflux = start(&relay_over(&[&well.server, &away.server], keys));
        let mut written = Numbered::new();
        wait_until("both to be known", SOON, || {
            written.write(&haflux, 1).status == 204 && !away.taken().is_empty()
        });
        away.set_away(true);
        for _ in 0..20 {
            // On a busy machine one may take longer than the timeout.
            wait_until("a write to be taken", SOON, || {
                written.write(&haflux, 1).status == 204
            });
        }
        Scene {
            haflux,
            well,
            away,
            written,
        }
    }

    /// Writes until one is turned away; what holds as long as the disk is ill.
    #[track_caller]
    fn is_turned_away(&mut self, padding: usize) {
        let mut answer = None;
        wait_until("writes to be turned away", LONG, || {
            answer = Some(self.written.write(&self.haflux, padding));
            answer.as_ref().is_some_and(|answer| answer.status == 503)
        });
        assert_says_why(&answer.expect("an answer"));
        wait_until("the status to say so", SOON, || {
            journal(&self.haflux)["takes_records"] == false
        });
        let error = &journal(&self.haflux)["last_error"]["text"];
        assert!(error.as_str().is_some_and(|text| text.contains("cannot")));
        assert!(page(&self.haflux).contains("takes NO writes"));
        assert_says_why(&self.create_database());
        self.reads();
        assert!(!self.haflux.log().contains("panicked"));
    }

    fn create_database(&self) -> Answer {
        let url = format!("{}/query", self.haflux.url("front"));
        http::post(&format!("{url}?q=CREATE+DATABASE+other"), "")
    }

    /// Reads go on. What is fresh need not be so at once: after a start, and after a write without an answer, the replica is
    /// sent again what may be missing.
    #[track_caller]
    fn reads(&self) {
        wait_until("a fresh answer to a read", SOON, || {
            let answer = http::get(&format!("{}{READ}", self.haflux.url("reads")));
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.header("x-haflux-stale").is_none()
        });
    }

    /// Writes are taken again; what holds then.
    #[track_caller]
    fn is_well_again(&mut self) {
        wait_until("writes to be taken again", SOON, || {
            self.written.write(&self.haflux, 1).status == 204
        });
        wait_until("the status to say so", SOON, || {
            journal(&self.haflux)["takes_records"] == true
                && page(&self.haflux).contains("takes writes")
        });
        self.reads();
    }

    /// Whoever was away gets all.
    #[track_caller]
    fn ends_well(self) {
        self.away.set_away(false);
        for replica in [&self.well, &self.away] {
            replica.assert_has(&self.written, LONG);
        }
        assert_eq!(self.create_database().status, 200);
        assert!(!self.haflux.log().contains("panicked"));
    }
}

/// As InfluxDB says an error, and when to come again.
#[track_caller]
fn assert_says_why(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let error = &answer.json()["error"];
    assert!(
        error
            .as_str()
            .is_some_and(|text| text.contains("the journal")),
        "{error}"
    );
}

fn page(haflux: &Haflux) -> String {
    http::get(&format!("{}/haproxy?stats", haflux.url("front"))).text()
}

fn journal(haflux: &Haflux) -> Value {
    status::relay(&haflux.url("front"))["journal"].take()
}

/// Sets the permissions of all folders from this one down.
fn set_mode(folder: &Path, mode: u32) {
    // The folder first when it opens, last when it closes: else what is in it is out of reach.
    let set = || fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("permitted");
    set();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("its type").is_dir() {
            set_mode(&entry.path(), mode);
        }
    }
}

#[test]
fn a_folder_in_which_nothing_may_be_made_turns_writes_away_when_the_segment_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut scene = Scene::new(|configuration| {
        Haflux::start_bound_by_permissions(folder.path(), configuration)
    });
    set_mode(&data, 0o500);
    // Files that are open may still be written, so what goes there is as durable as ever.
    for _ in 0..10 {
        wait_until("a write to be taken", SOON, || {
            let answer = scene.written.write(&scene.haflux, 1);
            assert_ne!(answer.status, 503, "{}", answer.text());
            answer.status == 204
        });
    }
    scene.is_turned_away(LARGE);
    set_mode(&data, 0o700);
    scene.is_well_again();
    scene.ends_well();
}

#[test]
fn a_disk_that_refuses_every_write_turns_writes_away_until_it_takes_them_again() {
    for kill in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = FileSystem::in_a_file(&folder.path().join("data"), 400 << 20);
        let mut scene = Scene::new(|configuration| Haflux::start(folder.path(), configuration));
        disk.forbid_writes();
        scene.is_turned_away(1);
        if kill {
            scene.haflux.kill9();
        }
        disk.allow_writes();
        if kill {
            scene.haflux.restart();
        }
        scene.is_well_again();
        scene.ends_well();
    }
}

#[test]
fn a_disk_that_has_become_read_only_keeps_what_was_acknowledged_for_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FileSystem::in_a_file(&folder.path().join("data"), 400 << 20);
    let mut scene = Scene::new(|configuration| Haflux::start(folder.path(), configuration));
    disk.fail();
    scene.is_turned_away(1);
    // It ends all the same, and in time.
    let ended = scene.haflux.terminate();
    assert!(ended.success(), "{ended}");
    disk.mount_again();
    scene.haflux.restart();
    scene.is_well_again();
    scene.ends_well();
}

#[test]
fn another_disk_in_the_place_of_the_folder_turns_writes_away_and_stays_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut scene = Scene::new(|configuration| Haflux::start(folder.path(), configuration));
    // What stands there when a disk was unmounted is an empty folder that can be written.
    let other = FileSystem::in_memory(&data, "100m");
    scene.is_turned_away(1);
    let made: Vec<_> = fs::read_dir(&data).expect("a folder").collect();
    assert!(made.is_empty(), "{made:?}");
    drop(other);
    scene.is_well_again();
    scene.ends_well();
}

#[test]
fn a_folder_that_was_removed_turns_writes_away_and_what_every_replica_can_get_they_get() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut scene = Scene::new(|configuration| Haflux::start(folder.path(), configuration));
    fs::remove_dir_all(folder.path().join("data")).expect("removed");
    scene.is_turned_away(1);
    assert!(!folder.path().join("data").exists());
    scene.well.assert_has(&scene.written, SOON);
    let ended = scene.haflux.terminate();
    assert!(ended.success(), "{ended}");
    // The next life begins anew.
    scene.haflux.restart();
    scene.is_well_again();
    scene.away.set_away(false);
    let newest = scene.written.newest_acknowledged();
    wait_until("the new one to reach both", SOON, || {
        scene.well.taken().last().copied() == newest && scene.away.taken().last().copied() == newest
    });
}
