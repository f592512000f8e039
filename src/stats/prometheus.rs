//! The Prometheus view: the [list of figures](super::figures) in the text format that every Prometheus reads.
//!
//! The client library writes the format; its registry is not used, because the counters are haflux' own and are read at each
//! scrape.

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::figures::{self, About, Group, Kind, Reading};
use super::snapshot::{Snapshot, Status};
use super::times::HistogramReading;

/// The content type of the format.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All figures that have a Prometheus name.
pub fn text(snapshot: &Snapshot) -> String {
    let mut families = Families::default();
    for group in figures::groups() {
        families.collect(&**group, snapshot);
    }
    // The library refuses families without metrics or with a name that is no name; a test shows that there are none.
    TextEncoder::new()
        .encode_to_string(&families.all)
        .unwrap_or_default()
}

/// The families in the order of the list. Figures with the same metric share one, and stand together in the list.
#[derive(Default)]
struct Families {
    all: Vec<MetricFamily>,
}

impl Families {
    fn collect(&mut self, group: &dyn Group, snapshot: &Snapshot) {
        let part = group.part();
        group.read(snapshot, &mut |about, values, reading| {
            if about.metric.is_empty() {
                return;
            }
            let own = about.label.map(|(name, value)| pair(name, value));
            let names = part.labels.iter().zip(values);
            let labels: Vec<LabelPair> = names
                .map(|(name, value)| pair(name, value))
                .chain(own)
                .collect();
            self.add(part.prefix, about, metrics(about.kind, &labels, reading));
        });
    }

    /// Adds metrics of the figure.
    fn add(&mut self, prefix: &str, about: &About, metrics: Vec<Metric>) {
        let name = format!("{prefix}{}", about.metric);
        match self.all.last_mut() {
            _ if metrics.is_empty() => {}
            Some(last) if last.name() == name => last.mut_metric().extend(metrics),
            _ => {
                let mut family = MetricFamily::default();
                family.set_name(name);
                family.set_help(about.description.to_owned());
                family.set_field_type(match about.kind {
                    Kind::Counter => MetricType::COUNTER,
                    Kind::Histogram => MetricType::HISTOGRAM,
                    Kind::Gauge | Kind::State | Kind::Moment | Kind::Info | Kind::Text => {
                        MetricType::GAUGE
                    }
                });
                family.set_metric(metrics);
                self.all.push(family);
            }
        }
    }
}

/// What Prometheus gets of one reading.
fn metrics(kind: Kind, labels: &[LabelPair], reading: Reading) -> Vec<Metric> {
    let gauge = |extra: Option<LabelPair>, value| {
        let labels = labels.iter().cloned().chain(extra).collect();
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(labels);
        metric.set_gauge(gauge);
        metric
    };
    match reading {
        Reading::Nothing => Vec::new(),
        Reading::Number(value) if kind == Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            let mut metric = Metric::from_label(labels.to_vec());
            metric.set_counter(counter);
            vec![metric]
        }
        Reading::Number(value) => vec![gauge(None, value)],
        Reading::State(now, all) => {
            let one = |state: &Status| {
                let is_now = *state == now;
                gauge(
                    Some(pair("state", state.name())),
                    f64::from(u8::from(is_now)),
                )
            };
            all.iter().map(one).collect()
        }
        Reading::Info(version) => vec![gauge(Some(pair("version", &version)), 1.0)],
        Reading::Histogram(reading) => {
            let mut metric = Metric::from_label(labels.to_vec());
            metric.set_histogram(histogram(&reading));
            vec![metric]
        }
    }
}

fn histogram(reading: &HistogramReading) -> Histogram {
    let mut histogram = Histogram::default();
    histogram.set_sample_count(reading.count);
    histogram.set_sample_sum(reading.sum.as_secs_f64());
    let bucket = |(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    histogram.set_bucket(reading.buckets().map(bucket).collect());
    histogram
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
