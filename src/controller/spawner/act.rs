//! Carries a decision out: creates Tasks, and removes what earlier runs left.

use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::ResourceExt;
use kube::api::DeleteParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::api::Preconditions;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Context;
use super::build;
use super::build::Templates;
use super::decide::Decision;
use super::decide::MAX_AGE;
use super::decide::Object;
use super::decide::Remains;
use super::known;
use super::look::Look;
use super::trouble::Trouble;
use crate::api::Task;
use crate::api::TaskSpawner;
use crate::api::labels;
use crate::controller::FIELD_MANAGER;
use crate::model::item::ItemKey;
use crate::model::item::WorkItem;
use crate::model::spawner::Filter;
use crate::sources::Found;

/// Items that are asked after one by one in a poll, to see whether they have left.
const MAX_CONFIRMED: usize = 20;
/// Longest text of the API server's that goes into a condition.
const MAX_REFUSAL: usize = 300;

/// What came of a decision.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) created: usize,
    /// What could not start yet.
    pub(super) waiting: Vec<Found>,
    /// What keeps some of that from starting.
    pub(super) delayed: Vec<Trouble>,
    /// What keeps items from starting as they are.
    pub(super) refused: Vec<Trouble>,
}

/// One spawner's hands.
pub(super) struct Actor<'a> {
    pub(super) context: &'a Context,
    pub(super) object: &'a TaskSpawner,
    pub(super) templates: &'a Templates,
    pub(super) now: Timestamp,
    /// When what the decision rests on was read.
    pub(super) since: Instant,
}

/// What came of one item.
enum Start {
    Created,
    /// Another one created it.
    Exists,
    /// It cannot start now.
    Later(Option<Trouble>),
    /// It cannot start as it is.
    Never(Trouble),
}

