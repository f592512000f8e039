//! Bits flip in haflux's files while it is down. It starts whatever the damage; what it has lost it says, and a replica that
//! lacks something is diverged, unless all would be. Stand-ins, so that many starts cost little.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, lock, relay_over, status, wait_until};
use fastrand::Rng;
use serde_json::Value;

const SEED: &str = "HAFLUX_DAMAGE_SEED";
const ROUNDS: usize = 12;

/// Records before the second replica goes away, and when haflux is killed.
const BOTH: usize = 20;
const ALL: usize = 60;

/// Half of the time a file is damaged in the last bytes that are not zero: there the newest records are.
const NEWEST: usize = 16_384;

/// A replica and the values that it took, in its order. One value is refused: it becomes a dead letter.
struct Replica {
    server: StandIn,
    taken: Arc<Mutex<Vec<usize>>>,
}

impl Replica {
    fn start(refused: Option<usize>) -> Self {
        let taken: Arc<Mutex<Vec<usize>>> = Arc::default();
        let list = Arc::clone(&taken);
        let server = StandIn::start(move |request| {
            let text = request.text();
            let values: Vec<usize> = text.lines().filter_map(value).collect();
            if refused.is_some_and(|refused| values.contains(&refused)) {
                return Behaviour::status(400, "{\"error\":\"field type conflict\"}\n");
            }
            lock(&list).extend(values);
            Behaviour::no_content()
        });
        Replica { server, taken }
    }

    fn taken(&self) -> Vec<usize> {
        lock(&self.taken).clone()
    }
}

fn value(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("v=")?;
    rest.split_once(' ')?.0.parse().ok()
}

fn write_value(haflux: &Haflux, value: usize) -> u16 {
    haflux
        .write("telegraf", format!("damage v={value} 1"))
        .status
}

fn replicas(haflux: &Haflux) -> Vec<Value> {
    status::relay(&haflux.url("front"))["replicas"]
        .as_array()
        .expect("replicas")
        .clone()
}

/// All files below a folder, in an order that does not depend on the disk.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("its kind");
        if kind.is_dir() {
            found.extend(files(&path));
        } else if kind.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file as it was.
struct Kept {
    name: PathBuf,
    /// Up to the last byte that is not zero: behind their records, segments hold zeros.
    bytes: Vec<u8>,
    size: u64,
}

fn keep(folder: &Path) -> Vec<Kept> {
    let kept = |file: PathBuf| {
        let mut bytes = fs::read(&file).expect("read");
        let size = bytes.len() as u64;
        let used = bytes.iter().rposition(|byte| *byte != 0);
        bytes.truncate(used.map_or(0, |last| last + 1));
        let name = file.strip_prefix(folder).expect("below it").to_owned();
        Kept { name, bytes, size }
    };
    files(folder).into_iter().map(kept).collect()
}

fn put_back(kept: &[Kept], folder: &Path) {
    fs::remove_dir_all(folder).expect("removed");
    for file in kept {
        let path = folder.join(&file.name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, &file.bytes).expect("written");
        let written = fs::OpenOptions::new().write(true).open(&path);
        written.expect("open").set_len(file.size).expect("a size");
    }
}

