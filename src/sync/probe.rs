//! Asks the API server what would come of the steps that differ, and refines them: defaults and
//! admission show, and so do refusals. Writes nothing.

use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream;

use crate::cluster::Apply;
use crate::cluster::Cluster;
use crate::cluster::Error;
use crate::model::Key;
use crate::model::plan::Action;
use crate::model::plan::Blocked;
use crate::model::plan::Claim;
use crate::model::plan::FieldChange;
use crate::model::plan::Step;
use crate::sync::PARALLEL;
use crate::sync::Probe;
use crate::sync::diff;
use crate::sync::world::World;

/// `steps` as the API server would take them.
pub(super) async fn refine(
    cluster: &Cluster,
    steps: Vec<Step>,
    world: &World,
    manager: &str,
    probe: Probe,
) -> Result<Vec<Step>, Error> {
    if probe == Probe::Nothing {
        return Ok(steps);
    }
    stream::iter(steps)
        .map(|step| async move {
            let action = refined(cluster, &step.key, step.action, world, manager, probe).await?;
            Ok(Step {
                key: step.key,
                action,
            })
        })
        .buffered(PARALLEL)
        .try_collect()
        .await
}

async fn refined(
    cluster: &Cluster,
    key: &Key,
    action: Action,
    world: &World,
    manager: &str,
    probe: Probe,
) -> Result<Action, Error> {
    let how = |claim: Claim| Apply {
        manager,
        force: claim.takes_fields(),
        dry_run: true,
    };
    let (answer, refined) = match &action {
        Action::Create { manifest, .. } if probe == Probe::All => {
            (cluster.apply(key, manifest, how(Claim::Adopt)).await, None)
        }
        Action::Update {
            manifest,
            live,
            claim,
            ..
        } => {
            let answer = cluster.apply_to(key, manifest, live, how(*claim)).await;
            let before = world.objects.get(key);
            let pair = answer.as_ref().ok().zip(before);
            let refined = pair.map(|(after, before)| diff::between(before, after, manager));
            (answer, refined)
        }
        // The live object stands in the way of asking for its successor.
        Action::Replace { .. }
        | Action::Create { .. }
        | Action::Delete { .. }
        | Action::Keep
        | Action::Unchanged
        | Action::AlreadyRan { .. }
        | Action::Blocked { .. } => return Ok(action),
    };
    match answer {
        Ok(_) => Ok(match refined {
            Some(changes) => changed_to(action, changes),
            None => action,
        }),
        Err(Error::FieldConflict(fields)) => Ok(blocked(Blocked::Conflict { fields })),
        Err(error) if error.is_refusal() => Ok(blocked(Blocked::Refused {
            message: error.to_string(),
        })),
        // It moved between list and probe; applying it will tell.
        Err(Error::Moved(_) | Error::NotFound(_)) => Ok(action),
        Err(error) => Err(error),
    }
}

fn changed_to(action: Action, refined: Vec<FieldChange>) -> Action {
    match action {
        Action::Update { .. } if refined.is_empty() => Action::Unchanged,
        Action::Update {
            manifest,
            live,
            claim,
            changes: _,
        } => Action::Update {
            manifest,
            live,
            claim,
            changes: refined,
        },
        other => other,
    }
}

fn blocked(reason: Blocked) -> Action {
    Action::Blocked { reason }
}
