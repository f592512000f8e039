//! Builds an oracle: a Go program of this folder over InfluxDB's own code, as Debian packages it or as a Go module. Nothing comes
//! from the network: `scripts/test` fetches what is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's Go code, of which `scripts/test` installs InfluxDB's.
const GO_PATH: &str = "/usr/share/gocode";
/// A newer Go than Debian's, where one is installed.
const GO: &str = "/usr/local/go/bin/go";

/// The program that `tests/oracles/<name>` builds over Debian's code. `needed` is a file or folder below that, and its package.
pub fn build(name: &str, needed: (&str, &str)) -> PathBuf {
    let (path, package) = needed;
    let path = Path::new(GO_PATH).join("src").join(path);
    assert!(
        path.exists(),
        "the Debian package {package} is missing: no {}",
        path.display()
    );
    let debian = [("GO111MODULE", "off"), ("GOPATH", GO_PATH), ("GOFLAGS", "")];
    let program = target().join(name);
    let build = ["build", "-o", &program.display().to_string(), "."];
    if let Err(error) = go(name, &debian, &build) {
        panic!("the oracle {name} does not build: {error}");
    }
    program
}

/// The program that `tests/oracles/<name>` builds over the modules that its `go.mod` pins; the error says why they are not here.
#[allow(dead_code)] // Each test that builds an oracle is a crate that uses a part of this.
pub fn build_pinned(name: &str) -> Result<PathBuf, String> {
    let modules = [
        ("GO111MODULE", "on"),
        ("GOPROXY", "off"),
        ("GOFLAGS", "-mod=readonly -buildvcs=false"),
    ];
    go(name, &modules, &["list", "-deps", "."])?;
    let program = target().join(format!("{name}_pinned"));
    let build = ["build", "-o", &program.display().to_string(), "."];
    match go(name, &modules, &build) {
        Ok(()) => Ok(program),
        Err(error) => panic!("the oracle {name} does not build over its modules: {error}"),
    }
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracles")
}

/// Runs Go in the oracle's folder; the error is what it says.
fn go(name: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<(), String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    let go = if Path::new(GO).exists() { GO } else { "go" };
    let output = Command::new(go)
        .args(arguments)
        .current_dir(sources.join(name))
        .envs(environment.iter().copied())
        // One for all oracles, so that Go's own library is compiled once.
        .env("GOCACHE", target().join("cache"))
        .output()
        .unwrap_or_else(|error| panic!("a Go toolchain is missing: {go}: {error}"));
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
