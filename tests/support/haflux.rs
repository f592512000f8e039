//! The built program, with a configuration that a test writes.
//!
//! In a configuration `PORT(name)` stands for a free port, the same one for the same name, `UDP(name)` for one of UDP, and
//! `FOLDER` for the folder of this haflux, which is where `data_dir` belongs:
//!
//! ```toml
//! [server]
//! data_dir = "FOLDER/data"
//!
//! [[frontend]]
//! name = "front"
//! bind = "127.0.0.1:PORT(front)"
//! ```

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::lab::replace;
use super::open_files;
use super::ports::{free_port, free_udp_port};
use super::process::Process;
use super::programs::succeeds;
use super::wait::{SOON, wait_for, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haflux");
const ATTEMPTS: usize = 10;

/// How long a graceful stop may take: more than the program's own limit of 30 s, so that it is the program that gives up.
const STOP: Duration = Duration::from_secs(45);

/// A running haflux. Dropped, it is killed.
pub struct Haflux {
    folder: PathBuf,
    file: PathBuf,
    ports: BTreeMap<String, u16>,
    udp_ports: BTreeMap<String, u16>,
    environment: Vec<(String, String)>,
    /// A program with its arguments that starts it.
    launcher: Vec<String>,
    process: Option<Process>,
    /// The id of the process; 0 while it is away, or told to end.
    shared_id: Arc<AtomicU32>,
}

impl Haflux {
    /// Starts it on a TOML configuration and waits until each of its ports takes connections.
    pub fn start(folder: &Path, configuration: &str) -> Self {
        Self::start_file(folder, "haflux.toml", configuration)
    }

    /// The same with these variables in its environment.
    pub fn start_in(folder: &Path, configuration: &str, environment: &[(String, String)]) -> Self {
        Self::start_as(folder, "haflux.toml", configuration, environment, &[])
    }

    /// The same bound by the permissions of files, which root is not.
    pub fn start_bound_by_permissions(folder: &Path, configuration: &str) -> Self {
        let capabilities = "-dac_override,-dac_read_search";
        let launcher = ["setpriv", "--bounding-set", capabilities, "--"];
        let is_root = rustix::process::geteuid().is_root();
        let launcher = if is_root { &launcher[..] } else { &[] };
        Self::start_as(folder, "haflux.toml", configuration, &[], launcher)
    }

    /// The same by a program, given with its arguments, that starts it.
    pub fn start_by(folder: &Path, configuration: &str, launcher: &[&str]) -> Self {
        Self::start_as(folder, "haflux.toml", configuration, &[], launcher)
    }

    /// The same in the format that the ending of `name` says.
    pub fn start_file(folder: &Path, name: &str, configuration: &str) -> Self {
        Self::start_as(folder, name, configuration, &[], &[])
    }

    fn start_as(
        folder: &Path,
        name: &str,
        configuration: &str,
        environment: &[(String, String)],
        launcher: &[&str],
    ) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for haflux");
        let mut haflux = Haflux {
            folder: folder.to_owned(),
            file: folder.join(name),
            ports: BTreeMap::new(),
            udp_ports: BTreeMap::new(),
            environment: environment.to_vec(),
            launcher: launcher.iter().map(|word| (*word).to_owned()).collect(),
            process: None,
            shared_id: Arc::default(),
        };
        for _ in 0..ATTEMPTS {
            haflux.configure(configuration);
            if haflux.launch() {
                return haflux;
            }
        }
        panic!("{ATTEMPTS} times in a row a port was taken by another");
    }

    /// Runs `haflux` with `arguments` to its end and returns what it said.
    pub fn command(arguments: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(arguments)
            .output()
            .expect("haflux can be started")
    }

    /// Runs `haflux` with `arguments` and this one's configuration to its end.
    pub fn told(&self, arguments: &[&str]) -> Output {
        let file = self.file.to_str().expect("a file with a plain name");
        Self::command(&[arguments, &["--config", file]].concat())
    }

    /// What that says; it must do what it is told.
    #[track_caller]
    pub fn order(&self, arguments: &[&str]) -> String {
        succeeds(&self.told(arguments))
    }

    /// What that says, which must not do what it is told.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.told(arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// `127.0.0.1:port` of `PORT(name)`.
    #[track_caller]
    pub fn address(&self, name: &str) -> String {
        let port = self.ports.get(name);
        let port = port.unwrap_or_else(|| panic!("no PORT({name}) in {}", self.file.display()));
        format!("127.0.0.1:{port}")
    }

    /// The port of `UDP(name)`.
    #[track_caller]
    pub fn udp_port(&self, name: &str) -> u16 {
        let port = self.udp_ports.get(name);
        *port.unwrap_or_else(|| panic!("no UDP({name}) in {}", self.file.display()))
    }

    /// `http://127.0.0.1:port` of `PORT(name)`.
    #[track_caller]
    pub fn url(&self, name: &str) -> String {
        format!("http://{}", self.address(name))
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its configuration file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Replaces what its configuration file says by something else.
    #[track_caller]
    pub fn edit(&self, changes: &[(&str, &str)]) {
        let text = std::fs::read_to_string(&self.file).expect("the file");
        std::fs::write(&self.file, replace(text, changes)).expect("the file");
    }

    /// Its process id.
    pub fn id(&mut self) -> u32 {
        self.running().id()
    }

    /// Its process id over all of its starts, for a thread that watches it while another one has it; 0 while it is away, or told to end.
    pub fn shared_id(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.shared_id)
    }

    /// Asks it to stop gracefully, without waiting.
    pub fn ask_to_end(&mut self) {
        self.shared_id.store(0, Ordering::Relaxed);
        self.running().ask_to_end();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.running().wait(STOP);
        self.process = None;
        status
    }

    /// Stops it gracefully.
    pub fn terminate(&mut self) -> ExitStatus {
        self.ask_to_end();
        self.wait()
    }

    /// Ends it as a power failure would.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            self.shared_id.store(0, Ordering::Relaxed);
            process.kill9();
        }
    }

    /// Stops it in its tracks: it keeps its connections and answers nothing.
    pub fn pause(&mut self) {
        self.running().pause();
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.running().resume();
    }

    /// Starts it again on the same ports and data, after stopping it gracefully if it runs.
    pub fn restart(&mut self) {
        if self.process.is_some() {
            self.terminate();
        }
        wait_for("haflux's ports to be free again", SOON, || {
            self.launch().then_some(())
        });
    }

    /// All that it has logged, over all of its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Waits until it has logged this: a thread of its own writes the log, so a line may come after what it tells of.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let found = || self.log().contains(text);
        wait_until(&format!("haflux to log {text:?}"), SOON, found);
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("haflux.log")
    }

    #[track_caller]
    fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("haflux runs")
    }

    fn configure(&mut self, configuration: &str) {
        let folder = self.folder.to_str().expect("a folder with a plain name");
        self.ports.clear();
        self.udp_ports.clear();
        let text = configuration.replace("FOLDER", folder);
        let text = fill_in(&text, "PORT(", &mut self.ports, free_port);
        let text = fill_in(&text, "UDP(", &mut self.udp_ports, free_udp_port);
        std::fs::write(&self.file, text).expect("haflux's configuration");
    }

    /// True once it takes connections; false if one of its ports was taken.
    fn launch(&mut self) -> bool {
        open_files::allow_many();
        let earlier = self.log().len();
        let mut command = match self.launcher.split_first() {
            Some((launcher, arguments)) => {
                let mut command = Command::new(launcher);
                command.args(arguments).arg(PROGRAM);
                command
            }
            None => Command::new(PROGRAM),
        };
        let mut process = Process::start(
            "haflux",
            command
                .args(["run", "--config"])
                .arg(&self.file)
                .env("RUST_BACKTRACE", "1")
                .envs(self.environment.iter().cloned()),
            &self.log_file(),
        );
        let taken = wait_for("haflux to take connections", SOON, || {
            if let Some(status) = process.ended() {
                let log = process.log();
                let said = log.get(earlier..).unwrap_or_default().to_lowercase();
                assert!(
                    said.contains("in use"),
                    "haflux ended with {status}: {said}"
                );
                return Some(true);
            }
            let all = self.ports.values().all(|port| takes_connections(*port));
            all.then_some(false)
        });
        // A port on which another program listens takes connections too; haflux has ended then.
        let running = !taken && process.ended().is_none();
        let id = if running { process.id() } else { 0 };
        self.shared_id.store(id, Ordering::Relaxed);
        self.process = running.then_some(process);
        running
    }
}

fn takes_connections(port: u16) -> bool {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => true,
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            false
        }
    }
}

/// Replaces each `PORT(name)`, or what else is written before the name.
fn fill_in(
    text: &str,
    opening: &str,
    ports: &mut BTreeMap<String, u16>,
    free: impl Fn() -> u16,
) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(opening) {
        let (name, after) = after.split_once(')').expect("an opening has an end");
        let port = ports.entry(name.to_owned()).or_insert_with(&free);
        filled.push_str(before);
        filled.push_str(&port.to_string());
        rest = after;
    }
    filled + rest
}
