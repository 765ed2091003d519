//! The secrets as they are now: some are given once, some stand in files that change.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::mem;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::Secrets;
use crate::bounded;
use crate::options::complain;

/// Most of one file that is read: what a whole Secret holds.
const MAX_FILE: u64 = 1024 * 1024;
/// Most files and directories of one mounted volume: each is looked at whenever something was printed.
const MAX_FILES: usize = 1024;
/// How deep a volume's files may lie: a Secret's `items` can have paths.
const MAX_LEVELS: usize = 16;
/// Most values that are in no file any more: an hourly token leaves this many in five days. The
/// oldest beyond are shown again; they have long expired.
const MAX_OLD: usize = 128;

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
    values: BTreeSet<Vec<u8>>,
    /// What stood in them before, the oldest first.
    old: VecDeque<Vec<u8>>,
    secrets: Arc<Secrets>,
    /// What was said of values that are not masked.
    told: BTreeSet<String>,
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
            values: BTreeSet::new(),
            old: VecDeque::new(),
            secrets,
            told: BTreeSet::new(),
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
        let mut found = Found::default();
        for dir in &self.dirs {
            found.room = MAX_FILES;
            found.add(dir, MAX_LEVELS);
        }
        // Stamps first: what changes while it is read is read again.
        state.seen = found.stamps;
        let mut values = BTreeSet::new();
        for path in found.files {
            if let Ok((value, more)) = bounded::read(&path, MAX_FILE) {
                values.insert(value);
                if more {
                    found.left_out.insert(path);
                }
            }
        }
        state.tell(&found.left_out);
        if values == state.values {
            return;
        }
        state.replace(values);
        let all = self.given.iter().chain(&state.values).chain(&state.old);
        state.secrets = Arc::new(Secrets::new(all.map(Vec::as_slice)));
    }
}

impl State {
    /// Takes the values that the files have now; those that they had before are old.
    fn replace(&mut self, values: BTreeSet<Vec<u8>>) {
        let before = mem::replace(&mut self.values, values);
        self.old.retain(|value| !self.values.contains(value));
        self.old.extend(before.difference(&self.values).cloned());
        let many = self.old.len().saturating_sub(MAX_OLD);
        self.old.drain(..many);
    }

    /// Says once of each place that not all of it is masked.
    fn tell(&mut self, left_out: &BTreeSet<PathBuf>) {
        for path in left_out {
            let text = format!(
                "not all of \"{}\" is masked: more than {MAX_FILES} files, {MAX_LEVELS} levels or {MAX_FILE} bytes",
                path.display()
            );
            if self.told.insert(text.clone()) {
                complain(&text);
            }
        }
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
    /// Files, and directories with something in them, that are not looked at.
    left_out: BTreeSet<PathBuf>,
}

impl Found {
    /// Adds the file at `path`, or those below it; what the kubelet keeps beside them is not among
    /// them. A key that is mounted by `subPath` is a file where otherwise a directory is. Whether
    /// there was room for all.
    fn add(&mut self, path: &Path, levels: usize) -> bool {
        if self.room == 0 || levels == 0 {
            return false;
        }
        self.room -= 1;
        self.stamps.push(Stamp::of(path.to_owned()));
        match fs::read_dir(path) {
            Ok(entries) => {
                let paths = entries.flatten().map(|entry| entry.path());
                for path in paths.filter(|path| !is_of_the_kubelet(path)) {
                    if !self.add(&path, levels - 1) {
                        self.left_out.extend(path.parent().map(Path::to_owned));
                        break;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                self.files.push(path.to_owned());
            }
            Err(_) => {}
        }
        true
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
        assert_eq!(masked(&current, "given first somebody"), "*** *** ***");
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

    /// As a Secret with the settings of many programs, and one of git's before it.
    #[test]
    fn many_values_are_all_masked() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("token"), "token-of-git").unwrap();
        let mut printed = "token-of-git".to_owned();
        for volume in ["one", "two"] {
            fs::create_dir(path(volume)).unwrap();
            for n in 0..200 {
                let value = format!("token-{volume}-{n}-");
                fs::write(path(volume).join(n.to_string()), &value).unwrap();
                printed += &value;
            }
        }
        // A value's last bytes, too.
        fs::write(path("two/long"), "x\n".repeat(100_000) + "token-of-the-end").unwrap();
        let dirs = ["token", "one", "two"].map(path);
        let current = Current::new(Vec::new(), &dirs);
        assert!(!masked(&current, &printed).contains("token"));
        assert_eq!(masked(&current, "token-of-the-end"), "***");
        assert!(current.state.lock().unwrap().told.is_empty());
    }

    /// A directory that leads back to itself, and more files than are read.
    #[test]
    fn odd_volumes_come_to_an_end_and_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("round")).unwrap();
        symlink(".", path("round/again")).unwrap();
        fs::create_dir(path("many")).unwrap();
        for n in 0..=MAX_FILES {
            fs::write(path("many").join(n.to_string()), format!("token-{n}")).unwrap();
        }
        fs::write(path("long"), "x".repeat(1024 * 1024 + 1)).unwrap();
        let current = Current::new(Vec::new(), &["round", "many", "long"].map(path));
        let state = current.state.lock().unwrap();
        assert_eq!(state.values.len(), MAX_FILES);
        let told: Vec<&str> = state.told.iter().map(String::as_str).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told.iter().any(|it| it.contains("/many\" is masked")),
            "{told:?}"
        );
    }

    #[test]
    fn old_values_are_forgotten_at_last() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("stays"), "value-that-stays").unwrap();
        let current = Current::new(Vec::new(), &[dir.path().to_owned(), "/nowhere".into()]);
        for n in 0..MAX_OLD + 2 {
            fs::write(dir.path().join("token"), "x".repeat(n) + "-token").unwrap();
            current.secrets();
        }
        let state = current.state.lock().unwrap();
        assert_eq!((state.values.len(), state.old.len()), (2, MAX_OLD));
        assert_eq!(state.secrets.mask("value-that-stays"), "***");
    }
}
