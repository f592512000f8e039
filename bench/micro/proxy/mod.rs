//! What each request goes through at the front.

mod client;
mod pool;
