//! What the controller remembers of a Workspace between two looks. Losing it costs a look.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;

use super::Watched;
use crate::api::Workspace;

/// A Workspace's name and namespace.
pub(super) type Name = ObjectRef<Watched>;

/// What is remembered of one Workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// The object, and the generation of its spec.
    of: (String, i64),
    /// Failures in a row.
    pub(super) failures: u32,
    /// Writes of its status in a row that failed.
    pub(super) unwritten: u32,
    /// When to look again, after a failure.
    pub(super) retry: Option<Timestamp>,
    /// The start of a Task that was answered by a look.
    pub(super) answered: u64,
    pub(super) token: Token,
}

/// The token of a GitHub App.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Nobody has looked.
    Unknown,
    /// The Workspace has no GitHub App.
    None,
    /// It is to be made anew from this time on.
    Until(Timestamp),
}

impl Memory {
    pub(super) fn new(workspace: &Workspace) -> Self {
        Self {
            of: identity(workspace),
            failures: 0,
            unwritten: 0,
            retry: None,
            answered: 0,
            token: Token::Unknown,
        }
    }
}

/// Memories of all Workspaces.
#[derive(Debug, Default)]
pub(super) struct Memories(Mutex<HashMap<Name, Memory>>);

impl Memories {
    /// Takes out what is remembered of `workspace`, for the spec that it has.
    pub(super) fn take(&self, name: &Name, workspace: &Workspace) -> Memory {
        let known = self.lock().remove(name);
        known
            .filter(|it| it.of == identity(workspace))
            .unwrap_or_else(|| Memory::new(workspace))
    }

    pub(super) fn keep(&self, name: Name, memory: Memory) {
        self.lock().insert(name, memory);
    }

    /// Drops what is remembered of Workspaces that are gone. Of the `alive` that there are each is
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

fn identity(workspace: &Workspace) -> (String, i64) {
    let uid = workspace.uid().unwrap_or_default();
    (uid, workspace.metadata.generation.unwrap_or_default())
}
