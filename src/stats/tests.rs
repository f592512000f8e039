use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::Value;

use super::csv::{Format, StatQuery, csv, show_stat};
use super::json::{self, json};
use super::page::{self, Shown, View};
use super::snapshot::{Snapshot, Status};
use super::units::{Bytes, Count, Moment, Span};
use super::*;

/// What an attacker would call a server, or have it answer.
const HOSTILE: &str = r#"<script>alert('x')</script>"&{{ 7*7 }}"#;

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_767_225_600_250)
}

fn ago(seconds: u64) -> SystemTime {
    now() - Duration::from_secs(seconds)
}

fn traffic(requests: u64) -> Traffic {
    let traffic = Traffic::default();
    traffic.sessions.set(requests / 100);
    traffic.sessions.set(requests / 1000);
    traffic.sessions_total.add(requests);
    traffic.requests.add(requests);
    traffic.bytes_in.add(requests * 260);
    traffic.bytes_out.add(requests * 3100);
    for _ in 0..requests.min(1200) {
        traffic.responses.count(204);
    }
    traffic.responses.count(404);
    traffic
}

fn server(name: &str, address: &str, status: ServerStatus, requests: u64) -> Arc<ServerStats> {
    let server = ServerStats {
        name: name.to_owned(),
        address: address.to_owned(),
        weight: Arc::new(1.into()),
        backup: false,
        traffic: traffic(requests),
        connects: Counter::default(),
        reuses: Counter::default(),
        connect_errors: Counter::default(),
        response_errors: Counter::default(),
        ends: Counter::default(),
        redispatches: Counter::default(),
        state: Arc::new(ArcSwap::from_pointee(ServerState {
            status,
            admin: AdminState::Ready,
            since: ago(if status == ServerStatus::Down {
                132
            } else {
                93_784
            }),
            reason: match status {
                ServerStatus::Up => "check succeeded 2 times in a row".to_owned(),
                ServerStatus::Down => {
                    "check failed 3 times in a row: connection refused".to_owned()
                }
                ServerStatus::NoCheck | ServerStatus::Drain | ServerStatus::Maint => {
                    "not checked".to_owned()
                }
            },
        })),
        check_failures: Counter::default(),
        outages: Arc::default(),
        last_check: Arc::default(),
        tls: ServerTlsStats::default(),
    };
    let own = CertificateStats {
        file: "/etc/haflux/own.pem".to_owned(),
        names: vec!["haflux.example.org".to_owned()],
        not_after: now() + Duration::from_secs(90 * 24 * 60 * 60),
    };
    server.tls.certificate.store(Some(Arc::new(own)));
    server.tls.handshakes.add(12);
    server.tls.count_failure(ServerHandshakeFailure::Expired);
    match status {
        ServerStatus::NoCheck | ServerStatus::Drain | ServerStatus::Maint => {}
        ServerStatus::Up => server.last_check.store(Some(Arc::new(LastCheck {
            at: ago(1),
            took: Duration::from_millis(2),
            asked: "http://10.0.2.2:8086/ping".to_owned(),
            code: CheckCode::L7Ok,
            status: Some(204),
            detail: "HTTP status 204".to_owned(),
        }))),
        ServerStatus::Down => {
            server.connect_errors.add(4);
            server.redispatches.add(3);
            server.check_failures.add(70);
            for _ in 0..2 {
                server.outages.note(true);
                server.outages.note(false);
            }
            server.last_check.store(Some(Arc::new(LastCheck {
                at: ago(1),
                took: Duration::from_micros(300),
                asked: "http://10.0.2.3:8086/ping".to_owned(),
                code: CheckCode::L4Connection,
                status: None,
                detail: "connection refused".to_owned(),
            })));
        }
    }
    Arc::new(server)
}

fn replica(name: &str, status: ReplicaStatus, cursor: u64) -> Arc<ReplicaStats> {
    let replica = ReplicaStats {
        name: name.to_owned(),
        version: ArcSwapOption::empty(),
        cursor: Gauge::default(),
        cursor_offset: Gauge::default(),
        oldest_pending: Gauge::default(),
        catch_up: Gauge::default(),
        state: ArcSwap::from_pointee(ReplicaState {
            status,
            since: ago(132),
        }),
        in_doubt: Gauge::default(),
        requests: Counter::default(),
        retries: Counter::default(),
        too_large: Counter::default(),
        request_limit: Gauge::default(),
        applied: Counter::default(),
        refused: Counter::default(),
        expired: Counter::default(),
        tried: Gauge::default(),
        set_aside: Counter::default(),
        last_error: ArcSwapOption::from(None),
        lanes: ArcSwap::default(),
    };
    replica.cursor.set(cursor);
    replica.cursor_offset.set(cursor * 300);
    replica.applied.add(cursor);
    replica.requests.add(cursor / 12);
    Arc::new(replica)
}

