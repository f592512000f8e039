//! `haflux replica rebuild` where haflux reaches the nodes' ports for RPC: shards are copied as files. On real nodes; what they hold is
//! compared by the tests' own means.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support;
use crate::support::lab::relay_keys;
use crate::support::ports::free_port;
use crate::support::programs::{influxdb_release, run, succeeds};
use crate::support::wait::SOON;
use crate::support::write::write_with;
use crate::support::{
    Influxd, Lab, Options, beside, same_points, status, try_write_with, wait_until,
    wait_until_level,
};

const DATABASES: [&str; 2] = ["telegraf", "ünï \"code\""];
const REBUILD: [&str; 4] = ["replica", "rebuild", "influxlab2", "--yes"];

/// Day by day, from 2001-09-09 on.
const DAY: i64 = 86_400;
const BEGIN: i64 = 1_000_000_000;

/// Nodes that speak the backup protocol at one port, each at an address of its own, the second of which is set aside without anything;
/// `heal`: more keys of that table.
fn lab(days: i64, bulk: usize, heal: &str) -> Lab {
    let port = free_port();
    let options = |address: &str| on_host(address).rpc_at(&format!("{address}:{port}"));
    let keys = format!(
        "rewind = \"1s\"\nretry = {{ max = \"500ms\" }}\nheal = {{ rpc_port = {port}{heal} }}"
    );
    let [first, second] = ["127.0.0.1", "127.0.0.2"].map(options);
    let mut lab = Lab::start_each(first, second, Vec::new(), relay_keys(&keys));
    fill(&lab, days, bulk);
    lab.node2.kill9();
    lab.node2.wipe();
    lab.node2.restart();
    wait_until("the second replica to be diverged", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
    lab
}

fn on_host(address: &str) -> Options {
    Options::default().on_host(address, Vec::new())
}

/// Points of all types in shards of a day each, with odd names. `bulk`: bytes of a text of each day that cannot be compressed.
fn fill(lab: &Lab, days: i64, bulk: usize) {
    for statement in [
        "CREATE DATABASE telegraf",
        "CREATE DATABASE \"ünï \\\"code\\\"\"",
        "CREATE RETENTION POLICY daily ON telegraf DURATION INF REPLICATION 1 SHARD DURATION 1d",
        "CREATE RETENTION POLICY \"odd, policy\" ON \"ünï \\\"code\\\"\" DURATION 5200w REPLICATION 2 SHARD DURATION 1d DEFAULT",
        "CREATE CONTINUOUS QUERY early ON telegraf BEGIN SELECT count(v) AS v INTO counted FROM daily.types GROUP BY time(1s) END",
    ] {
        lab.carry_out("", statement);
    }
    for day in 0..days {
        let time = BEGIN + day * DAY;
        // Of one type in one shard, and of another in the next.
        let v = match day % 3 {
            0 => format!("{day}.5"),
            1 => format!("{day}i"),
            _ => format!("\"{day}\""),
        };
        let text: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(bulk)
            .collect();
        let lines = format!(
            "types,host=a\\ b,ünï=\"x\\,y v={v},least=-9223372036854775808i,tiny=5e-324,is=true {time}\n\
             odd\\ name\\,\"with\"=equal,host=1 select=where,time\\ s=\"line\nend, \\\"quoted\\\"\" {time}\n\
             bulk text=\"{text}\" {time}\nspan v=1 {time}\nspan v=2 {}\n",
            time + 10
        )
        .replace("select=where", "select=1i");
        for parameters in [
            &[("db", DATABASES[0]), ("rp", "daily"), ("precision", "s")][..],
            &[("db", DATABASES[1]), ("precision", "s")],
        ] {
            let taken = try_write_with(&lab.influx_url(), parameters, &lines);
            assert_eq!(taken, 204, "{lines}");
        }
    }
    wait_until_level(lab, SOON).expect("both have it");
}

/// Both nodes must hold the same, and the second one no file that a broken copy left.
#[track_caller]
fn assert_equal(lab: &Lab) {
    wait_until_level(lab, SOON).expect("all have everything");
    for database in DATABASES {
        let differences = same_points(&lab.node1, &lab.node2, database);
        assert_eq!(differences, [""; 0], "{database}");
    }
    let queries = |node: &Influxd| node.query("", "SHOW CONTINUOUS QUERIES").to_string();
    assert_eq!(queries(&lab.node1), queries(&lab.node2));
    let mut left = BTreeSet::new();
    files_in(&lab.node2.folder().join("data"), &mut left);
    left.retain(|name| name.ends_with(".tmp"));
    assert_eq!(left, BTreeSet::new());
    let relay = status::relay(&lab.influx_url());
    assert_eq!(relay["dead_letters"], 0, "{relay:#}");
}

fn files_in(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files_in(&path, names),
            false => drop(names.insert(path.display().to_string())),
        }
    }
}

