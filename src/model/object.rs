//! Declared objects.

use std::fmt;

use serde_json::Value;

use super::names::ObjectName;
use super::problem::Place;
use super::run::RunDigest;

/// A kind that `axon.yaml` can declare, in the order in which objects are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Workspace,
    TaskSpawner,
    Task,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Workspace, Self::TaskSpawner, Self::Task];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "Workspace",
            Self::TaskSpawner => "TaskSpawner",
            Self::Task => "Task",
        }
    }

    /// Name of the kind in URLs of the API.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Workspace => "workspaces",
            Self::TaskSpawner => "taskspawners",
            Self::Task => "tasks",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// An object of one namespace. Shown as `Kind/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: Kind,
    pub name: ObjectName,
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.kind, self.name)
    }
}

/// An object as `axon.yaml` declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    pub key: Key,
    /// `apiVersion`, `kind`, `metadata` (name, labels and annotations as written) and `spec`:
    /// what is written and nothing that is defaulted. Origin and membership are added by the sync.
    pub manifest: Value,
    /// Where it stands.
    pub place: Place,
    /// For a Task: what identifies its run.
    pub run: Option<RunDigest>,
    /// For a Workspace: whether its `repo` is not written, and stands for the repository that the
    /// configuration is in. Which of that repository's URLs it is then does not matter.
    pub own_repository: bool,
}

/// All objects of one configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DesiredSet {
    /// In the order of their keys; no key stands twice.
    pub objects: Vec<Desired>,
    /// `namespace` of the Config.
    pub namespace: Option<super::names::Namespace>,
    /// `sync` of the Config.
    pub sync: Option<super::names::SyncId>,
    /// Whether there was a Config document. Without one nothing is ever pruned.
    pub has_config: bool,
    /// Workspaces that are named but not declared: they must exist in the cluster.
    pub external_workspaces: Vec<(ObjectName, Place)>,
}
