//! The only place that writes a TaskSpawner's status.

use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::ResourceExt;
use kube::api::PostParams;

use super::trouble::Effect;
use super::trouble::Reason;
use super::trouble::Trouble;
use crate::api::TaskSpawner;
use crate::api::task_spawner::SpawnerPhase;
use crate::api::task_spawner::TaskSpawnerStatus;
use crate::controller::FIELD_MANAGER;

/// A poll that changes nothing is written down no more often than this.
const DISCOVERY_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// Longest message: a condition may hold 32 KiB, a person reads a few lines.
const MAX_MESSAGE: usize = 1024;
/// Tries to write against others who write at the same time.
const MAX_TRIES: usize = 4;
/// Type of the one condition.
const READY: &str = "Ready";

/// What a reconciliation found and did. What is absent was not looked at, and stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    /// Gravest first.
    pub(super) troubles: Vec<Trouble>,
    /// When the source was asked.
    pub(super) polled: Option<Timestamp>,
    pub(super) discovered: Option<usize>,
    pub(super) created: usize,
    pub(super) active: Option<usize>,
    /// The tick that is now done with.
    pub(super) handled: Option<Timestamp>,
    /// The tick that comes next. Absent: there is none.
    pub(super) next: Option<Timestamp>,
}

/// Writes what `report` changes, if it changes anything.
///
/// Fenced by the version of the object: where another writer was faster, the report is laid upon
/// what that one wrote.
pub(super) async fn write(
    api: &Api<TaskSpawner>,
    object: &TaskSpawner,
    report: &Report,
    deployment: &str,
    now: Timestamp,
) -> Result<(), kube::Error> {
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    // What was found out is about this spec, whatever stands there when it is written.
    let generation = object.metadata.generation;
    let mut object = object.clone();
    for tries in 1.. {
        let before = object.status.take().unwrap_or_default();
        object.status = next(&before, report, generation, deployment, now);
        if object.status.is_none() {
            return Ok(());
        }
        let name = object.name_any();
        match api.replace_status(&name, &parameters, &object).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(error)) if error.code == 404 => return Ok(()),
            Err(kube::Error::Api(error)) if error.code == 409 && tries < MAX_TRIES => {
                match api.get_opt(&name).await? {
                    Some(fresh) if fresh.metadata.uid == object.metadata.uid => object = fresh,
                    Some(_) | None => return Ok(()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The status after `report`; none if it would not change.
fn next(
    before: &TaskSpawnerStatus,
    report: &Report,
    generation: Option<i64>,
    deployment: &str,
    now: Timestamp,
) -> Option<TaskSpawnerStatus> {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let gravest = report.troubles.first();
    let message = gravest.map(|trouble| told(trouble, report.troubles.len() - 1));
    let created = before
        .total_tasks_created
        .unwrap_or_default()
        .saturating_add(count(report.created));
    if before.observed_generation > generation {
        // Another controller spoke of a newer spec meanwhile; what was done counts all the same.
        let after = TaskSpawnerStatus {
            total_tasks_created: Some(created),
            last_schedule_time: later(before.last_schedule_time.clone(), report.handled),
            ..before.clone()
        };
        return (after != *before).then_some(after);
    }
    let mut after = TaskSpawnerStatus {
        phase: Some(phase(before.phase, gravest)),
        deployment_name: Some(deployment.to_owned()),
        total_discovered: report.discovered.map(count).or(before.total_discovered),
        total_tasks_created: Some(created),
        active_tasks: report.active.map(count).or(before.active_tasks),
        last_discovery_time: before.last_discovery_time.clone(),
        last_schedule_time: later(before.last_schedule_time.clone(), report.handled),
        next_schedule_time: report.next.map(Time),
        message: message.clone(),
        conditions: conditions(
            before,
            gravest,
            message.unwrap_or_default(),
            generation,
            now,
        ),
        observed_generation: generation,
    };
    if let Some(polled) = report.polled {
        let is_old = before
            .last_discovery_time
            .as_ref()
            .is_none_or(|last| polled.duration_since(last.0) >= DISCOVERY_EVERY);
        if is_old || after != *before {
            after.last_discovery_time = Some(Time(polled));
        }
    }
    (after != *before).then_some(after)
}

/// The cursor never goes back: what another controller has handled is handled.
fn later(before: Option<Time>, handled: Option<Timestamp>) -> Option<Time> {
    before
        .map(|time| time.0)
        .into_iter()
        .chain(handled)
        .max()
        .map(Time)
}

fn phase(before: Option<SpawnerPhase>, gravest: Option<&Trouble>) -> SpawnerPhase {
    match gravest.map(Trouble::effect) {
        None | Some(Effect::Partial) => SpawnerPhase::Running,
        Some(Effect::Passing | Effect::Wanted) => before.unwrap_or(SpawnerPhase::Pending),
        Some(Effect::Stalled) => SpawnerPhase::Failed,
    }
}

fn told(trouble: &Trouble, others: usize) -> String {
    let text: String = trouble.to_string().chars().take(MAX_MESSAGE).collect();
    if others > 0 {
        format!("{text} (and {others} more)")
    } else {
        text
    }
}

fn conditions(
    before: &TaskSpawnerStatus,
    gravest: Option<&Trouble>,
    message: String,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let (status, reason) = match gravest {
        None => ("True", Reason::Working),
        Some(trouble) => ("False", trouble.reason()),
    };
    let (ready, mut others): (Vec<_>, Vec<_>) = before
        .conditions
        .iter()
        .cloned()
        .partition(|condition| condition.type_ == READY);
    let since = ready
        .into_iter()
        .find(|condition| condition.status == status)
        .map_or(Time(now), |condition| condition.last_transition_time);
    others.push(Condition {
        type_: READY.into(),
        status: status.into(),
        reason: reason.as_str().into(),
        message,
        last_transition_time: since,
        observed_generation: generation,
    });
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The status after each of these reports, and how many of them were written.
    fn after(reports: &[(i64, Report)]) -> (TaskSpawnerStatus, usize) {
        let (mut status, mut writes) = (TaskSpawnerStatus::default(), 0);
        for (second, report) in reports {
            if let Some(next) = next(&status, report, Some(1), "axon-controller", at(*second)) {
                status = next;
                writes += 1;
            }
        }
        (status, writes)
    }

    fn poll(second: i64) -> (i64, Report) {
        let report = Report {
            polled: Some(at(second)),
            discovered: Some(3),
            active: Some(0),
            ..Report::default()
        };
        (second, report)
    }

    fn limited(second: i64) -> (i64, Report) {
        let error = crate::github::Error::RateLimited { until: at(7_200) };
        let repo = "acme/web".into();
        let report = Report {
            troubles: vec![Trouble::GitHub { repo, error }],
            ..Report::default()
        };
        (second, report)
    }

    #[test]
    fn a_word_about_an_older_spec_only_counts_what_was_done() {
        let before = TaskSpawnerStatus {
            observed_generation: Some(2),
            total_tasks_created: Some(3),
            total_discovered: Some(7),
            ..TaskSpawnerStatus::default()
        };
        let late = |report: &Report| next(&before, report, Some(1), "axon-controller", at(0));
        let after = late(&Report {
            created: 2,
            discovered: Some(1),
            ..Report::default()
        });
        let expected = TaskSpawnerStatus {
            total_tasks_created: Some(5),
            ..before.clone()
        };
        assert_eq!(after, Some(expected));
        assert_eq!(late(&poll(0).1), None);
    }

    #[test]
    fn a_poll_without_news_is_written_every_ten_minutes() {
        let polls: Vec<_> = (0..=20).map(|minute| poll(minute * 60)).collect();
        let (status, writes) = after(&polls);
        assert_eq!(writes, 3);
        assert_eq!(status.last_discovery_time, Some(Time(at(1_200))));
    }

    #[test]
    fn trouble_is_told_and_leaves_what_is_known() {
        let (status, _) = after(&[poll(0), limited(60), limited(90)]);
        let ready = &status.conditions[0];
        assert_eq!((&*ready.status, &*ready.reason), ("False", "GitHubLimited"));
        assert!(
            ready.message.contains("next try 02:00 UTC"),
            "{}",
            ready.message
        );
        assert_eq!(ready.last_transition_time, Time(at(60)));
        assert_eq!(status.phase, Some(SpawnerPhase::Running));
        assert_eq!(status.total_discovered, Some(3));
    }

    #[test]
    fn phases() {
        let check = |reports: &[(i64, Report)], expected: SpawnerPhase| {
            assert_eq!(after(reports).0.phase, Some(expected));
        };
        let stalled = Report {
            troubles: vec![Trouble::WorkspaceNotFound("web".into())],
            ..Report::default()
        };
        check(&[limited(0)], SpawnerPhase::Pending);
        check(&[poll(0)], SpawnerPhase::Running);
        check(&[poll(0), (1, stalled.clone())], SpawnerPhase::Failed);
        check(&[(0, stalled), poll(1)], SpawnerPhase::Running);
    }

    #[test]
    fn tasks_add_up_and_the_cursor_never_goes_back() {
        let report = |handled: i64| Report {
            created: 1,
            handled: Some(at(handled)),
            ..Report::default()
        };
        let (status, _) = after(&[(9, report(60)), (10, report(120)), (11, report(60))]);
        assert_eq!(status.total_tasks_created, Some(3));
        assert_eq!(status.last_schedule_time, Some(Time(at(120))));
    }
}
