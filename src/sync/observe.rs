//! Waits for what a plan has started.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::api::labels;
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

/// Time between two looks. Each is two LISTs, whatever the number of Tasks.
const PAUSE: Duration = Duration::from_secs(1);

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Every declared Task has begun to run, or is beyond that.
    Started,
    /// Every declared Task has finished.
    Finished,
}

/// Where the declared Tasks of a plan stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    pub finished: BTreeMap<ObjectName, Outcome>,
    /// Begun, and not finished.
    pub running: Vec<ObjectName>,
    /// Not begun.
    pub pending: Vec<ObjectName>,
}

impl Observed {
    pub fn reached(&self, until: Until) -> bool {
        self.pending.is_empty()
            && match until {
                Until::Started => true,
                Until::Finished => self.running.is_empty(),
            }
    }
}

/// Looks again and again until `until` is reached or `stop` is heard; the caller sets the deadline.
pub(super) async fn wait(
    cluster: &Cluster,
    plan: &Plan,
    until: Until,
    stop: &CancellationToken,
) -> Result<Observed, Error> {
    let identity = Identity {
        namespace: plan.namespace.clone(),
        sync: plan.sync.clone(),
        old: None,
        home: plan.home.clone(),
    };
    loop {
        let tasks = live::labelled(cluster, Kind::Task, &identity).await?;
        let records = live::records(cluster, &identity).await?;
        let observed = observe(plan, &tasks, &records);
        if observed.reached(until) {
            return Ok(observed);
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(observed),
            () = sleep(PAUSE) => {}
        }
    }
}

fn observe(plan: &Plan, tasks: &[Object], records: &BTreeMap<String, RunRecord>) -> Observed {
    let by_name: BTreeMap<&str, &Object> = tasks.iter().map(|it| (it.name(), it)).collect();
    let mut observed = Observed::default();
    let blocked: BTreeSet<&ObjectName> = plan
        .steps
        .iter()
        .filter(|step| step.key.kind == Kind::Task)
        .filter(|step| matches!(step.action, Action::Blocked { .. }))
        .map(|step| &step.key.name)
        .collect();
    for (name, run) in plan.runs.iter().filter(|(name, _)| !blocked.contains(name)) {
        match stand(
            plan,
            name,
            run,
            by_name.get(name.as_str()).copied(),
            records,
        ) {
            Stand::Pending => observed.pending.push(name.clone()),
            Stand::Running => observed.running.push(name.clone()),
            Stand::Finished(outcome) => {
                observed.finished.insert(name.clone(), outcome);
            }
        }
    }
    observed
}

enum Stand {
    Pending,
    Running,
    Finished(Outcome),
}

fn stand(
    plan: &Plan,
    name: &ObjectName,
    run: &RunDigest,
    task: Option<&Object>,
    records: &BTreeMap<String, RunRecord>,
) -> Stand {
    let live = task.filter(|it| it.annotation(labels::RUN) == Some(run.as_str()));
    match live.map(|it| it.text("/status/phase")) {
        Some(Some("Succeeded")) => Stand::Finished(Outcome::Succeeded),
        Some(Some("Failed")) => Stand::Finished(Outcome::Failed),
        Some(Some("Running")) => Stand::Running,
        Some(_) => Stand::Pending,
        // Gone: removed by its TTL, or by someone.
        None => {
            let scope = RunScope::Sync {
                sync: plan.sync.to_string(),
                task: name.to_string(),
            };
            let record = records.get(&record_name(&scope, run));
            Stand::Finished(record.map_or(Outcome::Unknown, |it| it.outcome))
        }
    }
}
