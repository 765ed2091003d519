//! Waits for what a plan has started, by a watch.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::pin::pin;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::api::labels;
use crate::cluster::Change;
use crate::cluster::Cluster;
use crate::cluster::Error;
use crate::cluster::Object;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::Plan;
use crate::model::plan::Action;
use crate::model::run::Outcome;
use crate::model::run::RunDigest;
use crate::model::run::RunRecord;
use crate::model::run::RunScope;
use crate::model::run::record_name;
use crate::sync::live;
use crate::sync::world::Identity;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Every declared Task has begun to run, or is beyond that.
    Started,
    /// Every declared Task has finished.
    Finished,
}

/// Where a Task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It has not begun. `why` is what its status says to that.
    Pending {
        why: Option<String>,
    },
    Running,
    Finished(Outcome),
    /// It was removed; its record tells how it ended.
    Gone,
}

/// Where the declared Tasks of a plan stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    pub tasks: BTreeMap<ObjectName, Stand>,
}

/// Hears of each change.
pub type Tell<'a> = &'a (dyn Fn(&ObjectName, &Stand) + Send + Sync);

impl Stand {
    pub fn reached(&self, until: Until) -> bool {
        match self {
            Self::Pending { .. } => false,
            Self::Running => until == Until::Started,
            Self::Finished(_) | Self::Gone => true,
        }
    }
}

impl Observed {
    pub fn reached(&self, until: Until) -> bool {
        self.tasks.values().all(|stand| stand.reached(until))
    }

    /// Whether every Task is known to have succeeded, or goes on.
    pub fn is_well(&self) -> bool {
        self.tasks.values().all(|stand| match stand {
            Stand::Pending { .. } | Stand::Running => true,
            Stand::Finished(outcome) => *outcome == Outcome::Succeeded,
            Stand::Gone => false,
        })
    }
}

/// Watches until `until` is reached or `stop` is heard; the caller sets the deadline. The records are
/// asked once, at the end, for what has gone.
pub(super) async fn wait(
    cluster: &Cluster,
    plan: &Plan,
    until: Until,
    stop: &CancellationToken,
    tell: Tell<'_>,
) -> Result<Observed, Error> {
    let mut board = Board::new(plan, tell);
    let selector = format!("{}={}", labels::SYNC, plan.sync);
    let mut changes = pin!(cluster.watch(Kind::Task, &selector));
    while !(board.is_complete && board.observed.reached(until)) {
        tokio::select! {
            () = stop.cancelled() => break,
            change = changes.next() => match change {
                Some(change) => board.take(change?),
                None => break,
            }
        }
    }
    if board.observed.tasks.values().any(|it| *it == Stand::Gone) {
        let identity = identity(plan);
        board.settle(&live::records(cluster, &identity).await?);
    }
    Ok(board.observed)
}

/// What is known of the Tasks so far.
struct Board<'a> {
    plan: &'a Plan,
    tell: Tell<'a>,
    observed: Observed,
    /// Whether all that is there was told.
    is_complete: bool,
    /// What was told since it began anew.
    seen: BTreeSet<ObjectName>,
}

