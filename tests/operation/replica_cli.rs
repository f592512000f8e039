//! `haflux replica` against the control socket of something that pretends to be a running haflux.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use async_trait::async_trait;
use haflux::control::{
    Configuration, ControlError, ControlSocket, HealOrder, HealReport, HealState, Healing, Orders,
    Queries, ReplicaReport, Replicas, ServerReport, Servers, of_data_dir,
};
use haflux::stats::csv::StatQuery;
use haflux::stats::{AdminState, QueriesView, WorkFigures};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

const CONFIGURATION: &str = r#"
[server]
data_dir = "FOLDER"

[[frontend]]
name = "front"
bind = "127.0.0.1:8086"
default_backend = "influx_relay"

[[relay]]
name = "influx_relay"
replicate_to = "influx_back"

[[backend]]
name = "influx_back"
servers = [
  { name = "influxlab", address = "127.0.0.1:8087" },
  { name = "influxlab2", address = "127.0.0.1:8088" },
]
"#;

/// Two replicas; the second has diverged.
struct Pretended;

fn report(name: &str, state: &str, reason: Option<&str>) -> ReplicaReport {
    let diverged = reason.is_some();
    ReplicaReport {
        relay: "influx_relay".to_owned(),
        name: name.to_owned(),
        address: "127.0.0.1:8087".to_owned(),
        state: state.to_owned(),
        since: 0,
        cursor: 1_000_000,
        lag_records: if diverged { 1500 } else { 0 },
        lag_bytes: if diverged { 3_355_443 } else { 0 },
        oldest_pending_ms: if diverged { 90_000 } else { 0 },
        reason: reason.map(str::to_owned),
    }
}

#[async_trait]
impl Replicas for Pretended {
    async fn status(&self) -> Vec<ReplicaReport> {
        vec![
            report("influxlab", "fresh", None),
            report(
                "influxlab2",
                "diverged",
                Some("the last point it accepted is gone"),
            ),
        ]
    }

    async fn rebuild_begin(&self, relay: Option<&str>, name: &str) -> Result<String, ControlError> {
        match name {
            "influxlab2" => Ok(format!(
                "{}: copy the data to {name}",
                relay.unwrap_or("any")
            )),
            "influxlab" => Err(ControlError::NotNow {
                reason: "influxlab has not diverged".to_owned(),
            }),
            _ => Err(ControlError::UnknownReplica {
                name: name.to_owned(),
                known: vec!["influxlab".to_owned(), "influxlab2".to_owned()],
            }),
        }
    }

    async fn readmit(
        &self,
        _: Option<&str>,
        name: &str,
        as_it_is: bool,
    ) -> Result<String, ControlError> {
        if as_it_is {
            return Ok(format!("{name} as it is"));
        }
        Err(match name {
            "influxlab" => ControlError::Failed {
                reason: "the journal\ncannot be written".to_owned(),
            },
            _ => ControlError::Ambiguous {
                name: name.to_owned(),
                relays: vec!["influx_relay".to_owned(), "other_relay".to_owned()],
            },
        })
    }

    async fn skip(
        &self,
        _: Option<&str>,
        name: &str,
        sequence: u64,
    ) -> Result<String, ControlError> {
        Ok(format!("record {sequence} is set aside for {name}"))
    }
}

#[async_trait]
impl Configuration for Pretended {
    async fn reload(&self, _: bool) -> Result<String, ControlError> {
        Ok("taken".to_owned())
    }
}

#[async_trait]
impl Healing for Pretended {
    /// A comparison that has ended, with its end unseen, because haflux has begun another one, which comes to a good end.
    async fn heal(
        &self,
        _: Option<&str>,
        order: HealOrder,
    ) -> Result<Box<HealReport>, ControlError> {
        let (state, began) = match order {
            HealOrder::Compare(_) => (HealState::Running, 1),
            _ => (HealState::Done, 2),
        };
        Ok(Box::new(HealReport {
            relay: "influx_relay".to_owned(),
            work: "compare".to_owned(),
            state,
            step: String::new(),
            began,
            ended: None,
            figures: WorkFigures::default(),
            differences: Vec::new(),
            differing: 0,
            notes: Vec::new(),
            goes_on: false,
        }))
    }

