//! The `haflux` command as its users meet it: what it prints, where, and with which exit status.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const HAFLUX: &str = env!("CARGO_BIN_EXE_haflux");

/// The ready configuration of a format, its journal moved into a folder that can be written.
fn ready(folder: &Path, format: &str) -> PathBuf {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("conf/haflux")
            .with_extension(format),
    );
    let journal = folder.join("journal").display().to_string();
    write(
        folder,
        &format!("ready.{format}"),
        &text.unwrap().replace("/var/lib/haflux", &journal),
    )
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

fn haflux(arguments: &[&str]) -> Output {
    Command::new(HAFLUX)
        .args(arguments)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn on_file(command: &str, file: &Path) -> Output {
    haflux(&[command, "--config", file.to_str().unwrap()])
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn check_says_what_would_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for format in ["toml", "yaml"] {
        let file = ready(folder.path(), format);
        let output = on_file("check", &file);
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(0), "")
        );
        said.push(stdout(&output).replace(&file.display().to_string(), "FILE"));
    }
    assert_eq!(said[0], said[1]);
    for line in [
        "frontend influx_front on 0.0.0.0:8086\n",
        "    /haproxy?stats is the status page\n",
        "    what has a path that begins with /write goes to relay influx_relay\n",
        "    everything else goes to backend influx_back\n",
        "relay influx_relay to every server of influx_back: influxlab, influxlab2\n",
        "    a write is acknowledged when one replica has applied it\n",
        "backend influx_back, roundrobin\n",
        "    every change goes through relay influx_relay\n",
        "    checked by GET /ping, expecting 200-399 or 401, every 2s, within 2s; up after 2, down after 3\n",
        "    server influxlab2 at 10.0.2.3:8086\n",
        "\nFILE is right.\n",
    ] {
        assert!(said[0].contains(line), "{line:?} is not in\n{}", said[0]);
    }
    assert!(
        !folder.path().join("journal").exists(),
        "check leaves nothing behind"
    );
}

#[test]
fn check_prints_warnings_beside() {
    let folder = tempfile::tempdir().unwrap();
    let file = ready(folder.path(), "toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let unused = "\n[[backend]]\nname = \"unused\"\nservers = [{ name = \"a\", address = \"a.example:1\" }]\n";
    write(folder.path(), "ready.toml", &(text + unused));
    let output = on_file("check", &file);
    assert_eq!(output.status.code(), Some(0));
    let said = stderr(&output);
    assert!(
        said.starts_with("warning: ")
            && said.ends_with(": backend \"unused\": nothing leads here\n"),
        "{said}"
    );
}

#[test]
fn a_wrong_file_is_all_its_errors_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = ready(folder.path(), "toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let wrong = text
        .replace("balance = \"roundrobin\"", "balance = \"roundrobbin\"")
        .replace(
            "default_backend = \"grafana_back\"",
            "default_backend = \"grafana\"",
        )
        .replace("rise = 2", "rise = 0")
        .replace(
            &folder.path().join("journal").display().to_string(),
            &file.join("journal").display().to_string(),
        );
    let file = write(folder.path(), "wrong.toml", &wrong);
    let name = file.display();
    let line = |part: &str| 1 + wrong.lines().position(|line| line.contains(part)).unwrap();
    let (default, balance, rise) = (line("\"grafana\""), line("roundrobbin"), line("rise = 0"));
    let errors = format!(
        "{name}:7:12: server.data_dir: {} is not a folder\n\
         {name}:{default}:19: frontend \"http_front\", default_backend: no backend or relay is named \"grafana\"; did you mean \"grafana_back\"?\n\
         {name}:{balance}:11: backend \"influx_back\", balance: expected \"roundrobin\", \"leastconn\", \"random\" or \"source\", found \"roundrobbin\"; did you mean \"roundrobin\"?\n\
         {name}:{rise}:51: backend \"influx_back\", check.rise: expected a whole number from 1 to 1000, found 0\n\
         {name}: 4 errors\n",
        folder.path().join("ready.toml").display()
    );
    let checked = on_file("check", &file);
    assert_eq!(
        (
            checked.status.code(),
            stdout(&checked).as_str(),
            stderr(&checked)
        ),
        (Some(1), "", errors.clone())
    );
    let run = on_file("run", &file);
    assert_eq!((run.status.code(), stdout(&run).as_str()), (Some(1), ""));
    assert_eq!(
        stderr(&run),
        format!("{errors}haflux: nothing was started\n")
    );
}

#[test]
fn a_missing_file_is_an_error() {
    let output = haflux(&["check", "-c", "/nowhere/haflux.toml"]);
    let expected = "/nowhere/haflux.toml: cannot be read: No such file or directory (os error 2)\n/nowhere/haflux.toml: 1 error\n";
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(1), expected)
    );
}

