//! What the sockets may ask and order of the queries that run.

use std::sync::Arc;

use crate::control::{ControlError, Queries};
use crate::proxy::Proxy;
use crate::stats::QueriesView;

/// The queries of all frontends.
pub(super) struct AllQueries {
    pub(super) proxy: Arc<Proxy>,
}

impl Queries for AllQueries {
    fn queries(&self) -> QueriesView {
        let table = &self.proxy.stats().query_table;
        self.proxy.queries().view(table)
    }

    fn kill(&self, id: u64) -> Result<String, ControlError> {
        let killed = self.proxy.queries().kill(id);
        killed.ok_or_else(|| ControlError::Invalid {
            reason: format!(
                "no query that runs has the id {id}; haflux queries --running lists them"
            ),
        })
    }
}
