//! `haflux top` in a real terminal, tmux, on real nodes.

mod support;

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use support::lab::replace;
use support::programs::{run, succeeds};
use support::wait::{SOON, wait_for};
use support::{Haflux, Lab, Options, write};

/// A terminal in which a shell runs. Dropped, both end.
struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    fn start(folder: &Path) -> Tmux {
        let tmux = Tmux {
            socket: folder.join("tmux.sock"),
        };
        let shell = "env -u ENV PS1='$ ' sh";
        tmux.tells(&["new-session", "-d", "-x", "140", "-y", "40", shell]);
        tmux
    }

    #[track_caller]
    fn tells(&self, arguments: &[&str]) -> String {
        let socket = self.socket.to_str().expect("a plain name");
        let all = [&["-u", "-f", "/dev/null", "-S", socket], arguments].concat();
        succeeds(&run("tmux", &all))
    }

    /// What the screen shows.
    #[track_caller]
    fn screen(&self) -> String {
        self.tells(&["capture-pane", "-p"])
    }

    #[track_caller]
    fn sees(&self, what: &str) {
        self.waits(what, |screen| screen.contains(what));
    }

    #[track_caller]
    fn waits(&self, what: &str, is_there: impl Fn(&str) -> bool) {
        let begun = std::time::Instant::now();
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return;
            }
            assert!(begun.elapsed() < SOON, "no {what} on:\n{screen}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Presses keys, by tmux's names.
    #[track_caller]
    fn presses(&self, keys: &[&str]) {
        self.tells(&[&["send-keys"], keys].concat());
    }

    #[track_caller]
    fn types(&self, text: &str) {
        self.tells(&["send-keys", "-l", text]);
    }

    /// Whether the second screen is shown, and the cursor is.
    #[track_caller]
    fn state(&self) -> String {
        let format = "#{alternate_on} #{cursor_flag}";
        let state = self.tells(&["display-message", "-p", format]);
        state.trim().to_owned()
    }

    /// How the terminal is set.
    #[track_caller]
    fn settings(&self, file: &Path) -> String {
        let done = file.with_extension("done");
        let (to, end) = (file.display(), done.display());
        self.types(&format!("stty -a > {to}; mv {to} {end}"));
        self.presses(&["Enter"]);
        wait_for("the terminal's settings", SOON, || {
            std::fs::read_to_string(&done).ok()
        })
    }

    /// The process that the shell runs.
    #[track_caller]
    fn child(&self) -> Pid {
        let shell = self.tells(&["display-message", "-p", "#{pane_pid}"]);
        let shell = shell.trim();
        let children = format!("/proc/{shell}/task/{shell}/children");
        let children = std::fs::read_to_string(children).expect("a shell");
        let child = children.trim().parse().expect("one child");
        Pid::from_raw(child).expect("an id")
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let socket = self.socket.to_str().unwrap_or_default();
        run("tmux", &["-S", socket, "kill-server"]);
    }
}

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