/// The lab with one of its nodes down.
pub(crate) fn lab() -> Stats {
    let behind = replica("influxlab2", ReplicaStatus::Down, 59_200);
    behind.oldest_pending.set(1_767_225_468_000);
    behind.retries.add(22);
    behind.last_error.store(Some(Arc::new((
        ago(3),
        "10.0.2.3:8086: connection refused".to_owned(),
    ))));
    let relay = RelayStats {
        name: "influx_relay".to_owned(),
        pool: "influx_back".to_owned(),
        traffic: traffic(59_504),
        replicas: vec![replica("influxlab", ReplicaStatus::Fresh, 59_504), behind],
        ..RelayStats::default()
    };
    relay.head.set(59_504);
    relay.head_offset.set(59_504 * 300);
    relay.records.add(59_504);
    relay.lines.add(595_040);
    relay.acknowledged.add(59_500);
    relay.refused.add(4);
    relay.journal.on_disk.set(96 << 20);
    relay.journal.refuses.store(true, Ordering::Relaxed);
    relay.journal.errors.set(7);
    relay.journal.last_error.store(Some(Arc::new((
        ago(5),
        "cannot prepare a segment: No space left on device".to_owned(),
    ))));
    relay.inflight.held.set(1_310_720);
    relay.inflight.held.set(81_920);
    let tls = || {
        let tls = TlsStats::default();
        let certificates = vec![CertificateStats {
            file: "/etc/haflux/site.pem".to_owned(),
            names: vec!["influx.example.org".to_owned()],
            not_after: now() + Duration::from_secs(90 * 24 * 60 * 60),
        }];
        tls.handshakes.add(1_200);
        tls.count_failure(HandshakeFailure::Plain);
        tls.certificates.store(Arc::new(certificates));
        tls.staples.store(Arc::new(vec![StapleStats {
            certificate: "/etc/haflux/site.pem".to_owned(),
            file: "/etc/haflux/site.pem.ocsp".to_owned(),
            good: Some((ago(60), Some(now() + Duration::from_secs(3 * 24 * 60 * 60)))),
            fault: None,
        }]));
        tls
    };
    let frontend = |name: &str, bind: &[&str], requests| {
        Arc::new(FrontendStats {
            name: name.to_owned(),
            bind: bind.iter().map(|address| (*address).to_owned()).collect(),
            traffic: traffic(requests),
            intercepted: Counter::default(),
            session_limit: 2000,
            request_errors: Counter::default(),
            malformed_requests: Counter::default(),
            slow_requests: Counter::default(),
            source_limit: Counter::default(),
            tls: tls(),
            http2: Http2Stats::default(),
            denied_connections: Counter::default(),
            denied_requests: Counter::default(),
            tarpitted: Counter::default(),
            tarpit_overflows: Counter::default(),
            proxy_header_errors: Counter::default(),
            auth_refusals: Counter::default(),
            auth_limited: Counter::default(),
            rule_refusals: Counter::default(),
            rate_limited: Counter::default(),
            throttled: ThrottleStats::default(),
            queries: Default::default(),
        })
    };
    let backend = |name: &str, servers| {
        Arc::new(BackendStats {
            name: name.to_owned(),
            balance: "roundrobin".to_owned(),
            traffic: traffic(1_732_650),
            no_server: Counter::default(),
            outages: Arc::default(),
            barrier: BarrierStats::default(),
            servers,
        })
    };
    let udp = UdpStats {
        bind: "0.0.0.0:8089".to_owned(),
        relay: "influx_relay".to_owned(),
        database: "collectd".to_owned(),
        packets: Counter::default(),
        bytes: Counter::default(),
        lines: Counter::default(),
        refused_lines: Counter::default(),
        dropped_packets: Counter::default(),
        kernel_drops: Counter::default(),
        read_errors: Counter::default(),
        records: Counter::default(),
        refusing_nodes: Gauge::default(),
    };
    udp.packets.add(48_000);
    udp.bytes.add(61_440_000);
    udp.lines.add(480_000);
    udp.refused_lines.add(12);
    udp.dropped_packets.add(34);
    udp.kernel_drops.add(56);
    udp.read_errors.add(7);
    udp.records.add(930);
    Stats {
        started: ago(93_784),
        frontends: vec![
            frontend("http_front", &["0.0.0.0:80"], 1240),
            frontend("influx_front", &["0.0.0.0:8086", "[::]:8086"], 1_851_659),
        ],
        relays: vec![Arc::new(relay)],
        udp: vec![Arc::new(udp)],
        query_inflight: Arc::default(),
        queries_refused: Counter::default(),
        query_table: Arc::default(),
        log: Arc::default(),
        backends: vec![
            backend(
                "influx_back",
                vec![
                    server("influxlab", "10.0.2.2:8086", ServerStatus::Up, 866_325),
                    server("influxlab2", "10.0.2.3:8086", ServerStatus::Down, 866_325),
                ],
            ),
            backend(
                "grafana_back",
                vec![server(
                    "influxlab",
                    "10.0.2.2:3000",
                    ServerStatus::NoCheck,
                    0,
                )],
            ),
        ],
    }
}

/// Takes a server that is well out of service.
fn order(server: &ServerStats, admin: AdminState) {
    server.state.store(Arc::new(ServerState {
        status: match admin {
            AdminState::Ready => ServerStatus::Up,
            AdminState::Drain => ServerStatus::Drain,
            AdminState::Maint => ServerStatus::Maint,
        },
        admin,
        since: ago(60),
        reason: format!("{} by order", admin.word()),
    }));
}

/// The same lab, in which everything that may be missing is there.
pub(crate) fn full() -> Stats {
    let mut stats = lab();
    let compared = &stats.relays[0].compared;
    compared.last.store(Some(Arc::new((ago(3_600), 0))));
    let work = WorkStats::new("rebuild").filling("influxlab2");
    work.set_step("copying points".to_owned());
    work.fail("a reason");
    work.expect(4);
    work.slice_done();
    work.add(1_000, 2_048);
    stats.relays[0].work.store(Some(Arc::new(work)));
    stats.log = Arc::new(LogStats {
        held_back: Counter::default(),
        targets: vec![Arc::new(LogTargetStats {
            to: "stderr".to_owned(),
            dropped: Counter::default(),
        })],
    });
    for millis in [4, 40_000] {
        let histogram = &stats.relays[0].acknowledgement;
        histogram.add(Duration::from_millis(millis));
    }
    let disk_free = &stats.relays[0].journal.disk_free;
    disk_free.store(Some(Arc::new(20 << 30)));
    let failed = || Some(Arc::new((ago(9), "it failed".to_owned())));
    for replica in &stats.relays[0].replicas {
        replica.last_error.store(failed());
        replica.version.store(Some(Arc::new("1.6.7".to_owned())));
        replica.catch_up.set(7_000);
        replica.lanes.store(Arc::new(LanesReading {
            waiting: 21,
            slowest: vec![LaneReading {
                database: "telegraf".to_owned(),
                records: 300,
                under_way: 12,
                since: ago(132),
                is_held: true,
            }],
        }));
    }
    let server = &stats.backends[1].servers[0];
    order(server, AdminState::Drain);
    let check = stats.backends[0].servers[0].last_check.load_full();
    server.last_check.store(check.map(|check| {
        Arc::new(LastCheck {
            status: Some(204),
            ..LastCheck::clone(&check)
        })
    }));
    let servers = stats.backends.iter().flat_map(|backend| &backend.servers);
    for traffic in stats
        .frontends
        .iter()
        .map(|each| &each.traffic)
        .chain(stats.relays.iter().map(|each| &each.traffic))
        .chain(stats.backends.iter().map(|each| &each.traffic))
        .chain(servers.map(|each| &each.traffic))
    {
        drop(traffic.open_session());
    }
    stats
}

