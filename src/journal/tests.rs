//! The journal on a simulated disk and on a real one.

mod careless;
mod damage;
mod model;
mod recovered;
mod simulated;
mod threaded;
