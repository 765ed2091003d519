//! How an object stands, from its status alone. Pure.

use anstyle::AnsiColor;
use anstyle::Style;
use serde_json::Value;

use super::item::Item;
use super::kind::Kind;
use crate::controller;

/// How an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Standing {
    pub(in crate::cli) health: Health,
    /// One word: `Ready`, `Running`, `PruneGuard`.
    pub(in crate::cli) word: String,
    /// Why, where that is not plain.
    pub(in crate::cli) message: String,
}

/// Whether someone has to look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Health {
    /// As it should be.
    Well,
    /// On its way.
    Busy,
    /// Nothing is asked of it.
    Idle,
    /// Nobody has said anything about it yet.
    Unknown,
    /// Something is wrong.
    Bad,
}

impl Health {
    pub(in crate::cli) fn style(self) -> Style {
        match self {
            Self::Well => AnsiColor::Green.on_default(),
            Self::Busy => AnsiColor::Cyan.on_default(),
            Self::Idle => Style::new().dimmed(),
            Self::Unknown => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
        }
    }
}

impl Standing {
    pub(in crate::cli) fn of(item: &Item) -> Self {
        if item.is_terminating() {
            return Self::new(Health::Busy, "Terminating", "");
        }
        match item.kind {
            Kind::RepoSync => sync(item),
            Kind::Workspace => ready(item).unwrap_or_else(|| Self::new(Health::Idle, "-", "")),
            Kind::TaskSpawner => ready(item).unwrap_or_else(|| {
                Self::new(Health::Unknown, "Unseen", "no controller has looked")
            }),
            Kind::Task => task(item),
            Kind::Record => record(item),
            Kind::Job => job(item),
            Kind::Pod => pod(item),
        }
    }

    fn new(health: Health, word: &str, message: &str) -> Self {
        Self {
            health,
            word: word.to_owned(),
            message: message.to_owned(),
        }
    }
}

fn sync(item: &Item) -> Standing {
    if item.value("/spec/suspend") == Some(&Value::Bool(true)) {
        return Standing::new(Health::Idle, "Suspended", "");
    }
    let stalled = item.condition("Stalled").filter(|it| it.is_true());
    let ready = item.condition("Ready");
    match (stalled, ready) {
        (None, None) => Standing::new(Health::Unknown, "Unseen", "no controller has looked"),
        _ if !item.is_observed() => Standing::new(
            Health::Busy,
            "Reconciling",
            "its latest change has not been seen",
        ),
        (Some(why), _) => Standing::new(Health::Bad, why.reason, why.message),
        (None, Some(ready)) if ready.is_true() => {
            Standing::new(Health::Well, "Ready", ready.message)
        }
        (None, Some(ready)) if ready.status == "Unknown" || ready.reason == PROGRESSING => {
            Standing::new(Health::Busy, "Reconciling", ready.message)
        }
        (None, Some(ready)) => Standing::new(Health::Bad, ready.reason, ready.message),
    }
}

/// Reason of `Ready` while the first look goes on.
const PROGRESSING: &str = "Progressing";

fn ready(item: &Item) -> Option<Standing> {
    let ready = item.condition("Ready")?;
    Some(match ready.status {
        "True" => Standing::new(Health::Well, "Ready", ""),
        "False" => Standing::new(Health::Bad, ready.reason, ready.message),
        _ => Standing::new(Health::Busy, ready.reason, ready.message),
    })
}

fn task(item: &Item) -> Standing {
    let message = item.text("/status/message").unwrap_or_default();
    let reason = item.last_condition().map_or("", |it| it.reason);
    match item.text("/status/phase") {
        Some("Succeeded") => Standing::new(Health::Well, "Succeeded", ""),
        Some("Running") => Standing::new(Health::Busy, "Running", ""),
        Some("Failed") => Standing::new(Health::Bad, "Failed", &joined(reason, message)),
        Some("Pending") => {
            let stuck = controller::waits_for_a_person(reason);
            let health = if stuck { Health::Bad } else { Health::Busy };
            Standing::new(health, "Pending", &joined(reason, message))
        }
        Some(other) => Standing::new(Health::Unknown, other, message),
        None => Standing::new(Health::Unknown, "Unseen", "no controller has looked"),
    }
}

fn joined(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", only) | (only, "") => only.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn record(item: &Item) -> Standing {
    match item.text("/data/outcome") {
        Some("Succeeded") => Standing::new(Health::Well, "Succeeded", ""),
        Some("Failed") => Standing::new(Health::Bad, "Failed", ""),
        Some(other) => Standing::new(Health::Unknown, other, ""),
        None => Standing::new(Health::Unknown, "Unknown", "no end is on record"),
    }
}

fn job(item: &Item) -> Standing {
    let holds = |kind: &str| item.condition(kind).filter(|it| it.is_true());
    if holds("Complete").is_some() {
        return Standing::new(Health::Well, "Complete", "");
    }
    if let Some(failed) = holds("Failed") {
        let why = joined(failed.reason, failed.message);
        return Standing::new(Health::Bad, "Failed", &why);
    }
    if item.number("/status/active").unwrap_or(0) > 0 {
        return Standing::new(Health::Busy, "Active", "");
    }
    Standing::new(Health::Busy, "Pending", "")
}

