//! What `docs/configuration.md` shows is true.

use super::{toml, with, yaml};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    REFERENCE
        .split(opening.as_str())
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

#[test]
fn the_examples_are_right() {
    let [
        short,
        server,
        run_as,
        log,
        frontend,
        tls,
        http2,
        relay,
        backend,
        server_tls,
        own_login,
        udp,
        _environment,
        _secrets,
    ] = blocks("toml")[..]
    else {
        panic!("the TOML examples of the reference")
    };
    let in_short = toml(short).unwrap();
    assert!(in_short.warnings.is_empty());
    let others = r#"
[[backend]]
name = "grafana_back"
servers = [{ name = "a", address = "10.0.2.2:3000" }]
[[backend]]
name = "closed_back"
servers = [{ name = "a", address = "10.0.2.2:3001" }]
"#;
    let with_tls = toml(&[run_as, tls, relay, backend].concat());
    assert!(with_tls.unwrap().config.frontends[0].tls.is_some());
    let with_http2 = toml(&[http2, relay, backend].concat());
    assert!(with_http2.unwrap().config.frontends[0].http2.plain);
    let of_servers = toml(&[frontend, relay, server_tls, others].concat()).unwrap();
    let servers = &of_servers.config.backends[0].servers;
    assert!(servers.iter().all(|server| server.tls.is_some()));
    let users = "[users]\nfile = \"/etc/haflux/users\"\n";
    let of_servers = toml(&[users, frontend, relay, own_login, others].concat()).unwrap();
    assert_eq!(of_servers.config.backends[0].servers[1].logins.len(), 1);
    let whole = toml(&[server, log, frontend, relay, backend, udp, others].concat());
    assert!(
        whole
            .unwrap_or_else(|errors| panic!("{errors}"))
            .warnings
            .is_empty()
    );
    let [same_in_yaml] = blocks("yaml")[..] else {
        panic!("the YAML example of the reference")
    };
    assert_eq!(
        format!("{:#?}", yaml(same_in_yaml).unwrap().config),
        format!("{:#?}", in_short.config)
    );
}

#[test]
fn of_a_text_that_cannot_be_had_one_error_is_said() {
    let secrets = with(
        "stats_uri = \"/s\"\nstats_auth = [\"a:b\"]\n\
         http_request = [{ set_header = { Authorization = \"Token x\" } }]",
        "heal = { username = \"root\", password_file = \"/etc/root\" }",
        "",
        "",
    );
    let mut said = 0;
    for block in blocks("toml").into_iter().chain([secrets.as_str()]) {
        let quotes: Vec<usize> = block.match_indices('"').map(|(place, _)| place).collect();
        for pair in quotes.chunks_exact(2) {
            for lacking in [
                "${NOPE}",
                "${file:/nowhere/x}",
                "${file:x}",
                "${credential:../x}",
            ] {
                let (before, after) = (&block[..=pair[0]], &block[pair[1]..]);
                let Err(errors) = toml(&format!("{before}{lacking}{after}")) else {
                    continue;
                };
                let line = before.lines().count();
                let column = before.lines().last().unwrap().chars().count();
                let there: Vec<String> = errors
                    .iter()
                    .filter(|error| {
                        let position = error.position;
                        position.is_some_and(|one| (one.line, one.column) == (line, column))
                    })
                    .map(ToString::to_string)
                    .collect();
                assert!(there.len() < 2, "{}", there.join("\n"));
                said += there.len();
            }
        }
    }
    assert!(said > 400, "{said}");
}

#[test]
fn the_errors_are_what_is_said() {
    let wrong = r#"[server]
threads = 2

[[frontend]]
name = "http_front"
bind = "0.0.0.0:80"
default_backend = "influx_back"

[[frontend]]
name = "influx_front"

bind =  "10.0.2.4:80"

maxconn = 100
default_backend = "influx_bak"

[[relay]]
name = "influx_relay"
replicate_to = "influx_back"

[[backend]]
name = "influx_back"
check = { http = "/ping",    interval = 2 }
servers = [
  { name = "influx1",   adress = "10.0.2.2:8086", address = "10.0.2.2:8086" },
]
"#;
    let said = toml(wrong)
        .unwrap_err()
        .to_string()
        .replace("x.toml", "haflux.toml");
    assert!(REFERENCE.contains(&format!("```\n{said}\n```")), "{said}");
}
