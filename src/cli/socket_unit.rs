//! `haflux socket-unit`: a systemd unit that holds the listening sockets of a configuration.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::process::ExitCode;

use super::{output, running};
use crate::config::Config;
use crate::proxy::BACKLOG;

/// Prints the unit. The exit status is 1 if the file has errors, or standard output takes no more.
pub(super) fn run(file: &Path) -> ExitCode {
    let config = match running::configuration(file) {
        Ok(config) => config,
        Err(status) => return status,
    };
    output::print(&SocketUnit(&config).to_string(), 0, 1)
}

/// The unit: every address of the configuration, as it stands there.
struct SocketUnit<'a>(&'a Config);

impl Display for SocketUnit<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let config = self.0;
        f.write_str("[Unit]\nDescription=The sockets of haflux\n\n[Socket]\n")?;
        for address in config.frontends.iter().flat_map(|frontend| &frontend.bind) {
            writeln!(f, "ListenStream={address}")?;
        }
        for udp in &config.udp {
            writeln!(f, "ListenDatagram={}", udp.bind)?;
        }
        writeln!(f, "Backlog={BACKLOG}")?;
        if let Some(largest) = config.udp.iter().map(|udp| udp.read_buffer).max() {
            writeln!(f, "ReceiveBuffer={largest}")?;
        }
        f.write_str("\n[Install]\nWantedBy=sockets.target\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;

    const FILE: &str = r#"
[server]
metrics_bind = "127.0.0.1:9100"
[[frontend]]
name = "front"
bind = ["0.0.0.0:8086", "[::1]:80"]
default_backend = "pool"
[[relay]]
name = "relay"
replicate_to = "pool"
[[backend]]
name = "pool"
servers = [{ name = "a", address = "127.0.0.1:1" }]
[[udp]]
bind = "0.0.0.0:8089"
relay = "relay"
db = "telegraf"
read_buffer = "1MiB"
"#;

    #[test]
    fn every_address_has_its_line() {
        let loaded = Config::parse(FILE, Format::Toml, "test.toml", &|_| None);
        let config = loaded.expect("a configuration").config;
        assert_eq!(
            SocketUnit(&config).to_string(),
            "[Unit]
Description=The sockets of haflux

[Socket]
ListenStream=0.0.0.0:8086
ListenStream=[::1]:80
ListenStream=127.0.0.1:9100
ListenDatagram=0.0.0.0:8089
Backlog=1024
ReceiveBuffer=1048576

[Install]
WantedBy=sockets.target
"
        );
    }
}