#[test]
fn the_environment_of_the_process_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = ready(folder.path(), "yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let file = write(
        folder.path(),
        "env.yaml",
        &text.replace("10.0.2.2:3000", "${HAFLUX_TEST_HOST}:3000"),
    );
    let unset = on_file("check", &file);
    assert_eq!(unset.status.code(), Some(1));
    let expected = "backend \"grafana_back\", servers[0].address: the environment variable HAFLUX_TEST_HOST is not set\n";
    assert!(stderr(&unset).contains(expected), "{}", stderr(&unset));
    let mut command = Command::new(HAFLUX);
    let set = command
        .arg("check")
        .arg("--config")
        .arg(&file)
        .env("HAFLUX_TEST_HOST", "grafana.example")
        .output()
        .unwrap();
    assert!(
        stdout(&set).contains("server influxlab at grafana.example:3000\n"),
        "{}",
        stdout(&set)
    );
}

#[test]
fn help_and_version_are_for_people() {
    let help = haflux(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = stdout(&help);
    for part in [
        "run ",
        "check ",
        "status ",
        "top ",
        "Examples:",
        "haflux run --config haflux.toml",
        "[[relay]]",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    for command in ["run", "check", "status", "top"] {
        let help = stdout(&haflux(&[command, "--help"]));
        assert!(
            help.contains("--config <FILE>") && help.contains("[default: /etc/haflux/haflux.toml]"),
            "{help}"
        );
    }
    let version = haflux(&["--version"]);
    assert_eq!(
        (version.status.code(), stdout(&version)),
        (Some(0), format!("haflux {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn the_example_of_the_help_is_right() {
    let text = stdout(&haflux(&["--help"]));
    let (_, example) = text.split_once("The smallest one:\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = format!(
        "[server]\ndata_dir = {:?}\n",
        folder.path().display().to_string()
    );
    let output = on_file(
        "check",
        &write(folder.path(), "help.toml", &format!("{server}{example}")),
    );
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "")
    );
}

#[test]
fn a_command_line_that_is_not_understood_exits_with_2() {
    for arguments in [&["rnu"][..], &["run", "--cofig", "x"], &[]] {
        let output = haflux(arguments);
        assert_eq!(
            (output.status.code(), stdout(&output).as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(
            stderr(&output).contains("Usage: haflux"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let folder = tempfile::tempdir().expect("a folder");
    for order in orders_that_print(folder.path()) {
        let told = Command::new(HAFLUX)
            .args(&order)
            .stdout(writer.try_clone().expect("a pipe"))
            .output()
            .expect("haflux runs");
        let said = stderr(&told);
        assert!(told.status.success(), "{order:?}: {said}");
        assert!(said.lines().count() <= 1, "at most a token: {said}");
    }
}

#[test]
fn output_that_a_full_disk_does_not_take_is_an_error() {
    let full = std::fs::File::create("/dev/full").expect("a full disk");
    let folder = tempfile::tempdir().expect("a folder");
    for order in orders_that_print(folder.path()) {
        let told = Command::new(HAFLUX)
            .args(&order)
            .stdout(full.try_clone().expect("a file"))
            .output()
            .expect("haflux runs");
        assert_eq!(told.status.code(), Some(1), "{order:?}");
        let said = stderr(&told);
        assert!(said.contains("No space left"), "{order:?}: {said}");
    }
}

#[test]
fn an_error_that_nobody_reads_is_still_an_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = Command::new(HAFLUX)
        .args(["socket-unit", "--config", "/nowhere"])
        .stderr(writer)
        .status();
    assert_eq!(status.expect("haflux runs").code(), Some(1));
}

/// Orders that print, and need no haflux that runs.
fn orders_that_print(folder: &Path) -> Vec<Vec<String>> {
    let file = ready(folder, "toml").display().to_string();
    let haproxy = "listen all\n  mode http\n  bind 127.0.0.1:1\n  server a 127.0.0.1:2\n";
    let haproxy = write(folder, "haproxy.cfg", haproxy).display().to_string();
    [
        vec!["users", "token", "eva"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["check", "--config", &file],
        vec!["socket-unit", "--config", &file],
        vec!["import", "--haproxy", &haproxy],
    ]
    .iter()
    .map(|order| order.iter().map(ToString::to_string).collect())
    .collect()
}
