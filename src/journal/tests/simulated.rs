//! A disk that forgets what was not synced, tears, fills, fails and flips bits.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;

use crate::journal::{Disk, DiskFile, LockFailure, LockGuard};

const SECTOR: usize = 512;

/// What a power failure does to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tear {
    /// Gone.
    Lost,
    /// All there: it came to the platter in time.
    Kept,
    /// What was written first is there, up to some byte.
    Prefix,
    /// Any sectors are there.
    Sectors,
    /// Any sectors are there, some hold nonsense.
    Garbage,
}

#[derive(Debug, Default, Clone)]
struct Node {
    /// As the process sees it.
    now: Vec<u8>,
    /// As it is on the platter.
    synced: Vec<u8>,
    /// Written and not synced, in order.
    dirty: Vec<(usize, usize)>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Put(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Debug)]
struct State {
    rng: Rng,
    nodes: Vec<Node>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
    locked: bool,
    capacity: usize,
    /// Operations until the power goes.
    power_for: Option<u32>,
    off: bool,
    away: bool,
    /// One in so many of these fails; 0: none.
    sync_fails: u32,
    write_fails: u32,
    syncs: u64,
    read_bytes: usize,
}

/// The disk. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct SimulatedDisk(Arc<Mutex<State>>);

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Put(name, node) => drop(names.insert(name.clone(), *node)),
        NameChange::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
        NameChange::Remove(name) => drop(names.remove(name)),
    }
}

fn failure(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    /// Counts an operation that changes the disk.
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.power_for {
            Some(0) => self.off = true,
            Some(left) => *left -= 1,
            None => {}
        }
        self.look()
    }

    fn look(&self) -> io::Result<()> {
        if self.off {
            Err(failure("no power"))
        } else {
            Ok(())
        }
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    fn used(&self) -> usize {
        let nodes: BTreeSet<usize> = self.names.values().copied().collect();
        nodes.iter().map(|node| self.nodes[*node].now.len()).sum()
    }

    /// Brings some of what is dirty to the platter.
    fn settle(&mut self, node: usize, tear: Tear) {
        let State { rng, nodes, .. } = self;
        let node = &mut nodes[node];
        node.synced.resize(node.now.len(), 0);
        let prefix_of = rng.usize(0..=node.dirty.len());
        for (index, (start, length)) in std::mem::take(&mut node.dirty).into_iter().enumerate() {
            let end = (start + length).min(node.now.len());
            match tear {
                Tear::Lost => {}
                Tear::Kept => node.synced[start..end].copy_from_slice(&node.now[start..end]),
                Tear::Prefix => {
                    let upto = match index.cmp(&prefix_of) {
                        std::cmp::Ordering::Less => end,
                        std::cmp::Ordering::Equal => rng.usize(start..=end),
                        std::cmp::Ordering::Greater => start,
                    };
                    node.synced[start..upto].copy_from_slice(&node.now[start..upto]);
                }
                Tear::Sectors | Tear::Garbage => {
                    let mut at = start;
                    while at < end {
                        let next = ((at / SECTOR + 1) * SECTOR).min(end);
                        // What is written over with itself has nothing to be torn.
                        let differs = node.synced[at..next] != node.now[at..next];
                        match rng.u8(0..6) {
                            0 if tear == Tear::Garbage && differs => node.synced[at..next]
                                .iter_mut()
                                .for_each(|byte| *byte = rng.u8(..)),
                            0..=2 => node.synced[at..next].copy_from_slice(&node.now[at..next]),
                            _ => {}
                        }
                        at = next;
                    }
                }
            }
        }
    }
}

