//! Micro-benchmarks of what each write and each read goes through, one subject a file: `cargo bench`, or
//! `cargo bench -- lines` for those whose name holds `lines`.
//!
//! The benchmarks call what the crate offers. What is private there (the judge of headers, the shapes of reads, the frame of a
//! record) is compiled a second time, as a part of this program, so that no door of the crate stands open for a measurement.

use tikv_jemallocator::Jemalloc;

mod framing;
mod lines;
mod proxy;
mod queries;
mod record;

/// What the sources that are compiled a second time know the crate's modules as.
use haflux::influx;

/// The program's own.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() {
    divan::main();
}
