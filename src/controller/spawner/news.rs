//! What of a Task's life matters to its spawner: that it began, ended, and is gone.
//!
//! A filter of our own: kube's drops the deletion of an object that was being deleted already.

use std::collections::HashMap;

use futures::Stream;
use futures::StreamExt as _;
use kube::Resource as _;
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;

use crate::api::Task;
use crate::api::labels;
use crate::api::task::TaskPhase;

/// A Task as the watch knows it: one that cannot be read has made no progress.
type Watched = DeserializeGuard<Task>;

/// What is compared.
#[derive(Debug, PartialEq, Eq)]
struct Progress {
    phase: Option<TaskPhase>,
    deleting: bool,
    has_run: bool,
}

/// The Tasks of a watch, each time one of them made progress.
pub(super) fn progress(
    tasks: impl Stream<Item = watcher::Result<Event<Watched>>> + Send + 'static,
) -> impl Stream<Item = watcher::Result<Watched>> + Send + 'static {
    let mut seen = HashMap::new();
    tasks.filter_map(move |event| {
        let news = match event {
            Ok(Event::Apply(task) | Event::InitApply(task)) => {
                is_news(&mut seen, &task).then_some(Ok(task))
            }
            Ok(Event::Delete(task)) => {
                seen.remove(&task.uid().unwrap_or_default());
                Some(Ok(task))
            }
            // What was deleted while nobody watched is not told: all others are told anew.
            Ok(Event::Init) => {
                seen.clear();
                None
            }
            Ok(Event::InitDone) => None,
            Err(error) => Some(Err(error)),
        };
        std::future::ready(news)
    })
}

fn is_news(seen: &mut HashMap<String, Progress>, task: &Watched) -> bool {
    let status = task.0.as_ref().ok().and_then(|task| task.status.as_ref());
    let progress = Progress {
        phase: status.and_then(|status| status.phase),
        deleting: task.meta().deletion_timestamp.is_some(),
        has_run: task.annotations().contains_key(labels::RUN),
    };
    let before = seen.get(&task.uid().unwrap_or_default());
    if before == Some(&progress) {
        return false;
    }
    seen.insert(task.uid().unwrap_or_default(), progress);
    true
}
