//! Loads configurations off the runtime: a large or hostile one takes as long as its bounds allow, and
//! nobody else waits for it.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::task;

use crate::model::Diagnostic;
use crate::model::Snapshot;
use crate::sync::load;
use crate::sync::load::Loaded;

/// Loads `snapshot`; nothing where the runtime ends.
pub(super) async fn load(snapshot: &Arc<Snapshot>) -> Option<Result<Loaded, Vec<Diagnostic>>> {
    let snapshot = Arc::clone(snapshot);
    match task::spawn_blocking(move || load::load(&snapshot)).await {
        Ok(loaded) => Some(loaded),
        Err(ended) => ended
            .try_into_panic()
            .map_or(None, |panic| resume_unwind(panic)),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use futures::poll;

    use super::*;
    use crate::model::RepoPath;
    use crate::model::Revision;
    use crate::model::snapshot::InputFile;
    use crate::model::snapshot::Source;

    #[tokio::test]
    async fn others_go_on_meanwhile() {
        let mut text = "apiVersion: axon.io/v1alpha1\nkind: Config\nworkspaces:\n".to_owned();
        for number in 0..2_000 {
            let _ = writeln!(text, "  w{number}: {{repo: \"https://example.com/r.git\"}}");
        }
        let root = RepoPath::parse("axon.yaml").unwrap();
        let snapshot = Arc::new(Snapshot {
            source: Source {
                canonical: "example.com/app".into(),
                url: None,
            },
            revision: Revision::Commit("0".repeat(40)),
            root: root.clone(),
            files: vec![InputFile {
                path: root,
                bytes: text.into_bytes(),
            }],
            unmatched: Vec::new(),
        });
        let mut loading = Box::pin(load(&snapshot));
        assert!(poll!(&mut loading).is_pending(), "the thread waits for it");
        let loaded = loading.await.unwrap().unwrap();
        assert_eq!(loaded.set.objects.len(), 2_000);
    }
}
