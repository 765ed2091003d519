//! The story of one Task: look, decide, do, tell.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::Resource;
use kube::ResourceExt;
use kube::api::DeleteParams;
use kube::api::Preconditions;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use super::act;
use super::backoff::Backoff;
use super::build;
use super::decide;
use super::gather;
use super::gather::Caches;
use super::news::JobId;
use super::news::News;
use super::news::What;
use super::notices;
use super::reason::End;
use super::record;
use super::refusals::Refusals;
use super::start;
use super::start::Claimed;
use super::start::Released;
use super::start::Started;
use super::status;
use super::step::Start;
use super::step::Step;
use crate::api::Task;
use crate::controller::Options;
use crate::controller::clock;
use crate::controller::events;
use crate::controller::events::Level;
use crate::controller::events::Notice;
use crate::controller::network_policy::Policies;
use crate::model::run::Outcome;
use crate::model::sensitive;
use crate::model::sensitive::Known;

/// How soon to look again at a Task that changed while it was looked at. Its watch event comes
/// sooner as a rule.
const OUTDATED: Duration = Duration::from_secs(1);

/// How soon to look again at what was told to stop, should no watch tell.
const STOPPING: Duration = Duration::from_secs(5);

/// Reason of the event that tells of a write that the API server refuses.
const WRITE_REFUSED: &str = "WriteRefused";

/// What reconciling a Task needs.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) caches: Caches,
    pub(super) options: Options,
    pub(super) backoff: Backoff,
    pub(super) policies: Policies,
    pub(super) refusals: Refusals,
}

