//! The journal's disk in production: a folder.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::disk::{Disk, DiskFile, LockFailure, LockGuard};
use crate::durable_file::{lacks_room, sync_folder};

pub(super) const LOCK: &str = "lock";
/// Another number with each start of the kernel.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// The lines by which an owner says whether it acknowledges before it has synced.
const SYNCED_BEFORE: &str = "synced before it is acknowledged";
const SYNCED_LATER: &str = "synced later";
/// The most pieces that Linux takes in one write (`IOV_MAX`).
const MAX_PIECES: usize = 1024;

/// A folder, readable by its owner only.
#[derive(Debug)]
pub struct DirectoryDisk {
    path: PathBuf,
    /// Device and inode of the lock file while it is held.
    locked: Arc<Mutex<Option<(u64, u64)>>>,
    /// This owner acknowledges what is not synced.
    acknowledges_before_sync: bool,
    /// The owner before did, and the system may have gone down since it took the lock.
    may_lack_records: AtomicBool,
}

impl DirectoryDisk {
    /// Uses the folder at `path`, which is made (mode 0700, with its parents) if it does not exist.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|folder| is_missing(folder))
            .collect();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        for folder in missing.iter().rev() {
            sync_folder(folder.parent().unwrap_or(Path::new("")))?;
        }
        Ok(Self {
            path,
            locked: Arc::default(),
            acknowledges_before_sync: false,
            may_lack_records: AtomicBool::new(false),
        })
    }

    /// For an owner that acknowledges records before they are synced: the next one will know.
    pub fn acknowledges_before_sync(mut self, acknowledges_before_sync: bool) -> Self {
        self.acknowledges_before_sync = acknowledges_before_sync;
        self
    }

    /// Whether power that failed, or a kernel that crashed, may have taken records that the owner before acknowledged: it did so
    /// before they were synced, and it is not known that the system has run all the time since. An owner that did not say is
    /// taken for one like this. Asked by who holds the lock.
    pub fn may_lack_records(&self) -> bool {
        self.may_lack_records.load(Ordering::Relaxed)
    }

    /// Bytes that are free on the file system of the folder, for a program without special rights.
    ///
    /// # Errors
    /// The folder is gone, or its file system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let system = rustix::fs::statvfs(&self.path)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        options
    }
}

/// Opens a file that nothing is to be written to.
pub(super) fn open_to_read(path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    Ok(Arc::new(FolderFile(File::open(path)?)))
}

/// The line by which one run of the system is told from another; empty where the system does not say.
fn boot() -> String {
    fs::read_to_string(BOOT).map_or_else(|_| String::new(), |id| format!("boot {}", id.trim()))
}

