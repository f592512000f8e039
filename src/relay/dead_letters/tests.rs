//! Letters on a real folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::header::MAX_REASON;
use super::*;
use crate::influx::Credentials;
use crate::relay::record::change::Change;
use crate::relay::record::samples::{statement_record, write_record};
use crate::stats::Gauge;

const MANY: Limits = Limits {
    letters: 1000,
    bytes: 1 << 30,
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn record(database: &str, body: &str) -> Change {
    let mut record = write_record(body);
    record.destination.database = database.to_owned();
    record.destination.retention_policy = "weekly".to_owned();
    record.destination.credentials = Credentials::Parameters {
        user: b"writer".to_vec(),
        password: b"hunter2".to_vec(),
    };
    Change::Write(record)
}

fn letter(sequence: u64, replica: &str, database: &str) -> DeadLetter {
    DeadLetter {
        replica: replica.to_owned(),
        sequence,
        record: record(database, "cpu v=1 1"),
        status: 400,
        reason: "partial write: field type conflict".to_owned(),
        time: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    }
}

fn keep(store: &DeadLetters, letter: DeadLetter) {
    runtime().block_on(store.keep(letter)).unwrap();
}

fn id(text: &str) -> LetterId {
    text.parse().unwrap()
}

struct Place {
    _kept: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let kept = tempfile::tempdir().unwrap();
    let path = kept.path().join("influx_relay/dead-letters");
    Place { _kept: kept, path }
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_letter_comes_back_whole_and_its_header_holds_no_secret() {
    let place = place();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    keep(&store, letter(41, "influx-2", "telegraf"));
    assert_eq!(names(&place.path), ["00000000000000000041-influx-2.letter"]);
    let file = place.path.join("00000000000000000041-influx-2.letter");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place.path), mode(&file)), (0o700, 0o600));

    let folder = LetterFolder::new(&place.path);
    let read = folder.read(&id("41-influx-2")).unwrap();
    assert_eq!(read.record, record("telegraf", "cpu v=1 1"));
    assert_eq!(read.header, folder.read_header(&id("41-influx-2")).unwrap());
    assert_eq!(
        (read.header.relay.as_str(), read.header.time.as_str()),
        ("influx_relay", "2023-11-14T22:13:20Z")
    );
    assert_eq!((read.header.lines, read.header.bytes), (1, 9));
    let bytes = fs::read(&file).unwrap();
    let lines: Vec<&[u8]> = bytes.splitn(3, |byte| *byte == b'\n').collect();
    for secret in ["writer", "hunter2"] {
        assert!(!String::from_utf8_lossy(&lines[..2].concat()).contains(secret));
    }
    assert_eq!(
        fs::metadata(&file).unwrap().len(),
        store.bytes(),
        "what is counted is what is there"
    );
}

#[test]
fn open_letters_are_known_by_replica_and_database_and_after_a_restart() {
    let place = place();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    assert_eq!((store.count(), store.highest_sequence()), (0, 0));
    keep(&store, letter(7, "b", "telegraf"));
    keep(&store, letter(9, "b", "telegraf"));
    keep(&store, letter(8, "a", "other"));
    keep(&store, letter(9, "b", "telegraf"));
    let again = DeadLetters::open(&place.path, MANY).unwrap();
    for store in [&store, &again] {
        assert_eq!((store.count(), store.highest_sequence()), (3, 9));
        assert!(store.open_for("b", "telegraf") && store.open_for("a", "other"));
        for (replica, database) in [("a", "telegraf"), ("b", "other"), ("c", "other"), ("b", "")] {
            assert!(!store.open_for(replica, database), "{replica} {database}");
        }
    }
    assert_eq!(store.bytes(), again.bytes());
}

#[test]
fn how_many_there_are_is_shown_at_once() {
    let place = place();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    keep(&store, letter(7, "b", "telegraf"));
    let gauge = Arc::new(Gauge::default());
    store.show_in(Arc::clone(&gauge));
    assert_eq!(gauge.get(), 1);
    for sequence in [8, 8, 9] {
        keep(&store, letter(sequence, "b", "other"));
    }
    assert_eq!(gauge.get(), 3);
    assert_eq!(store.missing("b", Some(&["other"])), 2);
    assert_eq!(store.missing("b", Some(&["telegraf", "none"])), 1);
    assert_eq!((store.missing("b", None), store.missing("a", None)), (3, 0));
    let folder = LetterFolder::new(&place.path);
    folder.claim(&id("7-b"), false).unwrap().settle().unwrap();
    store.rescan();
    assert_eq!(gauge.get(), 2);
}

#[test]
fn letters_that_are_gone_are_settled_but_only_if_the_folder_can_be_read() {
    let place = place();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    keep(&store, letter(7, "b", "telegraf"));
    keep(&store, letter(9, "b", "telegraf"));
    let folder = LetterFolder::new(&place.path);
    folder.claim(&id("7-b"), false).unwrap().settle().unwrap();
    store.rescan();
    assert_eq!((store.count(), store.open_for("b", "telegraf")), (1, true));

    let away = place.path.with_extension("away");
    fs::rename(&place.path, &away).unwrap();
    store.rescan();
    assert_eq!((store.count(), store.open_for("b", "telegraf")), (1, true));
    fs::rename(&away, &place.path).unwrap();

    folder.claim(&id("9-b"), false).unwrap().settle().unwrap();
    store.rescan();
    assert_eq!((store.count(), store.open_for("b", "telegraf")), (0, false));
    assert_eq!((store.bytes(), store.highest_sequence()), (0, 9));
}

