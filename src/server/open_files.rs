//! How many files and connections the process may have open.
//!
//! What the system lets a process begin with is often 1,024, because programs of old kept files in sets of that many; it may take
//! more itself, up to what whoever started it allows. HAProxy does the same.

use log::{info, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Nobody needs more: each has a line in the kernel's table, which some systems allow without end.
const MOST: u64 = 1 << 20;

/// Takes as many as it may. `wanted`: connections that the configuration lets in, each of which may need one to a server.
pub(super) fn raise(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(MOST).min(MOST);
    let current = limit.current.unwrap_or(MOST);
    let now = if current < allowed {
        let raised = Rlimit {
            current: Some(allowed),
            maximum: limit.maximum,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => {
                info!("open files: at most {allowed} instead of {current}");
                allowed
            }
            Err(error) => {
                warn!("open files: more than {current} cannot be had: {error}");
                current
            }
        }
    } else {
        current
    };
    let needed = wanted.saturating_mul(2);
    if now < needed {
        warn!(
            "open files: at most {now}, and maxconn of all frontends may need {needed}: raise the limit (LimitNOFILE, ulimit -n) or lower maxconn"
        );
    }
}
