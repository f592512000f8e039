//! A client that is a script: it does a phase for each number that it reads, prints a line for each step, and then a dot.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::place::{NAME, PASSWORD, Place};
use super::ways::Client;

/// The longest that one step may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The script's process. Dropped, it is killed.
pub struct Spoken {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    address: String,
}

impl Spoken {
    /// Starts `program`, with its script and the environment that it wants: it is told the place, the user and the password.
    pub fn start(
        program: &str,
        script: &str,
        environment: &[(&str, &str)],
        place: &Place,
    ) -> Spoken {
        let (host, port) = place.host_and_port();
        let mut child = Command::new(program)
            .args([script, host, port, NAME, PASSWORD])
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {program} {script}: {error}"));
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Spoken {
            child,
            input,
            lines,
            address: place.address.clone(),
        }
    }
}

impl Client for Spoken {
    fn phase(&mut self, number: usize) -> Vec<String> {
        writeln!(self.input, "{number}").expect("the script reads");
        let mut seen = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{error} after {:?}", seen.last()));
            if line == "." {
                return seen;
            }
            seen.push(line.replace(&self.address, "ADDRESS"));
        }
    }
}

impl Drop for Spoken {
    fn drop(&mut self) {
        // One that has ended is as dead as it should be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
