//! The secrets as they are now: some are given once, some stand in files that change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::Secrets;
use crate::bounded;

/// Most of one file that is read: keys are shorter.
const MAX_FILE: u64 = 64 * 1024;
/// Most files and directories of one mounted volume.
const MAX_FILES: usize = 64;
/// How deep a volume's files may lie: a Secret's `items` can have paths.
const MAX_LEVELS: usize = 8;
/// Most values from files, old ones included: an hourly token makes this many in five days. The
/// oldest beyond are shown again; they have long expired.
const MAX_VALUES: usize = 128;
/// Keys of git Secrets that are no secrets. Masked, they would blot out ordinary text.
const NO_SECRETS: [&str; 2] = ["known_hosts", "username"];

/// Gives the secrets that are to be masked at the moment.
#[derive(Debug)]
pub(crate) struct Current {
    given: Vec<Vec<u8>>,
    dirs: Vec<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The files as they were when they were read.
    seen: Vec<Stamp>,
    values: Vec<Vec<u8>>,
    secrets: Arc<Secrets>,
}

/// Tells that a file or directory was changed or replaced.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// Inode, length, time of the change. Absent if there is nothing.
    version: Option<(u64, u64, i64, i64)>,
}

impl Stamp {
    fn of(path: PathBuf) -> Self {
        let version = fs::metadata(&path).ok();
        let version = version.map(|it| (it.ino(), it.len(), it.mtime(), it.mtime_nsec()));
        Self { path, version }
    }

    fn holds(&self) -> bool {
        Self::of(self.path.clone()) == *self
    }
}

impl Current {
    /// `given`: values; `dirs`: directories of files with one value each, or such files.
    pub(crate) fn new(given: Vec<Vec<u8>>, dirs: &[PathBuf]) -> Self {
        let secrets = Arc::new(Secrets::new(given.iter().map(Vec::as_slice)));
        let state = State {
            seen: Vec::new(),
            values: Vec::new(),
            secrets,
        };
        let current = Self {
            given,
            dirs: dirs.to_vec(),
            state: Mutex::new(state),
        };
        current.secrets();
        current
    }

    /// Looks at the files anew: call it after reading what is to be masked, for a value may be
    /// printed as soon as it is there.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let first = state.seen.is_empty() && !self.dirs.is_empty();
        if first || !state.seen.iter().all(Stamp::holds) {
            self.read(&mut state);
        }
        Arc::clone(&state.secrets)
    }

    fn read(&self, state: &mut State) {
        let known = state.values.len();
        let mut found = Found::default();
        for dir in &self.dirs {
            found.room = MAX_FILES;
            found.add(dir, MAX_LEVELS);
        }
        // Stamps first: what changes while it is read is read again.
        state.seen = found.stamps;
        for path in found.files {
            let Ok((value, _)) = bounded::read(&path, MAX_FILE) else {
                continue;
            };
            if !state.values.contains(&value) && !self.given.contains(&value) {
                state.values.push(value);
            }
        }
        if state.values.len() == known {
            return;
        }
        let old = state.values.len().saturating_sub(MAX_VALUES);
        state.values.drain(..old);
        let all = self.given.iter().chain(&state.values);
        state.secrets = Arc::new(Secrets::new(all.map(Vec::as_slice)));
    }
}

/// What was found where secrets are mounted.
#[derive(Default)]
struct Found {
    files: Vec<PathBuf>,
    /// Of files and directories, as they were before they were looked at.
    stamps: Vec<Stamp>,
    /// How many may still be added.
    room: usize,
}

impl Found {
    /// Adds the file at `path`, or those below it; what the kubelet keeps beside them is not among
    /// them. A key that is mounted by `subPath` is a file where otherwise a directory is.
    fn add(&mut self, path: &Path, levels: usize) {
        if self.room == 0 || levels == 0 {
            return;
        }
        self.room -= 1;
        self.stamps.push(Stamp::of(path.to_owned()));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match fs::read_dir(path) {
            Ok(entries) => {
                let paths = entries.flatten().map(|entry| entry.path());
                for path in paths.filter(|path| !is_of_the_kubelet(path)) {
                    self.add(&path, levels - 1);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                if !NO_SECRETS.contains(&&*name) {
                    self.files.push(path.to_owned());
                }
            }
            Err(_) => {}
        }
    }
}

fn is_of_the_kubelet(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with("..")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn masked(current: &Current, text: &str) -> String {
        current.secrets().mask(text)
    }

    #[test]
    fn files_that_are_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        let current = Current::new(vec![b"given".to_vec()], &[dir.path().to_owned()]);
        assert_eq!(masked(&current, "given first"), "*** first");
        fs::write(&token, "first\n").unwrap();
        fs::write(dir.path().join("username"), "somebody").unwrap();
        assert_eq!(masked(&current, "given first somebody"), "*** *** somebody");
        fs::write(&token, "second one").unwrap();
        assert_eq!(masked(&current, "first, second one"), "***, ***");
        fs::remove_file(&token).unwrap();
        assert_eq!(masked(&current, "first, second one"), "***, ***");
    }

    #[test]
    fn a_volume_of_the_kubelet() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let publish = |version: &str, token: &str| {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("token"), token).unwrap();
            symlink(version, path("..data_tmp")).unwrap();
            fs::rename(path("..data_tmp"), path("..data")).unwrap();
        };
        publish("..1", "token-one");
        symlink("..data/token", path("token")).unwrap();
        let current = Current::new(Vec::new(), &[dir.path().to_owned()]);
        assert_eq!(masked(&current, "token-one token-two"), "*** token-two");
        publish("..2", "token-two");
        assert_eq!(masked(&current, "token-one token-two"), "*** ***");
    }

    /// As `subPath` and the paths of `items` lay them out.
    #[test]
    fn single_files_and_paths_of_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path(".npmrc"), "token-of-npm").unwrap();
        fs::create_dir_all(path("volume/..1/a/b")).unwrap();
        fs::write(path("volume/..1/a/b/token"), "token-deep").unwrap();
        symlink("..1", path("volume/..data")).unwrap();
        symlink("..data/a", path("volume/a")).unwrap();
        let current = Current::new(Vec::new(), &[path(".npmrc"), path("volume")]);
        assert_eq!(masked(&current, "token-of-npm token-deep"), "*** ***");
        fs::write(path("volume/..1/a/b/other"), "token-late").unwrap();
        assert_eq!(masked(&current, "token-late"), "***");
    }

    /// A directory that leads back to itself, and more files than are read.
    #[test]
    fn odd_volumes_come_to_an_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink(".", dir.path().join("round")).unwrap();
        for n in 0..MAX_FILES * 2 {
            fs::write(dir.path().join(n.to_string()), format!("token-{n}")).unwrap();
        }
        let current = Current::new(Vec::new(), &[dir.path().to_owned()]);
        let state = current.state.lock().unwrap();
        assert!(state.values.len() <= MAX_FILES);
    }

    #[test]
    fn old_values_are_forgotten_at_last() {
        let dir = tempfile::tempdir().unwrap();
        let current = Current::new(Vec::new(), &[dir.path().to_owned(), "/nowhere".into()]);
        for n in 0..=MAX_VALUES {
            fs::write(dir.path().join("token"), "x".repeat(n) + "-token").unwrap();
            current.secrets();
        }
        let state = current.state.lock().unwrap();
        assert_eq!(state.values.len(), MAX_VALUES);
    }
}
