//! What a configuration was applied as last, kept in a file beside the cluster that belongs to it alone:
//! so a directory that becomes a clone, or whose `sync:` is renamed, goes on with its own objects.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::model::Home;
use crate::model::Plan;
use crate::model::RepoPath;
use crate::model::SyncId;
use crate::model::snapshot::Source;
use crate::sync::Options;

/// A file that holds what was applied last.
#[derive(Debug)]
pub struct Lineage(PathBuf);

impl Lineage {
    pub fn new(file: PathBuf) -> Self {
        Self(file)
    }

    /// `options`, with what was applied last taken for the same configuration. A file that is not
    /// there, or says nothing, changes nothing.
    pub(super) fn extend(&self, options: &Options) -> Options {
        let mut options = options.clone();
        if let Some((sync, home)) = self.last() {
            options.take_over = Some(sync);
            options.moved_from = Some(home);
        }
        options
    }

    /// Keeps what `plan`, which is in force now, was made of.
    pub(super) fn keep(&self, plan: &Plan) -> io::Result<()> {
        if self
            .last()
            .is_some_and(|it| it == (plan.sync.clone(), plan.home.clone()))
        {
            return Ok(());
        }
        let kept = json!({
            "sync": plan.sync.as_str(),
            "source": plan.home.source(),
            "path": plan.home.path(),
        });
        let draft = self.0.with_extension("new");
        fs::write(&draft, kept.to_string()).and_then(|()| fs::rename(&draft, &self.0))
    }

    fn last(&self) -> Option<(SyncId, Home)> {
        let text = fs::read_to_string(&self.0).ok()?;
        let kept: Value = serde_json::from_str(&text).ok()?;
        let field = |name: &str| kept.get(name)?.as_str();
        let source = Source {
            canonical: field("source")?.to_owned(),
            url: None,
        };
        let path = RepoPath::parse(field("path")?).ok()?;
        let sync = SyncId::parse(field("sync")?).ok()?;
        Some((sync, Home::new(&source, &path)))
    }
}
