//! The story of one RepoSync: read, compare, apply, report.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use kube::Api;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::End;
use super::attempt::Trial;
use super::attempt::Tried;
use super::begin::Begin;
use super::claims::Claims;
use super::claims::Name;
use super::decide;
use super::decide::Asked;
use super::decide::Poll;
use super::delete;
use super::delete::Removal;
use super::gate::Answers;
use super::left;
use super::memory::Memories;
use super::memory::Memory;
use super::own;
use super::own::Claimant;
use super::read::Read;
use super::read::Reader;
use super::reason::Reason;
use super::reason::Trouble;
use super::refusals::Refusals;
use super::remember;
use super::retry;
use super::rivals;
use super::rivals::Rivals;
use super::settings::Settings;
use super::status;
use super::status::Report;
use super::tell;
use super::view::View;
use crate::api::RepoSync;
use crate::api::labels;
use crate::api::repo_sync::DeletionPolicy;
use crate::api::repo_sync::RepoSyncStatus;
use crate::controller::Options;
use crate::controller::clock;
use crate::controller::commit_status::CommitStatuses;
use crate::controller::conflicts::Conflicts;
use crate::controller::events;
use crate::controller::events::Level;
use crate::controller::events::Notice;
use crate::controller::repositories::Repositories;
use crate::model::SyncId;

/// An answer of the repository that is as young as this serves all polls of one moment.
const MOMENT: Duration = Duration::from_secs(1);

/// What reconciling a RepoSync needs.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) options: Options,
    pub(super) repositories: Repositories,
    pub(super) view: View,
    pub(super) claims: Claims,
    pub(super) memories: Memories,
    pub(super) conflicts: Conflicts<Name>,
    pub(super) refusals: Refusals,
    pub(super) rivals: Rivals,
    pub(super) commit_statuses: Arc<CommitStatuses>,
    /// Wakes RepoSyncs by name.
    pub(super) wake: mpsc::Sender<Name>,
    pub(super) stop: CancellationToken,
}

