//! collectd. It is told values over its socket, and writes them with its own plugin for InfluxDB's UDP.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use super::place::Place;
use super::support::process::Process;
use super::support::wait::{SOON, wait_for, wait_until};
use super::ways::Client;

/// Values of a phase, ten at a time: all of those are on the node before the next ten are told.
const VALUES: usize = 100;

/// The time of the first value, in seconds.
const BEGIN: usize = 1_600_000_000;

/// A running collectd.
pub struct Collectd {
    _process: Process,
    socket: BufReader<UnixStream>,
    place: Place,
}

impl Collectd {
    /// Starts it.
    pub fn start(place: &Place) -> Collectd {
        place.create_database("udp");
        let folder = place.folder_of("collectd");
        let socket = folder.join("socket");
        let configuration = format!(
            r#"
Hostname "collected"
FQDNLookup false
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
TypesDB "/usr/share/collectd/types.db"
Interval 1
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File STDOUT
</Plugin>
LoadPlugin unixsock
<Plugin unixsock>
  SocketFile "{socket}"
</Plugin>
LoadPlugin write_influxdb_udp
<Plugin write_influxdb_udp>
  Server "127.0.0.1" "{port}"
</Plugin>
"#,
            folder = folder.display(),
            socket = socket.display(),
            port = place.udp_port,
        );
        let file = place.file("collectd.conf", &configuration);
        let process = Process::start(
            "collectd",
            Command::new("/usr/sbin/collectd")
                .arg("-f")
                .arg("-C")
                .arg(file),
            &place.folder.join("collectd.log"),
        );
        let socket = wait_for("collectd's socket", SOON, || {
            UnixStream::connect(&socket).ok()
        });
        Collectd {
            _process: process,
            socket: BufReader::new(socket),
            place: place.clone(),
        }
    }

    /// Says a command, and returns what it answers.
    fn say(&mut self, command: &str) -> String {
        let to = self.socket.get_mut();
        writeln!(to, "{command}").expect("collectd reads");
        let mut said = String::new();
        self.socket.read_line(&mut said).expect("collectd answers");
        said.trim_end().to_owned()
    }
}

impl Client for Collectd {
    fn phase(&mut self, number: usize) -> Vec<String> {
        let mut seen = Vec::new();
        for value in number * VALUES..(number + 1) * VALUES {
            let time = BEGIN + value;
            seen.push(self.say(&format!(
                "PUTVAL collected/probe/gauge interval=1 {time}:{value}"
            )));
            if value % 10 == 9 {
                let all = value as u64 + 1;
                wait_until("collectd's values to be there", SOON, || {
                    // It keeps values until they fill a datagram, or it is told; a value that it has just taken, it has not yet given to
                    // the plugin.
                    self.say("FLUSH plugin=write_influxdb_udp");
                    self.place.count("udp", "probe", "value") == all
                });
            }
        }
        seen
    }
}
