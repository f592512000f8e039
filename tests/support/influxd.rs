//! A real InfluxDB 1.x node, in a folder of its own: Debian's `influxdb`, or the `influxd` that `HAFLUX_TEST_INFLUXD` names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::http::{self, Answer};
use super::ports::free_port;
use super::process::Process;
use super::wait::{SOON, wait_for};

/// Names another `influxd`, so that the same tests show what another release does.
const OTHER_PROGRAM: &str = "HAFLUX_TEST_INFLUXD";
const ATTEMPTS: usize = 10;

/// The `influxd` that the tests run on.
pub fn program() -> String {
    std::env::var(OTHER_PROGRAM).unwrap_or_else(|_| "influxd".to_owned())
}

/// What a node is told beyond what every test node is told.
#[derive(Debug, Clone, Default)]
pub struct Options {
    settings: BTreeMap<String, BTreeMap<String, String>>,
    /// A name and a password.
    asked_as: Option<(String, String)>,
    /// Where it runs, if not on this host.
    host: Option<Host>,
    /// The `influxd` that it is, if not that of all tests.
    program: Option<String>,
    /// Where it speaks the backup protocol, if not at a port of its own choice.
    rpc_address: Option<String>,
}

#[derive(Debug, Clone)]
struct Host {
    address: String,
    /// What starts a program there.
    launcher: Vec<String>,
}

impl Options {
    /// A setting of its configuration file; `value` as TOML, so texts come with their quotes.
    pub fn set(mut self, section: &str, key: &str, value: &str) -> Self {
        self.settings
            .entry(section.to_owned())
            .or_default()
            .insert(key.to_owned(), value.to_owned());
        self
    }

    /// Credentials are asked for.
    pub fn auth(self) -> Self {
        self.set("http", "auth-enabled", "true")
    }

    /// Tests ask and write past haflux with this name and password. InfluxDB looks at neither until there is an administrator.
    pub fn asked_as(mut self, user: &str, password: &str) -> Self {
        self.asked_as = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// It speaks TLS, with this file of certificate and key.
    pub fn secure(self, certificate: &str) -> Self {
        self.set("http", "https-enabled", "true").set(
            "http",
            "https-certificate",
            &format!("{certificate:?}"),
        )
    }

    fn scheme(&self) -> &'static str {
        let http = self.settings.get("http");
        let is_secure = http.is_some_and(|http| http.contains_key("https-enabled"));
        if is_secure { "https" } else { "http" }
    }

    /// It runs on this host, on which `launcher` starts programs.
    pub fn on_host(mut self, address: &str, launcher: Vec<String>) -> Self {
        let address = address.to_owned();
        self.host = Some(Host { address, launcher });
        self
    }

    /// It is this `influxd`.
    pub fn program(mut self, program: &str) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// `influxd backup` and `restore` find it there.
    pub fn rpc_at(mut self, address: &str) -> Self {
        self.rpc_address = Some(address.to_owned());
        self
    }

    fn address(&self) -> &str {
        let host = self.host.as_ref();
        host.map_or("127.0.0.1", |host| host.address.as_str())
    }

    /// What runs it, where it is.
    fn command(&self) -> Command {
        let program = self.program.clone().unwrap_or_else(program);
        let launcher = self.host.as_ref().map(|host| host.launcher.as_slice());
        let mut words = launcher.unwrap_or_default().iter();
        let Some(first) = words.next() else {
            return Command::new(program);
        };
        let mut command = Command::new(first);
        command.args(words).arg(program);
        command
    }

    fn configuration(&self, folder: &Path, http_port: u16, rpc_address: &str) -> String {
        let inside = |name: &str| format!("{:?}", folder.join(name));
        let defaults = Options::default()
            .set("", "reporting-disabled", "true")
            .set("", "bind-address", &format!("{rpc_address:?}"))
            .set("meta", "dir", &inside("meta"))
            .set("data", "dir", &inside("data"))
            .set("data", "wal-dir", &inside("wal"))
            .set("monitor", "store-enabled", "false")
            .set(
                "http",
                "bind-address",
                &format!("\"{}:{http_port}\"", self.address()),
            )
            .set("http", "log-enabled", "false");
        let mut settings = defaults.settings;
        for (section, values) in &self.settings {
            settings
                .entry(section.clone())
                .or_default()
                .extend(values.clone());
        }
        let mut text = String::new();
        for (section, values) in settings {
            if !section.is_empty() {
                writeln!(text, "[{section}]").expect("a String can be written to");
            }
            for (key, value) in values {
                writeln!(text, "{key} = {value}").expect("a String can be written to");
            }
        }
        text
    }
}

/// A node. Dropped, it is killed.
pub struct Influxd {
    folder: PathBuf,
    options: Options,
    port: u16,
    rpc_port: u16,
    process: Option<Process>,
}