fn is_missing(folder: &Path) -> bool {
    folder != Path::new("")
        && matches!(fs::metadata(folder), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

impl Disk for DirectoryDisk {
    fn lock(&self) -> Result<Box<dyn LockGuard>, LockFailure> {
        let path = self.path.join(LOCK);
        let file = Self::options().create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                let holder = holder.lines().next().unwrap_or_default();
                return Err(LockFailure::Held(if holder.is_empty() {
                    "another process".into()
                } else {
                    holder.into()
                }));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let boot = boot();
        let before = fs::read_to_string(&path).unwrap_or_default();
        let mut before = before.lines().skip(1);
        let ran_through = before.next() == Some(boot.as_str()) && !boot.is_empty();
        let acknowledged_before_sync = match before.next() {
            Some(SYNCED_BEFORE) => false,
            Some(SYNCED_LATER) => true,
            Some(_) | None => self.acknowledges_before_sync,
        };
        self.may_lack_records
            .store(acknowledged_before_sync && !ran_through, Ordering::Relaxed);
        let care = if self.acknowledges_before_sync {
            SYNCED_LATER
        } else {
            SYNCED_BEFORE
        };
        let process = std::process::id();
        let note = format!("process {process}, since unix time {now}\n{boot}\n{care}\n");
        // Over what stands there, so that a full disk has the room.
        match file.write_all_at(note.as_bytes(), 0) {
            Ok(()) => file.set_len(note.len() as u64)?,
            // Where nothing stands yet, it has none: then this owner has not said how it acknowledges.
            Err(error) if lacks_room(&error) => file.set_len(0)?,
            Err(error) => return Err(error.into()),
        }
        if self.acknowledges_before_sync || acknowledged_before_sync {
            // For whoever comes after the power has failed.
            file.sync_all()?;
        }
        let metadata = file.metadata()?;
        *self.locked.lock() = Some((metadata.dev(), metadata.ino()));
        Ok(Box::new(FolderLock {
            _file: file,
            locked: Arc::clone(&self.locked),
        }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = FolderFile(Self::options().create_new(true).open(&path)?);
        match file.allocate(size).and_then(|()| file.0.sync_all()) {
            Ok(()) => Ok(Arc::new(file)),
            Err(error) => {
                drop(fs::remove_file(&path));
                Err(error)
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FolderFile(
            Self::options().open(self.path.join(name))?,
        )))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync_folder(&self.path)
    }

    fn verify(&self) -> io::Result<()> {
        let metadata = fs::metadata(self.path.join(LOCK))?;
        let here = Some((metadata.dev(), metadata.ino()));
        if here == *self.locked.lock() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "another folder stands in the place of the one that was locked",
        ))
    }
}

/// Holds the lock by holding the file.
#[derive(Debug)]
struct FolderLock {
    _file: File,
    locked: Arc<Mutex<Option<(u64, u64)>>>,
}

impl LockGuard for FolderLock {}

impl Drop for FolderLock {
    fn drop(&mut self) {
        *self.locked.lock() = None;
    }
}

#[derive(Debug)]
struct FolderFile(File);

impl DiskFile for FolderFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, mut pieces: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            let some = pieces
                .get(..pieces.len().min(MAX_PIECES))
                .unwrap_or_default();
            match rustix::io::pwritev(&self.0, some, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    IoSlice::advance_slices(&mut pieces, count);
                    offset += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        if size == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&self.0, size),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Allocates by writing zeros behind the end, where the file system knows no other way.
fn fill(file: &File, size: u64) -> io::Result<()> {
    let zeros = [0; 1 << 16];
    let mut at = file.metadata()?.len();
    while at < size {
        let length = zeros
            .len()
            .min(usize::try_from(size - at).unwrap_or(zeros.len()));
        file.write_all_at(zeros.get(..length).unwrap_or_default(), at)?;
        at += length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_and_its_files_are_for_the_owner_only() -> Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let path = place.path().join("a/b");
        let disk = DirectoryDisk::new(&path)?;
        let file = disk.create("file", 100_000)?;
        assert_eq!(file.size()?, 100_000);
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o700);
        assert_eq!(
            fs::metadata(path.join("file"))?.permissions().mode() & 0o777,
            0o600
        );
        assert!(disk.create("file", 1).is_err());
        Ok(())
    }

    #[test]
    fn many_pieces_are_written_one_after_another() -> Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let file = DirectoryDisk::new(place.path())?.create("file", 0)?;
        let numbers: Vec<[u8; 4]> = (0..3000_u32).map(u32::to_le_bytes).collect();
        let mut pieces: Vec<IoSlice<'_>> =
            numbers.iter().map(|number| IoSlice::new(number)).collect();
        file.write_at(&mut pieces, 8)?;
        let mut back = vec![0; 12_000];
        super::super::scan::read(&*file, &mut back, 8)?;
        assert_eq!(back, numbers.concat());
        Ok(())
    }

    #[test]
    fn a_file_is_filled_where_it_cannot_be_allocated() -> Result<(), Box<dyn std::error::Error>> {
        let file = tempfile::tempfile()?;
        file.write_all_at(b"kept", 0)?;
        fill(&file, 200_000)?;
        assert_eq!(file.metadata()?.len(), 200_000);
        let mut start = [0; 5];
        file.read_exact_at(&mut start, 0)?;
        assert_eq!(&start, b"kept\0");
        Ok(())
    }

    #[test]
    fn the_second_owner_hears_who_the_first_is() -> Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let (first, second) = (
            DirectoryDisk::new(place.path())?,
            DirectoryDisk::new(place.path())?,
        );
        let guard = first.lock()?;
        first.verify()?;
        match second.lock() {
            Err(LockFailure::Held(holder)) => {
                assert!(holder.contains(&std::process::id().to_string()), "{holder}")
            }
            other => panic!("{other:?}"),
        }
        drop(guard);
        drop(second.lock()?);
        Ok(())
    }

    #[test]
    fn power_takes_records_from_an_owner_that_acknowledged_before_sync_unless_the_system_ran_all_the_time()
    -> Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let lock = place.path().join(LOCK);
        let owner = |acknowledges_before_sync| -> Result<bool, Box<dyn std::error::Error>> {
            let disk = DirectoryDisk::new(place.path())?
                .acknowledges_before_sync(acknowledges_before_sync);
            let _guard = disk.lock()?;
            Ok(disk.may_lack_records())
        };
        let boot_anew = || -> io::Result<()> {
            let note = fs::read_to_string(&lock)?;
            fs::write(&lock, note.replace("boot ", "boot 0"))
        };
        let (syncs_first, syncs_later) = (false, true);
        assert!(
            owner(syncs_later)?,
            "nothing is known of the time before the first owner"
        );
        assert!(!owner(syncs_later)?);
        boot_anew()?;
        assert!(owner(syncs_later)?);
        boot_anew()?;
        assert!(owner(syncs_first)?, "it counts how the one before was");
        boot_anew()?;
        assert!(!owner(syncs_later)?);
        assert!(!owner(syncs_first)?);
        fs::write(&lock, "")?;
        assert!(owner(syncs_later)?, "nothing is known");
        fs::write(&lock, "")?;
        assert!(
            !owner(syncs_first)?,
            "an owner that syncs first does not sync its note"
        );
        Ok(())
    }

    #[test]
    fn a_folder_that_went_away_or_was_replaced_is_noticed() -> Result<(), Box<dyn std::error::Error>>
    {
        let place = tempfile::tempdir()?;
        let (here, away) = (place.path().join("here"), place.path().join("away"));
        let disk = DirectoryDisk::new(&here)?;
        let _guard = disk.lock()?;
        fs::rename(&here, &away)?;
        assert!(disk.verify().is_err());
        let _other = DirectoryDisk::new(&here)?.lock()?;
        assert!(disk.verify().is_err());
        fs::remove_dir_all(&here)?;
        fs::rename(&away, &here)?;
        Ok(disk.verify()?)
    }
}
