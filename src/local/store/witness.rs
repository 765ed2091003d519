//! The lock of a store's directory, which also says how far the store had come.
//!
//! SQLite takes a log that was cut, or a file that is gone, for an older or an empty store. The
//! newest revision stands here too, written after each commit: a store that ends before it has lost
//! something. It is not synced: after a loss of power it may be behind the store, never ahead.

use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;

use super::Error;

/// How many bytes the revision has: all digits of a `u64`, and a line's end.
const LENGTH: usize = 21;

/// The locked file. The lock ends with it.
pub(crate) struct Witness(File);

impl Witness {
    /// Locks `dir`.
    pub(super) fn lock(dir: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Directory {
            path: dir.to_path_buf(),
            source,
        };
        let mut options = File::options();
        // What it says must outlive the opening.
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path(dir)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::InUse {
                path: dir.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The newest revision that was acknowledged; 0 if nothing was. None: it cannot be read.
    pub(super) fn newest(&self) -> io::Result<Option<u64>> {
        // One byte more than there may be.
        let mut text = [0; LENGTH + 1];
        let length = self.0.read_at(&mut text, 0)?;
        if length == 0 {
            return Ok(Some(0));
        }
        let text = std::str::from_utf8(&text[..length]).ok();
        let digits = text.and_then(|it| it.strip_suffix('\n'));
        let digits = digits.filter(|it| length == LENGTH && it.bytes().all(|b| b.is_ascii_digit()));
        Ok(digits.and_then(|it| it.parse().ok()))
    }

    /// Notes that `revision` is safe on disk.
    pub(super) fn note(&self, revision: u64) -> io::Result<()> {
        self.0
            .write_all_at(format!("{revision:020}\n").as_bytes(), 0)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // A process that is being started at this moment holds the file too, until it has begun.
        self.0.unlock().ok();
    }
}

/// Where the file of `dir` lies.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("lock")
}