#[test]
fn letters_of_what_a_comparison_does_not_show_stay_open() {
    let place = place();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    let replicas = ["b".to_owned()];
    let settle = |databases: &[String]| {
        let settled = runtime().block_on(store.settle_compared(
            &replicas,
            databases,
            databases.is_empty(),
            9,
        ));
        (settled.closed, settled.left)
    };
    let of = |sequence: u64, shown: &str| {
        let mut record = statement_record(shown);
        record.databases = Some(vec!["telegraf".to_owned()]);
        let record = Change::Statement(record);
        let letter = letter(sequence, "b", "telegraf");
        keep(&store, DeadLetter { record, ..letter });
    };
    keep(&store, letter(1, "b", "telegraf"));
    of(2, "DROP MEASUREMENT m");
    of(3, "GRANT READ ON telegraf TO u");
    of(4, "SET PASSWORD FOR u = [REDACTED]");
    keep(&store, letter(5, "a", "telegraf"));
    assert_eq!(settle(&["other".to_owned()]), (0, 0));
    assert_eq!(settle(&["telegraf".to_owned()]), (2, 2));
    assert_eq!(settle(&[]), (1, 1));
    assert_eq!((store.count(), store.any_open("b")), (2, true));
    let file = place.path.join("00000000000000000004-b.letter");
    fs::write(file, b"torn").unwrap();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    let settled = runtime().block_on(store.settle_compared(&replicas, &[], true, 9));
    assert_eq!((settled.closed, settled.left), (0, 1), "it is damaged");
}

#[test]
fn past_the_bound_the_oldest_are_dropped_and_the_newest_never() {
    let place = place();
    let three = Limits { letters: 3, ..MANY };
    let store = DeadLetters::open(&place.path, three).unwrap();
    for sequence in 1..=5 {
        keep(&store, letter(sequence, "b", &format!("db{sequence}")));
    }
    assert_eq!((store.count(), store.dropped()), (3, 2));
    assert!(!store.open_for("b", "db2") && store.open_for("b", "db3"));
    assert_eq!(names(&place.path).len(), 3);

    let size = store.bytes() / 3;
    let two = Limits {
        letters: 3,
        bytes: size * 2 + size / 2,
    };
    let store = DeadLetters::open(&place.path, two).unwrap();
    assert_eq!((store.count(), store.dropped()), (2, 1));
    let none = Limits {
        letters: 3,
        bytes: 1,
    };
    let store = DeadLetters::open(&place.path, none).unwrap();
    keep(&store, letter(6, "b", "db6"));
    assert_eq!(names(&place.path), ["00000000000000000006-b.letter"]);
}

#[test]
fn what_every_follower_lacks_makes_room_before_what_one_lacks() {
    let place = place();
    let limits = Limits { letters: 4, ..MANY };
    let store = DeadLetters::open(&place.path, limits).unwrap();
    for replica in ["a", "b"] {
        store.set_follows(replica, true);
    }
    keep(&store, letter(1, "a", "d"));
    for sequence in 2..=9 {
        for replica in ["a", "b"] {
            keep(&store, letter(sequence, replica, "other"));
        }
    }
    assert!(store.open_for("a", "d") && !store.open_for("b", "d"));
    assert!(!store.open_for("a", "other") && !store.open_for("b", "other"));
    let left = names(&place.path);
    assert_eq!(left[0], "00000000000000000001-a.letter");
    // Of a record both letters go, or the nodes would seem to differ.
    assert_eq!(left.len() % 2, 1, "{left:?}");
    keep(&store, letter(10, "a", "d"));
    keep(&store, letter(11, "a", "d"));
    keep(&store, letter(12, "a", "d"));
    keep(&store, letter(13, "a", "d"));
    assert_eq!(names(&place.path).len(), 4);
    assert!(
        !names(&place.path).contains(&left[0]),
        "the oldest goes then"
    );
}

