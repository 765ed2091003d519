//! The secrets as they are now: some are given once, some stand in files that change.

use std::fs;
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
/// Most files of one directory.
const MAX_FILES: usize = 64;
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
    /// `given`: values; `dirs`: directories of files with one value each.
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
        // Stamps first: what changes while it is read is read again.
        state.seen = self.dirs.iter().cloned().map(Stamp::of).collect();
        let known = state.values.len();
        for path in self.dirs.iter().flat_map(|dir| files(dir)) {
            state.seen.push(Stamp::of(path.clone()));
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

/// The files of a directory that hold secrets; what the kubelet keeps beside them is not among them.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let secret = names.filter(|name| {
        let name = name.to_string_lossy();
        !name.starts_with("..") && !NO_SECRETS.contains(&&*name)
    });
    secret.take(MAX_FILES).map(|name| dir.join(name)).collect()
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