fn pod(item: &Item) -> Standing {
    let phase = item.text("/status/phase").unwrap_or("Unknown");
    let waiting = ["/status/initContainerStatuses", "/status/containerStatuses"]
        .iter()
        .flat_map(|list| item.list(list))
        .find_map(|container| {
            let waiting = container.pointer("/state/waiting")?;
            let reason = waiting["reason"].as_str()?;
            let usual = matches!(reason, "PodInitializing" | "ContainerCreating");
            (!usual).then(|| (reason, waiting["message"].as_str().unwrap_or_default()))
        });
    let message = item.text("/status/message").unwrap_or_default();
    match (phase, waiting) {
        ("Succeeded", _) => Standing::new(Health::Well, phase, ""),
        ("Failed", _) => {
            let reason = item.text("/status/reason").unwrap_or_default();
            Standing::new(Health::Bad, phase, &joined(reason, message))
        }
        (_, Some((reason, why))) => Standing::new(Health::Bad, reason, why),
        ("Running", None) => Standing::new(Health::Busy, phase, ""),
        ("Pending", None) => {
            let scheduled = item.condition("PodScheduled");
            let refused = scheduled.filter(|it| it.status == "False");
            refused.map_or_else(
                || Standing::new(Health::Busy, phase, message),
                |it| Standing::new(Health::Bad, phase, &joined(it.reason, it.message)),
            )
        }
        _ => Standing::new(Health::Unknown, phase, message),
    }
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use serde_json::json;

    use super::*;

    /// An object of `kind` with the given fields beside its metadata.
    pub(in crate::cli) fn item(kind: Kind, name: &str, fields: &Value) -> Item {
        let mut object = json!({"metadata": {
            "name": name, "namespace": "agents", "uid": format!("uid-{name}"), "generation": 1,
            "creationTimestamp": "2026-11-22T10:00:00Z",
        }});
        json_patch::merge(&mut object, fields);
        Item::new(kind, serde_json::from_value(object).unwrap())
    }

    fn check(kind: Kind, fields: &Value, health: Health, expected: &str) {
        let standing = Standing::of(&item(kind, "a", fields));
        let told = format!("{} {}", standing.word, standing.message);
        assert_eq!(
            (standing.health, told.trim()),
            (health, expected),
            "{fields}"
        );
    }

    fn conditions(list: &[(&str, &str, &str)]) -> Value {
        let each = list.iter().map(|(kind, status, reason)| {
            json!({"type": kind, "status": status, "reason": reason, "message": "why"})
        });
        json!({"status": {"observedGeneration": 1, "conditions": each.collect::<Vec<_>>()}})
    }

    #[test]
    fn a_sync_is_what_its_conditions_say() {
        let check = |fields: &Value, health, expected| {
            check(Kind::RepoSync, fields, health, expected);
        };
        check(
            &json!({}),
            Health::Unknown,
            "Unseen no controller has looked",
        );
        check(
            &json!({"status": {"observedGeneration": -1}}),
            Health::Unknown,
            "Unseen no controller has looked",
        );
        check(
            &json!({"spec": {"suspend": true}}),
            Health::Idle,
            "Suspended",
        );
        check(
            &conditions(&[("Ready", "True", "Synced")]),
            Health::Well,
            "Ready why",
        );
        check(
            &conditions(&[
                ("Ready", "False", "FetchFailed"),
                ("Reconciling", "True", "x"),
            ]),
            Health::Bad,
            "FetchFailed why",
        );
        check(
            &conditions(&[
                ("Ready", "False", "PruneGuard"),
                ("Stalled", "True", "PruneGuard"),
            ]),
            Health::Bad,
            "PruneGuard why",
        );
        check(
            &conditions(&[("Ready", "Unknown", "x"), ("Reconciling", "True", "x")]),
            Health::Busy,
            "Reconciling why",
        );
        let mut stale = conditions(&[("Ready", "True", "Synced")]);
        stale["metadata"]["generation"] = json!(2);
        check(
            &stale,
            Health::Busy,
            "Reconciling its latest change has not been seen",
        );
    }

    #[test]
    fn a_task_that_waits_for_a_person_is_not_well() {
        let check = |fields: &Value, health, expected| check(Kind::Task, fields, health, expected);
        let pending = |reason: &str| {
            let mut fields = conditions(&[("Started", "False", reason)]);
            fields["status"]["phase"] = json!("Pending");
            fields["status"]["message"] = json!("why");
            fields
        };
        check(
            &json!({}),
            Health::Unknown,
            "Unseen no controller has looked",
        );
        check(
            &pending("SecretNotFound"),
            Health::Bad,
            "Pending SecretNotFound: why",
        );
        check(&pending("Cloning"), Health::Busy, "Pending Cloning: why");
        check(
            &json!({"status": {"phase": "Succeeded"}}),
            Health::Well,
            "Succeeded",
        );
        check(
            &json!({"status": {"phase": 7}}),
            Health::Unknown,
            "Unseen no controller has looked",
        );
    }

    #[test]
    fn jobs_and_pods() {
        check(
            Kind::Job,
            &json!({"status": {"active": 1}}),
            Health::Busy,
            "Active",
        );
        check(
            Kind::Job,
            &conditions(&[("Failed", "True", "Deadline")]),
            Health::Bad,
            "Failed Deadline: why",
        );
        let pulling = json!({"status": {"phase": "Pending", "containerStatuses": [
            {"state": {"waiting": {"reason": "ErrImagePull", "message": "none"}}}]}});
        check(Kind::Pod, &pulling, Health::Bad, "ErrImagePull none");
        let creating = json!({"status": {"phase": "Pending", "containerStatuses": [
            {"state": {"waiting": {"reason": "ContainerCreating"}}}]}});
        check(Kind::Pod, &creating, Health::Busy, "Pending");
        check(Kind::Pod, &json!({}), Health::Unknown, "Unknown");
    }
}