/// Why a Task could not be reconciled this time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot look at what surrounds the Task")]
    Gather(#[source] kube::Error),
    #[error("cannot start the run")]
    Start(#[source] kube::Error),
    #[error("cannot stop the run")]
    Stop(#[source] kube::Error),
    #[error("cannot write how the run ended into its record")]
    Record(#[source] kube::Error),
    #[error("cannot write the Task's status")]
    Status(#[source] kube::Error),
    #[error("cannot delete the Task")]
    Delete(#[source] kube::Error),
}

impl Error {
    /// Whether somebody else wrote first: no failure, only a reason to look again.
    pub(super) fn is_conflict(&self) -> bool {
        let (Self::Gather(cause)
        | Self::Start(cause)
        | Self::Stop(cause)
        | Self::Record(cause)
        | Self::Status(cause)
        | Self::Delete(cause)) = self;
        matches!(cause, kube::Error::Api(status) if status.is_conflict())
    }

    /// The API server's words, if it refused a write that it would refuse again.
    fn refusal(&self) -> Option<&str> {
        let (Self::Start(kube::Error::Api(status))
        | Self::Stop(kube::Error::Api(status))
        | Self::Record(kube::Error::Api(status))
        | Self::Status(kube::Error::Api(status))
        | Self::Delete(kube::Error::Api(status))) = self
        else {
            return None;
        };
        let passes = [404, 408, 409, 429].contains(&status.code);
        let is_refused = (400..500).contains(&status.code) && !passes;
        is_refused.then_some(&status.message)
    }
}

/// Brings one Task forward by one step. What the API server refuses for good is told of in an event, once for
/// each state of the Task: its status may be what cannot be written.
pub(super) async fn reconcile(
    task: Arc<DeserializeGuard<Task>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let result = Box::pin(step(task.clone(), &context)).await;
    if let (Err(error), Ok(seen)) = (&result, &task.0)
        && let Some(words) = error.refusal()
    {
        let known = serde_json::to_value(seen).unwrap_or_default();
        let words = sensitive::line(words, &Known::of(&known));
        let notice = Notice {
            level: Level::Warning,
            reason: WRITE_REFUSED.into(),
            message: format!("{error}: {words}"),
        };
        let version = seen.resource_version().unwrap_or_default();
        publish(&context, seen, &notice, &version, clock::now()).await;
    }
    result
}

async fn step(task: Arc<DeserializeGuard<Task>>, context: &Context) -> Result<Action, Error> {
    let key = ObjectRef::from_obj(&*task);
    let task = match &task.0 {
        Ok(task) => task,
        Err(invalid) => {
            let name = invalid.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(name, error = %invalid.error, "left a Task alone that cannot be read");
            return Ok(Action::await_change());
        }
    };
    let now = clock::now();
    let sight = gather::gather(
        &context.client,
        &context.caches,
        &context.refusals,
        task,
        now,
    )
    .await
    .map_err(Error::Gather)?;
    let next = decide::decide(task, &sight, &context.options, now);
    let action = match next {
        Step::Rest => Action::await_change(),
        Step::Return(after) => Action::requeue(after),
        Step::Delete => delete(context, task).await?,
        Step::Report { news, again } => {
            report(context, task, &news, now).await?;
            again.map_or_else(Action::await_change, Action::requeue)
        }
        Step::Start { start, branch } => {
            Box::pin(begin(context, task, &start, branch.as_deref(), now)).await?
        }
        Step::Adopt { attempt, job } => adopt(context, task, attempt, job, now).await?,
        Step::Release { job } => release(context, task, &job, now).await?,
        Step::Stop(stop) => {
            act::stop(
                &context.client,
                &task.namespace().unwrap_or_default(),
                &stop,
            )
            .await
            .map_err(Error::Stop)?;
            Action::requeue(STOPPING)
        }
    };
    context.backoff.succeeded(&key);
    Ok(action)
}

async fn begin(
    context: &Context,
    task: &Task,
    plan: &Start,
    branch: Option<&Lease>,
    now: Timestamp,
) -> Result<Action, Error> {
    let images = &context.options.images;
    let namespace = task.namespace().unwrap_or_default();
    if let Some(notice) = context.policies.ensure(&namespace).await {
        publish(context, task, &notice, "", now).await;
    }
    let claimed = Box::pin(start::claim(&context.client, task, branch, now)).await;
    let started = match claimed.map_err(Error::Start)? {
        Claimed::Not(started) => *started,
        Claimed::Ours { task: locked, job } => {
            let built = build::build(&locked, &job, plan, images);
            // Told before the Job is there: after that nobody comes back to it.
            if let Some(notice) = notices::overridden(&built.overridden) {
                publish(context, task, &notice, "", now).await;
            }
            let made = start::create(&context.client, *locked, built.job);
            Box::pin(made).await.map_err(Error::Start)?
        }
    };
    match started {
        Started::Made { task: locked, job } => {
            tell(context, task, &locked, now).await;
            adopt(context, &locked, plan.attempt, job, now).await
        }
        Started::Outdated => Ok(Action::requeue(OUTDATED)),
        Started::No { task, news } => {
            report(context, &task, &news, now).await?;
            // Whoever else asks for the branch need not wait for what is in the way of this Task.
            act::leave_branch(&context.client, &task).await;
            Ok(Action::requeue(decide::recheck(&task, now)))
        }
    }
}

/// Writes that the Job was made; from then on a missing Job is a lost one. Only then it may run.
async fn adopt(
    context: &Context,
    task: &Task,
    attempt: i32,
    job: JobId,
    now: Timestamp,
) -> Result<Action, Error> {
    let made = What::Made {
        attempt,
        job: job.clone(),
    };
    if !report(context, task, &made.into(), now).await? {
        // Without its Task the Job goes, as it is: held back.
        return Ok(Action::await_change());
    }
    release(context, task, &job, now).await
}

async fn release(
    context: &Context,
    task: &Task,
    job: &JobId,
    now: Timestamp,
) -> Result<Action, Error> {
    let jobs: Api<Job> = api(&context.client, task);
    match start::release(&jobs, job).await.map_err(Error::Start)? {
        Released::Yes => Ok(Action::await_change()),
        Released::Outdated => Ok(Action::requeue(OUTDATED)),
        Released::Refused(news) => {
            report(context, task, &news, now).await?;
            Ok(Action::requeue(decide::recheck(task, now)))
        }
    }
}

/// Tells the world the news: the record first, so that a finished Task's record is complete; then
/// the status; then an event. Gives whether the Task is still there.
async fn report(
    context: &Context,
    task: &Task,
    news: &News,
    now: Timestamp,
) -> Result<bool, Error> {
    let next = status::next(task, news, now);
    if let Some(outcome) = recorded(news) {
        let records: Api<ConfigMap> = api(&context.client, task);
        record::finish(&records, task, outcome, now)
            .await
            .map_err(Error::Record)?;
    }
    let written = match status::write(&api(&context.client, task), task, &next).await {
        Ok(written) => written,
        // Deleted in between: nobody is left to be told.
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(false),
        Err(error) => return Err(Error::Status(error)),
    };
    let Some(written) = written else {
        return Ok(true);
    };
    tell(context, task, &written, now).await;
    if matches!(news.what, What::Ended(_)) {
        act::leave_branch(&context.client, &written).await;
    }
    Ok(true)
}

/// Publishes what is new in the Task as it was written. The version tells one change from another.
async fn tell(context: &Context, before: &Task, after: &Task, now: Timestamp) {
    let status = |task: &Task| task.status.clone().unwrap_or_default();
    let version = after.resource_version().unwrap_or_default();
    for notice in notices::of(&status(before), &status(after)) {
        publish(context, after, &notice, &version, now).await;
    }
}

/// What the record is to say; nothing while the run goes on, or if the run was another Task's.
fn recorded(news: &News) -> Option<Outcome> {
    match &news.what {
        What::Waiting(..)
        | What::Made { .. }
        | What::Running
        | What::Outlived { .. }
        | What::Again(_) => None,
        What::Ended(ending) => match ending.reason {
            End::AlreadyRan => None,
            End::Succeeded => Some(Outcome::Succeeded),
            End::Cancelled => Some(Outcome::Cancelled),
            End::AgentFailed
            | End::CloneFailed
            | End::DeadlineExceeded
            | End::OutOfMemory
            | End::Evicted
            | End::NodeLost
            | End::JobLost
            | End::InvalidSpec
            | End::NameTaken
            | End::DependencyFailed => Some(Outcome::Failed),
        },
    }
}

/// Deletes a Task whose time to live has passed; its Job goes with it.
async fn delete(context: &Context, task: &Task) -> Result<Action, Error> {
    let only_this = DeleteParams::background().preconditions(Preconditions {
        uid: task.uid(),
        // A time to live that was just raised counts.
        resource_version: task.resource_version(),
    });
    let tasks: Api<Task> = api(&context.client, task);
    match tasks.delete(&task.name_any(), &only_this).await {
        Ok(_) => Ok(Action::await_change()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Action::await_change()),
        Err(error) => Err(Error::Delete(error)),
    }
}

async fn publish(context: &Context, task: &Task, notice: &Notice, occasion: &str, now: Timestamp) {
    let object = task.object_ref(&());
    events::publish(&context.client, &object, notice, occasion, now).await;
}

fn api<K>(client: &Client, task: &Task) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), &task.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests;
