//! Gives libFuzzer's bytes to the target of `haflux::fuzzing` that HAFLUX_FUZZ_TARGET names.
#![no_main]

use std::sync::LazyLock;

use haflux::fuzzing::{TARGETS, Target, target};
use libfuzzer_sys::fuzz_target;

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("HAFLUX_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("HAFLUX_FUZZ_TARGET must be one of: {}", names.join(", "));
        std::process::exit(2);
    })
});

fuzz_target!(|bytes: &[u8]| CHOSEN(bytes));
