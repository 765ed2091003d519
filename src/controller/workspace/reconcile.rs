//! The story of one Workspace: decide, look, tell.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use super::Watched;
use super::decide;
use super::decide::Step;
use super::look;
use super::look::Recent;
use super::look::Seen;
use super::memory::Memories;
use super::memory::Memory;
use super::memory::Name;
use super::memory::Token;
use super::reason::Trouble;
use super::status;
use super::uses::Uses;
use crate::api::Workspace;
use crate::controller::Options;
use crate::controller::clock;
use crate::controller::conflicts::Conflicts;
use crate::controller::events;
use crate::controller::repositories::Repositories;

/// Longest pause before trying again to write a status.
const WRITE_RETRY: Duration = Duration::from_mins(1);

/// What reconciling a Workspace needs.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) options: Options,
    pub(super) repositories: Repositories,
    pub(super) recent: Recent,
    pub(super) memories: Memories,
    pub(super) conflicts: Conflicts<Name>,
    pub(super) uses: Arc<Uses>,
}

/// Why a Workspace could not be reconciled this time.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the Workspace's status")]
pub(super) struct Error {
    #[source]
    cause: kube::Error,
    pause: Duration,
}

impl Error {
    /// Whether somebody else wrote first: no failure, only a reason to look again.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(&self.cause, kube::Error::Api(status) if status.is_conflict())
    }

    /// How soon to try again to write about `workspace`. Somebody who wrote first is told of by the watch, as
    /// a rule sooner.
    pub(super) fn pause(&self, workspace: Name, conflicts: &Conflicts<Name>) -> Duration {
        if self.is_conflict() {
            conflicts.again(workspace)
        } else {
            self.pause
        }
    }
}

/// Looks at one Workspace, if that is due, and says what came of it.
pub(super) async fn reconcile(
    object: Arc<Watched>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let seen = match &object.0 {
        Ok(workspace) => workspace,
        Err(invalid) => {
            let name = invalid.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(name, error = %invalid.error, "left a Workspace alone that cannot be read");
            return Ok(Action::await_change());
        }
    };
    let name = ObjectRef::from_obj(&*object);
    let now = clock::now();
    let used = context.uses.of(&name);
    let mut memory = context.memories.take(&name, seen);
    let answered = memory.answered;
    let step = match seen.metadata.deletion_timestamp {
        Some(_) => Step::Rest,
        None => decide::step(seen, &memory, used, now),
    };
    let told = match step {
        Step::Rest => Ok(()),
        Step::Check => {
            let looked = look::check(&context, seen, now).await;
            memory.answered = used.last_start;
            remember(&mut memory, &looked, clock::now());
            tell(&context, seen, &looked, now).await
        }
        Step::Token => match look::refresh(&context, seen, now).await {
            Ok(token) => {
                memory.token = token;
                Ok(())
            }
            Err(trouble) => {
                let looked = Err(trouble);
                remember(&mut memory, &looked, clock::now());
                tell(&context, seen, &looked, now).await
            }
        },
    };
    let rest = decide::rest(&memory, used, clock::now());
    if told.is_ok() {
        memory.unwritten = 0;
    } else {
        memory.unwritten = memory.unwritten.saturating_add(1);
        // What came of the look is not told yet: it is looked at again.
        memory.answered = answered;
    }
    let pause = decide::pause(memory.unwritten).min(WRITE_RETRY);
    context.memories.keep(name, memory);
    told.map_err(|cause| Error { cause, pause })?;
    Ok(rest.map_or_else(Action::await_change, Action::requeue))
}

/// Keeps in mind what came of a look.
fn remember(memory: &mut Memory, looked: &Result<Seen, Trouble>, now: Timestamp) {
    match looked {
        Ok(seen) => {
            memory.failures = 0;
            memory.retry = None;
            memory.token = seen.token;
        }
        Err(trouble) => {
            memory.failures = memory.failures.saturating_add(1);
            let then = now.checked_add(decide::pause(memory.failures)).ok();
            memory.retry = then.filter(|_| trouble.reason.may_pass());
            // It is looked at again with the repository.
            memory.token = Token::None;
        }
    }
}

/// Writes what is new into the status, and publishes an event of a change.
async fn tell(
    context: &Context,
    seen: &Workspace,
    looked: &Result<Seen, Trouble>,
    now: Timestamp,
) -> Result<(), kube::Error> {
    let next = status::next(seen, looked, now);
    let namespace = seen.namespace().unwrap_or_default();
    let workspaces: Api<Workspace> = Api::namespaced(context.client.clone(), &namespace);
    match status::write(&workspaces, seen, &next).await {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        // Deleted in between: nobody is left to be told.
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    }
    if let Some(notice) = status::notice(seen, &next) {
        let object = seen.object_ref(&());
        let occasion = seen.resource_version().unwrap_or_default();
        events::publish(&context.client, &object, &notice, &occasion, now).await;
    }
    Ok(())
}
