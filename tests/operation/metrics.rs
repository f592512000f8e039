//! What programs read of haflux: HAProxy's CSV, JSON, Prometheus' metrics. A real HAProxy in front of the same nodes says what the
//! CSV must say; the real `promtool` and `prometheus` judge the metrics.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support;
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::programs::{run, succeeds};
use crate::support::wait::SOON;
use crate::support::{Lab, Options, http, wait_for, wait_until};
use serde_json::Value;

/// The lab with both ways to its metrics.
fn lab() -> Lab {
    Lab::start_with(Options::default(), |text| {
        support::lab::replace(
            text,
            &[
                (
                    "[server]\n",
                    "[server]\nmetrics_bind = \"127.0.0.1:PORT(metrics)\"\n\
                     stats_socket = { path = \"FOLDER/stats.sock\", mode = \"600\" }\n",
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
            .map(|(name, cell)| {
                // HAProxy marks a check that is under way; behind the mark is how the last one ended.
                let is_check = *name == "check_status";
                let cell = cell.strip_prefix("* ").filter(|_| is_check).unwrap_or(cell);
                ((*name).to_owned(), cell.to_owned())
            })
            .collect();
        rows.insert((row["pxname"].clone(), row["svname"].clone()), row);
    }
    rows
}

/// haflux' runtime socket.
fn haflux_socket(lab: &Lab) -> PathBuf {
    lab.haflux.folder().join("stats.sock")
}

/// HAProxy's.
fn haproxy_socket(lab: &Lab) -> PathBuf {
    lab.folder().join("haproxy/stats.sock")
}

/// HAProxy before the same nodes.
fn haproxy(lab: &Lab, port: u16) -> Process {
    let folder = lab.folder().join("haproxy");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("haproxy.cfg");
    let configuration = format!(
        "global\n  stats socket {} mode 600 level operator\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n  \
         timeout check 5s\n\
         frontend influx_front\n  bind 127.0.0.1:{port}\n  stats enable\n  stats uri /haproxy?stats\n  \
         stats show-legends\n  default_backend influx_back\n\
         backend influx_back\n  balance roundrobin\n  option httpchk GET /ping\n  \
         http-check expect status 204\n  default-server inter 200ms\n  \
         server influxlab {} check\n  server influxlab2 {} check\n",
        haproxy_socket(lab).display(),
        lab.node1.address(),
        lab.node2.address()
    );
    fs::write(&file, configuration).expect("a file");
    let mut command = Command::new("/usr/sbin/haproxy");
    command.arg("-db").arg("-f").arg(&file);
    Process::start("haproxy", &mut command, &folder.join("log"))
}

/// Six good requests and a bad one, once both servers are checked.
fn drive(url: &str) {
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

#[test]
fn csv_is_what_haproxy_says_of_the_same_traffic() {
    let mut lab = lab();
    let port = free_port();
    let _haproxy = haproxy(&lab, port);
    let urls = [lab.influx_url(), format!("http://127.0.0.1:{port}")];
    let csv = |url: &str| rows(&http::get(&format!("{url}/haproxy?stats;csv")).text());
    for url in &urls {
        drive(url);
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

/// What `scripts/readers` has put where this variable says.
fn reader(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("no {variable}; scripts/readers sets it"))
}

/// Rows by what they are called, each with the fields that a reader took.
type Read = BTreeMap<String, BTreeMap<String, Value>>;

/// What a reader took of the pool must be the same of both, but for what depends on the clock or counts other bytes; and nothing
/// may be taken of haflux that is not taken of HAProxy.
fn assert_alike(ours: &Read, theirs: &Read, differs: &[&str]) {
    assert_eq!(theirs.len(), 3, "{theirs:?}");
    for (row, fields) in theirs {
        let here = &ours[row];
        let names: Vec<&String> = here
            .keys()
            .filter(|name| !fields.contains_key(*name))
            .collect();
        assert!(names.is_empty(), "only haflux has {names:?}");
        let mut same = 0;
        for (name, value) in fields {
            if here.contains_key(name) && !differs.iter().any(|part| name.contains(part)) {
                assert_eq!(&here[name], value, "{row} {name}");
                same += 1;
            }
        }
        assert!(same >= 15, "{row}: only {same} fields are the same");
    }
}

#[test]
#[ignore = "needs Telegraf: scripts/readers"]
fn telegraf_takes_the_same_of_haflux_and_of_haproxy() {
    let lab = lab();
    let port = free_port();
    let _haproxy = haproxy(&lab, port);
    let urls = [lab.influx_url(), format!("http://127.0.0.1:{port}")];
    for url in &urls {
        drive(url);
    }
    let differs = [
        "iid", "bin", "bout", "time", "lastchg", "lastsess", "rate", "duration", "connect",
        "reuse", "smax",
    ];
    // Over HTTP, and over the runtime socket.
    let over_http = urls.map(|url| telegraf(&format!("{url}/haproxy?stats")));
    assert_alike(&over_http[0], &over_http[1], &differs);
    let sockets = [haflux_socket(&lab), haproxy_socket(&lab)];
    let over_socket = sockets.map(|path| telegraf(&format!("socket:{}", path.display())));
    assert_alike(&over_socket[0], &over_socket[1], &differs);
    assert_eq!(over_http[0].len(), over_socket[0].len());
}

/// What Telegraf takes of the pool.
fn telegraf(server: &str) -> Read {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("telegraf.conf");
    let configuration = format!(
        "[agent]\n omit_hostname = true\n[[inputs.haproxy]]\n servers = [\"{server}\"]\n\
         [[outputs.file]]\n files = [\"{}\"]\n data_format = \"json\"\n",
        folder.path().join("out").display()
    );
    fs::write(&file, configuration).expect("a file");
    let telegraf = reader("HAFLUX_TELEGRAF");
    let config = file.display().to_string();
    succeeds(&run(&telegraf, &["--once", "--config", &config]));
    let out = fs::read_to_string(folder.path().join("out")).expect("what it took");
    let mut read = Read::new();
    for line in out.lines() {
        let metric: Value = serde_json::from_str(line).expect("JSON");
        if metric["tags"]["proxy"] == "influx_back" {
            let fields = serde_json::from_value(metric["fields"].clone()).expect("fields");
            let service = metric["tags"]["sv"].as_str().expect("a service");
            read.insert(service.to_owned(), fields);
        }
    }
    read
}

#[test]
#[ignore = "needs collectd-haproxy: scripts/readers"]
fn collectd_takes_the_same_of_haflux_and_of_haproxy() {
    let lab = lab();
    let port = free_port();
    let _haproxy = haproxy(&lab, port);
    for url in [lab.influx_url(), format!("http://127.0.0.1:{port}")] {
        drive(&url);
    }
    let sockets = [haflux_socket(&lab), haproxy_socket(&lab)];
    let [ours, theirs] = sockets.map(|socket| collectd(&socket));
    let differs = [
        "bytes",
        "time",
        "last_change",
        "rate",
        "duration",
        "sessions",
        "peak",
    ];
    assert_alike(&ours, &theirs, &differs);
}

/// What collectd's plugin takes of the pool over this runtime socket.
fn collectd(socket: &Path) -> Read {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    // Below a folder whose name begins with a dot its plugin writes only by a relative path.
    let configuration = format!(
        "BaseDir \"{folder}\"\nPIDFile \"{folder}/pid\"\nTypesDB \"/usr/share/collectd/types.db\"\n\
         Hostname \"host\"\nFQDNLookup false\nInterval 1\nLoadPlugin csv\n\
         <Plugin csv>\nDataDir \"csv\"\n</Plugin>\n\
         <LoadPlugin python>\nGlobals true\n</LoadPlugin>\n\
         <Plugin python>\nModulePath \"{plugin}\"\nImport \"collectd_haproxy\"\n\
         <Module haproxy>\nSocket \"{socket}\"\nIncludeInfo false\n</Module>\n</Plugin>\n",
        folder = folder.path().display(),
        socket = socket.display(),
        plugin = reader("HAFLUX_COLLECTD_HAPROXY"),
    );
    fs::write(folder.path().join("conf"), configuration).expect("a file");
    let mut command = Command::new("/usr/sbin/collectd");
    command.args(["-f", "-C", &at("conf")]);
    let mut collectd = Process::start("collectd", &mut command, &folder.path().join("log"));
    let rows = ["BACKEND", "influxlab", "influxlab2"];
    let of = |row: &str| {
        folder
            .path()
            .join(format!("csv/host/haproxy-influx_back.{row}"))
    };
    wait_until("collectd has read everything", SOON, || {
        let files = |row: &&str| fs::read_dir(of(row)).map_or(0, Iterator::count);
        rows.iter().all(|row| files(row) >= 25)
    });
    // What it still holds is written when it ends.
    collectd.terminate(SOON);
    let values = |row: &&str| {
        let mut fields = BTreeMap::new();
        for file in fs::read_dir(of(row)).expect("a folder") {
            let file = file.expect("a file");
            let text = fs::read_to_string(file.path()).expect("a text");
            let value = text.lines().last().and_then(|line| line.rsplit(',').next());
            let name = file.file_name().to_string_lossy().into_owned();
            let value = Value::from(value.unwrap_or_default());
            fields.insert(name, value);
        }
        ((*row).to_owned(), fields)
    };
    rows.iter().map(values).collect()
}
