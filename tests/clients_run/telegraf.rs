//! Telegraf. It takes lines from a socket and writes them out by one of its outputs; or it reads haflux's statistics as HAProxy's.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use super::place::{NAME, PASSWORD, Place, installed};
use super::support::ports::free_port;
use super::support::process::Process;
use super::support::wait::{SOON, wait_for, wait_until};
use super::ways::Client;

/// Batches of a phase: each is on the node before the next one is sent.
const BATCHES: usize = 10;

/// Lines of a batch, which Telegraf sends by two requests.
const LINES: usize = 50;

/// By what Telegraf writes.
#[derive(Debug, Clone, Copy)]
pub enum Output {
    /// `/write` with name and password.
    V1,
    /// `/api/v2/write` with a token.
    V2,
    /// Line protocol by UDP.
    Udp,
}

impl Output {
    /// The database that it writes to.
    pub fn database(self) -> &'static str {
        match self {
            Output::V1 | Output::V2 => "telegraf",
            Output::Udp => "udp",
        }
    }

    fn configuration(self, place: &Place) -> String {
        let url = place.url();
        let udp = place.udp_port;
        match self {
            Output::V1 => format!(
                "[[outputs.influxdb]]\nurls = [\"{url}\"]\ndatabase = \"telegraf\"\n\
                 username = \"{NAME}\"\npassword = \"{PASSWORD}\"\n"
            ),
            Output::V2 => format!(
                "[[outputs.influxdb_v2]]\nurls = [\"{url}\"]\nbucket = \"telegraf/autogen\"\n\
                 organization = \"\"\ntoken = \"{NAME}:{PASSWORD}\"\n"
            ),
            Output::Udp => format!(
                "[[outputs.influxdb]]\nurls = [\"udp://127.0.0.1:{udp}\"]\n\
                 skip_database_creation = true\n"
            ),
        }
    }
}

/// A running Telegraf.
pub struct Telegraf {
    process: Process,
    socket: TcpStream,
    output: Output,
    place: Place,
    /// How much of its log has been looked at.
    told: usize,
}

/// Starts Telegraf with these plugins.
fn start(plugins: &str, place: &Place) -> Process {
    let agent = "[agent]\ninterval = \"200ms\"\nflush_interval = \"500ms\"\n\
                 metric_batch_size = 25\nomit_hostname = true\n\
                 skip_processors_after_aggregators = true\n";
    let file = place.file("telegraf.conf", &format!("{agent}{plugins}"));
    Process::start(
        "telegraf",
        Command::new(installed("telegraf"))
            .arg("--config")
            .arg(file),
        &place.folder.join("telegraf.log"),
    )
}

impl Telegraf {
    /// One that writes what it takes from its socket.
    pub fn start(output: Output, place: &Place) -> Telegraf {
        // Telegraf's v1 output makes its database itself; the v2 one and UDP cannot.
        if !matches!(output, Output::V1) {
            place.create_database(output.database());
        }
        let port = free_port();
        let input = format!(
            "[[inputs.socket_listener]]\nservice_address = \"tcp://127.0.0.1:{port}\"\n\
             data_format = \"influx\"\n"
        );
        let process = start(&(output.configuration(place) + &input), place);
        let socket = wait_for("Telegraf to take connections", SOON, || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Telegraf {
            process,
            socket,
            output,
            place: place.clone(),
            told: 0,
        }
    }
}

impl Client for Telegraf {
    /// What Telegraf complains of, and how many points are there after each batch.
    fn phase(&mut self, number: usize) -> Vec<String> {
        let mut seen = Vec::new();
        for batch in number * BATCHES..(number + 1) * BATCHES {
            let mut lines = String::new();
            for point in batch * LINES..(batch + 1) * LINES {
                // Milliseconds are what UDP keeps.
                let time = point * 1_000_000;
                lines += &format!(
                    "probe,n={} v={point},text=\"t {point}\" {time}\n",
                    point % 5
                );
            }
            self.socket
                .write_all(lines.as_bytes())
                .expect("Telegraf reads");
            let all = ((batch + 1) * LINES) as u64;
            let database = self.output.database();
            wait_until("Telegraf's batch to be there", SOON, || {
                self.place.count(database, "probe", "v") == all
            });
            seen.push(format!("{all} points"));
        }
        seen.extend(self.complaints());
        seen
    }
}

impl Telegraf {
    /// Warnings and errors that are new in its log.
    fn complaints(&mut self) -> Vec<String> {
        let log = self.process.log();
        let new = log.get(self.told..).unwrap_or_default();
        self.told = log.len();
        complaints(new)
    }
}

/// Telegraf's warnings and errors, without their times; and without what it says of a busy machine.
fn complaints(log: &str) -> Vec<String> {
    let marked = |line: &str| {
        let at = line.find("W! ").or_else(|| line.find("E! "))?;
        line.get(at..).map(str::to_owned)
    };
    let is_of_pace = |line: &String| {
        line.ends_with("did not complete within its flush interval")
            || line.contains("Collection took longer than expected")
    };
    let told = log.lines().filter_map(marked);
    told.filter(|line| !is_of_pace(line)).collect()
}

/// A Telegraf that writes haflux's statistics into haflux.
pub struct Statistics {
    process: Process,
    place: Place,
}

impl Statistics {
    /// Starts it.
    pub fn start(place: &Place) -> Statistics {
        let input = format!(
            "[[inputs.haproxy]]\nservers = [\"{}/haproxy?stats\"]\n",
            place.url()
        );
        Statistics {
            process: start(&(Output::V1.configuration(place) + &input), place),
            place: place.clone(),
        }
    }

    /// Ends it; what it has gathered it writes before.
    pub fn stop(&mut self) {
        self.process.terminate(SOON);
    }

    /// Waits for some more statistics; what Telegraf has complained of since it was started.
    pub fn phase(&mut self) -> Vec<String> {
        let count = || self.place.count("telegraf", "haproxy", "status");
        let before = count();
        wait_until("statistics of this phase", SOON, || count() > before + 30);
        complaints(&self.process.log())
    }
}
