//! The wall clock jumps while haflux runs: stamps are what it says, and nothing else depends on it. libfaketime shows haflux
//! another time of day; what is left alone is the monotonic clock, as a jump leaves it alone.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::http;
use crate::support::wait::SOON;
use crate::support::{Haflux, StandIn, relay_over, wait_until};

const DAY: i64 = 86_400;

/// How far a stamp may be from the clock when the machine has other things to do.
const TOLERANCE: i64 = 60;

fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder");
    let candidates = folders
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = candidates.filter(|path| path.exists()).last();
    found.expect("libfaketime is missing: install Debian's package `faketime`")
}

fn set(file: &Path, offset: i64) {
    // Renamed, so that haflux never reads half of it.
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{offset:+}")).expect("written");
    std::fs::rename(&new, file).expect("renamed");
}

fn lines_at(replica: &StandIn) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for request in replica.writes() {
        for line in request.text().lines() {
            // What was sent again was there before.
            if !lines.iter().any(|known| known == line) {
                lines.push(line.to_owned());
            }
        }
    }
    lines
}

#[test]
fn the_clock_steps_back_and_forth() {
    let well = StandIn::healthy();
    let mut away = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let clock = folder.path().join("clock");
    set(&clock, 0);
    let environment = [
        ("LD_PRELOAD", library().display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let configuration = relay_over(&[&well, &away], "rewind = \"1s\"\ntimeout = \"11s\"");
    let mut haflux = Haflux::start_in(&folder.path().join("haflux"), &configuration, &environment);
    let url = format!("{}/write?db=telegraf", haflux.url("front"));
    let mut value = 0;
    let mut write = |offset: i64| {
        set(&clock, offset * DAY);
        for _ in 0..5 {
            value += 1;
            let answer = http::post(&url, format!("clock v={value}"));
            assert_eq!(answer.status, 204, "{offset} days off: {}", answer.text());
        }
    };
    write(0);
    wait_until("both to have it", SOON, || {
        [&well, &away]
            .iter()
            .all(|replica| lines_at(replica).len() == 5)
    });
    // Longer than max_backlog_age, and longer than trust_for.
    away.refuse();
    for offset in [10, -10, 0, 365, -365] {
        write(offset);
    }
    let mut well = well;
    wait_until("the one to have all", SOON, || lines_at(&well).len() == 30);
    well.refuse();
    for offset in [-20, 20] {
        write(offset);
    }
    well.accept_again();
    away.accept_again();
    for replica in [&well, &away] {
        wait_until("both to have all", SOON, || lines_at(replica).len() == 40);
    }
    assert_eq!(lines_at(&well), lines_at(&away));

    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let now = i64::try_from(now.as_secs()).expect("a time");
    let offsets = [0, 10, -10, 0, 365, -365, -20, 20];
    for (place, line) in lines_at(&well).iter().enumerate() {
        let expected = now + offsets[place / 5] * DAY;
        let (head, stamp) = line.rsplit_once(' ').expect("a stamp");
        assert_eq!(head, format!("clock v={}", place + 1));
        let stamp = stamp.parse::<i64>().expect("a number") / 1_000_000_000;
        assert!(
            (stamp - expected).abs() < TOLERANCE,
            "{line} is {} s off",
            stamp - expected
        );
    }
    assert!(!haflux.log().contains("diverged"), "{}", haflux.log());
    assert!(haflux.terminate().success());
}
