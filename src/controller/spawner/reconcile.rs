//! The story of one look at a TaskSpawner.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use kube::Api;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use super::Context;
use super::act::Actor;
use super::act::Done;
use super::build::Templates;
use super::decide;
use super::decide::Situation;
use super::known;
use super::look;
use super::look::Look;
use super::memory::MAX_REFUSED;
use super::memory::MAX_WAITING;
use super::memory::Poll;
use super::status;
use super::status::Report;
use super::total;
use super::trouble;
use super::trouble::Effect;
use super::trouble::Stop;
use super::trouble::Trouble;
use crate::api::TaskSpawner;
use crate::controller::clock;
use crate::model::Problem;
use crate::model::spawner::Source;
use crate::model::spawner::Spawner;

/// Longest time without a look: what a watch may have missed is seen then.
const MAX_REST: Duration = Duration::from_hours(1);
/// Shortest, so that a tick that is due right now does not spin.
const MIN_REST: Duration = Duration::from_millis(100);

/// When to try again what the API server could not take just now.
const RETRY: Duration = Duration::from_secs(10);

/// The cluster did not do what it was asked; everything else goes into the status.
#[derive(Debug, thiserror::Error)]
#[error("cannot reconcile TaskSpawner \"{name}\"")]
pub(super) struct Error {
    name: String,
    #[source]
    cause: kube::Error,
}

/// Reads the spawner, looks for work, decides, acts, reports.
pub(super) async fn reconcile(
    object: Arc<DeserializeGuard<TaskSpawner>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let key = key(&object);
    if let Err(invalid) = &object.0 {
        tracing::warn!(spawner = %key, error = invalid.error, "left a TaskSpawner alone that cannot be read");
        return Ok(Action::await_change());
    }
    match look_at(&object, &context).await {
        Ok(action) => {
            context.memory.clear_errors(&key);
            Ok(action)
        }
        Err(cause) => Err(Error {
            name: object.name_any(),
            cause,
        }),
    }
}

/// Comes back later each time: nothing but the API server can be at fault here.
#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub(super) fn error_policy(
    object: Arc<DeserializeGuard<TaskSpawner>>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    let failures = context.memory.count_error(key(&object));
    let wait = trouble::backoff(failures);
    tracing::warn!(
        spawner = %key(&object),
        error = %error.cause,
        "cannot reconcile; trying again in {}s",
        wait.as_secs()
    );
    Action::requeue(wait)
}

fn key(object: &DeserializeGuard<TaskSpawner>) -> ObjectRef<TaskSpawner> {
    ObjectRef::new(&object.name_any()).within(&object.namespace().unwrap_or_default())
}

async fn look_at(
    cached: &DeserializeGuard<TaskSpawner>,
    context: &Context,
) -> Result<Action, kube::Error> {
    let namespace = cached.namespace().unwrap_or_default();
    let api: Api<TaskSpawner> = Api::namespaced(context.client.clone(), &namespace);
    // Fresh: with an old cursor, a tick that is long done would be due again.
    let Some(object) = api.get_opt(&cached.name_any()).await? else {
        return Ok(Action::await_change());
    };
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let now = clock::now();
    let (report, again) = match work(&object, context, now).await {
        Ok(worked) => worked,
        Err(Stop::Trouble(trouble)) => (Report::of(trouble), Timestamp::MAX),
        Err(Stop::Cluster(error)) => return Err(error),
    };
    let deployment = &context.options.deployment_name;
    status::write(&api, &object, &report, deployment, now).await?;
    let rest = Duration::try_from(again.duration_since(now)).unwrap_or_default();
    Ok(Action::requeue(rest.clamp(MIN_REST, MAX_REST)))
}

