//! Tells when the files of a configuration in a directory have changed.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::model::RepoPath;
use crate::model::Snapshot;
use crate::sync::load;

/// An editor writes a file in several steps; they count as one change when no pause is longer.
const QUIET: Duration = Duration::from_millis(150);
/// Someone who never pauses is not waited for any longer.
const LONGEST: Duration = Duration::from_secs(2);

/// Watches the folders that hold the files of a configuration, and no other: a repository may hold
/// more folders than the kernel has watches for.
pub(super) struct Folders {
    top: PathBuf,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    changes: mpsc::Receiver<()>,
}

impl Folders {
    /// Begins with the folder of the root file, whose path below `top` is `root`.
    pub(super) fn new(top: &Path, root: &RepoPath) -> Result<Self, notify::Error> {
        // One pending change is as good as many.
        let (sender, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_read = event.is_ok_and(|event| event.kind.is_access());
            if !is_read {
                sender.try_send(()).ok();
            }
        })?;
        let mut folders = Self {
            top: top.to_path_buf(),
            watcher,
            watched: BTreeSet::new(),
            changes,
        };
        folders.add(PathBuf::from(root.folder()))?;
        Ok(folders)
    }

    /// Watches the folders of this snapshot too, those that its patterns name among them.
    pub(super) fn follow(&mut self, snapshot: &Snapshot) {
        let files = snapshot
            .files
            .iter()
            .map(|file| PathBuf::from(file.path.folder()));
        let patterns = snapshot.files.first().into_iter().flat_map(|root| {
            let folder = Path::new(root.path.folder());
            let patterns = load::includes(&root.bytes).into_iter();
            patterns.map(|it| folder.join(literal_folder(&it)))
        });
        let wanted: BTreeSet<PathBuf> = files.chain(patterns).collect();
        for folder in wanted.difference(&self.watched.clone()) {
            // A folder that is not there yet appears in one that is watched.
            if let Err(error) = self.add(folder.clone()) {
                tracing::debug!(folder = %folder.display(), %error, "cannot watch");
            }
        }
    }

    /// Waits until something has changed and is quiet again.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            // The watcher lives as long as this value; without it nothing will ever change.
            std::future::pending::<()>().await;
        }
        let latest = Instant::now() + LONGEST;
        while timeout_at(latest.min(Instant::now() + QUIET), self.changes.recv())
            .await
            .is_ok()
        {}
    }

    fn add(&mut self, folder: PathBuf) -> Result<(), notify::Error> {
        self.watcher
            .watch(&self.top.join(&folder), RecursiveMode::NonRecursive)?;
        self.watched.insert(folder);
        Ok(())
    }
}

/// The folder of a path or pattern, as far as it has no wildcard.
fn literal_folder(path: &str) -> PathBuf {
    let parts: Vec<&str> = path.split('/').collect();
    parts[..parts.len() - 1]
        .iter()
        .take_while(|part| !part.contains(['*', '?', '[', '{']))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_patterns() {
        let check = |path: &str, folder: &str| {
            assert_eq!(literal_folder(path), Path::new(folder), "{path}");
        };
        check("axon.yaml", "");
        check("agents/a.yaml", "agents");
        check("agents/*.yaml", "agents");
        check("a/*/b/c.yaml", "a");
        check("**/x.yaml", "");
    }
}
