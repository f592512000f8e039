//! The one list of what haflux tells of itself: each figure with its place in JSON, its Prometheus name, its kind, its unit and
//! a sentence about it.
//!
//! JSON's descriptions, the Prometheus view and `docs/metrics.md` are made from the list; a test compares the list with the
//! snapshot, so that no figure can be forgotten.
//!
//! - [`figure`](mod@figure): one figure; [`group`]: the figures of one kind of part.
//! - `process`, `traffic`, `proxy`, `relay`, `work`, `udp`: the list.
//! - [`page`]: the list as a page of the documentation.

pub mod figure;
pub mod group;
pub mod page;
mod process;
mod proxy;
mod relay;
mod traffic;
mod udp;
mod work;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use figure::{About, Kind, Reading};
pub use group::{Group, Part};

/// The whole list, in the order of the documentation.
pub fn groups() -> &'static [Box<dyn Group>] {
    static GROUPS: LazyLock<Vec<Box<dyn Group>>> = LazyLock::new(|| {
        vec![
            Box::new(process::process()),
            Box::new(process::problems()),
            Box::new(process::notices()),
            Box::new(process::log_targets()),
            Box::new(proxy::frontends()),
            Box::new(proxy::certificates()),
            Box::new(proxy::staples()),
            Box::new(proxy::backends()),
            Box::new(proxy::servers()),
            Box::new(proxy::own_certificates()),
            Box::new(relay::relays()),
            Box::new(work::works()),
            Box::new(relay::replicas()),
            Box::new(relay::lanes()),
            Box::new(udp::listeners()),
        ]
    });
    &GROUPS
}
