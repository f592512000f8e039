//! What programs read of haflux: HAProxy's CSV, JSON, Prometheus' metrics. A real HAProxy in front of the same nodes says what the
//! CSV must say; the real `promtool` and `prometheus` judge the metrics.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::ports::free_port;
use support::process::Process;
use support::programs::{run, succeeds};
use support::wait::SOON;
use support::{Lab, Options, http, wait_for, wait_until};

/// The lab with both ways to its metrics.
fn lab() -> Lab {
    Lab::start_with(Options::default(), |text| {
        support::lab::replace(
            text,
            &[
                (
                    "[server]\n",
                    "[server]\nmetrics_bind = \"127.0.0.1:PORT(metrics)\"\n",
                ),
                (
                    "name = \"influx_front\"\n",
                    "name = \"influx_front\"\nmetrics_uri = \"/haflux/metrics\"\n",
                ),
            ],
        )
    })
}

/// The rows of `;csv` by proxy and service, read as Telegraf's `inputs.haproxy` reads them.
fn rows(text: &str) -> BTreeMap<(String, String), BTreeMap<String, String>> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let header = lines.next().and_then(|line| line.strip_prefix("# "));
    let names: Vec<&str> = header.expect("HAProxy's header").split(',').collect();
    let mut rows = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        let row: BTreeMap<String, String> = names
            .iter()
            .zip(&cells)
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(name, cell)| ((*name).to_owned(), (*cell).to_owned()))
            .collect();
        rows.insert((row["pxname"].clone(), row["svname"].clone()), row);
    }
    rows
}

/// HAProxy before the same nodes.
fn haproxy(lab: &Lab, port: u16) -> Process {
    let folder = lab.folder().join("haproxy");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("haproxy.cfg");
    let configuration = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n\
         frontend influx_front\n  bind 127.0.0.1:{port}\n  stats enable\n  stats uri /haproxy?stats\n  \
         stats show-legends\n  default_backend influx_back\n\
         backend influx_back\n  balance roundrobin\n  option httpchk GET /ping\n  \
         http-check expect status 204\n  default-server inter 200ms\n  \
         server influxlab {} check\n  server influxlab2 {} check\n",
        lab.node1.address(),
        lab.node2.address()
    );
    fs::write(&file, configuration).expect("a file");
    let mut command = Command::new("/usr/sbin/haproxy");
    command.arg("-db").arg("-f").arg(&file);
    Process::start("haproxy", &mut command, &folder.join("log"))
}