/// The same lab, in which everything that is text is hostile.
fn hostile_lab() -> Stats {
    let mut stats = lab();
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.name = HOSTILE.to_owned();
    relay.pool = HOSTILE.to_owned();
    let error = Arc::new((now(), HOSTILE.to_owned()));
    relay.journal.last_error.store(Some(error));
    for replica in &mut relay.replicas {
        let replica = Arc::get_mut(replica).unwrap();
        replica.name = HOSTILE.to_owned();
        replica
            .last_error
            .store(Some(Arc::new((now(), HOSTILE.to_owned()))));
        replica.version.store(Some(Arc::new(HOSTILE.to_owned())));
    }
    for backend in &mut stats.backends {
        let backend = Arc::get_mut(backend).unwrap();
        backend.name = HOSTILE.to_owned();
        backend.balance = HOSTILE.to_owned();
        for server in &mut backend.servers {
            let server = Arc::get_mut(server).unwrap();
            server.name = HOSTILE.to_owned();
            server.address = HOSTILE.to_owned();
            server.state.store(Arc::new(ServerState {
                status: ServerStatus::Down,
                admin: AdminState::Maint,
                since: now(),
                reason: HOSTILE.to_owned(),
            }));
            server.last_check.store(Some(Arc::new(LastCheck {
                at: now(),
                took: Duration::ZERO,
                asked: HOSTILE.to_owned(),
                code: CheckCode::L7Status,
                status: Some(500),
                detail: HOSTILE.to_owned(),
            })));
        }
    }
    for frontend in &mut stats.frontends {
        let frontend = Arc::get_mut(frontend).unwrap();
        frontend.name = HOSTILE.to_owned();
        frontend.bind = vec![HOSTILE.to_owned()];
    }
    let udp = Arc::get_mut(&mut stats.udp[0]).unwrap();
    udp.bind = HOSTILE.to_owned();
    udp.relay = HOSTILE.to_owned();
    udp.database = HOSTILE.to_owned();
    stats
}

