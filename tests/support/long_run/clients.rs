//! Clients that are busy while there is trouble.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fastrand::Rng;

use crate::support::beside::beside;

/// The longest pause between two requests of a client.
const MAX_PAUSE: Duration = Duration::from_millis(6);

/// Lets so many clients be busy until `meanwhile` has had its way. Each is told its number, its choices, and when it is over.
pub fn busy<T>(
    clients: usize,
    seed: u64,
    client: impl Fn(usize, Rng, &AtomicBool) + Sync,
    meanwhile: impl FnOnce() -> T,
) -> T {
    let seed = seed.wrapping_mul(1_000_003);
    beside(
        clients,
        |number, over| {
            let rng = Rng::with_seed(seed.wrapping_add(number as u64));
            client(number, rng, over);
        },
        meanwhile,
    )
}

/// Pauses between two requests: the pace of a client, not a wait for anything.
pub fn pause(rng: &mut Rng) {
    std::thread::sleep(MAX_PAUSE.mul_f64(rng.f64().powi(3)));
}
