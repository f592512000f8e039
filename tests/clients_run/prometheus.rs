//! Prometheus: one that scrapes an exporter and writes what it has by `remote_write`, and one that has nothing of its own and reads
//! by `remote_read`.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::place::{NAME, PASSWORD, Place};
use super::support::ports::free_port;
use super::support::process::Process;
use super::support::wait::{SOON, wait_until};
use super::support::{Behaviour, StandIn, http};
use super::ways::Client;

/// Samples of a phase.
const SAMPLES: u64 = 8;

/// Between two samples, in milliseconds.
const STEP: u64 = 1000;

/// The time of the first sample, in milliseconds. A minute ahead, because `remote_write` leaves out what is older than the process.
pub fn begin() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    (now.expect("a time after 1970").as_secs() + 60) * 1000
}

/// Both of them, and the exporter.
pub struct Prometheus {
    writer: Running,
    reader: Running,
    _exporter: StandIn,
    /// The exporter's newest sample.
    newest: Arc<AtomicU64>,
    begin: u64,
    place: Place,
}

/// A running Prometheus.
struct Running {
    process: Process,
    url: String,
    told: usize,
}

impl Running {
    fn start(name: &str, more: &str, place: &Place) -> Running {
        let file = place.file(
            &format!("{name}.yml"),
            &format!("global:\n  scrape_interval: 100ms\n  scrape_timeout: 100ms\n{more}"),
        );
        let address = format!("127.0.0.1:{}", free_port());
        let url = format!("http://{address}");
        let process = Process::start(
            name,
            Command::new("prometheus")
                .arg(format!("--config.file={}", file.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    place.folder_of(name).display()
                ))
                .arg(format!("--web.listen-address={address}")),
            &place.folder.join(format!("{name}.log")),
        );
        wait_until("Prometheus to be ready", SOON, || {
            http::try_request("GET", &format!("{url}/-/ready"), &[], b"")
                .is_ok_and(|answer| answer.status == 200)
        });
        Running {
            process,
            url,
            told: 0,
        }
    }

    /// What it answers to a query over all samples from `begin` on; times are in milliseconds.
    fn range(&self, query: &str, begin: u64, end: u64) -> Value {
        let seconds = |time: u64| format!("{}.{:03}", time / 1000, time % 1000);
        let parameters = [
            ("query", query),
            ("start", &seconds(begin)),
            ("end", &seconds(end)),
            ("step", "1"),
        ];
        let asked = format!(
            "{}/api/v1/query_range?{}",
            self.url,
            http::query_string(&parameters)
        );
        http::get(&asked).json()
    }

    /// Warnings and errors that are new in its log, without what differs from run to run.
    fn complaints(&mut self) -> Vec<String> {
        let log = self.process.log();
        let new = log.get(self.told..).unwrap_or_default();
        self.told = log.len();
        let marked = |line: &str| {
            let at = line
                .find("level=warn")
                .or_else(|| line.find("level=error"))?;
            line.get(at..).map(str::to_owned)
        };
        new.lines().filter_map(marked).collect()
    }
}

impl Prometheus {
    /// Starts all of it; the first sample is of the time `begin`.
    pub fn start(begin: u64, place: &Place) -> Prometheus {
        place.create_database("prom");
        let newest = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&newest);
        let exporter = StandIn::start(move |_| {
            let number = shown.load(Ordering::Relaxed);
            let time = begin + number * STEP;
            let samples = (0..3).map(|n| format!("probe{{n=\"{n}\"}} {number}.{n} {time}\n"));
            Behaviour::status(200, &samples.collect::<String>())
        });
        let credentials =
            format!("    basic_auth: {{ username: \"{NAME}\", password: \"{PASSWORD}\" }}\n");
        let writer = format!(
            r#"scrape_configs:
  - job_name: probe
    static_configs: [{{ targets: ["{exporter}"] }}]
    relabel_configs: [{{ target_label: instance, replacement: exporter }}]
remote_write:
  - url: {url}/api/v1/prom/write?db=prom
{credentials}    queue_config: {{ batch_send_deadline: 50ms }}
    write_relabel_configs: [{{ source_labels: [__name__], regex: probe, action: keep }}]
"#,
            exporter = exporter.address(),
            url = place.url(),
        );
        let reader = format!(
            "remote_read:\n  - url: {}/api/v1/prom/read?db=prom\n{credentials}    read_recent: true\n",
            place.url()
        );
        Prometheus {
            writer: Running::start("writer", &writer, place),
            reader: Running::start("reader", &reader, place),
            _exporter: exporter,
            newest,
            begin,
            place: place.clone(),
        }
    }
}

impl Client for Prometheus {
    fn phase(&mut self, number: usize) -> Vec<String> {
        let mut seen = Vec::new();
        let first = number as u64 * SAMPLES;
        for sample in first..first + SAMPLES {
            self.newest.store(sample, Ordering::Relaxed);
            wait_until("a sample to be written", SOON, || {
                self.place.count("prom", "probe", "value") == (sample + 1) * 3
            });
            let end = self.begin + sample * STEP;
            for query in ["probe", "sum(probe)", "count_over_time(probe{n=\"1\"}[1h])"] {
                let read = self.reader.range(query, self.begin, end);
                seen.push(format!("{sample}: {query} => {read}"));
            }
        }
        seen.extend(self.writer.complaints());
        seen.extend(self.reader.complaints());
        seen
    }
}
