//! A child process whose output goes to a file: signalled and awaited by its own process id.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{SOON, wait_for};

/// How much of a log is printed when a test fails.
const SHOWN_LINES: usize = 80;

/// A running child process. Dropped, it is killed, and its log is printed if the test panics.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    paused: bool,
}

impl Process {
    /// Starts `command`; its output is appended to `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let output: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", log.display()));
        let errors = output.try_clone().expect("a file can be shared");
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Process {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            paused: false,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// All that it has written.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// SIGKILL, as a power failure would do it.
    pub fn kill9(&mut self) {
        // A process that has ended already is as dead as it should be.
        let _ = self.child.kill();
        self.child.wait().expect("a killed child ends");
    }

    /// SIGTERM, without waiting.
    pub fn ask_to_end(&mut self) {
        self.resume();
        self.signal(Signal::TERM);
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.ask_to_end();
        self.wait(limit)
    }

    /// Waits for the end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let name = format!("the end of {} (process {})", self.name, self.id());
        wait_for(&name, limit, || self.ended())
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
        self.paused = true;
        // The signal returns at once; threads that run on other cores come to a halt a little later.
        let threads = format!("/proc/{}/task", self.id());
        wait_for("all threads to halt", SOON, || {
            (all_halted(Path::new(&threads)) || self.ended().is_some()).then_some(())
        });
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        if self.paused {
            self.signal(Signal::CONT);
            self.paused = false;
        }
    }

    fn signal(&mut self, signal: Signal) {
        // A child that has been waited for has given its id back; it may be another's by now.
        if self.ended().is_none() {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal).expect("an own child can be signalled");
        }
    }
}

/// Whether each thread of a process is in the state `T` (stopped), the first word after its name in `stat` (proc(5)).
fn all_halted(threads: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(threads) else {
        return false;
    };
    entries.all(|thread| {
        let stat = thread.and_then(|thread| std::fs::read_to_string(thread.path().join("stat")));
        stat.is_ok_and(|stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, state)| state.starts_with('T'))
        })
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!(
                "--- the last lines of {} ({})\n{}\n---",
                self.name,
                self.log.display(),
                lines.get(shown..).unwrap_or_default().join("\n")
            );
        }
    }
}