/// A haflux that was killed: one replica has everything but a dead letter, one is behind, one is diverged.
struct Scene {
    haflux: Haflux,
    replicas: [Replica; 3],
    /// Its files as they were.
    kept: Vec<Kept>,
    data: PathBuf,
    _folder: tempfile::TempDir,
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let mut replicas = [
        Replica::start(Some(BOTH + 5)),
        Replica::start(None),
        Replica::start(None),
    ];
    let keys = "rewind = \"100ms\"\nmax_backlog = \"1MiB\"";
    // The access log of writes that are turned away would hide the rest of the log.
    let servers = replicas.each_ref().map(|replica| &replica.server);
    let configuration = relay_over(&servers, keys);
    let configuration = configuration.replacen("[server]", "[server]\naccess_log = false", 1);
    let mut haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    wait_until("all to be known", SOON, || {
        write_value(&haflux, 0) == 204 && replicas.iter().all(|replica| !replica.taken().is_empty())
    });
    // The third one falls too far behind.
    replicas[2].server.refuse();
    let padding = "x".repeat(500_000);
    for _ in 0..4 {
        let line = format!("large padding=\"{padding}\" 1");
        assert_eq!(haflux.write("telegraf", line).status, 204);
    }
    wait_until("it to be diverged", SOON, || {
        self::replicas(&haflux)[2]["status"] == "diverged"
    });
    for value in 1..BOTH {
        assert_eq!(write_value(&haflux, value), 204);
    }
    wait_until(
        "both to have all, and their places to be saved",
        SOON,
        || replicas[1].taken().last() == Some(&(BOTH - 1)),
    );
    // One refuses what the other took.
    for value in BOTH..BOTH + 10 {
        assert_eq!(write_value(&haflux, value), 204);
    }
    haflux.says("the replicas differ");
    replicas[1].server.refuse();
    for value in BOTH + 10..ALL {
        assert_eq!(write_value(&haflux, value), 204);
    }
    wait_until("the first one to have all", SOON, || {
        replicas[0].taken().last() == Some(&(ALL - 1))
    });
    let data = folder.path().join("haflux/data");
    // Cursors are saved every second; without them the replicas would be sent everything again, damaged or not.
    let saved = data.join("relay/replicas.json");
    wait_until("the roster to be written", SOON, || saved.exists());
    std::thread::sleep(std::time::Duration::from_millis(1500));
    haflux.kill9();
    let kept = keep(&data);
    replicas[1].server.accept_again();
    replicas[2].server.accept_again();
    Scene {
        haflux,
        replicas,
        kept,
        data,
        _folder: folder,
    }
}

impl Scene {
    /// Starts on the damaged files; what must hold whatever the damage.
    fn survives(&mut self, what: &str) {
        let earlier = self.haflux.log().len();
        for replica in &self.replicas {
            lock(&replica.taken).clear();
        }
        self.haflux.restart();
        let haflux = &self.haflux;
        let said = || haflux.log().get(earlier..).unwrap_or_default().to_owned();
        let mut newest = ALL;
        wait_until(&format!("a write to be taken after {what}"), SOON, || {
            newest += 1;
            write_value(haflux, newest) == 204
        });
        let states = replicas(haflux);
        let diverged = |number: usize| states[number]["status"] == "diverged";
        assert!(
            !states.iter().all(|state| state["status"] == "diverged"),
            "all are diverged after {what}"
        );
        for number in 0..2 {
            if diverged(number) {
                continue;
            }
            let replica = &self.replicas[number];
            wait_until(
                &format!("replica {number} to have the newest after {what}"),
                SOON,
                || {
                    replica.taken().last() == Some(&newest)
                        || self::replicas(haflux)[number]["status"] == "diverged"
                },
            );
        }
        let lost = said().contains("the journal has lost");
        let states = replicas(haflux);
        if states[1]["status"] != "diverged" && !lost {
            let taken = self.replicas[1].taken();
            for value in BOTH + 10..ALL {
                assert!(
                    taken.contains(&value),
                    "{value} is missing and nobody says so after {what}: {taken:?}\n{}",
                    said()
                );
            }
        }
        assert_eq!(
            states[2]["status"],
            "diverged",
            "who was diverged is no replica because of {what}\n{}",
            said()
        );
        assert!(self.replicas[2].taken().is_empty(), "after {what}");
        assert!(!said().contains("panicked"), "{what}: {}", said());
        self.haflux.kill9();
    }
}

/// Starts on the places of the replicas without the records that lead there: the first replica has all of them, the second lacks
/// some.
fn start_without_records(scene: &mut Scene) {
    put_back(&scene.kept, &scene.data);
    let is_segment = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "segment");
    let segments: Vec<PathBuf> = files(&scene.data).into_iter().filter(is_segment).collect();
    assert!(!segments.is_empty());
    for segment in segments {
        fs::remove_file(segment).expect("removed");
    }
    scene.haflux.restart();
    wait_until(
        "the replica that lacks records to be diverged",
        SOON,
        || replicas(&scene.haflux)[1]["status"] == "diverged",
    );
    assert_ne!(replicas(&scene.haflux)[0]["status"], "diverged");
}

