//! A lock that outlives a panic, so that the panic is what a test shows.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks it, whatever became of who had it before.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
