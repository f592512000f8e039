//! Programs that are run to their end.

use std::process::{Command, Output, Stdio};

use super::influxd;

/// Runs `program`.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            panic!("{program} cannot be run ({error}); scripts/test installs it")
        })
}

/// What a program said that must have done what it was told.
#[track_caller]
pub fn succeeds(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// A Python that has InfluxDB's client.
#[track_caller]
pub fn python() -> &'static str {
    ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(|python| {
            Command::new(python)
                .args(["-c", "import influxdb"])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
        .expect("a Python with the module influxdb; scripts/test installs python3-influxdb")
}

/// Which 1.x the nodes of the tests are.
pub fn influxdb_release() -> u32 {
    let told = succeeds(&run(&influxd::program(), &["version"]));
    // `InfluxDB v1.6.7 (git: …)`; newer ones leave the `v` out.
    let version = told.split(' ').nth(1).unwrap_or_default();
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok());
    minor.unwrap_or_else(|| panic!("no version of InfluxDB: {told}"))
}
