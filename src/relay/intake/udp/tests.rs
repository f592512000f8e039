//! What a listener makes of datagrams, up to the journal.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::sync::watch;

use super::gather::{Gathered, Gathering, Taken};
use super::socket::given;
use super::watch::drops_of;
use super::*;
use crate::config::model::{self, RelayId};
use crate::influx::line_protocol::{Ending, LineShape, Lines, ending, inspect};
use crate::influx::{Credentials, Precision};
use crate::journal::{DirectoryDisk, Journal, Options, Sequence};
use crate::relay::Relay;
use crate::relay::intake::relay::tests::settings;
use crate::relay::record::change::Change;
use crate::relay::record::write::WriteRecord;
use crate::stats::{Counter, Gauge, RelayStats, UdpStats};

/// Unix time in nanoseconds.
const NOW: i64 = 1_700_000_000_123_456_789;

/// All records that come of these datagrams, and what became of each.
fn gather(limit: usize, precision: Precision, datagrams: &[&[u8]]) -> (Vec<Gathered>, Vec<Taken>) {
    let mut gathering = Gathering::new(limit, precision, 1000);
    let mut records = Vec::new();
    let taken = datagrams
        .iter()
        .map(|datagram| gathering.take(datagram, NOW, |record| records.push(record)))
        .collect();
    records.extend(gathering.finish());
    assert!(gathering.is_empty());
    (records, taken)
}

/// The one record that comes of these datagrams, as a text, and how many lines were refused.
fn gathered(datagrams: &[&[u8]]) -> (String, u64) {
    let (records, taken) = gather(FULL, Precision::Seconds, datagrams);
    let body = match records.as_slice() {
        [] => String::new(),
        [record] => String::from_utf8(record.body.to_vec()).expect("UTF-8"),
        more => panic!("{more:?}"),
    };
    (body, taken.iter().map(|taken| taken.refused).sum())
}

#[test]
fn good_lines_of_a_datagram_are_kept_and_bad_ones_are_not() {
    let datagram = b"good v=1 1\nbad v=\nno_fields\n\n# a comment\n  good,t=a v=2 2\r\ngood v=3 3";
    let (records, taken) = gather(FULL, Precision::Seconds, &[datagram]);
    assert_eq!(
        taken,
        [Taken {
            lines: 2,
            refused: 3
        }]
    );
    let [record] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!(record.body, "good v=1 1\ngood v=3 3\n");
    assert_eq!((record.lines, record.stamped, record.packets), (2, 0, 1));
}

#[test]
fn datagrams_that_hold_nothing_good_are_no_record() {
    for nothing in [
        &b""[..],
        b"\n\n",
        b"# only a comment",
        b"bad",
        b"\xff\xfe\0",
    ] {
        let (records, _) = gather(FULL, Precision::Seconds, &[nothing]);
        assert_eq!(records, []);
    }
}

#[test]
fn lines_without_a_time_get_the_moment_of_their_datagram() {
    for (precision, stamp) in [
        (Precision::Nanoseconds, "1700000000123456789"),
        (Precision::Milliseconds, "1700000000123"),
        (Precision::Hours, "472222"),
    ] {
        let (records, _) = gather(FULL, precision, &[b"a v=1\nb v=2 7\nc v=3  \n"]);
        let body = String::from_utf8(records[0].body.to_vec()).unwrap();
        assert_eq!(body, format!("a v=1 {stamp}\nb v=2 7\nc v=3   {stamp}\n"));
        assert_eq!((records[0].lines, records[0].stamped), (3, 2));
    }
}

#[test]
fn what_a_datagram_leaves_open_swallows_nothing_of_the_next() {
    for (open, kept, refused) in [
        // Quotes that nothing closes.
        (&b"m s=\"abc"[..], "", 1),
        (b"# x=\"", "", 0),
        // A backslash that would hide the newline behind it.
        (b"# c:\\", "", 0),
        (b"m v=1 5\\", "", 1),
        // The two walks of InfluxDB over this line disagree: to one it is a point, to the other it never ends.
        (b"m\\\\ a=\"b c=1 5", "", 1),
        // Junk behind a string: the stamp must not be escaped into it.
        (b"m v=\"x\"\\", "m v=\"x\"_ 1700000000\n", 0),
        // Quotes, which are quotes only because of the space before the line.
        (b" v=\"\nmm v=1 7", "", 1),
        (b" v=\"\nmm,t=\" v=1 7", " v=\"\nmm,t=\" v=1 7\n", 0),
        // The good line before the open one stays.
        (b"a v=1 1\nm s=\"abc", "a v=1 1\n", 1),
    ] {
        let shown = String::from_utf8_lossy(open);
        let next = b"next s=\"def\" 5\nlast s=\"g\" 6";
        let (body, dropped) = gathered(&[open, next]);
        let expected = format!("{kept}next s=\"def\" 5\nlast s=\"g\" 6\n");
        assert_eq!((body, dropped), (expected, refused), "{shown}");
    }
}

