//! A real terminal: tmux, with a shell in it.

use std::path::{Path, PathBuf};

use rustix::process::Pid;

use super::programs::{run, succeeds};
use super::wait::{SOON, wait_for};

/// A terminal in which a shell runs. Dropped, both end.
pub struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// Starts it; its socket is in `folder`.
    pub fn start(folder: &Path) -> Tmux {
        let tmux = Tmux {
            socket: folder.join("tmux.sock"),
        };
        let shell = "env -u ENV PS1='$ ' sh";
        tmux.tells(&["new-session", "-d", "-x", "140", "-y", "40", shell]);
        tmux
    }

    /// Gives tmux a command; what it answers.
    #[track_caller]
    pub fn tells(&self, arguments: &[&str]) -> String {
        let socket = self.socket.to_str().expect("a plain name");
        let all = [&["-u", "-f", "/dev/null", "-S", socket], arguments].concat();
        succeeds(&run("tmux", &all))
    }

    /// What the screen shows.
    #[track_caller]
    pub fn screen(&self) -> String {
        self.tells(&["capture-pane", "-p"])
    }

    /// Waits until the screen shows this.
    #[track_caller]
    pub fn sees(&self, what: &str) {
        self.waits(what, |screen| screen.contains(what));
    }

    /// Waits until the screen is so; `what`: for a person.
    #[track_caller]
    pub fn waits(&self, what: &str, is_there: impl Fn(&str) -> bool) {
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
    pub fn presses(&self, keys: &[&str]) {
        self.tells(&[&["send-keys"], keys].concat());
    }

    /// Types text.
    #[track_caller]
    pub fn types(&self, text: &str) {
        self.tells(&["send-keys", "-l", text]);
    }

    /// Whether the second screen is shown, and the cursor is.
    #[track_caller]
    pub fn state(&self) -> String {
        let format = "#{alternate_on} #{cursor_flag}";
        let state = self.tells(&["display-message", "-p", format]);
        state.trim().to_owned()
    }

    /// How the terminal is set.
    #[track_caller]
    pub fn settings(&self, file: &Path) -> String {
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
    pub fn child(&self) -> Pid {
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