    async fn lacking_users(
        &self,
        _: Option<&str>,
        _: &str,
        _: Option<&str>,
    ) -> Result<Vec<String>, ControlError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Servers for Pretended {
    fn servers(&self) -> Vec<ServerReport> {
        Vec::new()
    }

    fn statistics(&self, _: &StatQuery) -> Option<String> {
        None
    }

    fn snapshot(&self) -> String {
        String::new()
    }

    fn process(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    async fn set_state(&self, _: &str, _: &str, _: AdminState) -> Result<String, ControlError> {
        Ok(String::new())
    }

    async fn set_weight(&self, _: &str, _: &str, _: &str) -> Result<String, ControlError> {
        Ok(String::new())
    }
}

impl Queries for Pretended {
    fn queries(&self) -> QueriesView {
        unreachable!("nobody asks for queries")
    }

    fn kill(&self, _: u64) -> Result<String, ControlError> {
        unreachable!("nobody kills a query")
    }
}

/// A folder with a configuration, which is its data_dir too.
fn configured() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haflux.toml");
    let text = CONFIGURATION.replace("FOLDER", folder.path().to_str().unwrap());
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

/// Serves until it is dropped, with its runtime.
fn serve(folder: &Path) -> (Runtime, watch::Sender<bool>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (stop, stopped) = watch::channel(false);
    let socket = ControlSocket::bind(of_data_dir(folder)).unwrap();
    let orders = Orders {
        replicas: Arc::new(Pretended),
        healing: Arc::new(Pretended),
        servers: Arc::new(Pretended),
        queries: Arc::new(Pretended),
        configuration: Arc::new(Pretended),
    };
    runtime.spawn(socket.serve(orders, stopped));
    (runtime, stop)
}

fn replica(file: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_haflux"))
        .arg("replica")
        .args(arguments)
        .arg("--config")
        .arg(file)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

/// Exit status, standard output, standard error.
fn said(output: &Output) -> (Option<i32>, String, String) {
    (
        output.status.code(),
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

fn refused(file: &Path, arguments: &[&str], why: &str) {
    assert_eq!(
        said(&replica(file, arguments)),
        (Some(1), String::new(), format!("haflux: {why}\n")),
        "{arguments:?}"
    );
}

#[test]
fn status_is_a_table() {
    let (folder, file) = configured();
    let _served = serve(folder.path());
    for arguments in [&["status"][..], &["status", "--relay", "influx_relay"]] {
        let (code, out, err) = said(&replica(&file, arguments));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 3, "{out}");
        assert!(lines[0].starts_with("REPLICA     RELAY         STATE     SINCE"));
        assert!(lines[1].starts_with("influxlab   influx_relay  fresh     "));
        assert!(lines[2].starts_with("influxlab2  influx_relay  diverged  "));
        assert!(lines[1].ends_with("1,000,000  0        0 B      -           -"));
        assert!(lines[2].ends_with(
            "1,000,000  1,500    3.1 MiB  1 min 30 s  the last point it accepted is gone"
        ));
    }
}

#[test]
fn the_end_of_another_comparison_is_not_taken_for_its_own() {
    let (folder, file) = configured();
    let _served = serve(folder.path());
    let compared = Command::new(env!("CARGO_BIN_EXE_haflux"))
        .args(["compare", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let (code, out, err) = said(&compared);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("another work has begun since"), "{err}");
}

#[test]
fn an_order_that_is_carried_out_says_what_to_do_next() {
    let (folder, file) = configured();
    let _served = serve(folder.path());
    for (arguments, next) in [
        (
            &["rebuild-begin", "influxlab2"][..],
            "any: copy the data to influxlab2\n",
        ),
        (
            &["rebuild-begin", "influxlab2", "--relay", "influx_relay"],
            "influx_relay: copy the data to influxlab2\n",
        ),
        (
            &["readmit", "influxlab2", "--as-it-is"],
            "influxlab2 as it is\n",
        ),
        (
            &["--relay", "influx_relay", "rebuild-begin", "influxlab2"],
            "influx_relay: copy the data to influxlab2\n",
        ),
    ] {
        assert_eq!(
            said(&replica(&file, arguments)),
            (Some(0), next.to_owned(), String::new())
        );
    }
}

#[test]
fn an_order_that_is_not_carried_out_says_why() {
    let (folder, file) = configured();
    let _served = serve(folder.path());
    refused(
        &file,
        &["rebuild-begin", "influxlba2"],
        "there is no replica \"influxlba2\"; there are: influxlab, influxlab2; did you mean \"influxlab2\"?",
    );
    refused(
        &file,
        &["rebuild-begin", "influxlab"],
        "not now: influxlab has not diverged",
    );
    refused(
        &file,
        &["readmit", "influxlab"],
        "it failed: the journal cannot be written",
    );
    refused(
        &file,
        &["readmit", "influxlab2"],
        "replica \"influxlab2\" is in several relays: say --relay and one of: influx_relay, other_relay",
    );
    refused(
        &file,
        &["status", "--relay", "influx_rely"],
        "there is no relay \"influx_rely\"; there are: influx_relay; did you mean \"influx_relay\"?",
    );
}

#[test]
fn a_haflux_that_does_not_run_is_said_not_to() {
    let (folder, file) = configured();
    let socket = folder.path().join("control.sock");
    let shown = socket.display();
    refused(
        &file,
        &["status"],
        &format!("haflux does not run here: {shown} is not there"),
    );
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    refused(
        &file,
        &["status"],
        &format!("haflux does not run here: {shown} was left by one that was killed"),
    );
}

#[test]
fn a_command_line_or_configuration_that_is_wrong_asks_nobody() {
    let (folder, file) = configured();
    for arguments in [
        &[][..],
        &["reboot"],
        &["readmit"],
        &["status", "influxlab2"],
    ] {
        assert_eq!(
            replica(&file, arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    let missing = folder.path().join("missing.toml");
    let (code, _, err) = said(&replica(&missing, &["status"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("missing.toml"), "{err}");
}