#[test]
fn csv_is_what_haproxy_says_of_the_same_traffic() {
    let mut lab = lab();
    let port = free_port();
    let _haproxy = haproxy(&lab, port);
    let urls = [lab.influx_url(), format!("http://127.0.0.1:{port}")];
    let csv = |url: &str| rows(&http::get(&format!("{url}/haproxy?stats;csv")).text());
    for url in &urls {
        wait_until("both servers are checked", SOON, || {
            let answer = http::try_request("GET", &format!("{url}/haproxy?stats;csv"), &[], b"");
            answer.is_ok_and(|answer| answer.text().matches(",L7OK,").count() >= 2)
        });
        for _ in 0..6 {
            let answer = http::get(&format!("{url}/query?q=SHOW%20DATABASES"));
            assert_eq!(answer.status, 200);
        }
        assert_eq!(http::get(&format!("{url}/query")).status, 400);
    }
    let [ours, theirs] = [csv(&urls[0]), csv(&urls[1])];
    let key = |service: &str| ("influx_back".to_owned(), service.to_owned());
    for (service, row) in theirs
        .iter()
        .filter(|((proxy, _), _)| proxy == "influx_back")
    {
        let here = &ours[service];
        // The same words and numbers for the same traffic.
        for column in [
            "type",
            "sid",
            "pid",
            "status",
            "weight",
            "act",
            "bck",
            "chkfail",
            "chkdown",
            "downtime",
            "check_status",
            "check_code",
            "mode",
            "algo",
            "addr",
            "check_desc",
            "last_chk",
            "econ",
            "eresp",
            "wretr",
            "wredis",
            "cli_abrt",
            "srv_abrt",
            "hrsp_1xx",
            "hrsp_2xx",
            "hrsp_4xx",
            "hrsp_5xx",
            "hrsp_other",
            "req_tot",
            "stot",
            "lbtot",
            "qcur",
            "scur",
            "dreq",
            "dresp",
        ] {
            assert_eq!(here.get(column), row.get(column), "{service:?} {column}");
        }
        // What depends on the clock is there as a number.
        for column in [
            "lastchg",
            "rate",
            "rate_max",
            "smax",
            "bin",
            "bout",
            "lastsess",
            "qtime",
            "ctime",
            "rtime",
            "ttime",
            "ttime_max",
            "connect",
            "reuse",
        ] {
            assert!(
                row.contains_key(column),
                "HAProxy has no {column} for {service:?}"
            );
            assert!(here[column].parse::<u64>().is_ok(), "{service:?} {column}");
        }
    }
    let front = &ours[&("influx_front".to_owned(), "FRONTEND".to_owned())];
    let front_there = &theirs[&("influx_front".to_owned(), "FRONTEND".to_owned())];
    for column in [
        "type", "sid", "status", "mode", "hrsp_4xx", "dreq", "ereq", "rate_lim",
    ] {
        assert_eq!(front.get(column), front_there.get(column), "{column}");
    }
    let filled = |row: &BTreeMap<String, String>| row.keys().cloned().collect::<Vec<_>>();
    for column in filled(front) {
        assert!(
            front_there.contains_key(&column),
            "HAProxy leaves {column} empty"
        );
    }

    // The relay is a backend, its replicas are the servers.
    let replica = &ours[&("influx_relay".to_owned(), "influxlab2".to_owned())];
    assert_eq!(
        (replica["type"].as_str(), replica["status"].as_str()),
        ("2", "UP")
    );
    assert_eq!(replica["check_status"], "L7OK");

    // Telegraf asks with a slash.
    let with_slash = http::get(&format!("{}/haproxy?stats/;csv", urls[0]));
    assert_eq!(with_slash.header("content-type"), Some("text/plain"));
    assert!(with_slash.text().starts_with("# pxname,svname,qcur,"));
    assert_eq!(
        with_slash.text().lines().next(),
        http::get(&format!("{}/haproxy?stats;csv", urls[1]))
            .text()
            .lines()
            .next()
    );

    lab.node2.kill9();
    for url in &urls {
        wait_until("the server is down", SOON, || {
            csv(url)[&key("influxlab2")]["status"] == "DOWN"
        });
        let row = &csv(url)[&key("influxlab2")];
        assert_eq!(row["check_status"], "L4CON");
        assert_eq!(row["chkdown"], "1");
        assert_eq!(csv(url)[&key("BACKEND")]["act"], "1");
        assert_eq!(csv(url)[&key("BACKEND")]["chkdown"], "0");
    }

    lab.node1.kill9();
    for url in &urls {
        wait_until("the backend is down", SOON, || {
            csv(url)[&key("BACKEND")]["status"] == "DOWN"
        });
        let row = &csv(url)[&key("BACKEND")];
        assert_eq!(
            [&row["act"], &row["weight"], &row["chkdown"]],
            ["0", "0", "1"]
        );
    }
}