#[test]
fn the_document_is_read_back_as_it_was_written() {
    for stats in [full(), lab(), hostile_lab(), nothing()] {
        let text = json(&stats);
        let read = json::read(&text).unwrap();
        let mut written: Value = serde_json::from_str(&text).unwrap();
        assert!(written["figures"].take().is_object());
        written.as_object_mut().unwrap().remove("figures");
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
        let up = read.started.age().0.as_secs();
        let really = SystemTime::now().duration_since(stats.started).unwrap();
        assert!(really.as_secs() - up < 60);
        for status in read
            .backends
            .iter()
            .flat_map(|backend| &backend.servers)
            .map(|server| server.status)
            .chain([Status::Maint, Status::Diverged, Status::NoCheck])
        {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }
    // Of another version: a figure is missing, a state is not known.
    let text = json(&lab());
    for (known, other) in [("\"tried\":", "\"new\":"), ("\"down\"", "\"asleep\"")] {
        assert!(text.contains(known));
        let error = json::read(&text.replace(known, other)).unwrap_err();
        assert!(error.is_data(), "{error}");
    }
}

/// A program without anything.
pub(crate) fn nothing() -> Stats {
    Stats {
        started: now(),
        frontends: Vec::new(),
        backends: Vec::new(),
        relays: Vec::new(),
        udp: Vec::new(),
        query_inflight: Arc::default(),
        queries_refused: Counter::default(),
        query_table: Arc::default(),
        log: Arc::default(),
    }
}

fn html(stats: &Stats) -> String {
    let view = View {
        uri: "/haproxy?stats",
        refresh: Some(Duration::from_secs(5)),
        nonce: "4711",
        token: None,
    };
    page::html(stats, now(), view, Shown::Page)
}

/// What stands between the tags, tags and their attributes gone.
fn text_of(page: &str) -> String {
    let body = page.split_once("<body").unwrap().1;
    let mut text = String::new();
    for piece in body.split('<') {
        text.push_str(piece.split_once('>').map_or(piece, |(_, after)| after));
        text.push(' ');
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn page_says_what_is_down_in_words() {
    let text = text_of(&html(&lab()));
    for expected in [
        // what is wrong stands first, the worst before the rest
        "To the state of things haflux",
        "Relay influx_relay takes no writes, and one thing more.",
        "Records on one node only 304 89.0 KiB, lost if that node is lost none waits for its first node",
        "Replicas fresh 1 of 2",
        "Journal 96.0 MiB takes NO writes",
        "Servers up 2 of 3 2 of 2 backends serve",
        "error Relay influx_relay takes no writes Its disk is full, read-only, ill or gone",
        "error Replica influxlab2 is DOWN For 2 min 12 s. 304 records (89.0 KiB) in the journal, which",
        "curl -i http://10.0.2.3:8086/ping systemctl status influxdb # on influxlab2 haflux replica status",
        "cannot prepare a segment: No space left on device",
        "influxlab2 10.0.2.3:8086 DOWN 2 min 12 s check failed 3 times in a row: connection refused",
        "influxlab 10.0.2.2:8086 UP 1 d 2 h",
        "influxlab 10.0.2.2:3000 no check",
        "L4CON in < 1 ms, 1.0 s ago connection refused",
        "0.0.0.0:8086, [::]:8086",
        "influx_back UP roundrobin · 1 of 2 servers up",
        // the picture
        "influxlab2 DOWN 2 min 12 s behind 304 records, 89.0 KiB to go",
        "influxlab fresh at the head record 59,504",
        // cursor, lag in records, bytes and time
        "influxlab2 DOWN 2 min 12 s 59,200 304 89.0 KiB 2 min 12 s",
        "influxlab fresh 2 min 12 s 59,504 0 0 B 0 s",
        // bytes; datagrams received, dropped, dropped by the kernel; lines kept, refused; records; read errors
        "0.0.0.0:8089 collectd by influx_relay 58.5 MiB 48,000 34 56 480,000 12 930 7",
    ] {
        let unescaped = text.replace("&#60;", "<");
        assert!(unescaped.contains(expected), "no {expected:?} in: {text}");
    }
}

#[test]
fn page_says_how_fast_and_how_long() {
    let stats = lab();
    let server = &stats.backends[0].servers[0].traffic;
    for _ in 0..3 {
        drop(server.open_session());
        server.count(&Finished {
            status: Some(204),
            abort: Some(Abort::Server),
            durations: Durations {
                queue: Some(Duration::from_millis(1)),
                connect: Some(Duration::from_millis(2)),
                response: Some(Duration::from_millis(30)),
                total: Some(Duration::from_millis(33)),
            },
            ..Finished::default()
        });
    }
    let relay = &stats.relays[0];
    let text = text_of(&html(&stats));
    assert!(text.contains("Writes acknowledged in – no write was acknowledged since the start"));
    for millis in [4, 4, 5, 250] {
        relay.acknowledgement.add(Duration::from_millis(millis));
    }
    let stats = Stats {
        log: Arc::new(LogStats {
            held_back: Counter::default(),
            targets: vec![Arc::new(LogTargetStats {
                to: "stderr".to_owned(),
                dropped: Counter::default(),
            })],
        }),
        ..stats
    };
    stats.log.held_back.add(5);
    stats.log.targets[0].dropped.add(1234);
    let text = text_of(&html(&stats));
    for expected in [
        "Writes acknowledged in 4 ms median 99 of 100 within 250 ms, the slowest 250 ms of the last 4 · 0 requests per s",
        // sessions: now, max, total, per s, max per s; requests: total, per s, max per s; times: queue to total
        "866 8,663 866,328 3 3 866,328 3 3 1 ms max 1 ms 2 ms max 2 ms 30 ms max 30 ms 33 ms max 33 ms 0 1,203",
        // aborts by client and server; bytes
        "0 0 3 214 MiB 2.5 GiB",
        "Log messages held back because they repeat: 5 Target Lines dropped stderr 1,234",
    ] {
        assert!(text.contains(expected), "no {expected:?} in: {text}");
    }
}

#[test]
fn page_is_small_and_needs_nothing_else() {
    let page = html(&lab());
    assert!(page.len() < 64 << 10, "{} bytes", page.len());
    for forbidden in [
        "http://www",
        "https://",
        " src=",
        "@import",
        "url(h",
        " style=",
        " onclick=",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains(r#"<noscript><meta http-equiv="refresh" content="5"></noscript>"#));
}

#[test]
fn page_of_a_hundred_servers_stays_small() {
    let mut stats = lab();
    let servers = (0..100).map(|number| {
        let name = format!("server-{number:03}");
        server(&name, "10.0.2.3:8086", ServerStatus::Down, 866_325)
    });
    Arc::get_mut(&mut stats.backends[0]).unwrap().servers = servers.collect();
    let page = html(&stats);
    println!("{} bytes", page.len());
    assert!(page.len() < 400 << 10, "{} bytes", page.len());
}

#[test]
fn page_escapes_every_text() {
    let page = html(&hostile_lab());
    let inside = page
        .split_once("<main")
        .unwrap()
        .1
        .split_once("</main>")
        .unwrap()
        .0;
    assert!(!inside.contains("<script"), "a tag came through");
    assert!(!inside.contains("alert('x')"), "a quote came through");
    assert!(inside.contains("{{ 7*7 }}"), "taken for a template");
    for value in inside.split('"').skip(1).step_by(2) {
        assert!(
            !value.contains(['<', '>', '\'']),
            "{value:?} leaves its attribute"
        );
    }
}

#[test]
fn page_of_an_empty_program_is_whole() {
    let page = html(&nothing());
    assert!(page.trim_end().ends_with("</html>"));
    assert!(!page.contains("replicas fresh"));
    assert!(!page.contains("<h2>UDP</h2>"));
}

#[test]
fn json_holds_the_same() {
    let value: Value = serde_json::from_str(&json(&lab())).unwrap();
    assert_eq!(value["started"], "2025-12-30T21:56:56.250Z");
    let relay = &value["relays"][0];
    assert_eq!(relay["head"], 59_504);
    assert_eq!(relay["inflight_max"], 1_310_720);
    assert_eq!(relay["journal"]["takes_records"], false);
    assert_eq!(relay["journal"]["on_disk"], 96 << 20);
    assert_eq!(relay["journal"]["errors"], 7);
    assert!(relay["journal"]["last_error"]["text"].is_string());
    assert_eq!(relay["replicas"][1]["lag"]["records"], 304);
    assert_eq!(relay["replicas"][1]["lag"]["bytes"], 91_200);
    assert!(relay["replicas"][1]["lag"]["seconds"].as_f64().unwrap() > 132.0);
    assert_eq!(relay["replicas"][0]["status"], "fresh");
    assert_eq!(relay["replicas"][0]["last_error"], Value::Null);
    let server = &value["backends"][0]["servers"][1];
    assert_eq!(server["status"], "down");
    assert_eq!(server["last_check"]["code"], "L4CON");
    assert_eq!(server["traffic"]["responses"]["2xx"], 1200);
    assert_eq!(server["traffic"]["responses"]["4xx"], 1);
    assert_eq!(value["backends"][1]["servers"][0]["status"], "no_check");
    let udp = &value["udp"][0];
    assert_eq!(udp["database"], "collectd");
    for (key, number) in [
        ("packets", 48_000),
        ("bytes", 61_440_000),
        ("lines", 480_000),
        ("refused_lines", 12),
        ("dropped_packets", 34),
        ("kernel_drops", 56),
        ("read_errors", 7),
        ("records", 930),
    ] {
        assert_eq!(udp[key], number, "{key}");
    }
}

#[test]
fn json_escapes_every_text() {
    let value: Value = serde_json::from_str(&json(&hostile_lab())).unwrap();
    assert_eq!(
        value["relays"][0]["replicas"][1]["last_error"]["text"],
        HOSTILE
    );
    assert_eq!(value["backends"][0]["servers"][0]["reason"], HOSTILE);
}

#[test]
fn backend_is_down_when_nothing_with_a_weight_is_up() {
    let mut stats = lab();
    let backend = Arc::get_mut(&mut stats.backends[0]).unwrap();
    backend.servers[0].weight.store(0, Ordering::Relaxed);
    let snapshot = Snapshot::take(&stats, now());
    assert!(!snapshot.backends[0].up);
    assert!(snapshot.backends[1].up, "an unchecked server counts as up");
    assert_eq!(snapshot.backends_up(), Count(1));
}

#[test]
fn numbers_that_no_record_has_are_no_lag() {
    let relay = RelayStats::default();
    relay.show_head(1_010, 0);
    relay.show_jumps([(10, 101), (110, 1_001)].into_iter());
    for (cursor, behind) in [
        (0, 30),
        (9, 21),
        (10, 20),
        (50, 20),
        (100, 20),
        (105, 15),
        (500, 10),
        (1_010, 0),
        (2_000, 0),
    ] {
        assert_eq!(relay.records_above(cursor), behind, "{cursor}");
    }
    relay.show_jumps([].into_iter());
    assert_eq!(relay.records_above(0), 30);
}

#[test]
fn lag_is_never_negative() {
    let stats = lab();
    let relay = &stats.relays[0];
    relay.replicas[0].cursor.set(70_000);
    relay.replicas[0].cursor_offset.set(u64::MAX);
    relay.replicas[0].oldest_pending.set(u64::MAX);
    let snapshot = Snapshot::take(&stats, now());
    assert!(snapshot.relays[0].replicas[0].lag.is_zero());
}

#[test]
fn long_errors_are_cut_between_characters() {
    let stats = lab();
    let long = "é".repeat(100_000);
    stats.relays[0].replicas[0]
        .last_error
        .store(Some(Arc::new((now(), long))));
    let snapshot = Snapshot::take(&stats, now());
    let error = snapshot.relays[0].replicas[0].last_error.as_ref().unwrap();
    assert_eq!(error.text.chars().count(), 401);
    assert!(error.text.ends_with("é…"));
    assert_eq!(snapshot.relays[0].replicas[1].status, Status::Down);
}

#[test]
fn counts_are_grouped() {
    for (value, text) in [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (123_456, "123,456"),
        (u64::MAX, "18,446,744,073,709,551,615"),
    ] {
        assert_eq!(Count(value).to_string(), text);
    }
}

#[test]
fn amounts_have_a_unit() {
    for (value, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_536, "1.5 KiB"),
        (1024 * 1024 - 1, "1023 KiB"),
        (104_857_600, "100 MiB"),
        (u64::MAX, "15.9 EiB"),
    ] {
        assert_eq!(Bytes(value).to_string(), text);
    }
}

#[test]
fn spans_say_what_matters() {
    for (milliseconds, text) in [
        (0, "0 s"),
        (2, "2 ms"),
        (1_250, "1.2 s"),
        (59_999, "59 s"),
        (60_000, "1 min 0 s"),
        (3_600_000, "1 h 0 min"),
        (93_784_000, "1 d 2 h"),
    ] {
        assert_eq!(Span(Duration::from_millis(milliseconds)).to_string(), text);
    }
    assert_eq!(Span(Duration::from_nanos(1)).to_string(), "< 1 ms");
}

#[test]
fn moments_follow_the_calendar() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_709_164_800, "2024-02-29T00:00:00Z"),
        (1_735_689_599, "2024-12-31T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        let at = UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(Moment::new(at, at).to_string(), text);
    }
    let before = UNIX_EPOCH - Duration::from_secs(5);
    assert_eq!(
        Moment::new(before, now()).to_string(),
        "1970-01-01T00:00:00Z"
    );
    assert!(Moment::new(now(), before).age().is_zero());
}

/// The cells of `;csv` by proxy, service and column.
fn cells(stats: &Stats) -> HashMap<(String, String, String), String> {
    let text = csv(&Snapshot::take(stats, now()));
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let names: Vec<String> = lines.next().unwrap().collect();
    let mut cells = HashMap::new();
    for line in lines {
        let line: Vec<String> = line.collect();
        assert_eq!(line.len(), names.len());
        for (name, cell) in names.iter().zip(&line).skip(2) {
            let key = (line[0].clone(), line[1].clone(), name.clone());
            assert!(cells.insert(key, cell.clone()).is_none() || name.is_empty());
        }
    }
    cells
}

#[test]
fn csv_says_what_haproxy_would() {
    let stats = lab();
    let open = stats.backends[0].servers[0].traffic.open_session();
    stats.backends[0].traffic.count(&Finished {
        status: Some(503),
        abort: Some(Abort::Client),
        durations: Durations {
            queue: Some(Duration::from_millis(1)),
            connect: Some(Duration::from_millis(2)),
            response: Some(Duration::from_millis(3)),
            total: Some(Duration::from_millis(6)),
        },
        ..Finished::default()
    });
    let cells = cells(&stats);
    for (proxy, service, expected) in [
        (
            "http_front",
            "FRONTEND",
            "status=OPEN type=0 iid=1 sid=0 pid=1 mode=http slim=2000 stot=1240 weight= act= check_status=",
        ),
        (
            "influx_front",
            "FRONTEND",
            "iid=2 bin=481431340 hrsp_2xx=1200 hrsp_4xx=1",
        ),
        (
            "influx_relay",
            "influxlab",
            "type=2 iid=3 sid=1 status=UP qcur=0 stot=4958 check_status=L7OK",
        ),
        (
            "influx_relay",
            "influxlab2",
            "sid=2 status=DOWN qcur=304 wretr=22 check_status=L4CON lastchg=132 addr=10.0.2.3:8086",
        ),
        (
            "influx_relay",
            "BACKEND",
            "type=1 status=UP act=1 wretr=22 stot=59504",
        ),
        (
            "influx_back",
            "influxlab",
            "iid=4 sid=1 status=UP check_status=L7OK check_code=204 check_duration=2 lastchg=93784 chkfail=0 lastsess=0",
        ),
        (
            "influx_back",
            "influxlab2",
            "status=DOWN check_status=L4CON check_code= chkfail=70 chkdown=2 econ=4 wredis=3 lastsess=-1 last_chk=connection",
        ),
        (
            "influx_back",
            "BACKEND",
            "status=UP act=1 bck=0 weight=1 econ=4 wredis=3 algo=roundrobin qtime=1 ctime=2 rtime=3 ttime=6 ttime_max=6 hrsp_5xx=1 cli_abrt=1 srv_abrt=0",
        ),
        (
            "grafana_back",
            "influxlab",
            "iid=5 status=no check_status= lastsess=-1",
        ),
    ] {
        for pair in expected.split(' ') {
            let (column, value) = pair.split_once('=').unwrap();
            let key = (proxy.to_owned(), service.to_owned(), column.to_owned());
            let found = cells.get(&key).unwrap_or_else(|| panic!("no {key:?}"));
            let first = found.split(' ').next().unwrap();
            assert_eq!(first, value, "{proxy}/{service} {column}");
        }
    }
    drop(open);
}

/// The answer to `show stat`.
fn stat(stats: &Stats, query: &StatQuery) -> Option<String> {
    show_stat(&Snapshot::take(stats, now()), query)
}

#[test]
fn rows_are_chosen_as_haproxy_does() {
    let stats = lab();
    order(&stats.backends[1].servers[0], AdminState::Maint);
    let all = StatQuery::default();
    let of = |name: &str| Some(name.to_owned());
    for (query, expected) in [
        (
            StatQuery {
                proxy: of("influx_back"),
                ..all.clone()
            },
            Some("influxlab influxlab2 BACKEND"),
        ),
        (
            StatQuery {
                proxy: of("4"),
                kinds: Some(4),
                ..all.clone()
            },
            Some("influxlab influxlab2"),
        ),
        (
            StatQuery {
                kinds: Some(3),
                ..all.clone()
            },
            Some("FRONTEND FRONTEND BACKEND BACKEND BACKEND"),
        ),
        (
            StatQuery {
                kinds: Some(4),
                server: Some(2),
                ..all.clone()
            },
            Some("influxlab2 influxlab2"),
        ),
        // A server's number leaves out servers alone.
        (
            StatQuery {
                proxy: of("influx_back"),
                server: Some(2),
                ..all.clone()
            },
            Some("influxlab2 BACKEND"),
        ),
        (
            StatQuery {
                kinds: Some(0),
                ..all.clone()
            },
            Some(""),
        ),
        (
            StatQuery {
                proxy: of("99"),
                ..all.clone()
            },
            Some(""),
        ),
        (
            StatQuery {
                kinds: Some(4),
                no_maint: true,
                ..all.clone()
            },
            Some("influxlab influxlab2 influxlab influxlab2"),
        ),
        (
            StatQuery {
                kinds: Some(4),
                up: true,
                ..all.clone()
            },
            Some("influxlab influxlab"),
        ),
        (
            StatQuery {
                proxy: of("influx_back"),
                kinds: Some(1),
                ..all.clone()
            },
            Some(""),
        ),
        (
            StatQuery {
                proxy: of("nowhere"),
                ..all.clone()
            },
            None,
        ),
    ] {
        let text = stat(&stats, &query);
        let names = text.map(|text| {
            let rows = text.lines().skip(1);
            let names = rows.map(|row| row.split(',').nth(1).unwrap().to_owned());
            names.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(names.as_deref(), expected, "{query:?}");
    }
    assert_eq!(
        stat(&stats, &all),
        Some(csv(&Snapshot::take(&stats, now())))
    );
}

#[test]
fn typed_and_json_say_what_csv_says() {
    let stats = full();
    stats.relays[0].replicas[1].cursor.set(0);
    stats.relays[0].head.set(1 << 40);
    let written = |format| {
        let query = StatQuery {
            format,
            ..StatQuery::default()
        };
        stat(&stats, &query).unwrap()
    };
    let typed = written(Format::Typed);
    for line in [
        "F.1.0.0.pxname.1:KNS:str:http_front",
        "S.3.2.2.qcur.1:MGP:u64:1099511627776",
        "S.4.1.7.stot.1:MCP:u64:866326",
        "S.4.2.17.status.1:SGP:str:DOWN",
        "S.4.2.19.act.1:SGP:u32:1",
        "B.4.0.19.act.1:MGP:u32:1",
        "B.4.0.32.type.1:CGS:u32:1",
        "S.4.1.33.rate.1:MRP:u32:",
        "B.4.0.33.rate.1:MGP:u32:",
        "S.4.1.55.lastsess.1:MAP:s32:0",
    ] {
        let is_there = |one: &str| one == line || (line.ends_with(':') && one.starts_with(line));
        assert!(typed.lines().any(is_there), "no {line} in:\n{typed}");
    }
    // Each cell that is filled, and no other.
    let mut rows = csv_rows(&written(Format::Plain));
    let filled: usize = rows
        .drain(..)
        .map(|row| row.iter().filter(|cell| !cell.is_empty()).count())
        .sum();
    assert_eq!(typed.lines().count(), filled);
    let json: Value = serde_json::from_str(&written(Format::Json)).unwrap();
    let values: usize = json
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().len())
        .sum();
    assert_eq!(values, filled);
    assert_eq!(
        json[0][0],
        serde_json::json!({
            "objType": "Frontend",
            "proxyId": 1,
            "id": 0,
            "field": { "pos": 0, "name": "pxname" },
            "processNum": 1,
            "tags": { "origin": "Key", "nature": "Name", "scope": "Service" },
            "value": { "type": "str", "value": "http_front" },
        })
    );
    // Whatever texts hold, each stays on its line and in its string.
    let hostile = hostile_lab();
    let check = hostile.backends[0].servers[1].last_check.load_full();
    let broken = LastCheck {
        detail: "a\r\nb".to_owned(),
        ..LastCheck::clone(&check.unwrap())
    };
    hostile.backends[0].servers[1]
        .last_check
        .store(Some(Arc::new(broken)));
    let query = |format| StatQuery {
        format,
        ..StatQuery::default()
    };
    let typed = stat(&hostile, &query(Format::Typed)).unwrap();
    assert!(
        typed.lines().all(|line| line.split(':').count() >= 4),
        "{typed}"
    );
    assert!(typed.contains(":str:a  b\n"));
    let json = stat(&hostile, &query(Format::Json)).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0][0]["value"]["value"], HOSTILE);
}

/// The cells of CSV without quotes, row by row.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().skip(1);
    rows.map(|row| row.split(',').map(str::to_owned).collect())
        .collect()
}

