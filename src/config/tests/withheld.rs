//! What only the service has: commands that ask it, or look at what it left, do without.

use std::path::Path;

use super::with;
use crate::config::{Config, Errors, Loaded};

/// Of the service alone: neither the variables nor the file are there for whoever runs these tests.
const FRONTEND: &str = "stats_uri = \"/s\"\n\
     stats_auth = [\"${credential:page}\", \"two:${HAFLUX_OF_THE_SERVICE}\"]\n\
     http_request = [{ set_header = { Authorization = \"Token ${file:/nowhere/token}\" } }]\n\
     tls = { certificate = \"/nowhere/site.pem\", key = \"${CREDENTIALS_DIRECTORY}/site.key\" }";

const RELAY: &str =
    "heal = { username = \"root\", password_file = \"${CREDENTIALS_DIRECTORY}/root\" }";

fn load(
    folder: &Path,
    frontend: &str,
    relay: &str,
    by: fn(&Path) -> Result<Loaded, Errors>,
) -> Result<Loaded, String> {
    let file = folder.join("haflux.toml");
    let data_dir = folder.join("data").display().to_string();
    let text = format!(
        "[server]\ndata_dir = {data_dir:?}\n{}",
        with(frontend, relay, "", "")
    );
    std::fs::write(&file, text).unwrap();
    by(&file).map_err(|errors| errors.to_string())
}

#[test]
fn who_only_looks_does_without_secrets_and_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let looked = load(folder, FRONTEND, RELAY, Config::load_to_look).unwrap();
    let front = &looked.config.frontends[0];
    assert!(front.stats_auth.is_empty() && front.tls.is_some());
    assert!(looked.config.relays[0].heal.login.is_some());
    for by in [Config::load, Config::load_to_reload] {
        let said = load(folder, FRONTEND, RELAY, by).unwrap_err();
        for reason in [
            "no credential \"page\"",
            "HAFLUX_OF_THE_SERVICE is not set",
            "/nowhere/token cannot be read",
            "CREDENTIALS_DIRECTORY is not set",
        ] {
            assert!(said.contains(reason), "{said}");
        }
    }
}

#[test]
fn what_a_command_goes_by_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    for keys in [
        "stats_uri = \"${HAFLUX_OF_THE_SERVICE}\"",
        "maxconn = \"${HAFLUX_OF_THE_SERVICE}\"",
        "tls = { certificate = \"/x\", addresses = \"${HAFLUX_OF_THE_SERVICE}\" }",
        "tls = \"${HAFLUX_OF_THE_SERVICE}\"",
    ] {
        let said = load(folder.path(), keys, "", Config::load_to_look).unwrap_err();
        assert!(
            said.contains("HAFLUX_OF_THE_SERVICE is not set"),
            "{keys}: {said}"
        );
    }
}

fn to_check(file: &Path) -> Result<Loaded, Errors> {
    Config::load_to_check(file, |_| Ok(()))
}

#[test]
fn a_check_does_without_credentials_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let keys = "stats_uri = \"/s\"\nstats_auth = \"${credential:page}\"\n\
                tls = { certificate = \"/nowhere/site.pem\", key = \"${CREDENTIALS_DIRECTORY}/site.key\" }";
    let checked = load(folder.path(), keys, RELAY, to_check).unwrap();
    let said: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    for one in said {
        assert!(one.ends_with("; what it is for is not looked at"), "{one}");
    }
    let keys = "stats_uri = \"/s\"\nstats_auth = \"two:${HAFLUX_OF_THE_SERVICE}\"";
    let said = load(folder.path(), keys, "", to_check).unwrap_err();
    assert!(said.contains("HAFLUX_OF_THE_SERVICE is not set"), "{said}");
}
