//! Whose turn it is on a branch: one Task at a time works on one branch of one Workspace. Pure.
//!
//! The lock is a Lease that holds the UID of the Task. Who is next is not kept anywhere: it follows
//! from the Tasks that wait, the oldest first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;
use kube::ResourceExt;
use kube::api::ObjectMeta;

use crate::api::Task;
use crate::api::labels;
use crate::model::Digest;

/// What was found of the branch that a Task asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) lease: Option<Lease>,
    pub(super) holder: Holder,
    /// The Task that is before this one in the line.
    pub(super) ahead: Option<String>,
    /// The Workspace, if it is there.
    pub(super) workspace: Option<OwnerReference>,
}

/// Who has the branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody, or somebody who is gone and whose Pod has ended.
    Nobody,
    Us,
    /// This Task, which has not finished, or whose Pod has not.
    Task(String),
}

/// What a Task does about its branch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// Nothing: it has it, or needs none.
    Free,
    /// Write this Lease; a new one, or in place of one that is free.
    Take(Box<Lease>),
    /// Wait; this is why.
    Wait(String),
}

/// The Lease of the branch that `task` asks for. Without a Workspace there is nothing to share.
pub(super) fn lease_name(task: &Task) -> Option<String> {
    let workspace = &task.spec.workspace_ref.as_ref()?.name;
    let branch = task.spec.branch.as_deref()?;
    let digest = Digest::of_fields([workspace.as_bytes(), branch.as_bytes()]);
    Some(format!("axon-branch-{}", digest.short(20)))
}

/// Whether it is the turn of `task`.
pub(super) fn turn(task: &Task, found: Option<&Found>, now: Timestamp) -> Turn {
    let Some(found) = found else {
        return Turn::Free;
    };
    let branch = task.spec.branch.as_deref().unwrap_or_default();
    match (&found.holder, &found.ahead) {
        (Holder::Us, _) => Turn::Free,
        (Holder::Task(name), _) => Turn::Wait(format!(
            "waits for branch \"{branch}\": Task \"{name}\" works on it"
        )),
        (Holder::Nobody, Some(name)) => Turn::Wait(format!(
            "waits for branch \"{branch}\": it is the turn of Task \"{name}\""
        )),
        (Holder::Nobody, None) => Turn::Take(Box::new(taken(task, found, now))),
    }
}

/// The name and UID of the Task that a Lease is held by.
pub(super) fn holder(lease: &Lease) -> Option<(String, String)> {
    let uid = lease.spec.as_ref()?.holder_identity.clone();
    let uid = uid.filter(|it| !it.is_empty())?;
    let name = lease.annotations().get(labels::TASK).cloned();
    Some((name.unwrap_or_default(), uid))
}

/// The Lease held by `task`. It goes when both the Workspace and the Task are gone. Not with the Task
/// alone: its Pod may still end, and nobody may follow before. Not with the Workspace alone: its Task goes on.
fn taken(task: &Task, found: &Found, now: Timestamp) -> Lease {
    let before = found.lease.as_ref();
    let branch = task.spec.branch.clone().unwrap_or_default();
    let annotations = BTreeMap::from([
        (labels::TASK.to_owned(), task.name_any()),
        (labels::BRANCH.to_owned(), branch),
    ]);
    let fixed = labels::APP.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let spec = before.and_then(|it| it.spec.clone()).unwrap_or_default();
    let changes = spec.lease_transitions.unwrap_or(0);
    let own = task.owner_ref(&());
    Lease {
        metadata: ObjectMeta {
            name: lease_name(task),
            namespace: task.namespace(),
            // Only the one that was looked at is replaced.
            uid: before.and_then(ResourceExt::uid),
            resource_version: before.and_then(ResourceExt::resource_version),
            labels: Some(fixed.into()),
            annotations: Some(annotations),
            owner_references: Some(found.workspace.clone().into_iter().chain(own).collect()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: task.uid(),
            acquire_time: Some(MicroTime(now)),
            lease_transitions: before.map(|_| changes.saturating_add(1)),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::TaskExt as _;
    use super::super::fixture::now;
    use super::super::fixture::task;
    use super::*;

    fn on(workspace: &str, branch: &str) -> Task {
        let spec = json!({"workspaceRef": {"name": workspace}, "branch": branch});
        task("a").with(&json!({"spec": spec}))
    }

    fn found(holder: Holder, ahead: Option<&str>) -> Found {
        Found {
            lease: None,
            holder,
            ahead: ahead.map(ToOwned::to_owned),
            workspace: None,
        }
    }

    #[track_caller]
    fn check(found: &Found, expected: &str) {
        let told = match turn(&on("web", "fix"), Some(found), now()) {
            Turn::Free => "free".to_owned(),
            Turn::Take(_) => "take".to_owned(),
            Turn::Wait(why) => why,
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn one_at_a_time_the_oldest_first() {
        let other = || Holder::Task("other".into());
        check(&found(Holder::Nobody, None), "take");
        check(&found(Holder::Us, None), "free");
        // What it has it keeps, whoever is older.
        check(&found(Holder::Us, Some("older")), "free");
        check(
            &found(other(), None),
            "waits for branch \"fix\": Task \"other\" works on it",
        );
        check(
            &found(other(), Some("older")),
            "waits for branch \"fix\": Task \"other\" works on it",
        );
        check(
            &found(Holder::Nobody, Some("older")),
            "waits for branch \"fix\": it is the turn of Task \"older\"",
        );
        assert_eq!(turn(&task("a"), None, now()), Turn::Free);
    }

    #[test]
    fn a_lease_stands_for_one_branch_of_one_workspace() {
        let name = |workspace, branch| lease_name(&on(workspace, branch)).unwrap();
        assert_eq!(name("web", "fix"), name("web", "fix"));
        assert_ne!(name("web", "fix"), name("api", "fix"));
        assert_ne!(name("we", "bfix"), name("web", "fix"));
        assert!(crate::model::ObjectName::parse(&name("web", "Fix/ü")).is_ok());
        assert_eq!(lease_name(&task("a")), None);
        let loose = task("a").with(&json!({"spec": {"branch": "fix"}}));
        assert_eq!(lease_name(&loose), None);
    }

    #[test]
    fn a_lease_is_taken_over_as_it_was_seen() {
        let owner = OwnerReference {
            name: "web".into(),
            ..OwnerReference::default()
        };
        let mut found = Found {
            workspace: Some(owner),
            ..found(Holder::Nobody, None)
        };
        let first = taken(&on("web", "fix"), &found, now());
        assert_eq!(holder(&first), Some(("a".into(), "task-uid".into())));
        let owners = first.metadata.owner_references.clone().unwrap();
        let names: Vec<_> = owners.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["web", "a"]);
        let mut stored = first.clone();
        stored.metadata.uid = Some("lease-uid".into());
        stored.metadata.resource_version = Some("5".into());
        found.lease = Some(stored.clone());
        let second = taken(&on("web", "fix"), &found, now());
        assert_eq!(second.metadata.resource_version.as_deref(), Some("5"));
        assert_eq!(second.spec.unwrap().lease_transitions, Some(1));
        stored.spec = None;
        assert_eq!(holder(&stored), None);
    }
}
