//! How long a journal takes to open after its process was cut off, by how much it holds.
//!
//! `recovery GIB [FOLDER]` fills a journal with records of 100 lines each in a folder below FOLDER (else below `target/`), leaves
//! it as a killed process does, drops its pages from the page cache, and opens it: cold, and once more warm. The folder is
//! removed at the end.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use bytes::Bytes;
use haflux::journal::{
    AppendError, Cursor, DirectoryDisk, Disk, DiskFile, Journal, Kind, LockFailure, LockGuard,
    Options, Recovery, Sequence, Sync,
};
use rustix::fs::{Advice, fadvise};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const LINES: usize = 100;

fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let (Some(gib), folder) = (arguments.next(), arguments.next()) else {
        return Err("usage: recovery GIB [FOLDER]".into());
    };
    let wanted = gib.parse::<u64>()? << 30;
    let place = tempfile::tempdir_in(folder.as_deref().unwrap_or("target"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let begun = Instant::now();
    runtime.block_on(fill(place.path(), wanted))?;
    println!("{gib} GiB written in {:.1?}", begun.elapsed());
    wait_for_the_end(place.path())?;
    forget_pages(place.path())?;
    for cache in ["cold", "warm"] {
        let (recovery, reads) = measure(place.path())?;
        println!(
            "{cache}: {recovery}; {} bytes in {} reads, gaps {}",
            reads.bytes.load(Ordering::Relaxed),
            reads.calls.load(Ordering::Relaxed),
            recovery.gaps.len(),
        );
    }
    Ok(())
}

/// Fills a journal, and leaves it without closing it.
async fn fill(folder: &Path, wanted: u64) -> Result {
    let options = Options {
        sync: Sync::Never,
        ..Options::default()
    };
    let (journal, _) = Journal::open(Arc::new(DirectoryDisk::new(folder)?), options)?;
    // What no replica has applied yet: all is kept.
    journal.set_cursor(Cursor {
        name: "replica".into(),
        sequence: Sequence::ZERO,
        offset: 0,
        metadata: Bytes::new(),
    })?;
    journal.sync_cursors().await?;
    let mut number = 0;
    while journal.durable().offset < wanted {
        match journal.append(Kind(1), vec![body(number)]) {
            Ok(_) => number += 1,
            Err(AppendError::QueueFull) => {
                journal.flush().await?;
                // Room may come later than that.
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(journal.flush().await?)
}

fn body(number: u64) -> Bytes {
    let lines = (0..LINES).map(|line| {
        format!(
            "cpu,host=server{line},cpu=cpu-total usage_user={}.5,usage_system=3.25 {}\n",
            number % 100,
            1_700_000_000_000_000_000 + number * 10_000_000_000
        )
    });
    Bytes::from(lines.collect::<String>())
}

/// Returns once nobody holds the journal any more.
fn wait_for_the_end(folder: &Path) -> Result {
    loop {
        match DirectoryDisk::new(folder)?.lock() {
            Ok(_) => return Ok(()),
            Err(LockFailure::Held(_)) => thread::sleep(Duration::from_millis(10)),
            Err(LockFailure::Io(error)) => return Err(error.into()),
        }
    }
}

/// Takes the files out of the page cache, so that the disk itself is read.
fn forget_pages(folder: &Path) -> Result {
    for entry in fs::read_dir(folder)? {
        let file = fs::File::open(entry?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Opens the journal.
fn measure(folder: &Path) -> Result<(Recovery, Arc<Reads>)> {
    wait_for_the_end(folder)?;
    let reads = Arc::new(Reads::default());
    let disk = CountingDisk {
        disk: DirectoryDisk::new(folder)?,
        reads: Arc::clone(&reads),
    };
    let (_, recovery) = Journal::open(Arc::new(disk), Options::default())?;
    Ok((recovery, reads))
}

#[derive(Debug, Default)]
struct Reads {
    calls: AtomicU64,
    bytes: AtomicU64,
}

/// A folder that counts what is read of it.
#[derive(Debug)]
struct CountingDisk {
    disk: DirectoryDisk,
    reads: Arc<Reads>,
}

#[derive(Debug)]
struct CountingFile {
    file: Arc<dyn DiskFile>,
    reads: Arc<Reads>,
}

impl CountingDisk {
    fn count(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let reads = Arc::clone(&self.reads);
        Arc::new(CountingFile { file, reads })
    }
}

impl Disk for CountingDisk {
    fn lock(&self) -> std::result::Result<Box<dyn LockGuard>, LockFailure> {
        self.disk.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.count(self.disk.create(name, size)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.count(self.disk.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn verify(&self) -> io::Result<()> {
        self.disk.verify()
    }
}

impl DiskFile for CountingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.file.read_at(buffer, offset)?;
        self.reads.calls.fetch_add(1, Ordering::Relaxed);
        self.reads.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.file.write_at(pieces, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.file.allocate(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}