/// Flips a bit of a file, and says which.
fn flip(kept: &Kept, folder: &Path, rng: &mut Rng) -> String {
    let Some(last) = kept.bytes.len().checked_sub(1) else {
        return String::new();
    };
    let first = if rng.bool() {
        last.saturating_sub(NEWEST)
    } else {
        0
    };
    let (at, bit) = (rng.usize(first..=last), rng.u8(0..8));
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(folder.join(&kept.name))
        .expect("open");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).expect("read");
    file.write_all_at(&[byte[0] ^ (1 << bit)], at as u64)
        .expect("written");
    format!("bit {bit} of byte {at} of {}; ", kept.name.display())
}

#[test]
fn bits_that_flipped_anywhere_stop_nothing_and_hide_nothing() {
    let seed = std::env::var(SEED).map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("a number"),
    );
    eprintln!("{SEED}={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut scene = scene();
    for _ in 0..ROUNDS {
        put_back(&scene.kept, &scene.data);
        let mut what = String::new();
        for _ in 0..rng.usize(1..4) {
            let file = &scene.kept[rng.usize(..scene.kept.len())];
            what.push_str(&flip(file, &scene.data, &mut rng));
        }
        // Nothing else says who is diverged.
        let all_that_know = ["cursors.0", "cursors.1", "replicas.json"];
        if all_that_know.iter().all(|name| what.contains(name)) {
            continue;
        }
        scene.survives(&what);
    }
}

#[test]
fn files_that_are_gone_empty_or_nonsense_stop_nothing_and_hide_nothing() {
    let mut scene = scene();
    for number in 0..scene.kept.len() {
        let name = scene.kept[number].name.clone();
        for what in ["gone", "empty", "nonsense"] {
            put_back(&scene.kept, &scene.data);
            let file = scene.data.join(&name);
            match what {
                "gone" => fs::remove_file(&file).expect("removed"),
                "empty" => fs::write(&file, b"").expect("written"),
                _ => fs::write(&file, vec![0xa5; 5000]).expect("written"),
            }
            scene.survives(&format!("{} being {what}", name.display()));
        }
    }
}

#[test]
fn with_both_cursor_tables_lost_everything_is_sent_again() {
    let mut scene = scene();
    put_back(&scene.kept, &scene.data);
    for table in ["cursors.0", "cursors.1"] {
        fs::remove_file(scene.data.join("relay").join(table)).expect("removed");
    }
    scene.survives("both cursor tables being gone");
}

#[test]
fn a_replica_that_lacks_the_lost_end_of_the_journal_is_diverged() {
    let mut scene = scene();
    start_without_records(&mut scene);
    assert_eq!(write_value(&scene.haflux, ALL), 204);
    assert!(!scene.haflux.log().contains("goes on without them"));
    assert!(scene.replicas[1].taken().iter().all(|value| *value != ALL));
}

#[test]
fn a_replica_that_lacks_what_only_one_that_is_gone_has_is_diverged_until_a_person_takes_it_back() {
    let mut scene = scene();
    scene.replicas[0].server.refuse();
    start_without_records(&mut scene);
    let [gone, left] = [0, 1].map(|number| &scene.replicas[number].server);
    let server = format!("{{ name = \"node0\", address = \"{}\" }}, ", gone.address());
    scene.haflux.edit(&[(&server, "")]);
    scene.haflux.restart();
    let haflux = &scene.haflux;
    assert_eq!(write_value(haflux, ALL), 503, "nobody follows");
    haflux.order(&["replica", "readmit", "node1", "--as-it-is"]);
    wait_until("a write to be taken again", SOON, || {
        write_value(haflux, ALL) == 204
    });
    haflux.says("no other replica has more, so it goes on without them");
    assert!(
        left.written_lines()
            .iter()
            .any(|line| value(line) == Some(ALL))
    );
}
