//! What everybody may know of a server of a pool: its name, where it is now, whether it is up, and what a person ordered.
//!
//! The proxy's checks, name resolution and orders write it; whoever sends to the server reads it and can wait for a change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::admin_state::{AdminState, AtomicAdminState};

/// The current address and state of one server of a pool.
#[derive(Debug)]
pub struct ServerHandle {
    name: String,
    address: ArcSwapOption<SocketAddr>,
    up: AtomicBool,
    set_aside: AtomicBool,
    admin: AtomicAdminState,
    /// When this was made.
    begun: Instant,
    /// The newest answer, in milliseconds since then; 0 before the first.
    answered: AtomicU64,
    changes: watch::Sender<u64>,
}

impl ServerHandle {
    /// A server as it is at the start. `address` is `None` as long as its name has not been resolved.
    pub fn new(name: impl Into<String>, address: Option<SocketAddr>, up: bool) -> Self {
        Self {
            name: name.into(),
            address: ArcSwapOption::from(address.map(Arc::new)),
            up: AtomicBool::new(up),
            set_aside: AtomicBool::new(false),
            admin: AtomicAdminState::default(),
            begun: Instant::now(),
            answered: AtomicU64::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// Its name in the pool.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is now; the last good address if its name can no longer be resolved.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.load().as_deref().copied()
    }

    /// Whether its checks say that it is well. A server without checks is up once it has an address.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Whether it must not be asked, though it may be up: it lacks data that the pool's other servers have.
    pub fn is_set_aside(&self) -> bool {
        self.set_aside.load(Ordering::Acquire)
    }

    /// What a person ordered for it.
    pub fn admin(&self) -> AdminState {
        self.admin.get()
    }

    /// Whether nothing at all may be sent to it.
    pub fn is_in_maint(&self) -> bool {
        self.admin() == AdminState::Maint
    }

    /// It gave an answer to anything just now.
    pub fn note_answer(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered.fetch_max(now, Ordering::Relaxed);
    }

    /// When it gave its newest answer; the start if it gave none.
    pub fn last_answer(&self) -> Instant {
        self.begun + Duration::from_millis(self.answered.load(Ordering::Relaxed))
    }

    /// A number that grows with every change of the address or the state.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Sets the state; true if that changed it.
    pub fn set_up(&self, up: bool) -> bool {
        let changed = self.up.swap(up, Ordering::AcqRel) != up;
        if changed {
            self.tick();
        }
        changed
    }

    /// Says that it must not be asked for now, or may be again.
    pub fn set_aside(&self, aside: bool) {
        if self.set_aside.swap(aside, Ordering::AcqRel) != aside {
            self.tick();
        }
    }

    /// A person orders this; true if that changed something.
    pub fn set_admin(&self, admin: AdminState) -> bool {
        let changed = self.admin.swap(admin) != admin;
        if changed {
            self.tick();
        }
        changed
    }

    /// Sets the address; true if that changed it.
    pub fn set_address(&self, address: Option<SocketAddr>) -> bool {
        let before = self.address.swap(address.map(Arc::new));
        let changed = before.as_deref().copied() != address;
        if changed {
            self.tick();
        }
        changed
    }

    fn tick(&self) {
        self.changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_ticks() {
        let server = ServerHandle::new("a", None, true);
        let mut changes = server.changed();
        assert!(!server.set_up(true));
        assert!(!server.set_address(None));
        assert!(!changes.has_changed().unwrap());

        assert!(server.set_up(false));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();

        let address = "127.0.0.1:8086".parse().ok();
        assert!(server.set_address(address));
        assert!(changes.has_changed().unwrap());
        assert_eq!(server.address(), address);
        assert!(!server.is_up());

        assert!(!server.is_set_aside());
        server.set_aside(true);
        assert!(server.is_set_aside());

        changes.mark_unchanged();
        assert!(!server.set_admin(AdminState::Ready));
        assert!(!changes.has_changed().unwrap());
        assert!(server.set_admin(AdminState::Maint));
        assert!(changes.has_changed().unwrap() && server.is_in_maint());
    }
}
