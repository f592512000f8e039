//! haflux binds its sockets as root and becomes somebody else, in all of its threads and for good.
//!
//! Only root can do that. Where the tests run as another user, they show that haflux says so.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::support;
use crate::support::authority::{Authority, SecureConnection};
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, http, relay_over, wait_until};

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A port that only root can have, unless this machine lets everybody have it.
fn privileged_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (700..1024).rev().find(free).expect("a free port")
}

/// The values of a line of `/proc/ID/task/*/status`, a thread each, with the thread's name.
fn of_threads(id: u32, line: &str) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).expect("a process");
    let each = tasks.map(|task| {
        let status = fs::read_to_string(task.expect("a thread").path().join("status"));
        let status = status.expect("a status");
        let value = |wanted: &str| {
            let mut lines = status.lines().filter_map(|line| line.split_once(":\t"));
            let found = lines.find(|(name, _)| *name == wanted);
            found.expect("a line").1.trim().replace('\t', " ")
        };
        (value("Name"), value(line))
    });
    each.collect()
}

/// A folder that other users can reach.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a mode");
    folder
}

/// haflux as `nobody` on a port of root's, with a key and a password that root alone can read.
fn configuration(authority: &Authority, node: &StandIn, port: u16) -> String {
    let certificate = authority.sign("site.pem", "localhost", 90);
    fs::set_permissions(&certificate, Permissions::from_mode(0o600)).expect("a mode");
    let server = format!(
        "user = \"nobody\"\nmetrics_bind = \"127.0.0.1:{port}\"\nstats_socket = {{ path = \"FOLDER/data/stats.sock\" }}\n\
         data_dir ="
    );
    let front = format!(
        "name = \"front\"\ntls = {{ addresses = \"127.0.0.1:PORT(secure)\", certificate = {certificate:?} }}"
    );
    relay_over(&[node], "")
        .replacen("data_dir =", &server, 1)
        .replacen("name = \"front\"", &front, 1)
        .replacen(
            "bind = \"127.0.0.1:PORT(front)\"",
            "bind = [\"127.0.0.1:PORT(front)\", \"127.0.0.1:PORT(secure)\"]",
            1,
        )
        + "[[udp]]\nbind = \"127.0.0.1:UDP(udp)\"\nrelay = \"relay\"\ndb = \"db\"\n"
}

#[test]
fn root_is_left_for_good_by_all_threads_and_everything_is_served() {
    if !is_root() {
        eprintln!("not tried, because only root can become somebody else");
        return;
    }
    let folder = folder();
    let authority = Authority::new(&folder.path().join("authority"));
    let node = StandIn::start(|_| Behaviour::no_content());
    let port = privileged_port();
    let configuration = configuration(&authority, &node, port);
    let mut haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    wait_until("a write to be taken", SOON, || {
        haflux.write("db", "m v=1 1").status == 204
    });

    let id = haflux.id();
    let threads = of_threads(id, "Uid");
    assert!(threads.len() > 3, "{threads:?}");
    let ids = format!("{NOBODY} {NOBODY} {NOBODY} {NOBODY}");
    for (line, expected) in [
        ("Uid", ids.as_str()),
        ("Gid", ids.as_str()),
        ("Groups", "65534"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
    ] {
        let other: Vec<_> = of_threads(id, line)
            .into_iter()
            .filter(|(name, value)| {
                // The allocator's threads are older than haflux's first line, and execute nothing.
                let is_older = line == "NoNewPrivs" && name == "jemalloc_bg_thd";
                value != expected && !is_older
            })
            .collect();
        assert!(other.is_empty(), "{line}: {other:?}");
    }
    let data = folder.path().join("haflux/data");
    for file in [data.clone(), data.join("relay"), data.join("stats.sock")] {
        let found = fs::metadata(&file).expect("a file");
        assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY), "{file:?}");
    }

    let metrics = http::get(&format!("http://127.0.0.1:{port}/metrics"));
    assert_eq!(metrics.status, 200);
    // It shows its certificate, whose key nobody but root can read.
    SecureConnection::open(&haflux.address("secure"), &authority, "localhost");
    // A reload reads the key as nobody.
    let said = haflux.refuses(&["reload"]);
    assert!(
        said.contains("site.pem") && said.contains("ermission denied"),
        "{said}"
    );
    assert!(said.contains("nothing was changed"), "{said}");
    chown(authority.file("site.pem"), Some(NOBODY), None).expect("an owner");
    haflux.order(&["reload"]);
    assert_eq!(haflux.write("db", "m v=2 2").status, 204);
    // The journal is that user's: the next start takes it.
    haflux.restart();
    wait_until("a write to be taken", SOON, || {
        haflux.write("db", "m v=3 3").status == 204
    });
}

