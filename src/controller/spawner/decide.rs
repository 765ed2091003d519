//! Which items become Tasks. Pure: knowledge in, decision out.
//!
//! # Never doubled, never lost
//!
//! An item's life is written down in three places, each of them fenced by the API server:
//!
//! * its **Task**, whose name is made from the item: of two controllers that create it at once, one
//!   is answered `AlreadyExists`;
//! * the **record** of its run, which the Task controller creates before it starts anything. It
//!   outlives the Task. A Task whose record belongs to another Task ends without a run. So
//!   whatever this module overlooks (a Task that came and went since it was listed), the agent
//!   still runs once;
//! * the annotation **`axon.io/run`** of a finished Task: where it is missing, the item has left
//!   since, and the Task no longer stands for its run.
//!
//! An item runs anew only after it was seen to have left, in this order: first its finished Task
//! loses the annotation (so the Task controller will not write the record again), then its record
//! is deleted; when it matches again, that Task is deleted, and once it is gone a new one is
//! created. A crash between any two of these steps leaves a state from which the same rules go on:
//! a record beside a Task that has left is that Task's and is cleared away with it; without Task
//! and record, the item is new. Every deletion names the very object (UID and version) that was
//! judged, so one decided upon long ago hits nothing newer.
//!
//! One gap remains: a controller that lists, sleeps while another one creates the Task, runs it,
//! has it removed and sees the item leave, and only then creates. So no creation follows its list
//! by more than [`MAX_AGE`], and no record is forgotten before its run has been over for
//! [`SETTLED`], which is longer. Where a record went missing otherwise (someone deleted it), a Task
//! that still exists speaks for its run.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::model::Digest;
use crate::model::item::ItemKey;
use crate::model::names;
use crate::model::run::RunDigest;
use crate::model::run::RunScope;
use crate::model::run::record_name;
use crate::sources::Found;

/// How long a decision may be acted upon: a creation that has no answer by then is given up.
pub(super) const MAX_AGE: Duration = Duration::from_mins(1);
/// How long a run has been over before its record may be forgotten.
pub(super) const SETTLED: SignedDuration = SignedDuration::from_mins(3);

/// What an item's second run is told apart by: nothing, since its record is deleted before.
const OCCURRENCE: &str = "";

/// One object as it was when it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) version: String,
}

/// A Task of this spawner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownTask {
    pub(super) object: Object,
    /// Absent on a Task of the Go Axon.
    pub(super) item: Option<ItemKey>,
    pub(super) state: TaskState,
}

/// Where a Task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskState {
    Unfinished,
    Finished,
    /// Finished, and without the annotation of its run: its item was seen not to match any more.
    Left,
    /// Like [`TaskState::Left`], and being deleted.
    Leaving,
}

/// The record of a run of this spawner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownRecord {
    pub(super) object: Object,
    pub(super) item: Option<ItemKey>,
    /// The Task that claimed it.
    pub(super) task_uid: String,
    /// When the run ended; when it was claimed, where the end is not on record.
    pub(super) since: Option<Timestamp>,
}

/// All that the decision rests on.
pub(super) struct Situation<'a> {
    pub(super) spawner: &'a str,
    /// What matches, in the order in which it is to start.
    pub(super) found: &'a [Found],
    pub(super) absence: &'a Absence,
    pub(super) tasks: &'a [KnownTask],
    pub(super) records: &'a [KnownRecord],
    pub(super) limit: Option<usize>,
    /// How many may be created at all from now on.
    pub(super) left: Option<usize>,
    pub(super) now: Timestamp,
}

/// What it means that an item was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// Nothing: not everything was seen.
    Unknown,
    /// Items whose keys begin so were all seen; of others nothing is known.
    Of(String),
    /// Ticks up to this one are handled and never come again.
    UpTo(ItemKey),
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// Tasks to create: index of the item, and the Task's name.
    pub(super) create: Vec<(usize, String)>,
    /// What an earlier match left behind, to be removed before the item can run anew.
    pub(super) clear: Vec<Remains>,
    /// Items that wait: for a slot, or until what is left behind is gone.
    pub(super) waiting: Vec<usize>,
    /// Items that seem to have stopped matching.
    pub(super) gone: Vec<(ItemKey, Remains)>,
    /// Unfinished Tasks, without those to be created.
    pub(super) active: usize,
}

/// What is left of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remains {
    pub(super) tasks: Vec<Object>,
    pub(super) records: Vec<Object>,
}

/// The run of an item.
pub(super) fn run_of(item: &ItemKey) -> RunDigest {
    RunDigest::of_item(item.as_str(), OCCURRENCE)
}

pub(super) fn decide(situation: &Situation<'_>) -> Decision {
    let active = active(situation.tasks);
    let mut slots = situation
        .limit
        .map_or(usize::MAX, |limit| limit.saturating_sub(active))
        .min(situation.left.unwrap_or(usize::MAX));
    let mut decision = Decision {
        active,
        gone: gone(situation),
        ..Decision::default()
    };
    let mut seen = BTreeSet::new();
    for (index, found) in situation.found.iter().enumerate() {
        if !seen.insert(&found.item.key) {
            continue;
        }
        match situation.next(found) {
            Next::Nothing => {}
            Next::Await => decision.waiting.push(index),
            _ if slots == 0 => decision.waiting.push(index),
            Next::Clear(remains) => {
                slots -= 1;
                decision.clear.push(remains);
                decision.waiting.push(index);
            }
            Next::Create(name) => {
                slots -= 1;
                decision.create.push((index, name));
            }
        }
    }
    decision
}

