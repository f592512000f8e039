//! `haflux top` in a real terminal, tmux, on real nodes.

use crate::support::lab::replace;
use crate::support::{Haflux, Lab, Options, Tmux, write};
use rustix::process::{Signal, kill_process};

#[test]
fn a_person_watches_a_node_go_down_and_haflux_go_away() {
    let mut lab = Lab::start_with(Options::default(), |text| {
        replace(text, &[("interval = \"2s\"", "interval = \"100ms\"")])
    });
    let url = lab.influx_url();
    lab.create_database("telegraf");
    let answer = write(&url, "telegraf", "m v=1 1");
    assert_eq!(answer.status, 204, "{}", answer.text());
    let tmux = Tmux::start(lab.folder());
    let before = tmux.settings(&lab.folder().join("before"));
    let (program, file) = (env!("CARGO_BIN_EXE_haflux"), lab.haflux.file());
    let command = format!("{program} top -d 0.2 --config {}", file.display());
    tmux.types(&format!("{command}; echo \"left=$?\""));
    tmux.presses(&["Enter"]);
    tmux.sees("All is well: every server is up and every replica follows.");
    assert_eq!(tmux.state(), "1 0");

    lab.node2.kill9();
    tmux.sees("Replica influxlab2 is DOWN");
    tmux.presses(&["Enter"]);
    tmux.sees("everything > what is wrong");
    tmux.sees(&format!("$ curl -i http://{}/ping", lab.node2.address()));
    tmux.presses(&["Escape"]);
    tmux.sees("\ninflux_front ");

    tmux.types("/RELAY");
    tmux.presses(&["Enter"]);
    tmux.sees("everything  with /RELAY");
    let screen = tmux.screen();
    assert!(screen.contains("\ninflux_relay "), "{screen}");
    assert!(!screen.contains("\ninflux_front "), "{screen}");
    tmux.presses(&["Escape"]);
    tmux.sees("\ninflux_front ");

    let answer = write(&url, "telegraf", "m v=1 2\nm v=1 3");
    assert_eq!(answer.status, 204, "{}", answer.text());
    tmux.presses(&["End", "Enter"]);
    tmux.sees("everything > relay influx_relay");
    tmux.presses(&["Down", "Enter"]);
    tmux.sees("relay influx_relay > replica influxlab2");
    tmux.sees("\nDATABASE");
    tmux.sees("\ntelegraf");

    assert!(lab.haflux.terminate().success());
    tmux.sees("no answer since ");
    lab.haflux.restart();
    tmux.waits("answer", |screen| !screen.contains("no answer"));
    tmux.sees("relay influx_relay > replica influxlab2");

    for size in [["3", "2"], ["1", "1"], ["20", "5"], ["140", "40"]] {
        tmux.tells(&["resize-window", "-x", size[0], "-y", size[1]]);
    }
    tmux.sees("relay influx_relay > replica influxlab2");
    tmux.presses(&["q"]);
    tmux.sees("left=0");
    assert_eq!(tmux.state(), "0 1");
    assert_eq!(tmux.settings(&lab.folder().join("after")), before);

    tmux.types(&format!("{command}; echo \"ended=$?\""));
    tmux.presses(&["Enter"]);
    tmux.sees("Replica influxlab2 is DOWN");
    kill_process(tmux.child(), Signal::TERM).expect("a signal is sent");
    tmux.sees("ended=0");
    assert_eq!(tmux.state(), "0 1");
    assert_eq!(tmux.settings(&lab.folder().join("killed")), before);
}

#[test]
fn without_a_terminal_it_says_so() {
    let output = Haflux::command(&["top"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("haflux: top needs a terminal to draw on"),
        "{said}"
    );
    assert!(output.stdout.is_empty(), "{output:?}");
}
