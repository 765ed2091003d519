//! The only place that writes a Workspace's status. One that would say the same again is not written.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::json;

use super::look::Seen;
use super::reason::Reason;
use super::reason::Trouble;
use crate::api::Workspace;
use crate::api::workspace::WorkspaceStatus;
use crate::controller::FIELD_MANAGER;
use crate::controller::events::Level;
use crate::controller::events::Notice;

const READY: &str = "Ready";
/// Longest message of the condition: what a person reads.
const MAX_MESSAGE: usize = 1024;

/// The condition `Ready`.
pub(super) fn ready(workspace: &Workspace) -> Option<&Condition> {
    let conditions = &workspace.status.as_ref()?.conditions;
    conditions.iter().find(|it| it.type_ == READY)
}

/// The status that `workspace` is to have after a look.
pub(super) fn next(
    workspace: &Workspace,
    seen: &Result<Seen, Trouble>,
    now: Timestamp,
) -> WorkspaceStatus {
    let before = workspace.status.clone().unwrap_or_default();
    let (status, reason, message) = match seen {
        Ok(seen) => ("True", Reason::Reachable, seen.message()),
        Err(trouble) => ("False", trouble.reason, trouble.message.as_str()),
    };
    let generation = workspace.metadata.generation;
    let last = ready(workspace).filter(|it| it.status == status);
    let condition = Condition {
        type_: READY.to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.chars().take(MAX_MESSAGE).collect(),
        observed_generation: generation,
        last_transition_time: last.map_or(Time(now), |it| it.last_transition_time.clone()),
    };
    let mut conditions = before.conditions;
    conditions.retain(|it| it.type_ != READY);
    conditions.push(condition);
    WorkspaceStatus {
        commit: match seen {
            Ok(seen) => seen.commit.clone(),
            // What a ref of another spec stood at is of no use.
            Err(_) if before.observed_generation != generation => None,
            Err(_) => before.commit,
        },
        conditions,
        observed_generation: generation,
    }
}

/// Writes `status`, unless the object has changed since it was read: then the API server answers 409.
/// Says whether it was written.
pub(super) async fn write(
    workspaces: &Api<Workspace>,
    workspace: &Workspace,
    status: &WorkspaceStatus,
) -> Result<bool, kube::Error> {
    if workspace.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let patch = json!({
        "metadata": {"resourceVersion": workspace.metadata.resource_version},
        "status": {
            // Said also where it is gone.
            "commit": status.commit,
            "conditions": status.conditions,
            "observedGeneration": status.observed_generation,
        },
    });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    workspaces
        .patch_status(&workspace.name_any(), &parameters, &Patch::Merge(&patch))
        .await
        .map(|_| true)
}

/// The event of a change of the condition, if it is one.
pub(super) fn notice(workspace: &Workspace, status: &WorkspaceStatus) -> Option<Notice> {
    let after = status.conditions.iter().find(|it| it.type_ == READY)?;
    let what = |it: &Condition| (it.status.clone(), it.reason.clone());
    if ready(workspace).map(what) == Some(what(after)) {
        return None;
    }
    Some(Notice {
        level: if after.status == "True" {
            Level::Normal
        } else {
            Level::Warning
        },
        reason: after.reason.clone(),
        message: after.message.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(status: Option<WorkspaceStatus>, generation: i64) -> Workspace {
        let mut workspace: Workspace = serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": "web", "generation": generation},
            "spec": {"repo": "https://h/a"},
        }))
        .unwrap();
        workspace.status = status;
        workspace
    }

    #[test]
    fn a_status_tells_what_was_seen() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let good = Ok(Seen::at(Some("abc".into())));
        let first = next(&workspace(None, 1), &good, at(1));
        let known = workspace(Some(first.clone()), 1);
        assert_eq!(next(&known, &good, at(2)), first, "nothing new");
        assert_eq!(notice(&known, &first), None);

        let bad = Err(Trouble::new(Reason::Unreachable, "gone"));
        let second = next(&known, &bad, at(3));
        assert_eq!(second.commit.as_deref(), Some("abc"), "it was there once");
        let notice = notice(&known, &second).unwrap();
        assert_eq!(
            (notice.level, notice.reason.as_str()),
            (Level::Warning, "Unreachable")
        );
        assert_eq!(second.conditions[0].last_transition_time, Time(at(3)));

        let edited = next(&workspace(Some(first), 2), &bad, at(4));
        assert_eq!(edited.commit, None);
        assert_eq!(edited.observed_generation, Some(2));
    }
}
