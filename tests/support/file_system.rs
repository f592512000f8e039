//! Small file systems of a test's own, for what a disk does. Mounting needs root, as the tests have in CI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system, unmounted when it is dropped.
pub struct FileSystem {
    folder: PathBuf,
    /// The file that it lives in; none: in memory.
    image: Option<PathBuf>,
}

impl FileSystem {
    /// An empty one in memory, with room for `size` (as mount(8) reads it).
    pub fn in_memory(folder: &Path, size: &str) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let options = format!("mode=0755,size={size}");
        run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], folder);
        FileSystem {
            folder: folder.to_owned(),
            image: None,
        }
    }

    /// An empty ext4 in a file of `bytes`, which lies beside the folder.
    pub fn in_a_file(folder: &Path, bytes: u64) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let image = folder.with_extension("image");
        let file = fs::File::create(&image).expect("a file");
        file.set_len(bytes).expect("a size");
        run("mkfs.ext4", &["-q"], &image);
        let system = FileSystem {
            folder: folder.to_owned(),
            image: Some(image),
        };
        system.mount_image();
        system
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// From now on nothing in it can be made, renamed or written, not even through files that are open: as if it were
    /// read-only, and it can be undone ([`FileSystem::allow_writes`]) under a running program. Ext4 only.
    pub fn forbid_writes(&self) {
        self.set_flag("+i");
    }

    /// The opposite of [`FileSystem::forbid_writes`].
    pub fn allow_writes(&self) {
        self.set_flag("-i");
    }

    fn set_flag(&self, flag: &str) {
        // Sockets have none.
        let script = format!("find \"$0\" -type d,f -exec chattr {flag} {{}} +");
        run("sh", &["-c", &script], &self.folder);
    }

    /// Makes it read-only as the kernel does when a disk fails, whoever has files open. Ext4 only.
    pub fn fail(&self) {
        run("mount", &["-o", "remount,abort"], &self.folder);
    }

    /// Mounts what is on the disk again, once nobody has files open any more.
    pub fn mount_again(&self) {
        run("umount", &[], &self.folder);
        self.mount_image();
    }

    fn mount_image(&self) {
        let image = self.image.as_deref().expect("it lives in a file");
        let image = image.to_str().expect("a plain name");
        run("mount", &["-o", "loop", image], &self.folder);
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        // Lazily: haflux may still have files open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        let done = unmounted.is_ok_and(|status| status.success());
        assert!(done || std::thread::panicking(), "it can be unmounted");
    }
}

#[track_caller]
fn run(program: &str, arguments: &[&str], path: &Path) {
    let output = Command::new(program).args(arguments).arg(path).output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{program} failed: run the tests as root, or with the right to mount (CAP_SYS_ADMIN): {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
