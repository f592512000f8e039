//! The disk is full, or its folder goes away: writes are turned away before anything is sent, what was acknowledged is not
//! lost, and it goes on by itself once the disk is well again.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::support::wait::SOON;
use crate::support::{
    Behaviour, FileSystem, Haflux, StandIn, query, relay_over, status, wait_until,
};

const LONG: Duration = Duration::from_secs(120);

fn line(value: usize) -> String {
    format!("disk v={value} {value}\n")
}

fn values_at(replica: &StandIn) -> Vec<usize> {
    let mut values: Vec<usize> = Vec::new();
    for request in replica.writes() {
        for line in request.text().lines() {
            let value = line
                .rsplit_once(' ')
                .and_then(|(_, time)| time.parse::<usize>().ok());
            values.extend(value);
        }
    }
    values.dedup();
    values
}

/// Every acknowledged value came, in order; what came twice came with everything after it.
#[track_caller]
fn assert_has(replica: &StandIn, acknowledged: &[usize], in_doubt: &[usize]) {
    let mut values = values_at(replica);
    values.retain(|value| !in_doubt.contains(value));
    let mut place = 0;
    for value in &values {
        match acknowledged.binary_search(value) {
            Ok(found) => {
                assert!(found <= place, "{value} came too early: {values:?}");
                place = found + 1;
            }
            Err(_) => panic!("{value} was turned away and came all the same"),
        }
    }
    assert_eq!(place, acknowledged.len(), "{values:?}");
}

#[test]
fn a_full_disk_turns_writes_away_and_room_lets_them_in_again() {
    let well = StandIn::healthy();
    let mut away = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("haflux");
    // Three segments of 32 MiB, and not a fourth one.
    let disk = FileSystem::in_memory(&home.join("data"), "100m");
    let haflux = Haflux::start(&home, &relay_over(&[&well, &away], "rewind = \"100ms\""));
    let mut acknowledged = Vec::new();
    let mut next = 0;
    let mut try_write = |padding: usize| {
        next += 1;
        let lines = format!("disk p=\"{}\" {next}\n", "x".repeat(padding));
        let answer = haflux.write("telegraf", &lines);
        (next, answer)
    };
    wait_until("both to be known", SOON, || {
        let (value, answer) = try_write(1);
        if answer.status == 204 {
            acknowledged.push(value);
        }
        answer.status == 204 && !values_at(&away).is_empty()
    });
    away.refuse();
    let ballast = disk.folder().join("ballast");
    let mut file = fs::File::create(&ballast).expect("a file");
    while file.write_all(&[1; 65_536]).is_ok() {}
    let mut turned_away = None;
    wait_until("the disk to be full", LONG, || {
        let (value, answer) = try_write(1_000_000);
        match answer.status {
            204 => acknowledged.push(value),
            503 => turned_away = Some(answer),
            status => panic!("{status}: {}", answer.text()),
        }
        turned_away.is_some()
    });
    let answer = turned_away.expect("an answer");
    assert!(answer.header("retry-after").is_some());
    assert!(answer.text().contains("the journal"), "{}", answer.text());
    wait_until("what was admitted to be settled", SOON, || {
        values_at(&well).last() == acknowledged.last()
    });
    let before = well.writes().len();
    for _ in 0..10 {
        let (value, answer) = try_write(1);
        match answer.status {
            // A little room may be left where a large write had none.
            204 => acknowledged.push(value),
            status => assert_eq!(status, 503),
        }
    }
    let sent = well.writes().len() - before;
    assert!(sent <= acknowledged.len());

    fs::remove_file(&ballast).expect("removed");
    drop(file);
    away.accept_again();
    wait_until("writes to be taken again", SOON, || {
        let (value, answer) = try_write(1_000_000);
        if answer.status == 204 {
            acknowledged.push(value);
        }
        answer.status == 204
    });
    for replica in [&well, &away] {
        wait_until("both to have all", LONG, || {
            values_at(replica).last() == acknowledged.last()
        });
        assert_has(replica, &acknowledged, &[]);
    }
    assert!(!haflux.log().contains("panicked"));
    drop(haflux);
}

