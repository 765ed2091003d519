//! What the controller remembers of a RepoSync between two looks at it. Losing it costs a poll and
//! a plan: all that must not be forgotten is in git and in the cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::claims::Name;
use super::gate::Answers;
use super::left::Remains;
use super::outcome::Outcome;
use super::reason::Class;
use super::reason::Reason;
use super::reason::Trouble;
use super::tell::Ended;
use super::tell::Verdict;
use crate::api::RepoSync;
use crate::controller::repositories::Shared;
use crate::model::Digest;
use crate::model::Key;
use crate::model::RepoUrl;
use crate::model::Snapshot;
use crate::model::SyncId;
use crate::repo::Tip;

/// Ends that wait to be told: as many as the history has room for.
const MAX_ENDED: usize = 5;

/// What is remembered of one RepoSync.
#[derive(Debug)]
pub(super) struct Memory {
    /// The object, and the generation of its spec.
    of: (String, i64),
    pub(super) source: Source,
    pub(super) poll: Poll,
    /// What was last read.
    pub(super) config: Option<Config>,
    /// How trying to apply it went.
    pub(super) attempt: Option<Attempt>,
    pub(super) drift: Drift,
    /// What an earlier repository, path or id has left.
    pub(super) remains: Remains,
    /// The value of `axon.io/reconcileAt` that was answered.
    pub(super) handled: Option<String>,
    /// What has ended and was not told, the newest last.
    pub(super) ended: Vec<Ended>,
    /// What is to be said of a commit and was not.
    pub(super) verdict: Option<Verdict>,
    /// The version of the object that the status was last written to, and what came of it.
    pub(super) written: Option<(String, Arc<RepoSync>)>,
}

/// The repository, and the Secret that opens it.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// URL, and name of the Secret, that it was opened with.
    pub(super) of: Option<(RepoUrl, Option<String>)>,
    pub(super) shared: Option<Arc<Shared>>,
    pub(super) secret_version: Option<String>,
    /// Until when the credential is good, where it ends.
    pub(super) expires: Option<Timestamp>,
}

impl Source {
    /// Forgets what was opened with another URL or Secret than these.
    pub(super) fn is_to_be(&mut self, url: &RepoUrl, secret: Option<&str>) {
        let same = |(old, its): &(RepoUrl, Option<String>)| old == url && its.as_deref() == secret;
        if !self.of.as_ref().is_some_and(same) {
            *self = Self {
                of: Some((url.clone(), secret.map(str::to_owned))),
                ..Self::default()
            };
        }
    }

    /// Whether the credential is no longer to be used.
    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// How looking for commits goes.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) next: Timestamp,
    pub(super) failures: u32,
    /// What is wrong, if anything is.
    pub(super) trouble: Option<Trouble>,
    /// The commit that could not be read, and until when that is left at that.
    pub(super) unreadable: Option<(Tip, Timestamp)>,
}

/// A configuration as it was read.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) tip: Tip,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) input: Digest,
}

/// How trying to apply a configuration went.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Digest of the files.
    pub(super) input: Digest,
    pub(super) outcome: Outcome,
    /// The id, where it is ours.
    pub(super) sync: Option<SyncId>,
    /// Objects that may be of the sync and do not prove it.
    pub(super) unproven: Vec<Key>,
    /// The answers of people that it was made with.
    pub(super) answers: Answers,
    pub(super) failures: u32,
    pub(super) retry: Option<Timestamp>,
}

/// How often drift was corrected of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drift {
    pub(super) corrections: u32,
    pub(super) last: Timestamp,
}

impl Memory {
    fn new(sync: &RepoSync) -> Self {
        Self {
            of: identity(sync),
            source: Source::default(),
            poll: Poll {
                next: Timestamp::MIN,
                failures: 0,
                trouble: None,
                unreadable: None,
            },
            config: None,
            attempt: None,
            drift: Drift::default(),
            remains: Remains::default(),
            handled: sync
                .status
                .as_ref()
                .and_then(|it| it.last_handled_reconcile_at.clone()),
            ended: Vec::new(),
            verdict: None,
            written: None,
        }
    }

    /// Something came to an end that is to be told. As long as it cannot be, the latest few are kept.
    pub(super) fn ends(&mut self, ended: Ended) {
        if self.ended.last() == Some(&ended) {
            return;
        }
        self.ended.push(ended);
        let surplus = self.ended.len().saturating_sub(MAX_ENDED);
        self.ended.drain(..surplus);
    }

    /// Whether what git says was reached, as far as is known.
    pub(super) fn is_settled(&self) -> bool {
        let attempt = self.attempt.as_ref();
        attempt.is_some_and(|it| it.outcome.class() == Class::Done)
    }

    /// Whether what it wants was somebody else's when it last tried.
    pub(super) fn is_kept_out(&self) -> bool {
        let trouble = self.attempt.as_ref().and_then(|it| it.outcome.trouble());
        trouble.is_some_and(|it| matches!(it.reason, Reason::NotOwned | Reason::Conflict))
    }

    /// What stands between the namespace and what git says: the way to the commit comes first.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        let of_attempt = || self.attempt.as_ref()?.outcome.trouble();
        self.poll.trouble.as_ref().or_else(of_attempt)
    }
}

/// Memories of all RepoSyncs.
#[derive(Debug, Default)]
pub(super) struct Memories(Mutex<HashMap<Name, Memory>>);

impl Memories {
    /// Takes out what is remembered of `sync`: no two look at one object at a time. A new spec makes
    /// all be looked at anew; only the repository is kept, for what was fetched, where it is the same.
    pub(super) fn take(&self, name: &Name, sync: &RepoSync) -> Memory {
        let mut memory = match self.lock().remove(name) {
            Some(memory) if memory.of == identity(sync) => memory,
            Some(Memory {
                of,
                source,
                written,
                ..
            }) if of.0 == identity(sync).0 => Memory {
                source,
                written,
                ..Memory::new(sync)
            },
            Some(_) | None => Memory::new(sync),
        };
        let seen = sync.resource_version().unwrap_or_default();
        memory.written = memory.written.filter(|(before, _)| *before == seen);
        memory
    }

    pub(super) fn keep(&self, name: Name, memory: Memory) {
        self.lock().insert(name, memory);
    }

    /// Drops what is remembered of RepoSyncs that are gone. Of the `alive` that there are each is
    /// remembered once at most: only where more are, all are looked through.
    pub(super) fn retain(&self, alive: usize, exists: impl Fn(&Name) -> bool) {
        let mut known = self.lock();
        if known.len() > alive {
            known.retain(|name, _| exists(name));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Memory>> {
        // Each change is one insertion or removal: whole at any moment, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(sync: &RepoSync) -> (String, i64) {
    let uid = sync.uid().unwrap_or_default();
    (uid, sync.metadata.generation.unwrap_or_default())
}
