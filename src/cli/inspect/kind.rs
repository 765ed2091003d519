//! The kinds that can be looked at, by the names that people type.

use std::fmt;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ApiResource;

use crate::api::RepoSync;
use crate::api::Task;
use crate::api::TaskSpawner;
use crate::api::Workspace;
use crate::cli::ui::Failure;
use crate::model;
use crate::model::ObjectName;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::cli) enum Kind {
    RepoSync,
    Workspace,
    TaskSpawner,
    Task,
    /// The record of a run: a ConfigMap.
    Record,
    Job,
    Pod,
}

impl Kind {
    pub(in crate::cli) fn as_str(self) -> &'static str {
        match self {
            Self::RepoSync => "RepoSync",
            Self::Workspace => "Workspace",
            Self::TaskSpawner => "TaskSpawner",
            Self::Task => "Task",
            Self::Record => "ConfigMap",
            Self::Job => "Job",
            Self::Pod => "Pod",
        }
    }

    /// Name of the kind in URLs of the API.
    pub(in crate::cli) fn plural(self) -> &'static str {
        match self {
            Self::RepoSync => "reposyncs",
            Self::Workspace => "workspaces",
            Self::TaskSpawner => "taskspawners",
            Self::Task => "tasks",
            Self::Record => "configmaps",
            Self::Job => "jobs",
            Self::Pod => "pods",
        }
    }

    pub(in crate::cli) fn api_resource(self) -> ApiResource {
        match self {
            Self::RepoSync => ApiResource::erase::<RepoSync>(&()),
            Self::Workspace => ApiResource::erase::<Workspace>(&()),
            Self::TaskSpawner => ApiResource::erase::<TaskSpawner>(&()),
            Self::Task => ApiResource::erase::<Task>(&()),
            Self::Record => ApiResource::erase::<ConfigMap>(&()),
            Self::Job => ApiResource::erase::<Job>(&()),
            Self::Pod => ApiResource::erase::<Pod>(&()),
        }
    }

    /// The kind by the name of an object of it, as `kubectl -o name` writes it: `task.axon.io`.
    pub(in crate::cli) fn qualified(self) -> String {
        let resource = self.api_resource();
        let kind = resource.kind.to_lowercase();
        if resource.group.is_empty() {
            kind
        } else {
            format!("{kind}.{}", resource.group)
        }
    }

    /// Whether Axon brings it to a cluster.
    pub(in crate::cli) fn is_ours(self) -> bool {
        match self {
            Self::RepoSync | Self::Workspace | Self::TaskSpawner | Self::Task => true,
            Self::Record | Self::Job | Self::Pod => false,
        }
    }

    /// The kind that can be declared, where this is one.
    pub(in crate::cli) fn declared(self) -> Option<model::Kind> {
        match self {
            Self::Workspace => Some(model::Kind::Workspace),
            Self::TaskSpawner => Some(model::Kind::TaskSpawner),
            Self::Task => Some(model::Kind::Task),
            Self::RepoSync | Self::Record | Self::Job | Self::Pod => None,
        }
    }

    /// The kind that a person means.
    pub(in crate::cli) fn parse(text: &str) -> Option<Self> {
        let name = text.to_ascii_lowercase();
        let name = name.split('.').next().unwrap_or_default();
        match name {
            "sync" | "syncs" | "reposync" | "reposyncs" => Some(Self::RepoSync),
            "ws" | "workspace" | "workspaces" => Some(Self::Workspace),
            "ts" | "spawner" | "spawners" | "taskspawner" | "taskspawners" => {
                Some(Self::TaskSpawner)
            }
            "task" | "tasks" => Some(Self::Task),
            "job" | "jobs" => Some(Self::Job),
            "po" | "pod" | "pods" => Some(Self::Pod),
            _ => None,
        }
    }

    /// What a person types for it.
    fn word(self) -> &'static str {
        match self {
            Self::RepoSync => "sync",
            Self::Workspace => "workspace",
            Self::TaskSpawner => "spawner",
            Self::Task => "task",
            Self::Record => "record",
            Self::Job => "job",
            Self::Pod => "pod",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One object, as a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Reference {
    pub(in crate::cli) kind: Kind,
    pub(in crate::cli) name: ObjectName,
}

impl Reference {
    /// The object of one kind, as `NAME` or `KIND/NAME`.
    pub(in crate::cli) fn name_of(text: &str, kind: Kind) -> Result<ObjectName, Failure> {
        if !text.contains('/') {
            return object_name(text);
        }
        let read = Self::parse(&[text.to_owned()], &[kind])?;
        read.map(|it| it.name).ok_or_else(|| unclear(text, &[kind]))
    }

    /// Reads `KIND/NAME` or `KIND NAME`; the kind must be one of `kinds`. None where nothing was typed.
    pub(in crate::cli) fn parse(words: &[String], kinds: &[Kind]) -> Result<Option<Self>, Failure> {
        let (kind, name) = match words {
            [] => return Ok(None),
            [one] => one.split_once('/').ok_or_else(|| unclear(one, kinds))?,
            [kind, name] => (kind.as_str(), name.as_str()),
            [_, _, other, ..] => return Err(unclear(other, kinds)),
        };
        let Some(kind) = Kind::parse(kind).filter(|it| kinds.contains(it)) else {
            return Err(
                Failure::usage(format!("{kind:?} is not a kind that this command takes"))
                    .hint(examples(kinds)),
            );
        };
        let name = object_name(name)?;
        Ok(Some(Self { kind, name }))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.kind, self.name)
    }
}

/// The name of an object, as it was typed.
pub(in crate::cli) fn object_name(text: &str) -> Result<ObjectName, Failure> {
    ObjectName::parse(text).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::usage("cannot use this name")
    })
}

fn unclear(text: &str, kinds: &[Kind]) -> Failure {
    Failure::usage(format!("{text:?} does not name an object")).hint(examples(kinds))
}

fn examples(kinds: &[Kind]) -> String {
    let each: Vec<String> = kinds
        .iter()
        .map(|it| format!("{}/NAME", it.word()))
        .collect();
    format!("name one: {}", each.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: Option<&str>) {
        let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
        let kinds = [Kind::RepoSync, Kind::Task];
        let read = Reference::parse(&words, &kinds).ok();
        let read = read.map(|it| it.map_or_else(String::new, |it| it.to_string()));
        assert_eq!(read.as_deref(), expected, "{words:?}");
    }

    #[test]
    fn objects_as_people_name_them() {
        check(&[], Some(""));
        check(&["task/a"], Some("Task/a"));
        check(&["Task", "a"], Some("Task/a"));
        check(&["syncs/app"], Some("RepoSync/app"));
        check(&["task.axon.io/a"], Some("Task/a"));
        check(&["tasks.v1alpha1.axon.io", "a"], Some("Task/a"));
        for wrong in [
            &["a"][..],
            &["pod/a"],
            &["task/../b"],
            &["task", "a", "b"],
            &["task/"],
        ] {
            check(wrong, None);
        }
    }
}
