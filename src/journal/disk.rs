//! What the journal asks of a disk.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A folder of files. Names are plain, without separators.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Takes the lock for this process.
    fn lock(&self) -> Result<Box<dyn LockGuard>, LockFailure>;
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes a file of `size` bytes whose room is allocated and synced; its name is not synced yet. Nothing is left on failure,
    /// as far as that can be.
    fn create(&self, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to read and write.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file; over another if there is one. Durable after [`Disk::sync_directory`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_directory`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all names durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Fails if the folder is gone, or is not the one that was locked.
    fn verify(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes at `offset`; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all pieces one after another from `offset` on. On failure any part may have been written.
    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Allocates room up to `size` bytes, durable after [`DiskFile::sync`].
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// A held lock; given up when dropped.
pub trait LockGuard: fmt::Debug + Send + Sync {}

/// Why the lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockFailure {
    /// Another owner has it.
    #[error("held by {0}")]
    Held(String),
    /// The lock file could not be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}
