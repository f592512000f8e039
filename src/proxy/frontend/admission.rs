//! How many connections a frontend takes: in all, waiting, from one address, and inside a handshake. It outlives a reload, which may change
//! the limits.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::time::Instant;

use super::rarely_said::RarelySaid;
use super::rates::Rates;
use super::slots::{Slot, Slots, Waiting};
use crate::config::model;
use crate::proxy::client::{Bandwidth, Sources};
use crate::proxy::queries::limits::RunningCounts;

/// The connections of one frontend, counted.
#[derive(Debug)]
pub(in crate::proxy) struct Admission {
    connections: Arc<Slots>,
    handshakes: Arc<Slots>,
    /// Connections that wait for their PROXY header.
    introducing: AtomicUsize,
    /// Requests that wait for the answer of a `tarpit`.
    tarpitted: AtomicUsize,
    sources: Sources,
    rates: Rates,
    bandwidth: Bandwidth,
    queries: Arc<RunningCounts>,
    /// That an address has as many connections as it may.
    pub(super) over_share: RarelySaid,
    /// That a client is not served.
    pub(super) kept_out: RarelySaid,
    /// That a PROXY header is missing.
    pub(super) unintroduced: RarelySaid,
    /// That a connection breaks the rules of HTTP/2.
    pub(super) broken: RarelySaid,
    /// That a client takes too many requests back.
    pub(super) calmed: RarelySaid,
}

impl Admission {
    pub(in crate::proxy) fn new(config: &model::Frontend) -> Arc<Self> {
        Arc::new(Self {
            connections: Slots::new(config.max_connections),
            handshakes: Slots::new(most_handshakes(config)),
            introducing: AtomicUsize::default(),
            tarpitted: AtomicUsize::default(),
            sources: Sources::new(config.max_connections_per_source),
            rates: Rates::new(config.rate_limit),
            bandwidth: Bandwidth::new(config.bandwidth.as_ref()),
            queries: Arc::default(),
            over_share: RarelySaid::default(),
            kept_out: RarelySaid::default(),
            unintroduced: RarelySaid::default(),
            broken: RarelySaid::default(),
            calmed: RarelySaid::default(),
        })
    }

    /// The limits of `config` from now on. Connections that are there stay, also where they are past them.
    pub(in crate::proxy) fn change(&self, config: &model::Frontend) {
        self.sources.change(config.max_connections_per_source);
        self.connections.change(config.max_connections);
        self.handshakes.change(most_handshakes(config));
        let now = Instant::now().into_std();
        self.rates.change(config.rate_limit, now);
        self.bandwidth.change(config.bandwidth.as_ref(), now);
    }

    /// How many requests each address sends.
    pub(in crate::proxy) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// How many bytes pass between here and each address.
    pub(in crate::proxy) fn bandwidth(&self) -> &Bandwidth {
        &self.bandwidth
    }

    /// How many queries run.
    pub(in crate::proxy) fn queries(&self) -> &Arc<RunningCounts> {
        &self.queries
    }

    /// Who has connections here.
    pub(in crate::proxy) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// A slot for a connection, waited for at most `wait`. `None` if it must be closed: too many wait, or it waited too long.
    pub(in crate::proxy) async fn slot(&self, wait: Duration) -> Option<Slot> {
        self.connections.occupy(Instant::now() + wait).await
    }

    /// The same for a handshake.
    pub(super) async fn handshake(&self, deadline: Instant) -> Option<Slot> {
        self.handshakes.occupy(deadline).await
    }

    /// A place for a connection while its PROXY header comes; nothing if as many as `maxconn` wait for theirs.
    pub(super) fn introduce(&self) -> Option<Waiting<'_>> {
        Waiting::enter(&self.introducing, self.connections.most())
    }

    /// A place for a request that is to wait for its refusal; nothing if `most` wait for theirs.
    pub(in crate::proxy) fn tarpit(&self, most: usize) -> Option<Waiting<'_>> {
        Waiting::enter(&self.tarpitted, most)
    }
}

fn most_handshakes(config: &model::Frontend) -> usize {
    config.tls.as_ref().map_or(1, |tls| tls.max_handshakes)
}
