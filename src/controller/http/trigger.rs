//! Asks for a look at a RepoSync's repository: the annotation that whoever leads acts on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use kube::Api;
use kube::Client;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::core::PartialObjectMeta;
use serde_json::json;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;
use tokio::time::timeout;

use super::answer::Answer;
use super::coalesce::Recent;
use super::coalesce::Turn;
use super::route::Target;
use crate::api::RepoSync;
use crate::api::labels;
use crate::controller::FIELD_MANAGER;
use crate::controller::clock;
use crate::model::Digest;

/// RepoSyncs that are remembered before those are forgotten of which there is nothing to remember.
const REMEMBERED: usize = 1024;
/// How often the annotation is tried to be written, and the pause between.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// How long one attempt may take: all of them end before GitHub gives up after 10 s.
const LIMIT: Duration = Duration::from_millis(2500);

/// What asks.
#[derive(Clone)]
pub(super) struct Triggers {
    client: Client,
    recent: Arc<Mutex<HashMap<Target, Recent>>>,
}

impl Triggers {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            recent: Arc::default(),
        }
    }

    /// Sees to it that the repository is looked at after now.
    pub(super) async fn pull(&self, target: &Target, mark: Digest) -> Answer {
        let turn = self.turn(target, mark, Instant::now());
        let (this, target) = (self.clone(), target.clone());
        match turn {
            Turn::Covered => Answer::Accepted,
            Turn::At(then) => {
                // The answer does not wait for it; of these there is one for each RepoSync at most.
                tokio::spawn(async move {
                    sleep_until(then).await;
                    this.change(&target, |recent| recent.begins(Instant::now()));
                    this.ask(&target).await;
                });
                Answer::Accepted
            }
            Turn::Now => {
                // On its own: a client that goes away must not take it along.
                let asking = tokio::spawn(async move { this.ask(&target).await });
                match asking.await {
                    Ok(true) => Answer::Accepted,
                    Ok(false) | Err(_) => Answer::Unavailable,
                }
            }
        }
    }

    fn turn(&self, target: &Target, mark: Digest, now: Instant) -> Turn {
        let mut recent = self.recent();
        if recent.len() >= REMEMBERED && !recent.contains_key(target) {
            recent.retain(|_, it| !it.is_over(now));
        }
        recent.entry(target.clone()).or_default().take(mark, now)
    }

    /// Writes the annotation; false if that was not possible.
    async fn ask(&self, target: &Target) -> bool {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            let error = match timeout(LIMIT, self.write(target)).await {
                Ok(Ok(_)) => return true,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if left == 0 {
                tracing::warn!(error, namespace = %target.namespace, name = %target.name, "cannot ask for a look after a webhook delivery");
                self.change(target, Recent::failed);
                return false;
            }
            sleep(PAUSE).await;
        }
    }

    async fn write(&self, target: &Target) -> Result<PartialObjectMeta<RepoSync>, kube::Error> {
        let syncs: Api<RepoSync> = Api::namespaced(self.client.clone(), target.namespace.as_str());
        let at = clock::now().to_string();
        let patch = json!({"metadata": {"annotations": {labels::RECONCILE_AT: at}}});
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        syncs
            .patch_metadata(target.name.as_str(), &parameters, &Patch::Merge(&patch))
            .await
    }

    fn change(&self, target: &Target, change: impl FnOnce(&mut Recent)) {
        if let Some(recent) = self.recent().get_mut(target) {
            change(recent);
        }
    }

    fn recent(&self) -> MutexGuard<'_, HashMap<Target, Recent>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
