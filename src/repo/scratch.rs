//! Directories that only this user can read, and that go with their owner, even if that is killed.
//!
//! A lock on a file inside tells whether the owner lives. What a killed process left is deleted when
//! the next one makes its first.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Once;

use uuid::Uuid;

/// Begins the names of such directories.
const PREFIX: &str = "axon-store-";
/// The file whose lock says that the owner lives.
const LOCK: &str = "lock";
/// Permissions.
const DIR_OWNER_ONLY: u32 = 0o700;
const FILE_OWNER_ONLY: u32 = 0o600;

/// Deletes what is left of the dead, once in a process.
static SWEEP: Once = Once::new();

/// A directory of one's own in the directory for temporary files.
#[derive(Debug)]
pub(super) struct Scratch {
    dir: PathBuf,
    /// Held as long as this lives.
    _lock: File,
}

impl Scratch {
    pub(super) fn new() -> io::Result<Self> {
        let temp = std::env::temp_dir();
        SWEEP.call_once(|| sweep(&temp));
        // Another process may sweep before the lock is held; then this one is gone.
        let made = Self::create_in(&temp);
        made.or_else(|_| Self::create_in(&temp))
    }

    fn create_in(temp: &Path) -> io::Result<Self> {
        let dir = temp.join(format!("{PREFIX}{}", Uuid::new_v4()));
        DirBuilder::new().mode(DIR_OWNER_ONLY).create(&dir)?;
        let lock = create_file(&dir.join(LOCK))?;
        lock.try_lock().map_err(io::Error::from)?;
        let made = Self { dir, _lock: lock };
        if made.is_there() {
            return Ok(made);
        }
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether nobody has deleted it meanwhile.
    pub(super) fn is_there(&self) -> bool {
        self.dir.join(LOCK).exists()
    }

    /// Writes a file that only this user can read.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.dir.join(name);
        create_file(&path)?.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be deleted now is swept by the next process.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_OWNER_ONLY)
        .open(path)
}

/// Deletes the directories of owners that are provably dead: their lock can be had.
fn sweep(temp: &Path) {
    let Ok(entries) = fs::read_dir(temp) else {
        return;
    };
    let named = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| name.starts_with(PREFIX))
    };
    for entry in entries.flatten().filter(named) {
        let own =
            |meta: fs::Metadata| meta.is_dir() && meta.uid() == nix::unistd::getuid().as_raw();
        // A symbolic link is no directory here.
        if entry.metadata().is_ok_and(own)
            && let Some(_held) = lock_of_the_dead(&entry.path())
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The lock of a directory whose owner is dead. It is to be held until the directory is gone: an owner
/// that is just making it then sees that it has to make another.
fn lock_of_the_dead(dir: &Path) -> Option<File> {
    let lock = File::open(dir.join(LOCK)).ok()?;
    lock.try_lock().ok()?;
    Some(lock)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_the_dead_are_swept() {
        let temp = tempfile::tempdir().unwrap();
        let temp = temp.path();
        let living = Scratch::create_in(temp).unwrap();
        let dead = temp.join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("key"), "secret").unwrap();
        let unknown = temp.join(format!("{PREFIX}unknown"));
        fs::create_dir(&unknown).unwrap();
        let other = temp.join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join(LOCK), "").unwrap();
        symlink(&other, temp.join(format!("{PREFIX}link"))).unwrap();

        sweep(temp);

        assert!(living.is_there());
        assert!(!dead.exists());
        assert!(unknown.exists(), "nothing proves that its owner is dead");
        assert!(other.join(LOCK).exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists(), "it goes with its owner");
    }

    #[test]
    fn whoever_begins_is_not_swept_away_unnoticed() {
        let temp = tempfile::tempdir().unwrap();
        let temp = temp.path();
        std::thread::scope(|scope| {
            let sweeping = scope.spawn(|| {
                for _ in 0..2000 {
                    sweep(temp);
                }
            });
            while !sweeping.is_finished() {
                if let Ok(made) = Scratch::create_in(temp) {
                    made.write("key", "secret").unwrap();
                }
            }
        });
    }

    #[test]
    fn nobody_else_can_read_it() {
        let temp = tempfile::tempdir().unwrap();
        let scratch = Scratch::create_in(temp.path()).unwrap();
        let file = scratch.write("key", "secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(scratch.path()), 0o700);
        assert_eq!(mode(&file), 0o600);
        assert!(scratch.write("key", "again").is_err(), "never overwritten");
    }
}