#[test]
fn csv_has_haproxys_header() {
    const HEADER: &str = include_str!("csv/haproxy-2.6-header.csv");
    let text = csv(&Snapshot::take(&lab(), now()));
    assert_eq!(text.lines().next(), HEADER.lines().next());
}

#[test]
fn csv_quotes_every_text() {
    let text = csv(&Snapshot::take(&hostile_lab(), now()));
    let quoted = HOSTILE.replace('"', "\"\"");
    assert!(text.contains(&format!("\"{quoted}\",")));
    assert_eq!(
        text.matches("alert(").count(),
        text.matches(&quoted).count()
    );
    let stats = lab();
    let check = stats.backends[0].servers[1].last_check.load_full();
    let broken = LastCheck {
        detail: "a\r\nb".to_owned(),
        ..LastCheck::clone(&check.unwrap())
    };
    stats.backends[0].servers[1]
        .last_check
        .store(Some(Arc::new(broken)));
    let broken = csv(&Snapshot::take(&stats, now()));
    assert_eq!(broken.lines().count(), 11);
    assert!(broken.contains(",\"a  b\","));
}

#[test]
fn json_describes_each_number() {
    let value: Value = serde_json::from_str(&json(&lab())).unwrap();
    let figures = &value["figures"];
    assert_eq!(
        figures["relays[].replicas[].lag.bytes"],
        serde_json::json!({
            "kind": "gauge",
            "unit": "bytes",
            "prometheus": "haflux_replica_lag_bytes",
            "description": "Size of those records in the journal.",
        })
    );
    assert_eq!(figures["frontends[].name"]["kind"], "text");
    assert_eq!(
        value["frontends"][0]["traffic"]["times"]["histogram"]["count"],
        0
    );
}