#[test]
fn records_are_full_before_they_are_too_large() {
    let datagram = b"a v=1 1\nb v=2 2\nc v=3 3\n";
    let datagrams = vec![&datagram[..]; 100];
    let (records, taken) = gather(64, Precision::Seconds, &datagrams);
    assert!(records.iter().all(|record| record.body.len() <= 64));
    assert!(records.len() > 30, "{}", records.len());
    let lines: u32 = records.iter().map(|record| record.lines).sum();
    let packets: u32 = records.iter().map(|record| record.packets).sum();
    assert_eq!((lines, packets), (300, 100));
    assert!(taken.iter().all(|taken| taken.refused == 0));
    let whole: Vec<u8> = records
        .iter()
        .flat_map(|record| record.body.to_vec())
        .collect();
    assert_eq!(whole, datagram.repeat(100));
}

#[test]
fn a_line_that_is_larger_than_any_record_is_refused() {
    let long = format!("a v=\"{}\" 1\nb v=2 2", "x".repeat(64));
    let (records, taken) = gather(64, Precision::Seconds, &[long.as_bytes()]);
    assert_eq!(records[0].body, "b v=2 2\n");
    assert_eq!(
        taken,
        [Taken {
            lines: 1,
            refused: 1
        }]
    );
}

/// Datagrams of pieces that mean something to InfluxDB's parser.
fn datagrams() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop::sample::select(vec![
        "m",
        "a=1",
        "v=\"",
        "\"",
        "\\",
        "\n",
        " ",
        ",",
        "=",
        "#",
        "1",
        "v=1i",
        "m v=1\n",
        "m,t=a v=\"b\" 5\n",
        "\r",
        "\0",
        "\t",
        "é",
        "\\\\ ",
        "t",
    ]);
    prop::collection::vec(
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes()),
        0..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever was in the datagrams: InfluxDB reads a record as the lines that were counted, each a point with a time.
    #[test]
    fn every_record_is_its_lines_and_closed(datagrams in datagrams(), limit in 20_usize..200) {
        let slices: Vec<&[u8]> = datagrams.iter().map(Vec::as_slice).collect();
        let (records, taken) = gather(limit, Precision::Seconds, &slices);
        let kept: u64 = taken.iter().map(|taken| taken.lines).sum();
        let recorded: u64 = records.iter().map(|record| u64::from(record.lines)).sum();
        prop_assert_eq!(kept, recorded);
        for record in &records {
            prop_assert!(record.body.len() <= limit);
            prop_assert_eq!(ending(&record.body), Ending::Closed);
            let lines: Vec<_> = Lines::new(&record.body).collect();
            prop_assert_eq!(lines.len() as u64, u64::from(record.lines));
            for line in lines {
                prop_assert_eq!(inspect(&record.body[line.text]), LineShape::Accepted { has_timestamp: true });
            }
        }
    }
}

fn udp(read_buffer: usize) -> model::Udp {
    model::Udp {
        bind: "127.0.0.1:0".parse().unwrap(),
        relay: RelayId(0),
        database: "telegraf".to_owned(),
        retention_policy: "week".to_owned(),
        login: None,
        precision: Precision::Milliseconds,
        read_buffer,
    }
}

fn udp_stats() -> Arc<UdpStats> {
    Arc::new(UdpStats {
        bind: String::new(),
        relay: String::new(),
        database: String::new(),
        packets: Counter::default(),
        bytes: Counter::default(),
        lines: Counter::default(),
        refused_lines: Counter::default(),
        dropped_packets: Counter::default(),
        kernel_drops: Counter::default(),
        read_errors: Counter::default(),
        records: Counter::default(),
        refusing_nodes: Gauge::default(),
    })
}