impl Influxd {
    /// Starts a node that keeps everything in `folder`, and waits until it answers.
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, Options::default())
    }

    /// The same, told more.
    pub fn start_with(folder: &Path, options: Options) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the node");
        let mut node = Influxd {
            folder: folder.to_owned(),
            options,
            port: 0,
            rpc_port: 0,
            process: None,
        };
        for _ in 0..ATTEMPTS {
            node.port = free_port();
            if node.launch() {
                return node;
            }
        }
        panic!("{ATTEMPTS} ports in a row were taken by others");
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.options.address(), self.port)
    }

    /// Where `influxd backup` and `restore` find it.
    pub fn rpc_address(&self) -> String {
        let told = self.options.rpc_address.clone();
        told.unwrap_or_else(|| format!("127.0.0.1:{}", self.rpc_port))
    }

    /// Where it keeps everything: `meta`, `data` and `wal`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `http://127.0.0.1:port`, or the same with `https`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.options.scheme(), self.address())
    }

    /// Ends it as a power failure would.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Ends it properly.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate(SOON);
        }
    }

    /// Stops it in its tracks: connections stay, answers do not come.
    pub fn pause(&mut self) {
        self.running().pause();
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.running().resume();
    }

    /// Starts it again on the same port and data, after ending it properly if it runs.
    pub fn restart(&mut self) {
        self.stop();
        // The port may be held for a moment longer, by a passing bind to find a free one.
        wait_for("the node's port to be free again", SOON, || {
            self.launch().then_some(())
        });
    }

    /// Starts it again, told something else from now on.
    pub fn restart_with(&mut self, options: Options) {
        self.options = options;
        self.restart();
    }

    /// Ends it properly and starts this `influxd` on the same port and data, as an upgrade does.
    pub fn upgrade(&mut self, program: &str) {
        self.options = std::mem::take(&mut self.options).program(program);
        self.restart();
    }

    /// Whether it has ended without being told to.
    pub fn has_ended(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.ended().is_some())
    }

    /// Forgets everything it has stored. It must not run.
    pub fn wipe(&mut self) {
        assert!(
            self.process.is_none(),
            "a node is stopped before it is wiped"
        );
        for part in ["meta", "data", "wal"] {
            let path = self.folder.join(part);
            if path.exists() {
                std::fs::remove_dir_all(path).expect("the node's files can be removed");
            }
        }
    }

    /// What it answers to a query, as JSON with times in nanoseconds. Panics unless all of it succeeded.
    #[track_caller]
    pub fn query(&self, database: &str, query: &str) -> Value {
        let answer = self.query_answer(database, query);
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let value = answer.json();
        let results = value["results"].as_array().map_or(&[][..], Vec::as_slice);
        for result in results {
            assert!(result.get("error").is_none(), "{query}: {result}");
        }
        value
    }

    /// From now on it is asked in this user's name.
    pub fn log_in(&mut self, user: &str, password: &str) {
        self.options.asked_as = Some((user.to_owned(), password.to_owned()));
    }

    /// The same; none unless it answers with success.
    pub fn try_query(&self, database: &str, query: &str) -> Option<Value> {
        let parameters = [("db", database), ("q", query), ("epoch", "ns")];
        let url = self.target("query", &parameters);
        let answer = http::try_request("POST", &url, &[], b"").ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    /// The whole answer to a query.
    pub fn query_answer(&self, database: &str, query: &str) -> Answer {
        let parameters = [("db", database), ("q", query), ("epoch", "ns")];
        http::post(&self.target("query", &parameters), "")
    }

    /// Makes a database.
    #[track_caller]
    pub fn create_database(&self, name: &str) {
        self.query("", &format!("CREATE DATABASE \"{name}\""));
    }

    /// Writes lines past haflux.
    pub fn write(&self, database: &str, lines: &str) -> Answer {
        http::post(&self.target("write", &[("db", database)]), lines)
    }

    fn target(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        let mut parameters = parameters.to_vec();
        if let Some((user, password)) = &self.options.asked_as {
            parameters.extend([("u", user.as_str()), ("p", password.as_str())]);
        }
        format!("{}/{path}?{}", self.url(), http::query_string(&parameters))
    }

    /// How many points of `measurement` have `field`.
    #[track_caller]
    pub fn count(&self, database: &str, measurement: &str, field: &str) -> u64 {
        let answer = self.query(
            database,
            &format!("SELECT count(\"{field}\") FROM \"{measurement}\""),
        );
        answer["results"][0]["series"][0]["values"][0][1]
            .as_u64()
            .unwrap_or(0)
    }

    /// All that it has written to its log, over all of its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("influxd.log")
    }

    fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("the node runs")
    }

    /// True once it answers; false if its port was taken.
    fn launch(&mut self) -> bool {
        let file = self.folder.join("influxdb.conf");
        self.rpc_port = free_port();
        let text = self
            .options
            .configuration(&self.folder, self.port, &self.rpc_address());
        std::fs::write(&file, text).expect("the node's configuration");
        let earlier = self.log().len();
        let mut process = Process::start(
            &format!("influxd on {}", self.address()),
            self.options.command().arg("-config").arg(&file),
            &self.log_file(),
        );
        // Whatever answers on the port is this node only if this node says that it listens.
        let listens = wait_for("influxd to answer", Duration::from_secs(60), || {
            if let Some(status) = process.ended() {
                let log = process.log();
                assert!(
                    log.get(earlier..)
                        .unwrap_or_default()
                        .contains("address already in use"),
                    "influxd ended with {status}"
                );
                return Some(false);
            }
            let log = process.log();
            let listens = log
                .get(earlier..)
                .unwrap_or_default()
                .contains("Listening on HTTP");
            let answers = listens
                && http::try_request("GET", &format!("{}/ping", self.url()), &[], b"")
                    .is_ok_and(|answer| answer.status == 204);
            answers.then_some(true)
        });
        self.process = listens.then_some(process);
        listens
    }
}