/// How many slices are noted as copied.
fn copied_slices(lab: &Lab) -> usize {
    let folder = lab.haflux.folder().join("data/influx_relay");
    let text = fs::read_to_string(folder.join("rebuild.slices")).unwrap_or_default();
    text.lines().count()
}

fn is_unfinished(lab: &Lab) -> bool {
    let folder = lab.haflux.folder().join("data/influx_relay");
    folder.join("rebuild.json").exists()
}

#[test]
fn shards_are_copied_as_files_while_clients_write_and_no_continuous_query_runs_too_early() {
    let lab = lab(9, 10, "");
    lab.node1.query(
        "",
        "CREATE SUBSCRIPTION own ON telegraf.daily DESTINATIONS ALL 'http://127.0.0.1:9'",
    );
    // Into files, of which deletions are noted beside them.
    let backup = lab.folder().join("backup").display().to_string();
    let address = lab.node1.rpc_address();
    let output = run(
        &support::influxd::program(),
        &["backup", "-portable", "-host", &address, &backup],
    );
    succeeds(&output);
    // Between two points, so that it deletes nothing.
    let delete = format!("DELETE FROM span WHERE time = {}s", BEGIN + 4 * DAY + 5);
    let url = lab.influx_url();
    let early = AtomicUsize::new(0);
    let work = |client: usize, over: &AtomicBool| {
        for number in 0_u64.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            if client == 0 {
                let lines = format!("types,host=c v={number} {number}");
                let taken = try_write_with(&url, &[("db", DATABASES[0])], &lines);
                assert_eq!(taken, 204);
                continue;
            }
            lab.node1.query(DATABASES[1], &delete);
            let queries = lab.node2.query("", "SHOW CONTINUOUS QUERIES").to_string();
            let is_rebuilding = status::replica(&url, 1)["status"] == "rebuilding";
            if is_rebuilding && queries.contains("early") {
                early.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let said = std::sync::OnceLock::new();
    beside(2, work, || {
        said.get_or_init(|| lab.haflux.order(&REBUILD));
    });
    let said = said.get().expect("it was ordered");
    assert!(said.contains("influxlab2 is rebuilt, "), "{said}");
    assert!(
        said.contains("Shards are copied as files, because the ports for RPC"),
        "{said}"
    );
    let by_points = said.matches("is copied by its points: ").count();
    assert!(
        by_points == 1 && said.contains("what was deleted of it is in its files still"),
        "{said}"
    );
    // Nine of each database, but for one, and that of what is written now.
    assert!(said.contains("18 shards of "), "{said}");
    assert_eq!(early.into_inner(), 0);
    assert_equal(&lab);
    let subscriptions = lab.node2.query("", "SHOW SUBSCRIPTIONS").to_string();
    assert!(!subscriptions.contains("own"), "{subscriptions}");
    let lab = restarted(lab);
    assert_equal(&lab);
}

/// The same lab, its second node started again.
fn restarted(mut lab: Lab) -> Lab {
    lab.node2.kill9();
    lab.node2.restart();
    lab
}

#[test]
fn a_copy_of_files_goes_on_when_haflux_and_the_nodes_were_killed_in_the_midst_of_a_shard() {
    let mut lab = lab(4, 25_000, ", max_rate = \"64KiB\", parallel = 1");
    let file = lab.haflux.file().display().to_string();
    std::thread::scope(|scope| {
        let order = [&REBUILD[..], &["--config", &file]].concat();
        let command = scope.spawn(move || support::Haflux::command(&order));
        wait_until("a shard to be copied", SOON, || copied_slices(&lab) > 0);
        lab.haflux.kill9();
        assert!(!command.join().expect("it ends").status.success());
    });
    assert!(is_unfinished(&lab));
    let before = copied_slices(&lab);
    lab.haflux.restart();
    wait_until("it to go on", SOON, || copied_slices(&lab) > before);
    for node in [&mut lab.node1, &mut lab.node2] {
        node.kill9();
        node.restart();
    }
    wait_until("it to come to its end", Duration::from_secs(60), || {
        !is_unfinished(&lab)
    });
    lab.haflux.says(" slices were copied by a run before");
    lab.haflux.says("copied as files");
    assert_equal(&lab);
}

/// InfluxDB gives the files of such a shard; 1.6 opens none that has them, 1.8 does.
#[test]
fn a_shard_that_the_target_cannot_open_is_copied_by_its_points() {
    let mut lab = lab(3, 10, "");
    let time = BEGIN + DAY;
    let odd = [
        b"bad\xff,t\xfe=v\xfd f\xfc=1 ".as_slice(),
        time.to_string().as_bytes(),
    ]
    .concat();
    let parameters = [("db", DATABASES[0]), ("rp", "daily"), ("precision", "s")];
    wait_until("the line to be taken", SOON, || {
        write_with(&lab.node1.url(), &parameters, &odd).status == 204
    });
    let begun = std::time::Instant::now();
    let file = lab.haflux.file().display().to_string();
    let order = [&REBUILD[..], &["--config", &file]].concat();
    let order: Vec<String> = order.into_iter().map(str::to_owned).collect();
    let command = std::thread::spawn(move || {
        let order: Vec<&str> = order.iter().map(String::as_str).collect();
        support::Haflux::command(&order)
    });
    while !command.is_finished() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{}",
            lab.haflux.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = succeeds(&command.join().expect("it ends"));
    let is_opened = influxdb_release() >= 8;
    let by_points = said.contains("is copied by its points");
    assert_eq!(by_points, !is_opened, "{said}");
    assert_equal(&lab);
    let groups = |node: &Influxd| node.query("", "SHOW SHARD GROUPS").to_string();
    let daily = |node: &Influxd| groups(node).matches("\"daily\"").count();
    assert_eq!(daily(&lab.node1), daily(&lab.node2));
    let compared = lab.haflux.told(&["compare", "--full"]);
    assert_eq!(compared.status.code(), Some(0), "{compared:?}");
    lab.node2.kill9();
    lab.node2.restart();
}

#[test]
fn a_port_for_rpc_that_leads_to_the_source_is_not_the_targets() {
    let port = free_port();
    let first = on_host("127.0.0.1").rpc_at(&format!("127.0.0.1:{port}"));
    let keys = format!("rewind = \"1s\"\nheal = {{ rpc_port = {port} }}");
    // Both are at one address, so the port there is the first one's.
    let mut lab = Lab::start_each(first, Options::default(), Vec::new(), relay_keys(&keys));
    fill(&lab, 1, 10);
    lab.node2.kill9();
    lab.node2.wipe();
    lab.node2.restart();
    wait_until("the second replica to be diverged", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
    let said = lab.haflux.order(&REBUILD);
    assert!(said.contains("are not those of two nodes"), "{said}");
    assert_equal(&lab);
    let databases = lab.node2.query("", "SHOW DATABASES").to_string();
    assert!(!databases.contains("haflux"), "{databases}");
}

#[test]
fn where_the_port_for_rpc_is_closed_points_are_copied_and_it_is_said_why() {
    let mut lab = lab(2, 10, "");
    lab.node2.restart_with(on_host("127.0.0.2"));
    let said = lab.haflux.order(&REBUILD);
    assert!(
        said.contains("Points are copied over HTTP: its port for RPC: influxlab2: "),
        "{said}"
    );
    assert_equal(&lab);
}
