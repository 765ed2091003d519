//! Writes the records of runs as a plan says, around the changes to the objects.
//!
//! A record that moves is created under its new name before the first object is relabelled, and its
//! old one goes when all objects are: so at every moment one of them is there, and may tell that the
//! run was had. All other notes are for people and for tidiness: one that cannot be made now is made
//! by a later apply, and stops nothing.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream;
use serde_json::Value;
use serde_json::json;

use crate::api::labels;
use crate::cluster::Cluster;
use crate::cluster::Error;
use crate::cluster::Object;
use crate::model::ObjectName;
use crate::model::Plan;
use crate::model::plan::LedgerStep;
use crate::model::run::Outcome;
use crate::model::run::record_key;
use crate::sync::PARALLEL;
use crate::sync::ledger;
use crate::sync::live;
use crate::sync::world::Identity;
use crate::sync::world::record_of;

/// The records, seen from one apply.
pub(super) struct Records<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) plan: &'a Plan,
    pub(super) manager: &'a str,
}

impl Records<'_> {
    /// Copies the records that move. Without them no object may be relabelled.
    pub(super) async fn copy(&self) -> Result<(), Error> {
        let moves = self.plan.ledger.iter().filter_map(|step| match step {
            LedgerStep::Move { from, to } => Some((from, to)),
            LedgerStep::Leave { .. } | LedgerStep::Return { .. } | LedgerStep::Cancel { .. } => {
                None
            }
        });
        let copies: Vec<_> = moves.map(|(from, to)| self.copy_one(from, to)).collect();
        let mut copies = stream::iter(copies).buffer_unordered(PARALLEL).boxed();
        while let Some(copied) = copies.next().await {
            copied?;
        }
        Ok(())
    }

    /// Copies the record `from` to the name `to`, as this sync's.
    pub(super) async fn copy_one(&self, from: &str, to: &str) -> Result<(), Error> {
        let Some(old) = self.cluster.record(from).await? else {
            return Ok(());
        };
        let marks = json!({
            labels::RECORD: labels::RECORD_RUN,
            labels::SYNC: self.plan.sync.as_str(),
        });
        let mut facts = old.as_value()["data"].clone();
        let claimed = &mut facts[record_key::CLAIMED];
        if claimed.is_null() {
            // When it was made says when the run began: a copy is younger.
            let made = old.text("/metadata/creationTimestamp").unwrap_or_default();
            *claimed = made.into();
        }
        self.cluster
            .create_record(to, &marks, &facts, self.manager)
            .await
    }

    /// Lets the old records go, those included that were made while the objects were relabelled. What
    /// they say of an end is kept.
    pub(super) async fn settle(&self) -> Result<(), Error> {
        let Some(old) = &self.plan.takes_over else {
            return Ok(());
        };
        let of_old = Identity {
            namespace: self.plan.namespace.clone(),
            sync: old.clone(),
            old: None,
            home: self.plan.home.clone(),
            old_home: None,
        };
        let ours = Identity {
            sync: self.plan.sync.clone(),
            ..of_old.clone()
        };
        for record in live::records(self.cluster, &of_old).await?.into_values() {
            let to = ledger::moved_name(&record, &ours);
            self.copy_one(&record.name, &to).await?;
            let Some(old) = self.cluster.record(&record.name).await? else {
                continue;
            };
            self.carry_end(&old, &to).await?;
            match self.cluster.delete_record(&record.name, &old.id()).await {
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Writes the end that `old` tells into its copy, if that has none.
    async fn carry_end(&self, old: &Object, to: &str) -> Result<(), Error> {
        let end = |record: &Object| record.text("/data/outcome").map(str::to_owned);
        let Some(outcome) = end(old) else {
            return Ok(());
        };
        let Some(copy) = self
            .cluster
            .record(to)
            .await?
            .filter(|it| end(it).is_none())
        else {
            return Ok(());
        };
        let finished = old.text("/data/finished");
        let change =
            json!({"data": {record_key::OUTCOME: outcome, record_key::FINISHED: finished}});
        self.cluster
            .change_record(to, Some(&copy.id()), change, self.manager)
            .await
    }

    /// Notes which records are of Tasks that left the configuration.
    pub(super) async fn note_left(&self) {
        let left = json!({"metadata": {"labels": {labels::LEFT: labels::LEFT_TRUE}}});
        let steps = self.plan.ledger.iter().filter_map(|step| match step {
            LedgerStep::Leave { record } => Some(record.as_str()),
            LedgerStep::Return { .. } | LedgerStep::Move { .. } | LedgerStep::Cancel { .. } => None,
        });
        self.note(steps.collect(), &left).await;
    }

    /// Notes which records are of Tasks that came back into the configuration.
    pub(super) async fn note_back(&self) {
        let back = json!({"metadata": {
            "labels": {labels::LEFT: null},
            "annotations": {labels::FORGET_AFTER: null},
        }});
        let steps = self.plan.ledger.iter().filter_map(|step| match step {
            LedgerStep::Return { record } => Some(record.as_str()),
            LedgerStep::Leave { .. } | LedgerStep::Move { .. } | LedgerStep::Cancel { .. } => None,
        });
        self.note(steps.collect(), &back).await;
    }

    async fn note(&self, records: Vec<&str>, change: &Value) {
        let notes: Vec<_> = records
            .into_iter()
            .map(|record| self.note_one(record, change.clone()))
            .collect();
        let mut notes = stream::iter(notes).buffer_unordered(PARALLEL).boxed();
        while let Some(()) = notes.next().await {}
    }

    async fn note_one(&self, record: &str, change: Value) {
        let noted = self
            .cluster
            .change_record(record, None, change, self.manager)
            .await;
        told(noted, record);
    }

    /// The record of the run that deleting this Task breaks off.
    pub(super) fn broken_off(&self) -> BTreeMap<&ObjectName, &str> {
        let cancels = self.plan.ledger.iter().filter_map(|step| match step {
            LedgerStep::Cancel { task, record } => Some((task, record.as_str())),
            LedgerStep::Move { .. } | LedgerStep::Leave { .. } | LedgerStep::Return { .. } => None,
        });
        cancels.collect()
    }

    /// Notes that the run of the Task with this UID was broken off.
    pub(super) async fn cancel(&self, record: &str, uid: &str) {
        told(self.try_cancel(record, uid).await, record);
    }

    async fn try_cancel(&self, name: &str, uid: &str) -> Result<(), Error> {
        let Some(live) = self.cluster.record(name).await? else {
            // It never claimed its run.
            return Ok(());
        };
        let record = record_of(&live);
        if record.task_uid != uid || live.text("/data/outcome").is_some() {
            return Ok(());
        }
        let end = json!({"data": {record_key::OUTCOME: Outcome::Cancelled.as_str()}});
        self.cluster
            .change_record(name, Some(&live.id()), end, self.manager)
            .await
    }
}

fn told(result: Result<(), Error>, record: &str) {
    if let Err(error) = result {
        tracing::warn!(record, %error, "cannot note in the record of a run");
    }
}