/// What the page's list of problems says of this lab.
fn problems(stats: &Stats) -> Vec<String> {
    let snapshot = Snapshot::take(stats, now());
    let word =
        |problem: &snapshot::Problem| format!("{}: {}", problem.severity.word(), problem.what);
    snapshot.problems.iter().map(word).collect()
}

#[test]
fn nothing_is_wrong_with_a_lab_that_is_well() {
    let mut stats = lab();
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.journal.refuses.store(false, Ordering::Relaxed);
    relay.journal.errors.set(0);
    relay.replicas[1] = replica("influxlab2", ReplicaStatus::Fresh, 59_504);
    let backend = Arc::get_mut(&mut stats.backends[0]).unwrap();
    backend.servers[1] = server("influxlab2", "10.0.2.3:8086", ServerStatus::Up, 1);
    assert_eq!(problems(&stats), [""; 0]);
    let snapshot = Snapshot::take(&stats, now());
    assert!(snapshot.spread.is_safe());
    assert_eq!(snapshot.mood(), "good");
    assert!(snapshot.headline().starts_with("All is well"));
}

#[test]
fn what_is_ordered_is_no_problem_and_is_said_with_the_command_that_ends_it() {
    let mut stats = lab();
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.journal.refuses.store(false, Ordering::Relaxed);
    relay.journal.errors.set(0);
    relay.max_backlog = 1 << 30;
    relay.max_backlog_age = Duration::from_secs(72 * 3600);
    relay.replicas[1].state.store(Arc::new(ReplicaState {
        status: ReplicaStatus::Maint,
        since: ago(60),
    }));
    order(&stats.backends[0].servers[0], AdminState::Drain);
    order(&stats.backends[0].servers[1], AdminState::Maint);
    assert_eq!(
        problems(&stats),
        ["error: Backend influx_back is DOWN"],
        "nobody is left to serve"
    );
    order(&stats.backends[0].servers[0], AdminState::Ready);
    assert_eq!(problems(&stats), [""; 0]);
    order(&stats.backends[1].servers[0], AdminState::Drain);
    order(&stats.backends[0].servers[0], AdminState::Drain);
    let snapshot = Snapshot::take(&stats, now());
    let said: Vec<[&str; 3]> = snapshot
        .notices
        .iter()
        .map(|one| [&*one.what, &*one.why, &*one.commands[0]])
        .collect();
    assert_eq!(
        said,
        [
            [
                "Server influx_back/influxlab is in drain by order",
                "It gets no new requests; what is under way is finished, and its checks go on. Relay influx_relay goes on writing to it.",
                "haflux server ready influx_back/influxlab"
            ],
            [
                "Server influx_back/influxlab2 is in maint by order",
                "It gets nothing: no requests and no checks. Relay influx_relay sends it nothing, and its backlog (304 records, 89.0 KiB) grows; past 1.0 GiB or 3 d 0 h it is diverged and must be rebuilt.",
                "haflux server ready influx_back/influxlab2"
            ],
            [
                "Server grafana_back/influxlab is in drain by order",
                "It gets no new requests; what is under way is finished, and its checks go on.",
                "haflux server ready grafana_back/influxlab"
            ],
        ]
    );

    order(&stats.backends[0].servers[0], AdminState::Ready);
    order(&stats.backends[1].servers[0], AdminState::Ready);
    let snapshot = Snapshot::take(&stats, now());
    assert_eq!(snapshot.mood(), "idle");
    assert_eq!(
        snapshot.headline(),
        "Nothing is wrong. Server influx_back/influxlab2 is in maint by order."
    );
    let page = html(&stats);
    assert!(
        page.contains("<title>haflux</title>"),
        "no problem is counted"
    );
    assert!(
        text_of(&page).contains(
            "by order Server influx_back/influxlab2 is in maint by order It gets nothing"
        )
    );
}