#[test]
fn what_is_torn_or_damaged_is_set_aside_and_stays_open_for_every_database() {
    let place = place();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    for sequence in 1..=4 {
        keep(
            &store,
            letter(sequence, &format!("r{sequence}"), "telegraf"),
        );
    }
    let file = |sequence: u64| {
        place
            .path
            .join(format!("{sequence:020}-r{sequence}.letter"))
    };
    let bytes = fs::read(file(1)).unwrap();
    fs::write(file(1), &bytes[..bytes.len() - 1]).unwrap();
    let mut bytes = fs::read(file(2)).unwrap();
    bytes[40] ^= 1;
    fs::write(file(2), &bytes).unwrap();
    fs::write(file(3), b"").unwrap();
    let unfinished = place.path.join("00000000000000000009-r9.letter.new");
    fs::write(&unfinished, b"half").unwrap();
    fs::write(place.path.join("notes.txt"), b"mine").unwrap();

    let store = DeadLetters::open(&place.path, MANY).unwrap();
    assert_eq!((store.count(), store.highest_sequence()), (4, 4));
    for replica in ["r1", "r2", "r3"] {
        assert!(store.open_for(replica, "any"), "{replica}");
    }
    assert!(!store.open_for("r4", "any") && store.open_for("r4", "telegraf"));
    assert_eq!(
        names(&place.path),
        [
            "00000000000000000001-r1.letter.damaged",
            "00000000000000000002-r2.letter.damaged",
            "00000000000000000003-r3.letter.damaged",
            "00000000000000000004-r4.letter",
            "notes.txt",
        ]
    );
    keep(&store, letter(1, "r1", "telegraf"));
    assert!(!store.open_for("r1", "any") && store.open_for("r1", "telegraf"));
    assert!(!names(&place.path).contains(&"00000000000000000001-r1.letter.damaged".to_owned()));
    let folder = LetterFolder::new(&place.path);
    let claim = folder.claim(&id("2-r2"), true).unwrap();
    assert!(claim.read().is_err());
    claim.settle().unwrap();
    store.rescan();
    assert!(!store.open_for("r2", "any"));
}

#[test]
fn a_letter_of_a_newer_haflux_is_left_alone_and_counts() {
    let place = place();
    drop(DeadLetters::open(&place.path, MANY).unwrap());
    let name = "00000000000000000003-b.letter";
    fs::write(
        place.path.join(name),
        b"haflux dead letter 2 00000000\nwho knows",
    )
    .unwrap();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    assert!(store.open_for("b", "any"));
    assert_eq!(names(&place.path), [name]);
}

#[test]
fn two_cannot_work_on_the_same_letter() {
    let place = place();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    keep(&store, letter(7, "b", "telegraf"));
    let folder = LetterFolder::new(&place.path);
    let first = folder.claim(&id("7-b"), false).unwrap();
    let second = || folder.claim(&id("7-b"), false);
    assert!(matches!(second(), Err(ClaimError::Busy)));
    drop(first);
    second().unwrap().settle().unwrap();
    assert!(matches!(second(), Err(ClaimError::Gone)));
}

#[test]
fn a_letter_that_cannot_be_written_leaves_nothing_and_can_be_kept_later() {
    let place = place();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    let away = place.path.with_extension("away");
    fs::rename(&place.path, &away).unwrap();
    let kept = runtime().block_on(store.keep(letter(7, "b", "telegraf")));
    assert!(matches!(kept, Err(DeadLetterError::Io { .. })), "{kept:?}");
    assert_eq!((store.count(), store.open_for("b", "telegraf")), (0, false));
    fs::rename(&away, &place.path).unwrap();
    keep(&store, letter(7, "b", "telegraf"));
    assert_eq!(store.count(), 1);
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let place = place();
    let store = DeadLetters::open(&place.path, MANY).unwrap();
    let reason = "\u{1}ä".repeat(MAX_REASON);
    keep(
        &store,
        DeadLetter {
            reason: reason.clone(),
            ..letter(7, "b", &"\u{1}".repeat(60_000))
        },
    );
    let again = DeadLetters::open(&place.path, MANY).unwrap();
    assert!(again.open_for("b", &"\u{1}".repeat(60_000)));
    let read = LetterFolder::new(&place.path).read(&id("7-b")).unwrap();
    assert!(read.header.reason.len() <= MAX_REASON && read.header.reason.len() > MAX_REASON - 4);
    assert!(reason.starts_with(&read.header.reason));
}

#[test]
fn ids_come_back_and_nothing_else_is_one() {
    for text in ["41-influx2", "0-a-b", "18446744073709551615-x:y.z"] {
        assert_eq!(id(text).to_string(), text);
    }
    for text in [
        "",
        "41",
        "-a",
        "41-",
        "+1-a",
        "x-a",
        "1-a/b",
        "1-a\u{1b}",
        "99999999999999999999999-a",
    ] {
        assert_eq!(text.parse::<LetterId>(), Err(BadLetterId), "{text}");
    }
}

proptest! {
    #[test]
    fn no_flip_and_no_cut_passes(cut: prop::sample::Index, bit: prop::sample::Index, body in ".{0,50}") {
        let place = place();
        let store = DeadLetters::open(&place.path, MANY).unwrap();
        keep(&store, DeadLetter { record: record("telegraf", &body), ..letter(7, "b", "telegraf") });
        let folder = LetterFolder::new(&place.path);
        let file = place.path.join("00000000000000000007-b.letter");
        let sound = fs::read(&file).unwrap();
        fs::write(&file, &sound[..cut.index(sound.len())]).unwrap();
        prop_assert!(folder.read(&id("7-b")).is_err());
        let mut flipped = sound.clone();
        let bit = bit.index(sound.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &flipped).unwrap();
        prop_assert!(folder.read(&id("7-b")).is_err());
        fs::write(&file, &sound).unwrap();
        prop_assert!(folder.read(&id("7-b")).is_ok());
    }
}
