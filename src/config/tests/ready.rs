//! The files in `conf/`.

use super::{toml, yaml};
use crate::config::model::{Probe, Target};

const TOML: &str = include_str!("../../../conf/haflux.toml");
const YAML: &str = include_str!("../../../conf/haflux.yaml");

/// The keys and values that users have been promised; they keep working as they stand here.
const PROMISED: &str = r#"
[server]
data_dir = "/var/lib/haflux"          # the journal lives here

[[frontend]]
name = "http_front"
bind = "0.0.0.0:80"
stats_uri = "/haproxy?stats"
default_backend = "grafana_back"

[[frontend]]
name = "influx_front"
bind = "0.0.0.0:8086"
stats_uri = "/haproxy?stats"
use_backend = [{ backend = "influx_relay", if = { path_beg = "/write" } }]
default_backend = "influx_back"

[[relay]]
name = "influx_relay"
replicate_to = "influx_back"          # every server of that pool gets every write

[[backend]]
name = "influx_back"
balance = "roundrobin"
check = { http = "/ping", interval = "2s", rise = 2, fall = 3 }
servers = [
  { name = "influxlab",  address = "10.0.2.2:8086" },
  { name = "influxlab2", address = "10.0.2.3:8086" },
]

[[backend]]
name = "grafana_back"
servers = [{ name = "influxlab", address = "10.0.2.2:3000" }]
"#;

#[test]
fn what_was_promised_is_in_the_ready_file_word_for_word() {
    let mut lines = TOML.lines();
    for promised in PROMISED.lines().filter(|line| !line.is_empty()) {
        assert!(
            lines.any(|line| line == promised),
            "not there, or not in order: {promised}"
        );
    }
}

#[test]
fn the_ready_files_are_the_same_and_without_warnings() {
    let (promised, toml, yaml) = (
        toml(PROMISED).unwrap(),
        toml(TOML).unwrap(),
        yaml(YAML).unwrap(),
    );
    assert_eq!(
        format!("{:#?}", toml.config),
        format!("{:#?}", promised.config)
    );
    assert_eq!(format!("{:#?}", yaml.config), format!("{:#?}", toml.config));
    assert!(toml.warnings.is_empty() && yaml.warnings.is_empty());
}

#[test]
fn the_defaults_shown_in_comments_are_the_defaults() {
    // Numbers of threads differ by machine.
    let uncommented = |text: &str, sets: &str| -> String {
        let shown = |line: &str| -> Option<String> {
            let (indent, key) = line.split_once("# ")?;
            let (name, _) = key.split_once(sets)?;
            let is_key = name
                .chars()
                .all(|character| character.is_ascii_lowercase() || character == '_');
            (is_key && indent.trim().is_empty() && name != "threads")
                .then(|| format!("{indent}{key}"))
        };
        text.lines()
            .map(|line| shown(line).unwrap_or_else(|| line.to_owned()) + "\n")
            .collect()
    };
    let plain = toml(TOML).unwrap();
    let from_toml = uncommented(TOML, " = ");
    assert!(from_toml.contains("\nmax_inflight ="), "{from_toml}");
    assert_eq!(
        format!("{:#?}", toml(&from_toml).unwrap().config),
        format!("{:#?}", plain.config)
    );
    let from_yaml = uncommented(YAML, ": ");
    assert!(from_yaml.contains("\n    max_inflight:"), "{from_yaml}");
    assert_eq!(
        format!("{:#?}", yaml(&from_yaml).unwrap().config),
        format!("{:#?}", plain.config)
    );
}

#[test]
fn names_are_resolved() {
    let config = toml(PROMISED).unwrap().config;
    let [http, influx] = config.frontends.as_slice() else {
        panic!("two frontends")
    };
    let Some(Target::Backend(grafana)) = http.default_target else {
        panic!("a backend")
    };
    assert_eq!(config.backend(grafana).name, "grafana_back");
    let Target::Relay(relay) = influx.rules[0].target else {
        panic!("a relay")
    };
    let pool = config.backend(config.relay(relay).pool);
    assert_eq!(pool.name, "influx_back");
    assert_eq!(pool.replicated_by, Some(relay));
    assert_eq!(config.backend(grafana).replicated_by, None);
    assert!(matches!(&pool.check.probe, Probe::Http { path, .. } if path == "/ping"));
}
