//! What one node refused cannot be put on disk: saved cursors wait for that, so that a crash or a stop forgets nothing; the status
//! page says so; everything else goes on; and it heals by itself.

use std::fs;
use std::io::Write;

use crate::support::http::Answer;
use crate::support::long_run::{Connection, Reply, Request};
use crate::support::refusals::{
    both_are_through, dead_letters, lab_that_differs, letters_folder, relay, take_away,
};
use crate::support::wait::SOON;
use crate::support::{FileSystem, Haflux, Lab, wait_until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

/// Why it cannot be put on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    /// A file stands in the place of the folder.
    NoFolder,
    /// The folder is a disk of its own, which is full.
    FullDisk,
    /// The process may open nothing more (EMFILE); what is open works.
    NoMoreFiles,
}

/// What becomes of haflux before the obstacle goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Crash,
    Stop,
    None,
}

/// Why the refusal is to be put on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// The other node took the record.
    DeadLetter,
    /// The other node is away, and may take it.
    Pending,
}

const PAGE: &str = "/haproxy?stats";

/// A client whose connection was made before haflux could make no more.
struct Client<'a>(Connection<'a>);

impl Client<'_> {
    #[track_caller]
    fn ask(&mut self, method: &'static str, target: &str, body: &str) -> Answer {
        let reply = self.0.send(&Request {
            method,
            target: target.to_owned(),
            header: None,
            body: body.as_bytes().to_vec(),
        });
        match reply {
            Reply::Answer(answer) => answer,
            other => panic!("{method} {target}: {other:?}"),
        }
    }

    #[track_caller]
    fn write(&mut self, lines: &str) -> u16 {
        self.ask("POST", "/write?db=db", lines).status
    }

    fn relay(&mut self) -> Value {
        self.ask("GET", &format!("{PAGE};json"), "").json()["relays"][0].take()
    }
}

/// Its dead letters are on a small disk of their own from now on.
fn give_a_disk(lab: &mut Lab) -> FileSystem {
    assert!(lab.haflux.terminate().success());
    let disk = FileSystem::in_memory(&letters_folder(lab), "64k");
    lab.haflux.restart();
    wait_until("both nodes to be known again", SOON, || {
        let relay = relay(lab);
        (0..2).all(|number| relay["replicas"][number]["status"] == "fresh")
    });
    disk
}

/// How many files a process may have open; returns how many it might have before.
fn limit_files(haflux: &mut Haflux, limit: Option<u64>) -> Option<u64> {
    let id = i32::try_from(haflux.id()).expect("a process id");
    let of_all = rustix::process::getrlimit(Resource::Nofile);
    let limits = Rlimit {
        current: limit,
        maximum: of_all.maximum,
    };
    let before = prlimit(Pid::from_raw(id), Resource::Nofile, limits).expect("an own child");
    before.current
}

/// What takes the obstacle away again.
enum Undo {
    MoveBack,
    RemoveBallast,
    RaiseLimit(Option<u64>),
}

fn obstruct(lab: &mut Lab, obstacle: Obstacle) -> Undo {
    let folder = letters_folder(lab);
    match obstacle {
        Obstacle::NoFolder => {
            fs::rename(&folder, folder.with_extension("away")).expect("moved");
            fs::write(&folder, "").expect("written");
            Undo::MoveBack
        }
        Obstacle::FullDisk => {
            let mut ballast = fs::File::create(folder.join("ballast")).expect("a file");
            while ballast.write_all(&[1; 4096]).is_ok() {}
            Undo::RemoveBallast
        }
        Obstacle::NoMoreFiles => Undo::RaiseLimit(limit_files(&mut lab.haflux, Some(0))),
    }
}

impl Undo {
    fn now(self, lab: &mut Lab, end: End) {
        let folder = letters_folder(lab);
        match self {
            Undo::MoveBack => {
                fs::remove_file(&folder).expect("removed");
                fs::rename(folder.with_extension("away"), &folder).expect("moved");
            }
            Undo::RemoveBallast => fs::remove_file(folder.join("ballast")).expect("removed"),
            // The next process has a limit of its own.
            Undo::RaiseLimit(limit) => {
                if end == End::None {
                    limit_files(&mut lab.haflux, limit);
                }
            }
        }
    }
}