impl Actor<'_> {
    /// Creations first: what they rest on grows old.
    pub(super) async fn carry_out(
        &self,
        decision: &Decision,
        look: &Look,
    ) -> Result<Done, kube::Error> {
        let mut done = Done::default();
        let mut waiting = decision.waiting.clone();
        for (index, name) in &decision.create {
            match self.start(&look.found[*index], name, look).await? {
                Start::Created => done.created += 1,
                Start::Exists => {}
                Start::Later(trouble) => {
                    waiting.push(*index);
                    done.delayed.extend(trouble);
                }
                Start::Never(trouble) => done.refused.push(trouble),
            }
        }
        for remains in &decision.clear {
            self.clear(remains).await?;
        }
        waiting.sort_unstable();
        done.waiting = waiting
            .into_iter()
            .map(|index| look.found[index].clone())
            .collect();
        Ok(done)
    }

    /// Forgets items that have stopped matching, each after its source was asked about it alone.
    pub(super) async fn forget(
        &self,
        gone: &[(ItemKey, Remains)],
        look: &Look,
        filter: Option<&Filter>,
    ) -> Result<(), kube::Error> {
        // Not always the same ones: some may never be answered for.
        let turn = usize::try_from(self.now.as_second()).unwrap_or_default();
        let first = turn.checked_rem(gone.len()).unwrap_or_default();
        for (item, remains) in gone
            .iter()
            .cycle()
            .skip(first)
            .take(gone.len().min(MAX_CONFIRMED))
        {
            let left = match (&look.github, filter) {
                (Some(github), Some(filter)) => {
                    match github.has_left(item, filter, self.now).await {
                        Ok(left) => left,
                        Err(error) => {
                            tracing::debug!(%item, %error, "cannot tell whether an item has left");
                            false
                        }
                    }
                }
                // Ticks do not come again.
                (None, _) | (_, None) => true,
            };
            if left {
                self.give_up(remains).await?;
            }
        }
        Ok(())
    }

    async fn start(&self, found: &Found, name: &str, look: &Look) -> Result<Start, kube::Error> {
        if self.left().is_none() {
            return Ok(Start::Later(None));
        }
        let mut item = found.item.clone();
        if let Some(github) = &look.github
            && self.templates.use_comments()
        {
            match github.comments(found, self.now).await {
                Ok(comments) => item.comments = comments,
                Err(error) => {
                    let message = format!("cannot read its comments: {error}");
                    let item = item.key;
                    return Ok(Start::Later(Some(Trouble::Item { item, message })));
                }
            }
        }
        match build::task(self.object, self.templates, &item, name) {
            // Asked again: comments may take minutes to come.
            Ok(task) => match self.left() {
                Some(left) => self.create(&task, &item, left).await,
                None => Ok(Start::Later(None)),
            },
            Err(error) => Ok(Start::Never(Trouble::Item {
                item: item.key,
                message: error.to_string(),
            })),
        }
    }

    /// How long what was read may still be acted upon.
    fn left(&self) -> Option<Duration> {
        let left = MAX_AGE.checked_sub(self.since.elapsed())?;
        (!left.is_zero()).then_some(left)
    }

    /// Creates the Task within the time that is `left`. Without an answer until then nobody knows
    /// whether it is there: the next look sees it, or tries again.
    async fn create(
        &self,
        task: &Task,
        item: &WorkItem,
        left: Duration,
    ) -> Result<Start, kube::Error> {
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let tasks = self.tasks();
        let creation = tasks.create(&parameters, task);
        let Ok(created) = tokio::time::timeout(left, creation).await else {
            let late = Trouble::ApiServer("no answer to the creation of a Task".into());
            return Ok(Start::Later(Some(late)));
        };
        match created {
            Ok(_) => Ok(Start::Created),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                self.existing(task, item).await
            }
            Err(kube::Error::Api(status)) if is_final(status.code) => {
                let message = status.message.chars().take(MAX_REFUSAL).collect();
                let item = item.key.clone();
                Ok(Start::Never(Trouble::Item { item, message }))
            }
            Err(kube::Error::Api(status)) => {
                let text = status.message.chars().take(MAX_REFUSAL).collect();
                Ok(Start::Later(Some(Trouble::ApiServer(text))))
            }
            Err(error) => Err(error),
        }
    }

    /// A Task of that name is there: made for the same item in the meantime, or someone else's.
    async fn existing(&self, task: &Task, item: &WorkItem) -> Result<Start, kube::Error> {
        let name = task.name_any();
        // Its metadata: a Task that cannot be read is there all the same.
        let Some(existing) = self.tasks().get_metadata_opt(&name).await? else {
            return Ok(Start::Later(None));
        };
        let is_ours = known::is_of(&existing, &self.object.name_any());
        let is_same = known::item_of(&existing).is_none_or(|it| it == item.key);
        Ok(match (is_ours, is_same) {
            (true, true) => Start::Exists,
            // It came after we looked: the next look sees it and takes another name.
            (true, false) => Start::Later(None),
            (false, _) => Start::Never(Trouble::NameTaken {
                item: item.key.clone(),
                task: name,
            }),
        })
    }

    /// Removes what an earlier match of an item left, so that it can run anew.
    async fn clear(&self, remains: &Remains) -> Result<(), kube::Error> {
        for record in &remains.records {
            delete(&self.records(), record, &DeleteParams::background()).await?;
        }
        for task in &remains.tasks {
            // Its Job has the name that the next one will have: it goes first.
            delete(&self.tasks(), task, &DeleteParams::foreground()).await?;
        }
        Ok(())
    }

    /// Takes the run from a finished Task, then forgets it. The order is explained in `decide`.
    async fn give_up(&self, remains: &Remains) -> Result<(), kube::Error> {
        for task in &remains.tasks {
            let patch = json!({"metadata": {
                "uid": task.uid,
                "resourceVersion": task.version,
                "annotations": {labels::RUN: null},
            }});
            let parameters = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            let patched = self
                .tasks()
                .patch_metadata(&task.name, &parameters, &Patch::Merge(&patch))
                .await;
            if !happened(patched.map(|_| ()))? {
                return Ok(());
            }
        }
        for record in &remains.records {
            delete(&self.records(), record, &DeleteParams::background()).await?;
        }
        Ok(())
    }

    fn tasks(&self) -> Api<Task> {
        Api::namespaced(self.context.client.clone(), &self.namespace())
    }

    fn records(&self) -> Api<ConfigMap> {
        Api::namespaced(self.context.client.clone(), &self.namespace())
    }

    fn namespace(&self) -> String {
        self.object.namespace().unwrap_or_default()
    }
}

/// Whether an answer refuses the Task for what it is. An expired token, a request that took too long, a
/// quota that changes and too many requests are not the item's fault.
fn is_final(code: u16) -> bool {
    (400..500).contains(&code) && !matches!(code, 401 | 408 | 409 | 429)
}

/// Deletes the very object that was judged; one that changed since is left alone.
async fn delete<K>(api: &Api<K>, object: &Object, how: &DeleteParams) -> Result<(), kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let how = how.clone().preconditions(Preconditions {
        uid: Some(object.uid.clone()),
        resource_version: Some(object.version.clone()),
    });
    happened(api.delete(&object.name, &how).await.map(|_| ())).map(|_| ())
}

/// Whether a change was made. That the object is gone, or another one by now, is an answer.
fn happened(result: Result<(), kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