impl<'a> Board<'a> {
    fn new(plan: &'a Plan, tell: Tell<'a>) -> Self {
        let declared = plan
            .steps
            .iter()
            .filter(|step| step.key.kind == Kind::Task && plan.runs.contains_key(&step.key.name));
        let tasks: BTreeMap<ObjectName, Stand> = declared
            .filter_map(|step| Some((step.key.name.clone(), begin(&step.action)?)))
            .collect();
        for (name, stand) in &tasks {
            tell(name, stand);
        }
        Self {
            plan,
            tell,
            // Nothing to wait for needs no look.
            is_complete: tasks.is_empty(),
            observed: Observed { tasks },
            seen: BTreeSet::new(),
        }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Anew => self.seen.clear(),
            Change::Is(object) => self.is(&object),
            Change::Gone(object) => {
                if let Some(name) = self.known(&object) {
                    self.gone(&name);
                }
            }
            Change::Complete => {
                let all = self.observed.tasks.keys().cloned();
                let gone: Vec<ObjectName> = all.filter(|it| !self.seen.contains(it)).collect();
                for name in gone {
                    self.gone(&name);
                }
                self.is_complete = true;
            }
        }
    }

    fn is(&mut self, object: &Object) {
        let Some(name) = self.known(object) else {
            return;
        };
        self.seen.insert(name.clone());
        let run = self.plan.runs.get(&name).map(RunDigest::as_str);
        if object.annotation(labels::RUN) == run {
            self.set(&name, stand(object));
        } else {
            // Another run took its place.
            self.gone(&name);
        }
    }

    /// A finished Task stays finished when its object goes.
    fn gone(&mut self, name: &ObjectName) {
        let is_finished = matches!(self.observed.tasks.get(name), Some(Stand::Finished(_)));
        if !is_finished {
            self.set(name, Stand::Gone);
        }
    }

    /// Takes the outcomes of what has gone from their records.
    fn settle(&mut self, records: &BTreeMap<String, RunRecord>) {
        let gone = self.observed.tasks.iter();
        let gone = gone.filter(|(_, stand)| **stand == Stand::Gone);
        let gone: Vec<ObjectName> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            let Some(run) = self.plan.runs.get(&name) else {
                continue;
            };
            let scope = RunScope::Sync {
                sync: self.plan.sync.to_string(),
                task: name.to_string(),
            };
            let record = records.get(&record_name(&scope, run));
            let outcome = record.map_or(Outcome::Unknown, |it| it.outcome);
            self.set(&name, Stand::Finished(outcome));
        }
    }

    fn set(&mut self, name: &ObjectName, stand: Stand) {
        if self.observed.tasks.get(name) != Some(&stand) {
            (self.tell)(name, &stand);
            self.observed.tasks.insert(name.clone(), stand);
        }
    }

    /// Its name, if it is waited for.
    fn known(&self, object: &Object) -> Option<ObjectName> {
        let name = ObjectName::parse(object.name()).ok()?;
        self.observed.tasks.contains_key(&name).then_some(name)
    }
}

/// What the plan says of a Task; nothing if it is not waited for.
fn begin(action: &Action) -> Option<Stand> {
    match action {
        Action::Create { .. }
        | Action::Update { .. }
        | Action::Replace { .. }
        | Action::Unchanged => Some(Stand::Pending { why: None }),
        Action::AlreadyRan {
            outcome,
            finished: _,
        } => Some(Stand::Finished(*outcome)),
        Action::Delete { .. } | Action::Keep { .. } | Action::Blocked { .. } => None,
    }
}

fn stand(task: &Object) -> Stand {
    match task.text("/status/phase") {
        Some("Succeeded") => Stand::Finished(Outcome::Succeeded),
        Some("Failed") => Stand::Finished(Outcome::Failed),
        Some("Running") => Stand::Running,
        Some(_) | None => Stand::Pending { why: why(task) },
    }
}

/// Why a Task has not begun: the condition `Started`, else the message of the status.
fn why(task: &Object) -> Option<String> {
    let conditions = task.as_value().pointer("/status/conditions")?.as_array()?;
    let started = conditions
        .iter()
        .rfind(|it| it["type"] == "Started" && it["status"] == "False");
    let said = |field: &str| {
        let text = started?[field].as_str()?;
        (!text.is_empty()).then_some(text)
    };
    let message = said("message").or_else(|| task.text("/status/message"));
    match (said("reason"), message) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

fn identity(plan: &Plan) -> Identity {
    Identity {
        namespace: plan.namespace.clone(),
        sync: plan.sync.clone(),
        old: None,
        home: plan.home.clone(),
        old_home: None,
    }
}