#[test]
fn unknown_views_are_not_the_page() {
    let lab = lab();
    let get = |options: &str| http::get(&format!("{}/haproxy?stats{options}", lab.influx_url()));
    for options in ["", ";norefresh", ";up", ";st=DONE"] {
        let answer = get(options);
        assert_eq!(answer.status, 200, "{options}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
    }
    for options in [";typed", ";cvs", "/;xml"] {
        let answer = get(options);
        assert_eq!(answer.status, 404, "{options}");
        assert!(answer.text().contains(";csv"), "{}", answer.text());
    }
    let json = get(";json").json();
    assert_eq!(json["figures"]["relays[].head"]["unit"], "sequence");
    assert_eq!(get("/;json;norefresh").json()["version"], json["version"]);
}

#[test]
fn promtool_has_nothing_to_say_against_the_metrics() {
    let lab = lab();
    lab.create_database("db");
    let url = lab.influx_url();
    for number in 0..5 {
        let answer = http::post(
            &format!("{url}/write?db=db"),
            format!("m v={number} {number}"),
        );
        assert_eq!(answer.status, 204);
    }
    let metrics = |url: &str| {
        let answer = http::get(url);
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4")
        );
        answer.text()
    };
    // The access of a node's own metrics is left alone.
    assert_ne!(
        http::get(&format!("{url}/metrics")).text(),
        metrics(&format!("{url}/haflux/metrics"))
    );
    for url in [
        format!("{url}/haflux/metrics"),
        format!("{}/metrics", lab.haflux.url("metrics")),
    ] {
        let text = metrics(&url);
        for line in [
            "haflux_relay_acknowledged_writes_total{relay=\"influx_relay\"} 5",
            "haflux_relay_acknowledgement_duration_seconds_count{relay=\"influx_relay\"} 5",
            "haflux_frontend_responses_total{frontend=\"influx_front\",code=\"2xx\"}",
            "haflux_server_state{backend=\"influx_back\",server=\"influxlab\",state=\"up\"} 1",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool; scripts/test installs it");
        let mut input = promtool.stdin.take().expect("its input");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        let output = promtool.wait_with_output().expect("it ends");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    let elsewhere = http::get(&format!("{}/write?db=db", lab.haflux.url("metrics")));
    assert_eq!(elsewhere.status, 503);
}

#[test]
fn the_rules_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    let file = |name: &str| folder.join(name).display().to_string();
    succeeds(&run("promtool", &["check", "rules", &file("rules.yaml")]));
    succeeds(&run(
        "promtool",
        &["check", "config", &file("prometheus.yaml")],
    ));
    succeeds(&run(
        "promtool",
        &["test", "rules", &file("rules_test.yaml")],
    ));
}

#[test]
fn prometheus_scrapes_it_and_its_alerts_fire() {
    let mut lab = lab();
    let folder = lab.folder().join("prometheus");
    fs::create_dir(&folder).expect("a folder");
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/rules.yaml");
    // The same rules, without the times that an alert waits.
    let text = fs::read_to_string(rules).expect("the rules");
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("for: "));
    fs::write(
        folder.join("rules.yaml"),
        lines.collect::<Vec<_>>().join("\n"),
    )
    .expect("a file");
    let configuration = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yaml]\n\
         scrape_configs:\n- job_name: haflux\n  static_configs: [{{ targets: [\"{}\"] }}]\n",
        lab.haflux.address("metrics")
    );
    fs::write(folder.join("prometheus.yaml"), configuration).expect("a file");
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new("prometheus");
    command
        .arg(format!(
            "--config.file={}",
            folder.join("prometheus.yaml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"));
    let _prometheus = Process::start("prometheus", &mut command, &folder.join("log"));
    let value = |query: &str| -> Option<Value> {
        let query = http::query_string(&[("query", query)]);
        let url = format!("http://{address}/api/v1/query?{query}");
        let answer = http::try_request("GET", &url, &[], b"").ok()?;
        let found: Value = serde_json::from_str(&answer.text()).ok()?;
        found["data"]["result"]
            .get(0)
            .map(|first| first["value"][1].clone())
    };
    wait_for("a scrape", SOON, || {
        value("up{job=\"haflux\"}").filter(|up| up == "1")
    });
    wait_for("both replicas are fresh", SOON, || {
        value("haflux_relay_replicas_fresh").filter(|fresh| fresh == "2")
    });
    assert_eq!(value("count(ALERTS) or vector(0)").expect("a value"), "0");
    lab.node2.kill9();
    wait_for("the alert", SOON, || {
        value(
            "ALERTS{alertname=\"HafluxReplicaDown\",replica=\"influxlab2\",alertstate=\"firing\"}",
        )
    });
}