/// Why a RepoSync could not be reconciled this time: the API server does not take what is to be
/// written about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot write the status of the RepoSync")]
    Status(#[source] kube::Error),
    #[error("cannot write the finalizers of the RepoSync")]
    Finalizer(#[source] kube::Error),
}

impl Error {
    /// How soon to try again to write about `sync`.
    pub(super) fn pause(&self, sync: Name, context: &Context) -> Duration {
        let (Self::Status(cause) | Self::Finalizer(cause)) = self;
        match cause {
            kube::Error::Api(status) if status.is_conflict() => context.conflicts.again(sync),
            _ => context.refusals.again(sync, clock::now()),
        }
    }
}

/// Brings one RepoSync forward.
pub(super) async fn reconcile(
    cached: Arc<DeserializeGuard<RepoSync>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let name = Name::from_obj(&*cached);
    let cached = match &cached.0 {
        Ok(sync) => sync,
        Err(invalid) => {
            let error = &invalid.error;
            tracing::warn!(%name, error, "left a RepoSync alone that cannot be read");
            return Ok(Action::await_change());
        }
    };
    if cached.metadata.deletion_timestamp.is_some() {
        return goes(&context, cached).boxed().await;
    }
    let mut memory = context.memories.take(&name, cached);
    let done = work(&context, &name, cached, &mut memory).boxed().await;
    context.memories.keep(name, memory);
    done
}

async fn work(
    context: &Context,
    name: &Name,
    cached: &RepoSync,
    memory: &mut Memory,
) -> Result<Action, Error> {
    let now = clock::now();
    let version = cached.resource_version().unwrap_or_default();
    // The cache may not have seen what was written last.
    let newest = memory.written.take().map(|(_, written)| written);
    let mut sync = newest.unwrap_or_else(|| Arc::new(cached.clone()));
    let syncs: Api<RepoSync> = Api::namespaced(context.client.clone(), name_space(name));
    if let Some(prepared) = delete::prepare(&syncs, &sync)
        .await
        .map_err(Error::Finalizer)?
    {
        sync = Arc::new(prepared);
    }
    let begin = Begin::new(&syncs, &sync, &context.commit_statuses);
    let (report, rest) = look(context, name, &begin, memory, now).boxed().await;
    let mut latest = begin.written().unwrap_or_else(|| Arc::clone(&sync));
    if let Some(report) = report {
        // What was said meanwhile is no state that anything was in.
        let next = RepoSyncStatus {
            approved: status::approved(&latest, &report),
            ..status::next(&sync, &report, now)
        };
        let written = status::write(&syncs, &latest, &next).await;
        if let Some(written) = written.map_err(Error::Status)? {
            latest = written;
        }
        if let Some(left) = left::news(sync.status.as_ref(), &report) {
            tell::left(&context.client, &latest, left, now).await;
        }
        let ended = std::mem::take(&mut memory.ended);
        if let Some(verdict) = memory.verdict.take() {
            tell::on_commit(&context.commit_statuses, &latest, &verdict);
        }
        for ended in &ended {
            tell::ended(&context.client, sync.status.as_ref(), &latest, ended, now).await;
        }
    }
    memory.written = Some((version, latest));
    Ok(rest.map_or_else(Action::await_change, Action::requeue))
}

/// Looks at what is due, and does it. Gives what to report, and when to look again.
async fn look(
    context: &Context,
    name: &Name,
    begin: &Begin<'_>,
    memory: &mut Memory,
    now: Timestamp,
) -> (Option<Report>, Option<Duration>) {
    let sync = begin.sync;
    if sync.spec.suspend {
        let message = "nothing is done until \"spec.suspend\" is false";
        let trouble = Trouble::new(Reason::Suspended, message);
        return (Some(remember::refused(sync, memory, trouble)), None);
    }
    let settings = match Settings::accept(sync, &context.options) {
        Ok(settings) => settings,
        Err(trouble) => return (Some(remember::refused(sync, memory, trouble)), None),
    };
    let mut asked = asked(context, name, sync);
    let due = decide::due(memory, &asked, now);
    if let Some(why) = due.poll {
        poll(context, sync, &settings, why, memory, now).await;
        memory.handled.clone_from(&asked.at);
    }
    let may_attempt = !due.only_fresh || (due.poll.is_some() && memory.poll.trouble.is_none());
    if (due.attempt && may_attempt) || remember::is_new(memory) {
        context.claims.looks(name);
        asked.touched = None;
        let tried = attempt(context, name, begin, &settings, &asked, memory).await;
        match tried {
            Tried::Ended(end) => {
                context.claims.wait_for(name, end.in_the_way.clone());
                let seed = remember::seed(sync, now);
                remember::tried(memory, *end, &asked, due, &settings, &seed, clock::now());
            }
            Tried::Later(wait) => return (None, Some(wait)),
        }
    }
    let is_taken = |id: &str| {
        let others = context.rivals.of(name_space(name), &context.claims);
        let me = sync.uid().unwrap_or_default();
        let wants = |it: &Claimant| it.wants.as_ref().is_some_and(|it| it.as_str() == id);
        others.iter().any(|it| it.uid != me && wants(it))
    };
    memory.remains = left::by(sync, memory, &context.view, is_taken);
    asked.touched = context.claims.touched(name);
    let rest = decide::rest(memory, &asked, clock::now());
    (remember::report(memory), Some(rest))
}

/// Asks the repository for news, and reads them.
async fn poll(
    context: &Context,
    sync: &RepoSync,
    settings: &Settings,
    why: Poll,
    memory: &mut Memory,
    now: Timestamp,
) {
    let reader = Reader {
        client: &context.client,
        repositories: &context.repositories,
        spec: &sync.spec,
        settings,
        github: context.options.github(),
        local_addresses: context.options.local_addresses,
        now,
    };
    let asked = Instant::now();
    let since = match why {
        Poll::Called => {
            // What is unreadable is read again: somebody may have put right what was wrong.
            memory.poll.unreadable = None;
            asked
        }
        Poll::First => asked,
        // Who looks for the first time was asked to by an edit.
        Poll::InTurn if memory.config.is_none() => asked,
        Poll::InTurn => asked.checked_sub(MOMENT).unwrap_or(asked),
    };
    let seed = remember::seed(sync, now);
    match reader.read(memory, since).boxed().await {
        Ok(Read::Same) => remember::polled(memory, None, settings, &seed, now),
        Ok(Read::New(config)) => remember::polled(memory, Some(config), settings, &seed, now),
        Err(unread) => remember::unread(memory, unread, settings, &seed, now),
    }
}

/// Tries to bring the namespace to what the configuration says.
async fn attempt(
    context: &Context,
    name: &Name,
    begin: &Begin<'_>,
    settings: &Settings,
    asked: &Asked,
    memory: &Memory,
) -> Tried {
    let sync = begin.sync;
    let Some(config) = memory.config.clone() else {
        return Tried::Later(MOMENT);
    };
    let trial = Trial {
        client: &context.client,
        view: &context.view,
        spec: &sync.spec,
        settings,
        answers: &asked.answers,
        configuration: config.input,
        stop: &context.stop,
        // Where drift is left alone, nobody tells that the caches have caught up.
        ask_anew: !asked.drift_correction && memory.attempt.is_some(),
        begin,
    };
    let (set, id) = match trial.load(&config.snapshot).boxed().await {
        Ok(loaded) => loaded,
        Err(tried) => return tried,
    };
    if context.claims.want(name, &id) {
        for sibling in context.claims.touch_siblings(name, clock::now()) {
            context.wake.send(sibling).await.ok();
        }
    }
    let me = rivals::claimant(sync, &context.claims);
    let others = context.rivals.of(name_space(name), &context.claims);
    let standing = own::standing(&me, &id, &others);
    let revision = config.snapshot.revision.to_string();
    // What others did while nobody looked is drift, too.
    let is_left_alone = !asked.drift_correction
        && memory.attempt.is_none()
        && standing == own::Standing::Owner
        && status::is_synced_at(sync, &revision);
    if is_left_alone {
        return End::settled(id).into();
    }
    trial
        .attempt(&set, &config.snapshot, id, standing)
        .boxed()
        .await
}

/// What becomes of the objects of a RepoSync that is being deleted.
async fn goes(context: &Context, sync: &RepoSync) -> Result<Action, Error> {
    if !delete::is_held(sync) {
        return Ok(Action::await_change());
    }
    let removal = match sync.spec.deletion_policy {
        DeletionPolicy::Orphan => Removal::Done(0),
        DeletionPolicy::Delete => remove(context, sync).await,
    };
    match &removal {
        Removal::Done(_) => {}
        Removal::GivenUp(why) => {
            let message = format!("the objects of the sync are left as they are: {why}");
            warn(context, sync, "DeletionGivenUp", message).await;
        }
        Removal::Again(why) => {
            let message = format!("the objects of the sync cannot be deleted yet: {why}");
            warn(context, sync, "DeletionFailed", message).await;
            let asked = sync.metadata.deletion_timestamp.as_ref();
            let tried = asked.map(|it| clock::now().duration_since(it.0));
            let tried = tried.and_then(|it| Duration::try_from(it).ok());
            return Ok(Action::requeue(retry::as_long(tried.unwrap_or_default())));
        }
    }
    let namespace = sync.namespace().unwrap_or_default();
    let syncs: Api<RepoSync> = Api::namespaced(context.client.clone(), &namespace);
    let released = delete::release(&syncs, sync).await;
    released.map_err(Error::Finalizer)?;
    Ok(Action::await_change())
}

async fn remove(context: &Context, sync: &RepoSync) -> Removal {
    let namespace = sync.namespace().unwrap_or_default();
    let others = context.rivals.of(&namespace, &context.claims);
    let me = rivals::claimant(sync, &context.claims);
    // What is in force may be of another id than what is wanted by now.
    let in_force = sync.status.as_ref().and_then(|it| it.in_force.as_ref());
    let before = Claimant {
        wants: in_force.and_then(|it| SyncId::parse(&it.sync).ok()),
        ..me.clone()
    };
    if let Some(other) = own::heir(&me, &others).or_else(|| own::heir(&before, &others)) {
        return Removal::GivenUp(format!("RepoSync \"{other}\" has the same sync id"));
    }
    match Settings::accept(sync, &context.options) {
        Ok(settings) => delete::objects(&context.client, sync, &settings, &context.stop).await,
        Err(trouble) => Removal::GivenUp(trouble.message),
    }
}

/// Tells once what is wrong with the deletion of a RepoSync.
async fn warn(context: &Context, sync: &RepoSync, reason: &str, message: String) {
    let occasion = message.clone();
    let notice = Notice {
        level: Level::Warning,
        reason: reason.into(),
        message,
    };
    let object = sync.object_ref(&());
    events::publish(&context.client, &object, &notice, &occasion, clock::now()).await;
}

fn asked(context: &Context, name: &Name, sync: &RepoSync) -> Asked {
    let note = |label: &str| sync.annotations().get(label).cloned();
    Asked {
        at: note(labels::RECONCILE_AT),
        answers: Answers {
            approved: note(labels::APPROVED_PLAN),
            allowed: note(labels::ALLOW_PRUNE),
        },
        drift_correction: sync.spec.drift_correction,
        touched: context.claims.touched(name),
    }
}

fn name_space(name: &Name) -> &str {
    name.namespace.as_deref().unwrap_or_default()
}