#[test]
fn a_replica_that_haflux_rebuilds_is_left_to_it() {
    let mut stats = lab();
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    let diverged = ReplicaState {
        status: ReplicaStatus::Diverged,
        since: ago(9),
    };
    relay.replicas[1].state.store(Arc::new(diverged));
    let told = |stats: &Stats| {
        let problems = Snapshot::take(stats, now()).problems.into_iter();
        let mut of_replica = problems.filter(|one| one.what == "Replica influxlab2 is diverged");
        let problem = of_replica.next().unwrap();
        (problem.commands, problem.why)
    };
    let by_haflux = ["haflux replica rebuild influxlab2"];
    assert_eq!(told(&stats).0, by_haflux);
    let of = |target: &str| {
        let work = Arc::new(WorkStats::new("rebuild").filling(target));
        stats.relays[0].work.store(Some(Arc::clone(&work)));
        work
    };
    of("influxlab3");
    assert_eq!(told(&stats).0, by_haflux);
    let work = of("influxlab2");
    let (commands, why) = told(&stats);
    assert_eq!(commands, ["haflux replica rebuild --follow"]);
    assert!(why.starts_with("haflux is rebuilding it: "), "{why}");
    work.fail("its engine is closed");
    work.end();
    let (commands, why) = told(&stats);
    assert_eq!(commands, by_haflux);
    let reason = "The last rebuild of it failed: its engine is closed.";
    assert!(why.contains(reason), "{why}");
}

