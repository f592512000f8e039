use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::{TARGETS, Target};

/// Changed pieces of its corpus that each target is given.
const PIECES: usize = 1500;

/// The same of a target that works on a disk.
const PIECES_ON_DISK: usize = 60;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name)
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = corpus(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One of the seeds with a few changes.
fn changed(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut bytes = random.choice(seeds).unwrap().clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..=bytes.len());
        let end = random.usize(at..=bytes.len().min(at + 12));
        match random.u8(0..4) {
            0 => drop(bytes.splice(at..end, [])),
            1 => drop(bytes.splice(at..at, [random.u8(..)])),
            2 => {
                let other = random.choice(seeds).unwrap();
                let from = random.usize(0..=other.len());
                let to = random.usize(from..=other.len().min(from + 40));
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.u8(0..8);
                }
            }
        }
    }
    bytes
}

fn attempt(name: &str, target: Target, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
        panic!("{name} fails by {}", bytes.escape_ascii());
    }
}

#[test]
fn every_target_takes_its_corpus_and_what_is_like_it() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no corpus");
        for bytes in &seeds {
            attempt(name, *target, bytes);
        }
        let pieces = match *name {
            "journal" => PIECES_ON_DISK,
            _ => PIECES,
        };
        for _ in 0..pieces {
            attempt(name, *target, &changed(&seeds, &mut random));
        }
    }
}

#[test]
fn every_corpus_has_a_target() {
    let entries = fs::read_dir(corpus("")).unwrap();
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(super::target(&name).is_some(), "nothing is called {name}");
    }
}
