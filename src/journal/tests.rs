//! The journal on a simulated disk and on a real one.

mod acknowledged_before_sync;
mod damage;
mod model;
mod recovered;
mod simulated;
mod threaded;