/// Writes the file until not a single byte has room any more.
fn fill_up(path: &Path) {
    let mut file = fs::File::create(path).expect("a file");
    for size in [65_536, 512, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

/// Answers queries as well.
fn node() -> StandIn {
    StandIn::start(|request| match request.path() {
        "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
        _ => Behaviour::no_content(),
    })
}

/// Answers reads, turns writes away once what room its journal had is used up, and takes them again with room.
#[track_caller]
fn serves_without_room_and_heals(haflux: &Haflux, node: &StandIn, make_room: impl FnOnce()) {
    wait_until("reads to be answered", SOON, || {
        haflux.query("telegraf", "SELECT v FROM disk").status == 200
    });
    let large = format!("disk p=\"{}\" 2\n", "x".repeat(1_000_000));
    wait_until("writes to be turned away", LONG, || {
        let answer = haflux.write("telegraf", &large);
        let text = answer.text();
        assert!(
            answer.status == 204 || text.contains("the journal takes no writes"),
            "{text}"
        );
        answer.status == 503
    });
    assert_eq!(haflux.query("telegraf", "SELECT v FROM disk").status, 200);
    make_room();
    wait_until("writes to be taken again", SOON, || {
        haflux.write("telegraf", "healed v=1 1").status == 204
    });
    wait_until("the write to arrive", SOON, || {
        let lines = node.written_lines();
        lines.iter().any(|line| line == "healed v=1 1")
    });
    assert!(!haflux.log().contains("panicked"));
}

#[test]
fn a_start_on_a_full_disk_answers_reads_and_takes_writes_once_there_is_room() {
    // On ext4 a file can be made where no byte can be written.
    for is_in_memory in [true, false] {
        let node = node();
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("haflux");
        let data = home.join("data");
        let disk = match is_in_memory {
            true => FileSystem::in_memory(&data, "200m"),
            false => FileSystem::in_a_file(&data, 256 << 20),
        };
        let keys = "rewind = \"100ms\"";
        let mut haflux = Haflux::start(&home, &relay_over(&[&node], keys));
        wait_until("a write to be taken", SOON, || {
            haflux.write("telegraf", line(1)).status == 204
        });
        haflux.kill9();
        let ballast = disk.folder().join("ballast");
        fill_up(&ballast);
        haflux.restart();
        serves_without_room_and_heals(&haflux, &node, || {
            fs::remove_file(&ballast).expect("removed");
        });
        drop(haflux);
    }
}

#[test]
fn a_first_start_on_a_full_disk_answers_reads_and_takes_writes_once_there_is_room() {
    let node = node();
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("haflux");
    let disk = FileSystem::in_memory(&home.join("data"), "200m");
    let ballast = disk.folder().join("ballast");
    fill_up(&ballast);
    let haflux = Haflux::start(&home, &relay_over(&[&node], ""));
    for value in 0..3 {
        assert_eq!(haflux.write("telegraf", line(value)).status, 503);
    }
    let statement = query(&haflux.url("front"), "telegraf", "DROP SERIES FROM disk");
    assert_eq!(statement.status, 503, "{}", statement.text());
    assert_eq!(node.written_lines(), [""; 0]);
    serves_without_room_and_heals(&haflux, &node, || {
        fs::remove_file(&ballast).expect("removed");
    });
    drop(haflux);
}

#[test]
fn a_folder_that_goes_away_turns_writes_away_until_it_is_back() {
    let well = StandIn::healthy();
    let mut away = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = Haflux::start(
        folder.path(),
        &relay_over(&[&well, &away], "rewind = \"100ms\""),
    );
    let (mut acknowledged, mut in_doubt) = (Vec::new(), Vec::new());
    let mut next = 0;
    let mut try_write = |haflux: &Haflux| {
        next += 1;
        let status = haflux.write("telegraf", line(next)).status;
        if status == 204 {
            acknowledged.push(next);
        }
        if status == 504 {
            // In the journal's hands when the folder went away: nobody was promised anything, and it may come.
            in_doubt.push(next);
        }
        assert!(matches!(status, 204 | 503 | 504), "{status}");
        status == 204
    };
    wait_until("both to be known", SOON, || {
        try_write(&haflux) && !values_at(&away).is_empty()
    });
    away.refuse();
    for _ in 0..20 {
        try_write(&haflux);
    }
    let (here, there) = (
        folder.path().join("data/relay"),
        folder.path().join("data/elsewhere"),
    );
    for kill in [false, true] {
        fs::rename(&here, &there).expect("renamed");
        wait_until("writes to be turned away", SOON, || !try_write(&haflux));
        haflux.says("journal");
        if kill {
            haflux.kill9();
        }
        fs::rename(&there, &here).expect("renamed");
        if kill {
            haflux.restart();
        }
        wait_until("writes to be taken again", SOON, || try_write(&haflux));
    }
    away.accept_again();
    for replica in [&well, &away] {
        wait_until("both to have all", SOON, || {
            values_at(replica).last() == acknowledged.last()
        });
        assert_has(replica, &acknowledged, &in_doubt);
    }
    assert!(!haflux.log().contains("panicked"));
}

#[test]
fn room_that_gets_scarce_is_told_before_the_disk_is_full() {
    const MIB: u64 = 1 << 20;
    let nodes = [StandIn::healthy(), StandIn::healthy()];
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("haflux");
    // Three segments of 32 MiB take 96 MiB of it.
    let disk = FileSystem::in_memory(&home.join("data"), "600m");
    let keys = "max_backlog = \"400MiB\"";
    let haflux = Haflux::start(&home, &relay_over(&[&nodes[0], &nodes[1]], keys));
    let url = haflux.url("front");
    let free = || {
        let free = &status::relay(&url)["journal"]["disk_free"];
        free.as_u64().map(|free| free / MIB)
    };
    let said = || {
        let problems = status::page(&url)["problems"].take();
        let problems = problems.as_array().cloned().unwrap_or_default();
        let of_disk = problems.into_iter().find(|problem| {
            let what = problem["what"].as_str().unwrap_or_default();
            what.starts_with("The disk of relay")
        });
        of_disk.map(|problem| problem["severity"].as_str().map(str::to_owned))
    };
    wait_until("the room to be known", SOON, || free() > Some(450));
    assert!(free() < Some(600), "{:?}", free());
    assert_eq!(said(), None);
    let fill = |name: &str, megabytes: usize| {
        fs::write(disk.folder().join(name), vec![1; megabytes << 20]).expect("written");
    };
    fill("some", 150);
    wait_until("it to be told", SOON, || {
        said() == Some(Some("warning".to_owned()))
    });
    assert!(free() < Some(400), "{:?}", free());
    fill("more", 150);
    wait_until("it to be told aloud", SOON, || {
        said() == Some(Some("error".to_owned()))
    });
    for name in ["some", "more"] {
        fs::remove_file(disk.folder().join(name)).expect("removed");
    }
    wait_until("it to be well", SOON, || said().is_none());
    drop(haflux);
}
