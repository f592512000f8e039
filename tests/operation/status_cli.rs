//! `haflux status` on real nodes: what it says, and its exit status.

use std::collections::BTreeSet;
use std::process::Output;

use crate::support::lab::replace;
use crate::support::ports::free_port;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, Lab, Options, StandIn, status, wait_until, write};
use serde_json::{Value, json};

/// Checks that come often.
fn brisk(text: String) -> String {
    replace(text, &[("interval = \"2s\"", "interval = \"100ms\"")])
}

/// A lab in which all is well.
fn well() -> Lab {
    let lab = Lab::start_with(Options::default(), brisk);
    lab.create_database("telegraf");
    let answer = write(&lab.influx_url(), "telegraf", "m v=1 1");
    assert_eq!(answer.status, 204, "{}", answer.text());
    lab.both_hold("telegraf", "m", 1);
    wait_until("all to be well", SOON, || {
        status::page(&lab.influx_url())["problems"] == Value::Array(Vec::new())
    });
    lab
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// The paths of everything in a document that is no object; the items of a list share one.
fn shape(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                shape(field, &format!("{path}.{name}"), paths);
            }
        }
        Value::Array(items) => {
            for item in items {
                shape(item, &format!("{path}[]"), paths);
            }
        }
        _ => {
            paths.insert(path.to_owned());
        }
    }
}

#[test]
fn all_is_well_and_everything_has_its_line() {
    let lab = well();
    let output = lab.haflux.told(&["status"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = said(&output);
    assert!(text.starts_with("All is well.\n"), "{text}");
    let has = |words: &[&str]| {
        let found = text.lines().any(|line| {
            let in_line: Vec<&str> = line.split_whitespace().collect();
            in_line.starts_with(words)
        });
        assert!(found, "{words:?} in {text}");
    };
    has(&["influx_front", "0", "of"]);
    has(&["influx_back", "UP", "2", "of", "2"]);
    has(&["influx_back/influxlab", "UP"]);
    has(&["influx_back/influxlab2", "UP"]);
    has(&["influx_relay", "2", "of", "2"]);
    has(&["influx_relay/influxlab", "fresh"]);
    has(&["influx_relay/influxlab2", "fresh"]);
}

#[test]
fn a_node_that_is_down_is_said_first_with_what_to_do() {
    let mut lab = well();
    lab.node2.kill9();
    wait_until("the node to be down", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "down"
    });
    let output = lab.haflux.told(&["status"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = said(&output);
    let (first, _) = text.split_once("\nFRONTEND").expect("tables");
    assert!(
        first.contains("wrong:\n\nERROR: Replica influxlab2 is DOWN\n"),
        "{text}"
    );
    let command = format!("\n    $ curl -i http://{}/ping\n", lab.node2.address());
    assert!(first.contains(&command), "{text}");
    let line = text
        .lines()
        .find(|line| line.starts_with("influx_relay/influxlab2 "));
    assert!(line.is_some_and(|line| line.contains(" DOWN ")), "{text}");
    // A script that reads the document is told the same.
    let output = lab.haflux.told(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn the_json_is_the_document_of_the_page() {
    let lab = well();
    // What is there from the first time on: its last session.
    status::page(&lab.influx_url());
    let output = lab.haflux.told(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let page = status::page(&lab.influx_url());
    let (mut of_told, mut of_page) = (BTreeSet::new(), BTreeSet::new());
    shape(&told, "", &mut of_told);
    shape(&page, "", &mut of_page);
    assert_eq!(of_told, of_page);
    assert_eq!(told["pid"], page["pid"]);
    assert_eq!(told["figures"], page["figures"]);
    assert_eq!(told["relays"][0]["head"], page["relays"][0]["head"]);
}

#[test]
fn a_haflux_that_does_not_answer_is_told_from_one_that_is_ill() {
    let mut lab = well();
    lab.haflux.terminate();
    for arguments in [&["status"][..], &["status", "--json"]] {
        let output = lab.haflux.told(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(said(&output), "");
        let complaint = complaint(&output);
        assert!(
            complaint.starts_with("haflux: haflux does not run here: "),
            "{complaint}"
        );
        assert!(
            complaint.contains("control.sock is not there"),
            "{complaint}"
        );
        assert!(!complaint.contains("relay"), "{complaint}");
    }
    let output = Haflux::command(&["status", "--config", "/nowhere/haflux.toml"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        complaint(&output).contains("/nowhere/haflux.toml"),
        "{output:?}"
    );
}

#[test]
fn without_a_relay_it_says_when_haflux_listens() {
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = "
[server]
data_dir = \"FOLDER/data\"

[[frontend]]
name = \"front\"
bind = \"127.0.0.1:PORT(front)\"
stats_uri = \"/haproxy?stats\"
";
    let mut haflux = Haflux::start(folder.path(), configuration);
    let output = haflux.told(&["status"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let data = folder.path().join("data");
    let hint = format!("only if {} was there when it started", data.display());
    assert!(complaint(&output).contains(&hint), "{output:?}");
    // What it says to do helps.
    std::fs::create_dir(&data).expect("a folder");
    haflux.restart();
    let output = haflux.told(&["status"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!said(&output).contains("RELAY"), "{output:?}");
}

#[test]
fn of_a_server_that_is_down_the_command_asks_what_its_check_asks() {
    let ill = StandIn::start(|_| Behaviour::status(500, "ill"));
    let address = ill.address();
    let (_, port) = address.split_once(':').expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let nobody = free_port();
    let haflux = Haflux::start(
        folder.path(),
        &format!(
            "[server]\ndata_dir = \"FOLDER/data\"\n\
             [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\n\
             stats_uri = \"/haproxy?stats\"\ndefault_backend = \"asked\"\n\
             use_backend = [{{ backend = \"connected\", if = {{ path = \"/c\" }} }}]\n\
             [[backend]]\nname = \"asked\"\n\
             check = {{ http = \"/ping?p=sesame\", port = {port}, interval = \"100ms\", fall = 1 }}\n\
             servers = [{{ name = \"a\", address = \"127.0.0.1:{nobody}\" }}]\n\
             [[backend]]\nname = \"connected\"\n\
             check = {{ tcp = true, interval = \"100ms\", fall = 1 }}\n\
             servers = [{{ name = \"a\", address = \"127.0.0.1:{nobody}\" }}]\n"
        ),
    );
    let mut commands = Vec::new();
    wait_until("both to be down", SOON, || {
        let page = status::page(&haflux.url("front"));
        let problems = page["problems"].as_array().expect("problems").clone();
        let of_servers = problems.into_iter().filter(|problem| {
            let what = problem["what"].as_str();
            what.is_some_and(|what| what.starts_with("Server "))
        });
        commands = of_servers
            .map(|problem| problem["commands"].clone())
            .collect();
        commands.len() == 2
    });
    assert_eq!(
        commands,
        [
            json!([format!("curl -i http://{address}/ping")]),
            json!([format!("curl -i http://127.0.0.1:{nobody}/")]),
        ]
    );
}