/// How many of these Tasks have not finished.
pub(super) fn active(tasks: &[KnownTask]) -> usize {
    let unfinished = |task: &&KnownTask| task.state == TaskState::Unfinished;
    tasks.iter().filter(unfinished).count()
}

/// What comes next for an item that matches.
enum Next {
    /// It runs or has run.
    Nothing,
    /// What is left of its earlier run is going away.
    Await,
    Clear(Remains),
    Create(String),
}

impl Situation<'_> {
    fn next(&self, found: &Found) -> Next {
        let item = &found.item.key;
        let name = names::sanitised(&format!("{}-{}", self.spawner, found.item.id));
        let is_of_item = |task: &&KnownTask| match &task.item {
            Some(key) => key == item,
            None => task.object.name == name,
        };
        let tasks: Vec<_> = self.tasks.iter().filter(is_of_item).collect();
        let has_run = |state| matches!(state, TaskState::Unfinished | TaskState::Finished);
        if tasks.iter().any(|task| has_run(task.state)) {
            return Next::Nothing;
        }
        let (remains, records): (Vec<_>, Vec<_>) = self
            .records_of(item)
            .partition(|record| tasks.iter().any(|it| it.object.uid == record.task_uid));
        if !records.is_empty() {
            return Next::Nothing;
        }
        if tasks.is_empty() {
            return Next::Create(self.free_name(name, found));
        }
        let cleared = |task: &&&KnownTask| task.state == TaskState::Left;
        let remains = Remains {
            tasks: tasks
                .iter()
                .filter(cleared)
                .map(|it| it.object.clone())
                .collect(),
            records: remains.iter().map(|it| it.object.clone()).collect(),
        };
        if remains.tasks.is_empty() {
            Next::Await
        } else {
            Next::Clear(remains)
        }
    }

    fn records_of<'b>(&'b self, item: &'b ItemKey) -> impl Iterator<Item = &'b KnownRecord> {
        let scope = RunScope::Spawner {
            spawner: self.spawner.to_owned(),
        };
        let name = record_name(&scope, &run_of(item));
        self.records
            .iter()
            .filter(move |record| record.object.name == name || record.item.as_ref() == Some(item))
    }

    /// `name`, or one with a hash when another item of ours has it: `#7` of the repository that
    /// the workspace named before.
    fn free_name(&self, name: String, found: &Found) -> String {
        const HASH: usize = 8;
        if self.tasks.iter().all(|task| task.object.name != name) {
            return name;
        }
        let hash = Digest::of(found.item.key.as_str()).short(HASH);
        names::sanitised(&format!("{}-{}-{hash}", self.spawner, found.item.id))
    }
}

/// Whether two keys are of one source: `cron/…`, `github.com/…`.
fn same_source(one: &ItemKey, other: &ItemKey) -> bool {
    let source = |key: &ItemKey| key.as_str().split('/').next().map(str::to_owned);
    source(one) == source(other)
}

/// What is on record or finished, and does not match any more.
fn gone(situation: &Situation<'_>) -> Vec<(ItemKey, Remains)> {
    let matching: BTreeSet<_> = situation
        .found
        .iter()
        .map(|found| &found.item.key)
        .collect();
    let never_again = matches!(situation.absence, Absence::UpTo(_));
    // The record of a tick goes last: its Task needs no mark, and would have it written again.
    let busy: BTreeSet<_> = situation
        .tasks
        .iter()
        .filter(|task| task.state == TaskState::Unfinished || never_again)
        .filter_map(|task| task.item.as_ref())
        .collect();
    let judged = |item: &ItemKey| {
        let in_scope = match situation.absence {
            Absence::Unknown => false,
            Absence::Of(prefix) => item.as_str().starts_with(prefix.as_str()),
            Absence::UpTo(tick) => same_source(item, tick) && item <= tick,
        };
        in_scope && !matching.contains(item) && !busy.contains(item)
    };
    let mut gone: BTreeMap<&ItemKey, Remains> = BTreeMap::new();
    let mut unsettled = BTreeSet::new();
    for record in situation.records {
        let Some(item) = record.item.as_ref().filter(|item| judged(item)) else {
            continue;
        };
        let settled = record
            .since
            .is_some_and(|since| situation.now.duration_since(since) >= SETTLED);
        if settled {
            let remains = gone.entry(item).or_default();
            remains.records.push(record.object.clone());
        } else {
            unsettled.insert(item);
        }
    }
    for task in situation.tasks {
        let finished = task.state == TaskState::Finished;
        if let Some(item) = task.item.as_ref().filter(|item| finished && judged(item)) {
            gone.entry(item)
                .or_default()
                .tasks
                .push(task.object.clone());
        }
    }
    gone.into_iter()
        .filter(|(item, _)| !unsettled.contains(item))
        .map(|(item, remains)| (item.clone(), remains))
        .collect()
}

#[cfg(test)]
mod tests;