/// A relay without replicas: what is appended stays in its journal.
fn relay(folder: &Path) -> Arc<Relay> {
    let settings = settings();
    let stats = RelayStats {
        name: "relay".to_owned(),
        pool: "pool".to_owned(),
        replicas: Vec::new(),
        ..RelayStats::default()
    };
    let stop = watch::Sender::new(false);
    Relay::open(
        settings,
        folder,
        Vec::new(),
        Arc::new(stats),
        &stop.subscribe(),
    )
    .expect("a relay")
    .0
}

/// The writes that the journal of a closed relay holds.
async fn records(folder: &Path) -> Vec<WriteRecord> {
    let disk = DirectoryDisk::new(folder.join("relay")).unwrap();
    let (journal, recovery) = Journal::open(Arc::new(disk), Options::default()).unwrap();
    let mut reader = journal.reader(Sequence::ZERO);
    let mut records = Vec::new();
    while reader.position() < recovery.head.sequence {
        for record in reader.read(1 << 20).await.unwrap() {
            match Change::decode(record.kind, record.payload).unwrap() {
                Change::Write(write) => records.push(write),
                Change::Statement(statement) => {
                    assert_eq!(statement.shown, "CREATE DATABASE \"telegraf\"");
                    assert!(records.is_empty(), "it comes before the first lines");
                }
            }
        }
    }
    journal.close().await;
    records
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn what_the_kernel_held_at_a_stop_is_in_the_journal_as_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let (relay, stats) = (relay(folder.path()), udp_stats());
    let settings = udp(1 << 20);
    let bound = Bound::bind(&settings).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for point in 0..1000 {
        let datagram = format!("m v={point} {point}\nbad");
        sender
            .send_to(datagram.as_bytes(), bound.address())
            .unwrap();
    }
    sender.send_to(b"m v=1 1\n", bound.address()).unwrap();
    // Stopped before it has read anything.
    let stop = watch::Sender::new(true);
    let listener = Listener::new(
        &settings,
        (25_000_000, 1000),
        Arc::clone(&relay),
        Arc::clone(&stats),
    );
    runtime().block_on(async {
        listener.run(bound, stop.subscribe()).await;
        relay.close().await;
    });
    assert_eq!((stats.packets.get(), stats.lines.get()), (1001, 1001));
    assert_eq!((stats.refused_lines.get(), stats.records.get()), (1000, 1));
    assert_eq!(stats.bytes.get(), relayed_bytes());
    assert_eq!(
        (relay.stats().records.get(), relay.stats().lines.get()),
        (1, 1001)
    );
    drop(relay);
    let records = runtime().block_on(records(folder.path()));
    let [record] = records.as_slice() else {
        panic!("{} records", records.len())
    };
    let destination = &record.destination;
    assert_eq!(
        (
            destination.database.as_str(),
            destination.retention_policy.as_str()
        ),
        ("telegraf", "week")
    );
    assert_eq!(destination.precision, Precision::Milliseconds);
    assert_eq!(destination.credentials, Credentials::None);
    assert_eq!((record.lines, record.ending), (1001, Ending::Closed));
    assert!(record.body.starts_with(b"m v=0 0\nm v=1 1\n"));
}

fn relayed_bytes() -> u64 {
    let lines: usize = (0..1000)
        .map(|point| format!("m v={point} {point}\nbad").len())
        .sum();
    lines as u64 + 8
}