#[track_caller]
fn nothing_is_forgotten(obstacle: Obstacle, kept: Kept, end: End) {
    println!("{obstacle:?}, {kept:?}, {end:?}");
    // Unmounted before the lab's folder is removed.
    let disk;
    let mut lab = lab_that_differs("");
    disk = (obstacle == Obstacle::FullDisk).then(|| give_a_disk(&mut lab));
    if kept == Kept::Pending {
        take_away(&mut lab);
    }
    let address = lab.haflux.address("influx_front");
    let mut client = Client(Connection::new(&address));
    client.relay();
    let undo = obstruct(&mut lab, obstacle);

    let refused_by_all = kept == Kept::Pending;
    let expected = if refused_by_all { 400 } else { 204 };
    assert_eq!(client.write("m v=7 7"), expected);
    // It holds up nothing but the saved cursor.
    for number in 0..20 {
        assert_eq!(client.write(&format!("good v={number} {number}")), 204);
    }
    // A statement is sent on a connection of its own.
    if kept == Kept::DeadLetter && obstacle != Obstacle::NoMoreFiles {
        let answer = client.ask("POST", "/query?q=CREATE%20DATABASE%20later", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        wait_until("the other node's cursor to be saved", SOON, || {
            client.relay()["replicas"][1]["lag"]["records"] == 0
        });
    }
    wait_until("the page to say so", SOON, || {
        client.relay()["refusals_unwritten"] == true
    });
    let page = client.ask("GET", PAGE, "").text();
    assert!(page.contains("cannot write down what nodes refused"));
    let told = "cannot be put on disk";
    lab.haflux.says(told);
    assert_eq!(lab.haflux.log().matches(told).count(), 1);

    match end {
        End::Crash => lab.haflux.kill9(),
        End::Stop => assert!(lab.haflux.terminate().success()),
        End::None => {}
    }
    undo.now(&mut lab, end);
    if end != End::None {
        lab.haflux.restart();
    }
    if kept == Kept::Pending {
        lab.node2.restart();
    }
    wait_until("its dead letter", SOON, || dead_letters(&lab) == 1);
    wait_until("all to be well", SOON, || {
        both_are_through(&lab) && relay(&lab)["refusals_unwritten"] == false
    });
    assert_eq!(lab.node2.count("db", "m", "v"), 1);
    assert_eq!(lab.node2.count("db", "good", "v"), 20);
    drop(disk);
}

#[test]
fn a_dead_letter_that_has_no_folder_is_not_forgotten_over_a_crash_and_heals_by_itself() {
    nothing_is_forgotten(Obstacle::NoFolder, Kept::DeadLetter, End::Crash);
    nothing_is_forgotten(Obstacle::NoFolder, Kept::DeadLetter, End::None);
}

#[test]
fn a_refusal_that_has_no_folder_is_not_forgotten_over_a_crash_or_a_stop() {
    nothing_is_forgotten(Obstacle::NoFolder, Kept::Pending, End::Crash);
    nothing_is_forgotten(Obstacle::NoFolder, Kept::Pending, End::Stop);
}

#[test]
fn a_dead_letter_for_which_the_disk_is_full_is_not_forgotten_over_a_crash_and_heals_by_itself() {
    nothing_is_forgotten(Obstacle::FullDisk, Kept::DeadLetter, End::Crash);
    nothing_is_forgotten(Obstacle::FullDisk, Kept::DeadLetter, End::None);
}

#[test]
fn a_refusal_for_which_the_disk_is_full_is_not_forgotten_over_a_stop() {
    nothing_is_forgotten(Obstacle::FullDisk, Kept::Pending, End::Stop);
}

#[test]
fn a_dead_letter_for_which_no_file_can_be_opened_is_not_forgotten_over_a_stop_and_heals_by_itself()
{
    nothing_is_forgotten(Obstacle::NoMoreFiles, Kept::DeadLetter, End::Stop);
    nothing_is_forgotten(Obstacle::NoMoreFiles, Kept::DeadLetter, End::None);
}

#[test]
fn a_refusal_for_which_no_file_can_be_opened_is_not_forgotten_over_a_stop() {
    nothing_is_forgotten(Obstacle::NoMoreFiles, Kept::Pending, End::Stop);
}
