//! The figures of one kind of part, such as all servers, whatever the type of the part is.

use super::figure::{About, Figure, Reading};
use crate::stats::snapshot::Snapshot;

/// What is said of a kind of part.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Its heading in the documentation.
    pub title: &'static str,
    /// Where such a part stands in JSON, e.g. `backends[].servers[].`.
    pub path: &'static str,
    /// The beginning of its Prometheus names.
    pub prefix: &'static str,
    /// The labels that name one such part.
    pub labels: &'static [&'static str],
}

/// The parts of one kind in a snapshot, each with the values of its labels.
pub(super) type Each<T> = for<'a> fn(&'a Snapshot) -> Vec<(Vec<String>, &'a T)>;

/// The figures of one kind of part.
pub(super) struct Typed<T: 'static> {
    pub(super) part: Part,
    pub(super) figures: Vec<Figure<T>>,
    pub(super) each: Each<T>,
}

/// The figures of one kind of part.
pub trait Group: Send + Sync {
    /// What is said of the kind.
    fn part(&self) -> &Part;

    /// What is said of its figures, in their order.
    fn figures(&self) -> Vec<&About>;

    /// Reads each figure of each such part of the snapshot: the figure, the values of the part's labels, the reading.
    fn read(&self, snapshot: &Snapshot, take: &mut dyn FnMut(&About, &[String], Reading));
}

impl<T: 'static> Group for Typed<T> {
    fn part(&self) -> &Part {
        &self.part
    }

    fn figures(&self) -> Vec<&About> {
        self.figures.iter().map(|figure| &figure.about).collect()
    }

    fn read(&self, snapshot: &Snapshot, take: &mut dyn FnMut(&About, &[String], Reading)) {
        let parts = (self.each)(snapshot);
        for figure in &self.figures {
            for (labels, part) in &parts {
                take(&figure.about, labels, (figure.read)(part));
            }
        }
    }
}