/// Load, decide, act. Gives what to report, and when to look again.
async fn work(
    object: &TaskSpawner,
    context: &Context,
    now: Timestamp,
) -> Result<(Report, Timestamp), Stop> {
    let spawner = Spawner::accept(&object.spec).map_err(invalid)?;
    let templates = Templates::parse(&object.spec.task_template)?;
    if let Some(report) = held(object, &spawner, context).await? {
        // Nothing is due until somebody changes the spec.
        return Ok((report, Timestamp::MAX));
    }
    let look = match &spawner.source {
        Source::GitHub(filter) => look::issues(context, object, filter, spawner.poll, now).await?,
        Source::Cron(schedule) => look::ticks(context, object, schedule, now),
    };
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let since = Instant::now();
    let known = known::read(&context.client, &namespace, &name).await?;
    let decision = decide::decide(&Situation {
        spawner: &name,
        found: &look.found,
        absence: &look.absence,
        tasks: &known.tasks,
        records: &known.records,
        limit: spawner.max_concurrency,
        left: total::left(&spawner, object.status.as_ref(), &known),
        now,
    });
    let actor = Actor {
        context,
        object,
        templates: &templates,
        now,
        since,
    };
    let done = actor.carry_out(&decision, &look).await?;
    let filter = match &spawner.source {
        Source::GitHub(filter) => Some(filter),
        Source::Cron(_) => None,
    };
    actor.forget(&decision.gone, &look, filter).await?;
    let mut report = Report::after(&look, &done, decision.active);
    let made = total::made(object.status.as_ref(), &known).saturating_add(done.created);
    if let Some(reached) = total::reached(&spawner, made) {
        report.troubles.insert(0, reached);
    }
    let again = again(&look, &done, &spawner, now);
    if filter.is_some() {
        context
            .memory
            .keep(ObjectRef::from_obj(object), poll(object, look, done));
    }
    Ok((report, again))
}

/// What to report of a spawner that is not to look for work; nothing if it is.
async fn held(
    object: &TaskSpawner,
    spawner: &Spawner,
    context: &Context,
) -> Result<Option<Report>, kube::Error> {
    let why = if spawner.suspended {
        Some(Trouble::Suspended)
    } else {
        total::reached(spawner, total::recorded(object.status.as_ref()))
    };
    let Some(why) = why else {
        return Ok(None);
    };
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let known = known::read(&context.client, &namespace, &name).await?;
    Ok(Some(Report {
        active: Some(decide::active(&known.tasks)),
        ..Report::of(why)
    }))
}

/// When to look again: at the next poll or tick, and earlier where something waits to be tried again.
fn again(look: &Look, done: &Done, spawner: &Spawner, now: Timestamp) -> Timestamp {
    let after = |wait: Duration| now.checked_add(wait).unwrap_or(Timestamp::MAX);
    let at_source = match &spawner.source {
        Source::GitHub(_) => look.rest,
        Source::Cron(_) => look.next_tick.unwrap_or(Timestamp::MAX),
    };
    // What waits for a slot is woken by the Task that frees it; this is for all else.
    if done.delayed.iter().any(|it| it.effect() == Effect::Passing) {
        at_source.min(after(RETRY))
    } else if done.waiting.is_empty() && done.refused.is_empty() {
        at_source
    } else {
        at_source.min(after(spawner.poll))
    }
}

fn poll(object: &TaskSpawner, look: Look, done: Done) -> Poll {
    let mut waiting = done.waiting;
    let more = waiting.len() > MAX_WAITING;
    waiting.truncate(MAX_WAITING);
    let mut refused = look.refused;
    refused.extend(done.refused);
    refused.truncate(MAX_REFUSED);
    Poll {
        of: look::generation(object),
        rest: look.rest,
        failures: look.failures,
        waiting,
        more,
        github: look.github,
        trouble: look.trouble,
        refused,
    }
}

fn invalid(problems: Vec<Problem>) -> Trouble {
    let of_schedule = |problem: &Problem| problem.pointer.starts_with("/when/cron/");
    if problems.iter().all(of_schedule) {
        Trouble::InvalidSchedule(problems)
    } else {
        Trouble::InvalidSpec(problems)
    }
}

impl Report {
    fn of(trouble: Trouble) -> Self {
        Self {
            troubles: vec![trouble],
            ..Self::default()
        }
    }

    fn after(look: &Look, done: &Done, active: usize) -> Self {
        let all_done = done.waiting.is_empty() && done.refused.is_empty();
        let handled = look.tick.filter(|_| all_done);
        let of_items = look
            .refused
            .iter()
            .chain(&done.refused)
            .chain(&done.delayed);
        Self {
            troubles: look.trouble.iter().chain(of_items).cloned().collect(),
            polled: look.polled,
            discovered: look.discovered,
            created: done.created,
            active: Some(active + done.created),
            handled,
            next: look.next_tick,
        }
    }
}