#[test]
fn each_problem_is_named_the_worst_first() {
    let mut stats = lab();
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.journal.refuses.store(false, Ordering::Relaxed);
    relay.open_dead_letters.set(3);
    relay.unwritten_refusals.set(1);
    relay.failed_tasks.add(1);
    // 91,200 bytes are behind.
    relay.max_backlog = 100_000;
    relay.replicas[1].tried.set(2);
    let status = |status| ReplicaState {
        status,
        since: ago(9),
    };
    relay.replicas[0]
        .state
        .store(Arc::new(status(ReplicaStatus::Diverged)));
    assert_eq!(
        problems(&stats),
        [
            "error: No replica of relay influx_relay is fresh",
            "error: Replica influxlab is diverged",
            "error: Replica influxlab2 is DOWN",
            "error: The backlog of influxlab2 is at 91 % of max_backlog (97.6 KiB)",
            "error: 3 dead letters of relay influx_relay",
            "error: Relay influx_relay cannot write down what nodes refused",
            "warning: The disk of relay influx_relay has failed 7 times",
            "warning: 2 records without a verdict at influxlab2",
            "warning: 1 task of relay influx_relay failed",
        ]
    );
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.replicas[0]
        .state
        .store(Arc::new(status(ReplicaStatus::Fresh)));
    relay.replicas[1]
        .state
        .store(Arc::new(status(ReplicaStatus::Lagging)));
    relay.max_backlog = 140_000;
    let found = problems(&stats);
    assert!(
        found.contains(&"warning: Replica influxlab2 is behind".to_owned()),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|one| one.starts_with("warning: The backlog")),
        "{found:?}"
    );
    // The server that is down is no replica's that is down, so it is named itself.
    assert!(found.contains(&"warning: Server influx_back/influxlab2 is DOWN".to_owned()));
    // A replica that is at work is no problem.
    stats.relays[0].replicas[1]
        .oldest_pending
        .set(1_767_225_600_000);
    assert!(!problems(&stats).iter().any(|one| one.contains("is behind")));
}

#[test]
fn a_disk_with_less_room_than_the_backlog_may_take_is_named() {
    let mut stats = lab();
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.journal.refuses.store(false, Ordering::Relaxed);
    relay.journal.errors.set(0);
    relay.max_backlog = 10 << 30;
    let said = |free: Option<u64>| {
        stats.relays[0].journal.disk_free.store(free.map(Arc::new));
        let found = problems(&stats);
        let of_disk = found.into_iter().filter(|one| one.contains("disk of"));
        of_disk.collect::<Vec<String>>().join("")
    };
    // 91,200 bytes of the backlog are there.
    let enough = (10 << 30) - 91_200;
    assert_eq!(said(None), "");
    assert_eq!(said(Some(enough)), "");
    assert_eq!(
        said(Some(enough - 1)),
        "warning: The disk of relay influx_relay has 9.9 GiB left"
    );
    assert_eq!(
        said(Some(255 << 20)),
        "error: The disk of relay influx_relay has 255 MiB left"
    );
    assert!(text_of(&html(&stats)).contains("takes writes, head 59,504, 255 MiB free"));
    // A journal that refuses already says that.
    let refuses = &stats.relays[0].journal.refuses;
    refuses.store(true, Ordering::Relaxed);
    assert_eq!(said(Some(1)), "");
}

#[test]
fn nodes_of_different_releases_are_named() {
    let stats = lab();
    let run = |releases: [&str; 2]| {
        for (replica, release) in stats.relays[0].replicas.iter().zip(releases) {
            replica.version.store(Some(Arc::new(release.to_owned())));
        }
        let what = "warning: The nodes of relay influx_relay run different releases of InfluxDB";
        problems(&stats).iter().any(|problem| problem == what)
    };
    assert!(!run(["1.6.7", "1.6.7"]));
    assert!(run(["1.6.7", "1.8.10"]));
    let text = text_of(&html(&stats));
    assert!(
        text.contains("influxlab 1.6.7, influxlab2 1.8.10"),
        "{text}"
    );
    let metrics = prometheus::text(&Snapshot::take(&stats, now()));
    let info =
        "haflux_replica_info{relay=\"influx_relay\",replica=\"influxlab2\",version=\"1.8.10\"} 1";
    assert!(metrics.contains(info), "{metrics}");
}

#[test]
fn records_are_counted_by_the_nodes_that_have_them() {
    let mut stats = lab();
    let spread = |stats: &Stats| Snapshot::take(stats, now()).spread;
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.head.set(60_000);
    relay.head_offset.set(60_000 * 300);
    relay.open_dead_letters.set(2);
    let counted = spread(&stats);
    assert_eq!(counted.one_node, Count(304 + 2));
    assert_eq!(counted.one_node_bytes, Bytes(91_200));
    assert_eq!(
        (counted.no_node, counted.no_node_bytes),
        (Count(496), Bytes(148_800))
    );
    assert!(!counted.at_least && !counted.is_safe());

    // Numbers that a start left out are no records.
    stats.relays[0].show_jumps([(59_300, 59_401), (59_600, 59_701)].into_iter());
    let counted = spread(&stats);
    assert_eq!(
        (counted.one_node, counted.no_node),
        (Count(204 + 2), Count(396))
    );
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.jumps = Default::default();

    // Three nodes: what the two that are ahead have is on two; a dead letter is too.
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay
        .replicas
        .push(replica("influxlab3", ReplicaStatus::Fresh, 59_500));
    assert_eq!(spread(&stats).one_node, Count(4));

    // A diverged one may lack anything.
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.replicas.truncate(1);
    relay
        .replicas
        .push(replica("influxlab2", ReplicaStatus::Diverged, 59_000));
    let counted = spread(&stats);
    assert_eq!((counted.one_node, counted.at_least), (Count(504 + 2), true));

    // With one node all is on it, as configured.
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.replicas.truncate(1);
    relay.open_dead_letters.set(0);
    assert_eq!(spread(&stats).one_node, Count(0));
    assert!(!spread(&stats).at_least);
}
