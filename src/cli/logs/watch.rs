//! A Task as it is now, and each change of it.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use kube::runtime::watcher::watch_object;
use tokio::time::Instant;

use crate::cli::commands::plan::with_hint;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::reader::broken;
use crate::cli::ui::Failure;
use crate::model::ObjectName;

/// How long a watch may go on failing before nobody waits for it any longer: longer than an API server takes to be
/// started anew.
const PATIENCE: Duration = Duration::from_mins(2);

type Changes = Pin<Box<dyn Stream<Item = Result<Option<DynamicObject>, watcher::Error>> + Send>>;

/// A Task that is watched. A watch that breaks is taken up again.
pub(in crate::cli) struct Watched {
    pub(in crate::cli) task: Item,
    pub(in crate::cli) is_gone: bool,
    name: ObjectName,
    changes: Changes,
    /// Since when nothing but errors has come.
    broken_since: Option<Instant>,
}

impl Watched {
    /// Watches on from `task`, as it was read.
    pub(in crate::cli) fn new(reader: &Reader, name: &ObjectName, task: Item) -> Self {
        let changes = watch_object(reader.api(Kind::Task), name.as_str()).default_backoff();
        Self {
            task,
            is_gone: false,
            name: name.clone(),
            changes: changes.boxed(),
            broken_since: None,
        }
    }

    /// Returns when the Task has changed, or has gone. May be dropped and called again.
    pub(in crate::cli) async fn changed(&mut self) -> Result<(), Failure> {
        if self.is_gone {
            // Another one of that name is another Task.
            return std::future::pending().await;
        }
        loop {
            let change = self.changes.next().await;
            if matches!(change, Some(Ok(_))) {
                self.broken_since = None;
            }
            match change {
                Some(Ok(Some(object))) => {
                    let task = Item::new(Kind::Task, object);
                    if task.uid() != self.task.uid() {
                        self.is_gone = true;
                        return Ok(());
                    }
                    if task.resource_version() != self.task.resource_version() {
                        self.task = task;
                        return Ok(());
                    }
                }
                Some(Ok(None)) => {
                    self.is_gone = true;
                    return Ok(());
                }
                Some(Err(error)) => self.broken(error)?,
                None => {
                    let what = format!("the watch on Task \"{}\" ended", self.name);
                    return Err(Failure::plain(what));
                }
            }
        }
    }

    /// What no later attempt mends is an error, and so is what none has mended for long.
    fn broken(&mut self, error: watcher::Error) -> Result<(), Failure> {
        let tried = format!("cannot watch Task \"{}\"", self.name);
        let since = *self.broken_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PATIENCE {
            let hint = "see whether the cluster is there; the Task goes on without this command";
            return Err(Failure::new(tried, &error).hint(hint));
        }
        broken(error, Kind::Task).map_err(|cause| with_hint(Failure::new(tried, &cause), &cause))
    }
}
