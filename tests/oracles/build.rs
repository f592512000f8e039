//! Builds an oracle: a Go program of this folder over InfluxDB's own code, as Debian packages it. Nothing comes from the network.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's Go code, of which `scripts/test` installs InfluxDB's.
const GO_PATH: &str = "/usr/share/gocode";
/// A newer Go than Debian's, where one is installed.
const GO: &str = "/usr/local/go/bin/go";

/// The program that `tests/oracles/<name>` builds. `needed` is a file or folder below Debian's Go code, and its package.
pub fn build(name: &str, needed: (&str, &str)) -> PathBuf {
    let (path, package) = needed;
    let path = Path::new(GO_PATH).join("src").join(path);
    assert!(
        path.exists(),
        "the Debian package {package} is missing: no {}",
        path.display()
    );
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}_oracle.d"));
    let program = target.join("oracle");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    let go = if Path::new(GO).exists() { GO } else { "go" };
    let built = Command::new(go)
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(sources.join(name))
        .envs([("GO111MODULE", "off"), ("GOPATH", GO_PATH), ("GOFLAGS", "")])
        .env("GOCACHE", target.join("cache"))
        .output()
        .unwrap_or_else(|error| panic!("a Go toolchain is missing: {go}: {error}"));
    assert!(
        built.status.success(),
        "the oracle {name} does not build: {}",
        String::from_utf8_lossy(&built.stderr)
    );
    program
}
