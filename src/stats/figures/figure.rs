//! What is said of one figure, and how it is read from a snapshot.

use std::time::UNIX_EPOCH;

use crate::stats::snapshot::Status;
use crate::stats::times::HistogramReading;
use crate::stats::units::{Bytes, Count, Moment, Span};

/// What a figure is, which decides how each view writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows while the process runs.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// One word out of a few. Prometheus gets a metric of value 1 or 0 for each of them.
    State,
    /// How many times lay in which range.
    Histogram,
    /// A moment: RFC 3339 in JSON, Unix time for Prometheus.
    Moment,
    /// A text that Prometheus gets as the label of a metric of value 1.
    Info,
    /// A text that Prometheus does not get, because it may be anything or is a label of every metric.
    Text,
}

impl Kind {
    /// Its word in JSON and in the documentation.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::State => "state",
            Kind::Histogram => "histogram",
            Kind::Moment => "moment",
            Kind::Info => "info",
            Kind::Text => "text",
        }
    }
}

/// What is said of one figure.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Where it stands in the JSON object of its part.
    pub path: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its Prometheus name behind the prefix of its part; empty where Prometheus does not get it.
    pub metric: &'static str,
    /// A label that tells it from other figures with the same metric.
    pub label: Option<(&'static str, &'static str)>,
    /// What is counted or measured; empty for what is no number.
    pub unit: &'static str,
    /// What it says, in one sentence.
    pub description: &'static str,
}

/// A figure of a part `T` of the snapshot.
pub struct Figure<T: 'static> {
    /// What is said of it.
    pub about: About,
    /// Reads it.
    pub read: fn(&T) -> Reading,
}

/// A figure as it was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A number.
    Number(f64),
    /// A state, and all that there are.
    State(Status, &'static [Status]),
    /// How many times lay in which range.
    Histogram(HistogramReading),
    /// A text.
    Info(String),
    /// There is nothing to say now, or nothing for Prometheus.
    Nothing,
}

/// What a figure can be read from.
pub trait Readable {
    /// Reads it.
    fn reading(&self) -> Reading;
}

impl Readable for Count {
    fn reading(&self) -> Reading {
        Reading::Number(self.0 as f64)
    }
}

impl Readable for Bytes {
    fn reading(&self) -> Reading {
        Reading::Number(self.0 as f64)
    }
}

impl Readable for Span {
    fn reading(&self) -> Reading {
        Reading::Number(self.0.as_secs_f64())
    }
}

impl Readable for Moment {
    fn reading(&self) -> Reading {
        let since = self.at().duration_since(UNIX_EPOCH).unwrap_or_default();
        Reading::Number(since.as_secs_f64())
    }
}

impl Readable for bool {
    fn reading(&self) -> Reading {
        Reading::Number(if *self { 1.0 } else { 0.0 })
    }
}

impl Readable for u32 {
    fn reading(&self) -> Reading {
        Reading::Number(f64::from(*self))
    }
}

impl Readable for HistogramReading {
    fn reading(&self) -> Reading {
        Reading::Histogram(self.clone())
    }
}

impl<T: Readable> Readable for Option<T> {
    fn reading(&self) -> Reading {
        self.as_ref().map_or(Reading::Nothing, Readable::reading)
    }
}

/// A figure that a field of the part holds, perhaps a nested one. The path is the field's, so that JSON and this agree.
macro_rules! figure {
    ($kind:ident, $first:ident $(. $rest:ident)*, $metric:literal, $unit:literal, $description:literal) => {
        Figure {
            about: About {
                path: concat!(stringify!($first) $(, ".", stringify!($rest))*),
                kind: Kind::$kind,
                metric: $metric,
                label: None,
                unit: $unit,
                description: $description,
            },
            read: |part| Readable::reading(&part.$first $(.$rest)*),
        }
    };
}

/// A text, which only JSON has.
macro_rules! text {
    ($path:literal, $description:literal) => {
        Figure {
            about: About {
                path: $path,
                kind: Kind::Text,
                metric: "",
                label: None,
                unit: "",
                description: $description,
            },
            read: |_| Reading::Nothing,
        }
    };
}

/// A figure that is read by an expression.
macro_rules! figure_by {
    ($kind:ident, $path:literal, $metric:literal, $unit:literal, $description:literal, $read:expr) => {
        Figure {
            about: About {
                path: $path,
                kind: Kind::$kind,
                metric: $metric,
                label: None,
                unit: $unit,
                description: $description,
            },
            read: $read,
        }
    };
}

pub(super) use {figure, figure_by, text};
