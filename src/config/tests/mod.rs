//! Tests of the configuration as a whole.

mod cases;
mod documents;
mod edge;
mod left_journals;
mod limits;
mod properties;
mod ready;
mod secrets;
mod server_tls;
mod tls;
mod trust;
mod users;
mod values;
mod withheld;

use crate::config::{Config, Errors, Format, Loaded};

/// The environment of the tests.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "SECRET" => "s3cret",
        "PORT" => "8086",
        "POOL" => "pool",
        "YES" => "true",
        "EMPTY" => "",
        "NESTED" => "${SECRET}",
        _ => return None,
    };
    Some(value.to_owned())
}

fn toml(text: &str) -> Result<Loaded, Errors> {
    Config::parse(text, Format::Toml, "x.toml", &environment)
}

fn yaml(text: &str) -> Result<Loaded, Errors> {
    Config::parse(text, Format::Yaml, "x.yaml", &environment)
}

/// A sound configuration with more lines in its frontend, relay, backend and server.
fn with(frontend: &str, relay: &str, backend: &str, server: &str) -> String {
    format!(
        r#"
[[frontend]]
name = "front"
bind = "127.0.0.1:80"
default_backend = "pool"
{frontend}
[[relay]]
name = "relay"
replicate_to = "pool"
{relay}
[[backend]]
name = "pool"
{backend}
[[backend.servers]]
name = "a"
address = "10.0.0.1:8086"
{server}
"#
    )
}
