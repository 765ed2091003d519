//! How many Tasks a spawner has made in all: pure.

use std::collections::BTreeSet;

use super::known::Known;
use super::trouble::Trouble;
use crate::api::task_spawner::TaskSpawnerStatus;
use crate::model::spawner::Spawner;

/// As the status has it. A controller that ended between a creation and its report leaves it too low.
pub(super) fn recorded(status: Option<&TaskSpawnerStatus>) -> usize {
    let total = status.and_then(|it| it.total_tasks_created);
    total.and_then(|it| usize::try_from(it).ok()).unwrap_or(0)
}

/// As the status has it, or as its Tasks and their records tell, where that is more.
pub(super) fn made(status: Option<&TaskSpawnerStatus>, known: &Known) -> usize {
    let of_tasks = known.tasks.iter().map(|it| it.object.uid.as_str());
    let of_records = known.records.iter().map(|it| it.task_uid.as_str());
    let told: BTreeSet<&str> = of_tasks.chain(of_records).collect();
    recorded(status).max(told.len())
}

/// How many more it may make. `None`: no limit.
pub(super) fn left(
    spawner: &Spawner,
    status: Option<&TaskSpawnerStatus>,
    known: &Known,
) -> Option<usize> {
    let limit = spawner.max_total?;
    Some(limit.saturating_sub(made(status, known)))
}

/// That no more are made, where that is so.
pub(super) fn reached(spawner: &Spawner, made: usize) -> Option<Trouble> {
    let limit = spawner.max_total?;
    (made >= limit).then_some(Trouble::TotalReached(limit))
}

#[cfg(test)]
mod tests {
    use super::super::decide::KnownRecord;
    use super::super::decide::KnownTask;
    use super::super::decide::Object;
    use super::super::decide::TaskState;
    use super::*;

    fn object(uid: &str) -> Object {
        Object {
            name: uid.to_owned(),
            uid: uid.to_owned(),
            version: "1".into(),
        }
    }

    fn known(tasks: &[&str], records: &[&str]) -> Known {
        let task = |uid: &&str| KnownTask {
            object: object(uid),
            item: None,
            state: TaskState::Finished,
        };
        let record = |uid: &&str| KnownRecord {
            object: object("record"),
            item: None,
            task_uid: (*uid).to_owned(),
            since: None,
        };
        Known {
            tasks: tasks.iter().map(task).collect(),
            records: records.iter().map(record).collect(),
        }
    }

    #[test]
    fn no_task_is_counted_twice_and_none_is_forgotten() {
        for (recorded, tasks, records, expected) in [
            (None, &[][..], &[][..], 0),
            (Some(2), &[], &[], 2),
            (Some(1), &["a", "b"], &["b", "c"], 3),
            (Some(5), &["a"], &["a"], 5),
        ] {
            let status = TaskSpawnerStatus {
                total_tasks_created: recorded,
                ..TaskSpawnerStatus::default()
            };
            assert_eq!(made(Some(&status), &known(tasks, records)), expected);
        }
    }
}