impl SimulatedDisk {
    pub(super) fn new(seed: u64, capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: Rng::with_seed(seed),
            nodes: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            locked: false,
            capacity,
            power_for: None,
            off: false,
            away: false,
            sync_fails: 0,
            write_fails: 0,
            syncs: 0,
            read_bytes: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Cuts the power after so many more operations.
    pub(super) fn cut_power_after(&self, operations: u32) {
        self.state().power_for = Some(operations);
    }

    pub(super) fn is_off(&self) -> bool {
        self.state().off
    }

    pub(super) fn set_failures(&self, sync_fails: u32, write_fails: u32) {
        let mut state = self.state();
        (state.sync_fails, state.write_fails) = (sync_fails, write_fails);
    }

    pub(super) fn set_capacity(&self, capacity: usize) {
        self.state().capacity = capacity;
    }

    pub(super) fn used(&self) -> usize {
        self.state().used()
    }

    pub(super) fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    pub(super) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Bytes read since the last call.
    pub(super) fn take_read_bytes(&self) -> usize {
        std::mem::take(&mut self.state().read_bytes)
    }

    /// The power fails and comes back: what was not synced is torn.
    pub(super) fn restart(&self, tear: Tear) {
        let mut state = self.state();
        let State {
            rng,
            changes,
            synced_names,
            ..
        } = &mut *state;
        let kept = match tear {
            Tear::Lost => 0,
            Tear::Kept => changes.len(),
            _ => rng.usize(0..=changes.len()),
        };
        changes
            .drain(..)
            .take(kept)
            .for_each(|change| apply(synced_names, &change));
        for node in 0..state.nodes.len() {
            state.settle(node, tear);
            state.nodes[node].now = state.nodes[node].synced.clone();
        }
        state.names = state.synced_names.clone();
        (state.locked, state.off, state.power_for, state.away) = (false, false, None, false);
        (state.sync_fails, state.write_fails) = (0, 0);
    }

    /// The process dies, the machine runs on: what was written can be read, synced or not. What a failed sync left off the
    /// platter the system takes for clean; if it `forgets`, that is gone.
    pub(super) fn kill(&self, forgets: bool) {
        let mut state = self.state();
        state.locked = false;
        for node in state.nodes.iter_mut().filter(|_| forgets) {
            let mut now = node.synced.clone();
            now.resize(node.now.len(), 0);
            for (start, length) in &node.dirty {
                let range = *start..(start + length).min(now.len());
                now[range.clone()].copy_from_slice(&node.now[range]);
            }
            node.now = now;
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// Changes a byte of a file on the platter.
    pub(super) fn flip(&self, name: &str, at: usize, bits: u8) {
        let mut state = self.state();
        let node = state.names[name];
        let node = &mut state.nodes[node];
        if at < node.now.len() {
            node.now[at] ^= bits;
            node.synced[at] ^= bits;
        }
    }

    pub(super) fn size_of(&self, name: &str) -> usize {
        let state = self.state();
        state.nodes[state.names[name]].now.len()
    }

    pub(super) fn delete(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.synced_names.remove(name);
    }
}

#[derive(Debug)]
struct SimulatedLock(SimulatedDisk);

impl LockGuard for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

impl Disk for SimulatedDisk {
    fn lock(&self) -> Result<Box<dyn LockGuard>, LockFailure> {
        let mut state = self.state();
        if std::mem::replace(&mut state.locked, true) {
            return Err(LockFailure::Held("somebody".into()));
        }
        Ok(Box::new(SimulatedLock(self.clone())))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.look()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.operate()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.used() + size as usize > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = state.nodes.len();
        state.nodes.push(Node {
            now: vec![0; size as usize],
            synced: vec![0; size as usize],
            dirty: Vec::new(),
        });
        state.change(NameChange::Put(name.into(), node));
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            node,
        }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        state.look()?;
        if state.away {
            return Err(not_found());
        }
        let node = *state.names.get(name).ok_or_else(not_found)?;
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            node,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        if !state.names.contains_key(from) {
            return Err(not_found());
        }
        state.change(NameChange::Rename(from.into(), to.into()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        if !state.names.contains_key(name) {
            return Err(not_found());
        }
        state.change(NameChange::Remove(name.into()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let fails = state.sync_fails;
        if fails > 0 && state.rng.u32(0..fails) == 0 {
            return Err(failure("directory sync failed"));
        }
        let State {
            changes,
            synced_names,
            ..
        } = &mut *state;
        changes
            .drain(..)
            .for_each(|change| apply(synced_names, &change));
        Ok(())
    }

    fn verify(&self) -> io::Result<()> {
        let state = self.state();
        state.look()?;
        if state.away { Err(not_found()) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    node: usize,
}

impl DiskFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().nodes[self.node].now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.look()?;
        state.read_bytes += buffer.len();
        let bytes = state.nodes[self.node]
            .now
            .get(offset as usize..)
            .unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let powered = state.operate();
        let fails = state.write_fails;
        let broken = fails > 0 && state.rng.u32(0..fails) == 0;
        let mut bytes = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect::<Vec<u8>>();
        if powered.is_err() || broken {
            // A part of it got out.
            let kept = state.rng.usize(0..=bytes.len());
            bytes.truncate(kept);
        }
        let start = offset as usize;
        let node = &mut state.nodes[self.node];
        assert!(
            start + bytes.len() <= node.now.len(),
            "a write beyond what is allocated"
        );
        node.now[start..start + bytes.len()].copy_from_slice(&bytes);
        node.dirty.push((start, bytes.len()));
        powered?;
        if broken {
            Err(failure("write failed"))
        } else {
            Ok(())
        }
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let more = (size as usize).saturating_sub(state.nodes[self.node].now.len());
        if state.used() + more > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = &mut state.nodes[self.node];
        let size = node.now.len().max(size as usize);
        node.now.resize(size, 0);
        node.synced.resize(size, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let fails = state.sync_fails;
        if fails > 0 && state.rng.u32(0..fails) == 0 {
            // As Linux does: the pages are clean afterwards, whether they were written or not.
            state.settle(self.node, Tear::Sectors);
            return Err(failure("sync failed"));
        }
        state.syncs += 1;
        state.settle(self.node, Tear::Kept);
        Ok(())
    }
}