#[test]
fn datagrams_are_gathered_for_a_moment_and_not_longer() {
    let folder = tempfile::tempdir().unwrap();
    let (relay, stats) = (relay(folder.path()), udp_stats());
    let settings = udp(1 << 20);
    let bound = Bound::bind(&settings).unwrap();
    let address = bound.address();
    let stop = watch::Sender::new(false);
    let listener = Listener::new(
        &settings,
        (25_000_000, 1000),
        Arc::clone(&relay),
        Arc::clone(&stats),
    );
    let runtime = runtime();
    let running = runtime.spawn(listener.run(bound, stop.subscribe()));
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let begun = std::time::Instant::now();
    for round in 1..=3 {
        for point in 0..20 {
            sender
                .send_to(format!("m v={point}").as_bytes(), address)
                .unwrap();
        }
        while relay.stats().lines.get() < round * 20 {
            assert!(begun.elapsed() < Duration::from_secs(20), "not flushed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    // Twenty datagrams are sent in far less time than they are gathered for; a machine that stalls may split a round.
    let (records, elapsed) = (stats.records.get(), begun.elapsed());
    assert!(elapsed >= GATHER_FOR * 3, "{elapsed:?}");
    assert!((3..=9).contains(&records), "{records} records for 3 rounds");
    assert_eq!(relay.stats().stamped_lines.get(), 60);
    stop.send_replace(true);
    runtime.block_on(async {
        running.await.unwrap();
        relay.close().await;
    });
}

#[test]
fn what_the_journal_does_not_take_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (relay, stats) = (relay(folder.path()), udp_stats());
    let settings = udp(1 << 20);
    let bound = Bound::bind(&settings).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in [&b"m v=1 1\nm v=2 2"[..], b"m v=3 3", b"bad", b""] {
        sender.send_to(datagram, bound.address()).unwrap();
    }
    let stop = watch::Sender::new(true);
    let listener = Listener::new(
        &settings,
        (25_000_000, 1000),
        Arc::clone(&relay),
        Arc::clone(&stats),
    );
    runtime().block_on(async {
        relay.close().await;
        listener.run(bound, stop.subscribe()).await;
    });
    assert_eq!((stats.packets.get(), stats.lines.get()), (4, 3));
    assert_eq!((stats.dropped_packets.get(), stats.records.get()), (2, 0));
    assert_eq!(relay.stats().records.get(), 0);
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let first = Bound::bind(&udp(1 << 20)).unwrap();
    let mut settings = udp(1 << 20);
    settings.bind = first.address();
    let error = Bound::bind(&settings).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("udp: cannot listen on {}: ", first.address())),
        "{error}"
    );
    assert!(error.to_lowercase().contains("in use"), "{error}");
}

#[test]
fn the_buffer_is_as_large_as_asked() {
    let bound = Bound::bind(&udp(100_000)).unwrap();
    let socket = socket2::SockRef::from(&bound.socket);
    assert_eq!(given(socket.recv_buffer_size().unwrap()), 100_000);
}

#[test]
fn drops_are_read_from_the_kernels_table() {
    let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
         271: 0100007F:1F99 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31416 2 0000000000000000 4294967295\n \
         272: 00000000:1F9A 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 27182 2 0000000000000000 5\n";
    assert_eq!(drops_of(table, 31_416), Some(u32::MAX));
    assert_eq!(drops_of(table, 27_182), Some(5));
    assert_eq!(drops_of(table, 5), None);
    assert_eq!(drops_of("", 5), None);
    assert_eq!(drops_of("sl\n 1: a b", 5), None);
}

#[test]
fn what_does_not_fit_into_the_kernels_buffer_is_counted() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let mut settings = udp(4096);
        settings.bind = address.parse().unwrap();
        let sender = match UdpSocket::bind(address) {
            Ok(sender) => sender,
            // A machine without IPv6 has nothing to watch there.
            Err(_) if settings.bind.is_ipv6() => continue,
            Err(error) => panic!("{error}"),
        };
        let (bound, stats) = (Bound::bind(&settings).unwrap(), udp_stats());
        for _ in 0..200 {
            sender.send_to(&[b'x'; 1000], bound.address()).unwrap();
        }
        let stop = watch::Sender::new(true);
        runtime().block_on(watch_drops(
            [(&bound, Arc::clone(&stats))],
            stop.subscribe(),
        ));
        let held = std::iter::from_fn(|| bound.socket.recv(&mut [0; 2000]).ok()).count() as u64;
        assert!(held < 200, "{address}: {held}");
        assert_eq!(stats.kernel_drops.get(), 200 - held, "{address}");
    }
}

#[test]
fn a_body_is_handed_on_without_a_copy() {
    let mut gathering = Gathering::new(FULL, Precision::Seconds, 1000);
    gathering.take(b"m v=1 1", NOW, |_| ());
    let first: Bytes = gathering.finish().unwrap().body;
    let place = first.as_ptr();
    drop(first);
    gathering.take(b"m v=2 2", NOW, |_| ());
    assert_eq!(
        gathering.finish().unwrap().body.as_ptr(),
        place,
        "the room is used again"
    );
}
