//! A wire to a host of its own, that can be cut: packets are lost without a word, and the systems at both ends do with their
//! connections what they do then. Network namespaces, which need root, as the tests have in CI; nothing leaves them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process::Process;
use super::programs::{run, succeeds};
use super::wait::{SOON, wait_until};

/// Set in the process that has a network of its own.
const INSIDE: &str = "HAFLUX_TEST_HAS_ITS_OWN_NETWORK";

/// The host at the far end (addresses that RFC 5737 keeps for examples).
const FAR: &str = "192.0.2.2";
const NEAR: &str = "192.0.2.1";

/// Of the far end's rules; the one that loses packets comes first.
const CUT: &str = "10";
const LOCAL: &str = "100";

/// A wire from the network of this process to another host.
pub struct Wire {
    /// The far host lasts as long as this process.
    host: Process,
}

impl Wire {
    /// Lays it for the `steps` of the test that is called `test`, which run in a process of their own: no other test is in
    /// its network.
    #[track_caller]
    pub fn lay(test: &str, folder: &Path, steps: impl FnOnce(&Wire)) {
        if std::env::var_os(INSIDE).is_some() {
            steps(&Wire::new(folder));
            return;
        }
        let tests = std::env::current_exe().expect("the program of these tests");
        let inside = Command::new("unshare")
            .args(["--net", "--"])
            .arg(tests)
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .output();
        let said = succeeds(&inside.expect("unshare(1)"));
        assert!(said.contains("1 passed"), "{test} is not its name: {said}");
    }

    fn new(folder: &Path) -> Self {
        let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let host = Process::start(
            "the far host",
            Command::new("unshare").args(["--net", "--", "sleep", "600"]),
            &folder.join("host.log"),
        );
        let wire = Wire { host };
        let id = wire.host.id().to_string();
        wait_until("the far host's network", SOON, || {
            namespace(&id).is_some_and(|its| Some(its) != namespace("self"))
        });
        let (near_link, far_link) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        ip("link set lo up");
        ip(&format!(
            "link add near address {near_link} type veth peer name far address {far_link} netns {id}"
        ));
        ip(&format!("address add {NEAR}/30 dev near"));
        ip("link set near up");
        wire.far("link set lo up");
        wire.far(&format!("address add {FAR}/30 dev far"));
        wire.far("link set far up");
        // Else the systems would ask for these, and notice that nobody answers.
        ip(&format!(
            "neighbour replace {FAR} lladdr {far_link} dev near nud permanent"
        ));
        wire.far(&format!(
            "neighbour replace {NEAR} lladdr {near_link} dev far nud permanent"
        ));
        wire.far(&format!("rule add pref {LOCAL} lookup local"));
        wire.far("rule del pref 0");
        wire
    }

    /// The address of the far host.
    pub fn address(&self) -> &'static str {
        FAR
    }

    /// What starts a program on the far host.
    pub fn launcher(&self) -> Vec<String> {
        let network = format!("--net=/proc/{}/ns/net", self.host.id());
        vec!["nsenter".to_owned(), network, "--".to_owned()]
    }

    /// From now on packets to the far host are lost.
    pub fn cut(&self) {
        self.far(&format!("rule add pref {CUT} iif far blackhole"));
    }

    /// From now on they arrive.
    pub fn mend(&self) {
        self.far(&format!("rule del pref {CUT}"));
    }

    /// ip(8) on the far host.
    fn far(&self, arguments: &str) {
        let launcher = self.launcher();
        let words = launcher.iter().map(String::as_str).chain(["ip"]);
        let words: Vec<&str> = words.chain(arguments.split(' ')).collect();
        succeeds(&run(words[0], &words[1..]));
    }
}

fn ip(arguments: &str) {
    let words: Vec<&str> = arguments.split(' ').collect();
    succeeds(&run("ip", &words));
}

/// Whether this system has sent something to that address that was not acknowledged (proc(5), `/proc/net/tcp`).
pub fn has_unacknowledged(to: &str) -> bool {
    let SocketAddr::V4(to) = to.parse().expect("an address and a port") else {
        panic!("{to} is no IPv4 address");
    };
    let address = u32::from_ne_bytes(to.ip().octets());
    let remote = format!("{address:08X}:{:04X}", to.port());
    let connections = std::fs::read_to_string("/proc/self/net/tcp").expect("proc is mounted");
    connections.lines().any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let queued = columns.get(4).and_then(|queues| queues.split(':').next());
        let queued = queued.and_then(|bytes| u32::from_str_radix(bytes, 16).ok());
        columns.get(2) == Some(&remote.as_str()) && queued.is_some_and(|bytes| bytes > 0)
    })
}