#[test]
fn who_is_not_root_cannot_become_somebody_else() {
    let folder = folder();
    let home = folder.path().join("home");
    fs::create_dir(&home).expect("a folder");
    let file = home.join("haflux.toml");
    let wanted = if is_root() { "daemon" } else { "nobody" };
    let text = format!(
        "[server]\nuser = \"{wanted}\"\ndata_dir = \"{}/data\"\n[[frontend]]\nname = \"f\"\nbind = \"127.0.0.1:1\"\nstats_uri = \"/s\"\n",
        home.display()
    );
    fs::write(&file, text).expect("a file");
    let said = run_as_nobody(&file);
    assert!(
        said.contains("cannot become user") && said.contains("start it as root"),
        "{said}"
    );
}

/// What `haflux run` says when it is started by `nobody`, or by whoever runs the tests if that is not root.
fn run_as_nobody(file: &Path) -> String {
    // The folder that it was built in may be closed to others.
    let program = file.with_file_name("haflux");
    fs::copy(env!("CARGO_BIN_EXE_haflux"), &program).expect("a copy");
    let program = program.to_str().expect("a plain name");
    let file = file.to_str().expect("a plain name");
    let command = [program, "run", "--config", file];
    let launcher = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--",
    ];
    let launcher = if is_root() { &launcher[..] } else { &[] };
    let words: Vec<&str> = launcher.iter().chain(&command).copied().collect();
    let output = support::programs::run(words[0], &words[1..]);
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_start_that_fails_leaves_no_log_to_root() {
    if !is_root() {
        eprintln!("not tried, because only root can become somebody else");
        return;
    }
    let folder = self::folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let log = folder.path().join("log");
    fs::create_dir(&log).expect("a folder");
    chown(&log, Some(NOBODY), Some(NOBODY)).expect("an owner");
    let file = folder.path().join("haflux.toml");
    let text = format!(
        "[server]\nuser = \"nobody\"\ndata_dir = \"{0}/data\"\n[[log]]\nto = \"{0}/log/haflux.log\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"{address}\"\ndefault_backend = \"back\"\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"127.0.0.1:1\" }}]\n",
        folder.path().display()
    );
    fs::write(&file, text).expect("a file");
    let run = Haflux::command(&["run", "--config", file.to_str().expect("a path")]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let found = fs::metadata(log.join("haflux.log")).expect("the log of the failed start");
    assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY));
}

#[test]
fn nobody_of_its_user_sees_into_it() {
    if !is_root() {
        eprintln!("not tried, because only root can become somebody else");
        return;
    }
    let folder = folder();
    let authority = Authority::new(&folder.path().join("authority"));
    let node = StandIn::start(|_| Behaviour::no_content());
    let configuration = configuration(&authority, &node, privileged_port());
    let mut haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    let limits = fs::read_to_string(format!("/proc/{}/limits", haflux.id())).expect("limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.expect("a line").split_whitespace().skip(4).collect();
    assert_eq!(core, ["0", "0", "bytes"]);
    // Only what may not be dumped is root's there.
    let environment = fs::metadata(format!("/proc/{}/environ", haflux.id())).expect("a file");
    assert_eq!(environment.uid(), 0);
}

#[test]
fn root_is_told_what_the_user_would_find() {
    if !is_root() {
        eprintln!("not tried, because only root can become somebody else");
        return;
    }
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    for name in ["data", "data/relay", "log"] {
        fs::create_dir(at(name)).expect("a folder");
    }
    chown(at("data"), Some(NOBODY), Some(NOBODY)).expect("an owner");
    fs::set_permissions(at("data"), Permissions::from_mode(0o700)).expect("a mode");
    fs::write(at("password"), "x").expect("a file");
    fs::set_permissions(at("password"), Permissions::from_mode(0o600)).expect("a mode");
    let file = at("haflux.toml");
    let text = format!(
        "[server]\nuser = \"nobody\"\ndata_dir = \"{0}/data\"\n\
         stats_socket = {{ path = \"{0}/data/stats.sock\", group = \"daemon\" }}\n\
         [[log]]\nto = \"{0}/log/haflux.log\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:8086\"\ndefault_backend = \"back\"\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
         heal = {{ username = \"root\", password_file = \"{0}/password\" }}\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"127.0.0.1:1\" }}]\n",
        folder.path().display()
    );
    fs::write(&file, text).expect("a file");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a mode");
    let check = || Haflux::command(&["check", "--config", file.to_str().expect("a path")]);
    let output = check();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for reason in [
        "data/relay cannot be written: Permission denied",
        "log/haflux.log cannot be written by the user that haflux becomes: Permission denied",
        "the group \"daemon\", because nobody is no member of it",
        "password cannot be read: Permission denied",
    ] {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    for name in ["data/relay", "log", "password"] {
        chown(at(name), Some(NOBODY), Some(NOBODY)).expect("an owner");
    }
    let text = fs::read_to_string(&file).expect("the file");
    fs::write(&file, text.replace(", group = \"daemon\"", "")).expect("a file");
    let output = check();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    fs::set_permissions(at("data"), Permissions::from_mode(0o777)).expect("a mode");
    let output = check();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let reason = "data can be written by everybody";
    assert_eq!(said.matches(reason).count(), 1, "{said}");
    assert!(!at("log/haflux.log").exists(), "it leaves nothing behind");
}
