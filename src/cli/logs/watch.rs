//! A Task as it is now, and each change of it.

use std::pin::Pin;

use futures::Stream;
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use kube::runtime::watcher::watch_object;

use crate::cli::commands::plan::with_hint;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::reader::broken;
use crate::cli::ui::Failure;
use crate::model::ObjectName;

type Changes = Pin<Box<dyn Stream<Item = Result<Option<DynamicObject>, watcher::Error>> + Send>>;

/// A Task that is watched. A watch that breaks is taken up again.
pub(in crate::cli) struct Watched {
    pub(in crate::cli) task: Item,
    pub(in crate::cli) is_gone: bool,
    name: ObjectName,
    changes: Changes,
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
        }
    }

    /// Returns when the Task has changed, or has gone. May be dropped and called again.
    pub(in crate::cli) async fn changed(&mut self) -> Result<(), Failure> {
        if self.is_gone {
            // Another one of that name is another Task.
            return std::future::pending().await;
        }
        loop {
            match self.changes.next().await {
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

    /// What no later attempt mends is an error.
    fn broken(&self, error: watcher::Error) -> Result<(), Failure> {
        broken(error, Kind::Task).map_err(|cause| {
            let tried = format!("cannot watch Task \"{}\"", self.name);
            with_hint(Failure::new(tried, &cause), &cause)
        })
    }
}
