//! Where a client is led: a node, or haflux before two.

use std::path::{Path, PathBuf};

use super::support::query::query_as;
use super::support::{User, carry_out, parameters};

/// Who every client is.
pub const NAME: &str = "root";

/// That user's password.
pub const PASSWORD: &str = "sesame";

/// The user as the helpers of tests want it.
pub const USER: User = Some((NAME, PASSWORD));

/// Where a client is led.
#[derive(Debug, Clone)]
pub struct Place {
    /// `host:port` of HTTP.
    pub address: String,
    /// The port of line protocol by UDP; its times are in milliseconds, its database is `udp`.
    pub udp_port: u16,
    /// A folder for the client's files.
    pub folder: PathBuf,
}

impl Place {
    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The host, and the port of HTTP.
    pub fn host_and_port(&self) -> (&str, &str) {
        self.address.split_once(':').expect("host:port")
    }

    /// A folder for one client's files.
    pub fn folder_of(&self, client: &str) -> PathBuf {
        let folder = self.folder.join(client);
        std::fs::create_dir_all(&folder).expect("a folder for a client");
        folder
    }

    /// Writes a file for a client.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.folder.join(name);
        std::fs::write(&file, content).expect("a file for a client");
        file
    }

    /// Makes a database.
    pub fn create_database(&self, name: &str) {
        let statement = format!("CREATE DATABASE {name}");
        carry_out(&self.url(), &parameters(USER, &[("q", &statement)]));
    }

    /// How many points of `measurement` have `field`. 0 if nothing is there.
    pub fn count(&self, database: &str, measurement: &str, field: &str) -> u64 {
        let statement = format!("SELECT count(\"{field}\") FROM \"{measurement}\"");
        let answer = query_as(&self.url(), USER, database, &statement).json();
        answer["results"][0]["series"][0]["values"][0][1]
            .as_u64()
            .unwrap_or(0)
    }
}

/// A file beside this one.
pub fn script(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients_run");
    let file = folder.join(name);
    file.to_str().expect("a plain name").to_owned()
}

/// A program or folder that scripts/clients has installed.
pub fn installed(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients");
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not there; scripts/clients installs it",
        path.display()
    );
    path.to_str().expect("a plain name").to_owned()
}
