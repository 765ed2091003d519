//! Asks the API server what would come of the steps that differ, and refines them: defaults and
//! admission show, and so do refusals. Writes nothing.

use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream;

use crate::cluster::Apply;
use crate::cluster::Cluster;
use crate::cluster::Error;
use crate::cluster::Target;
use crate::model::Key;
use crate::model::plan::Action;
use crate::model::plan::Blocked;
use crate::model::plan::FieldChange;
use crate::model::plan::Step;
use crate::sync::PARALLEL;
use crate::sync::Probe;
use crate::sync::diff;
use crate::sync::owners::Ours;
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
    let creates = |step: &Step| matches!(step.action, Action::Create { .. });
    let first = steps.iter().position(creates);
    stream::iter(steps.into_iter().enumerate())
        .map(|(at, step)| async move {
            let probe = match probe {
                Probe::First if first == Some(at) => Probe::All,
                other => other,
            };
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
    let how = |force: bool| Apply {
        manager,
        force,
        dry_run: true,
    };
    let (answer, refined) = match &action {
        Action::Create { manifest, .. } if probe == Probe::All => {
            (cluster.create(key, manifest, how(false)).await, None)
        }
        Action::Update {
            manifest,
            live,
            changes,
            claim,
            inherits,
        } => {
            // What is inherited is not ours before the apply: the server would call it a conflict, and
            // cannot tell what goes.
            let force = claim.takes_fields() || !inherits.is_empty();
            let target = Target::Object(live);
            let answer = cluster.apply(key, manifest, target, how(force)).await;
            let told = answer.as_ref().ok().zip(world.objects.get(key));
            let told = told.map(|(after, before)| {
                if inherits.is_empty() {
                    diff::between(before, after, &only(manager))
                } else {
                    changes.clone()
                }
            });
            (answer, told)
        }
        // The live object has the name: its successor is asked for under another one.
        Action::Replace { manifest, .. } => {
            let answer = cluster.create_elsewhere(key, manifest, manager).await;
            let told = answer.as_ref().ok().zip(world.objects.get(key));
            let told = told.map(|(after, before)| diff::between(before, after, &only(manager)));
            (answer, told)
        }
        Action::Create { .. }
        | Action::Delete { .. }
        | Action::Keep { .. }
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
        // It moved between list and probe; applying it will tell.
        Err(Error::Moved(_) | Error::NotFound(_)) => Ok(action),
        Err(error) => match error.refusal() {
            // What an admission webhook cannot say of one object holds up no other.
            None if !matches!(error, Error::Server { .. }) => Err(error),
            why => Ok(blocked(Blocked::Refused {
                why,
                message: error.to_string(),
            })),
        },
    }
}

fn changed_to(action: Action, refined: Vec<FieldChange>) -> Action {
    match action {
        Action::Update { inherits, .. } if refined.is_empty() && inherits.is_empty() => {
            Action::Unchanged
        }
        Action::Update {
            manifest,
            live,
            claim,
            inherits,
            changes: _,
        } => Action::Update {
            manifest,
            live,
            claim,
            inherits,
            changes: refined,
        },
        Action::Replace {
            manifest,
            live,
            unfinished,
            changes: _,
        } => Action::Replace {
            manifest,
            live,
            unfinished,
            changes: refined,
        },
        other => other,
    }
}

fn only(manager: &str) -> Ours<'_> {
    Ours {
        manager,
        inherits: &[],
    }
}

fn blocked(reason: Blocked) -> Action {
    Action::Blocked { reason }
}
