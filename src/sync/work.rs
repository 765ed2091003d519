//! What is done to one object. Every request names the very object that was planned for.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;

use crate::api::labels;
use crate::cluster::Apply;
use crate::cluster::Cluster;
use crate::cluster::Error;
use crate::cluster::Object;
use crate::cluster::Propagation;
use crate::cluster::Target;
use crate::model::Key;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::SyncId;
use crate::model::plan::Claim;
use crate::model::plan::Deed;
use crate::model::plan::LiveId;
use crate::model::plan::Manifest;
use crate::sync::ledger;
use crate::sync::records::Records;

/// How often something is tried anew when only the status of the object moved.
const ATTEMPTS: usize = 5;

/// Changes objects as one sync.
pub(super) struct Work<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) manager: &'a str,
    pub(super) records: &'a Records<'a>,
    /// The records of the runs that deleting these Tasks breaks off.
    pub(super) broken_off: BTreeMap<&'a ObjectName, &'a str>,
    /// Requests that may be under way at once. Held while one object is worked on, not while it is
    /// awaited gone.
    pub(super) slots: &'a Semaphore,
    /// How long a replaced Task may take to go.
    pub(super) gone: Duration,
}

impl Work<'_> {
    pub(super) async fn create(&self, key: &Key, manifest: &Manifest) -> Result<Deed, Error> {
        let how = self.how(Claim::Own);
        self.cluster.create(key, manifest, how).await?;
        Ok(Deed::Created)
    }

    pub(super) async fn update(
        &self,
        key: &Key,
        manifest: &Manifest,
        planned: &LiveId,
        claim: Claim,
    ) -> Result<Deed, Error> {
        let how = self.how(claim);
        let mut seen = planned.clone();
        for _ in 1..ATTEMPTS {
            let target = Target::Exactly(&seen);
            match self.cluster.apply(key, manifest, target, how).await {
                Err(Error::Moved(message)) => {
                    let now = self.cluster.get(key).await?.map(|it| it.id());
                    // Its fields have owners; that it is another's is told by its marks alone.
                    seen = now
                        .filter(|now| planned.is_of(now))
                        .ok_or(Error::Moved(message))?;
                }
                done => return done.map(|_| Deed::Updated),
            }
        }
        let target = Target::Exactly(&seen);
        self.cluster.apply(key, manifest, target, how).await?;
        Ok(Deed::Updated)
    }

    /// Updates an object with what other managers leave to us. When it is broken off, what is left to
    /// do is what a later plan finds.
    pub(super) async fn take(
        &self,
        key: &Key,
        manifest: &Manifest,
        planned: &LiveId,
        claim: Claim,
        inherits: &[String],
    ) -> Result<Deed, Error> {
        for _ in 1..ATTEMPTS {
            let tried = self.try_take(key, manifest, planned, claim, inherits);
            match tried.await {
                Err(Error::Moved(_)) => {}
                done => return done,
            }
        }
        self.try_take(key, manifest, planned, claim, inherits).await
    }

    async fn try_take(
        &self,
        key: &Key,
        manifest: &Manifest,
        planned: &LiveId,
        claim: Claim,
        inherits: &[String],
    ) -> Result<Deed, Error> {
        let Some(mut now) = self.cluster.get(key).await? else {
            return Err(Error::Moved("it is gone".into()));
        };
        if !planned.is_of(&now.id()) || now.id().generation != planned.generation {
            return Err(Error::Moved("it is not what was planned for".into()));
        }
        self.copy_claim(key, &now).await?;
        let is_heir = now.managed_fields().iter().any(|entry| {
            let manager = entry["manager"].as_str();
            manager.is_some_and(|it| inherits.iter().any(|from| from == it))
        });
        if is_heir {
            let inherited = self.cluster.inherit(key, &now, inherits, self.manager);
            now = inherited.await?;
        }
        // As it was seen: had its run been claimed under the old id since, the record would be missed.
        let seen = now.id();
        let target = Target::Exactly(&seen);
        let how = self.how(claim);
        self.cluster.apply(key, manifest, target, how).await?;
        Ok(Deed::Updated)
    }

    /// Copies the record that the Task may have claimed since the plan was made.
    async fn copy_claim(&self, key: &Key, task: &Object) -> Result<(), Error> {
        let plan = self.records.plan;
        let old = plan.takes_over.as_ref().map(SyncId::as_str);
        let sync = task.label(labels::SYNC).filter(|it| Some(*it) == old);
        let (Kind::Task, Some(sync), Some(run)) = (key.kind, sync, task.annotation(labels::RUN))
        else {
            return Ok(());
        };
        let from = ledger::claimed(sync, &key.name, run);
        let to = ledger::claimed(plan.sync.as_str(), &key.name, run);
        self.records.copy_one(&from, &to).await
    }

    pub(super) async fn prune(&self, key: &Key, live: &LiveId) -> Result<Deed, Error> {
        self.cancelled(key, live).await;
        self.delete(key, live, Propagation::Background).await?;
        Ok(Deed::Deleted)
    }

    /// Notes the end of a run that is about to be broken off. Before, so that it is known whatever comes
    /// between; an end that the Task has by itself after all is written over it.
    pub(super) async fn cancelled(&self, key: &Key, live: &LiveId) {
        if key.kind == Kind::Task
            && let Some(record) = self.broken_off.get(&key.name)
        {
            self.records.cancel(record, &live.uid).await;
        }
    }

    /// Deletes the object if it is the one that was planned for, and still whose it was, save for its status.
    pub(super) async fn delete(
        &self,
        key: &Key,
        planned: &LiveId,
        propagation: Propagation,
    ) -> Result<(), Error> {
        let mut live = planned.clone();
        for _ in 1..ATTEMPTS {
            match self.cluster.delete(key, &live, propagation).await {
                Err(Error::NotFound(_)) => return Ok(()),
                Err(Error::Moved(message)) => {
                    let Some(now) = self.cluster.get(key).await? else {
                        return Ok(());
                    };
                    let id = now.id();
                    if !planned.is_of(&id) || id.generation != planned.generation {
                        return Err(Error::Moved(message));
                    }
                    live = id;
                }
                done => return done,
            }
        }
        self.cluster.delete(key, &live, propagation).await
    }

    pub(super) async fn slot(&self) -> SemaphorePermit<'_> {
        let slot = self.slots.acquire().await;
        slot.expect("nobody closes the semaphore")
    }

    fn how(&self, claim: Claim) -> Apply<'_> {
        Apply {
            manager: self.manager,
            force: claim.takes_fields(),
            dry_run: false,
        }
    }
}
