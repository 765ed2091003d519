//! Reads the objects before and after one.

use crate::api::labels;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Reference;
use crate::cli::inspect::sync;
use crate::cli::screen;
use crate::model::ObjectName;

/// Label that the Job controller puts on the Pods of a Job.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// The objects of a trace, and the sync they belong to.
#[derive(Debug)]
pub(super) struct Gathered {
    /// From what was declared to what runs.
    pub(super) chain: Vec<Link>,
    pub(super) sync: Synced,
}

/// One object of the chain.
#[derive(Debug)]
pub(super) enum Link {
    Item(Box<Item>),
    /// It is named by its neighbour, and is not there or cannot be read.
    Missing(Missing),
}

/// An object that is not in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// `Kind/name`.
    pub(super) key: String,
    pub(super) why: String,
    /// Whether it may be there all the same.
    pub(super) is_unread: bool,
}

/// The sync that an object belongs to.
#[derive(Debug)]
pub(super) enum Synced {
    None,
    By(Box<Item>),
    /// No RepoSync here stands for the id.
    Unknown {
        id: String,
    },
    Unread {
        id: String,
        why: String,
    },
}

impl Gathered {
    /// The object at the beginning: the one that can have been declared.
    pub(super) fn declared(&self) -> Option<&Item> {
        match self.chain.first() {
            Some(Link::Item(item)) => Some(item),
            Some(Link::Missing(_)) | None => None,
        }
    }
}

pub(super) async fn gather(reader: &Reader, start: Item) -> Gathered {
    let mut chain = after(reader, &start).await;
    let mut next = before(&start);
    chain.insert(0, Link::Item(Box::new(start)));
    // A Pod has at most three before it; names that go in a circle end there too.
    for _ in 0..3 {
        let Some(reference) = next.take() else { break };
        let link = read(reader, &reference).await;
        if let Link::Item(item) = &link {
            next = before(item);
        }
        chain.insert(0, link);
    }
    let sync = match chain.first() {
        Some(Link::Item(item)) => synced(reader, item).await,
        Some(Link::Missing(_)) | None => Synced::None,
    };
    Gathered { chain, sync }
}

/// What made an object.
fn before(item: &Item) -> Option<Reference> {
    let owner = |kind: Kind| {
        let mut owners = item.owners().filter(|(it, _, _)| *it == kind.as_str());
        owners.next().map(|(_, name, _)| (kind, name))
    };
    // Where the label had to be cut, the annotation holds the whole name.
    let task = || {
        let name = item.annotation(labels::TASK);
        Some((Kind::Task, name.or_else(|| item.label(labels::TASK))?))
    };
    let (kind, name) = match item.kind {
        Kind::Pod => owner(Kind::Job).or_else(task)?,
        Kind::Job => owner(Kind::Task).or_else(task)?,
        Kind::Task => (Kind::TaskSpawner, item.spawner()?),
        Kind::RepoSync | Kind::Workspace | Kind::TaskSpawner | Kind::Record => return None,
    };
    let name = ObjectName::parse(name).ok()?;
    Some(Reference { kind, name })
}

/// What an object made: only what its status names, in order.
async fn after(reader: &Reader, item: &Item) -> Vec<Link> {
    let named = |kind: Kind, pointer: &str| {
        let name = ObjectName::parse(item.text(pointer)?).ok()?;
        Some(Reference { kind, name })
    };
    let mut links = Vec::new();
    match item.kind {
        Kind::Task => {
            let job = named(Kind::Job, "/status/jobName");
            let pod = named(Kind::Pod, "/status/podName");
            for reference in [job, pod].into_iter().flatten() {
                links.push(read(reader, &reference).await);
            }
        }
        Kind::Job => {
            let selector = format!("{JOB_NAME}={}", item.name());
            match reader.list(Kind::Pod, &selector).await {
                Ok(pods) => links.extend(pods.into_iter().map(|it| Link::Item(Box::new(it)))),
                Err(error) => links.push(Link::Missing(Missing {
                    key: "Pod".to_owned(),
                    why: screen::line(&error.to_string()),
                    is_unread: true,
                })),
            }
        }
        Kind::RepoSync | Kind::Workspace | Kind::TaskSpawner | Kind::Record | Kind::Pod => {}
    }
    links
}

async fn read(reader: &Reader, reference: &Reference) -> Link {
    let missing = |why: String, is_unread: bool| {
        Link::Missing(Missing {
            key: reference.to_string(),
            why,
            is_unread,
        })
    };
    match reader.get(reference.kind, &reference.name).await {
        Ok(Some(item)) => Link::Item(Box::new(item)),
        Ok(None) => missing("gone".to_owned(), false),
        Err(error) => missing(screen::line(&error.to_string()), true),
    }
}

async fn synced(reader: &Reader, item: &Item) -> Synced {
    let Some(id) = item.sync().filter(|_| item.kind != Kind::RepoSync) else {
        return Synced::None;
    };
    let id = id.to_owned();
    match reader.list(Kind::RepoSync, "").await {
        Ok(syncs) => {
            let mut ours = syncs.into_iter().filter(|it| sync::id(it) == Some(&id));
            match ours.next() {
                Some(sync) => Synced::By(Box::new(sync)),
                None => Synced::Unknown { id },
            }
        }
        Err(error) => Synced::Unread {
            id,
            why: screen::line(&error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;
    use crate::cli::inspect::standing::tests::item;

    fn check(kind: Kind, metadata: &Value, expected: Option<&str>) {
        let item = item(kind, "x", &json!({"metadata": metadata}));
        let found = before(&item).map(|it| it.to_string());
        assert_eq!(found.as_deref(), expected, "{kind} {metadata}");
    }

    #[test]
    fn what_made_an_object() {
        let owner = |kind: &str| {
            json!({"labels": {"axon.io/task": "a"}, "ownerReferences": [
                {"apiVersion": "v", "kind": kind, "name": "b", "uid": "u"}]})
        };
        check(Kind::Pod, &owner("Job"), Some("Job/b"));
        check(Kind::Pod, &owner("Node"), Some("Task/a"));
        check(Kind::Job, &owner("Task"), Some("Task/b"));
        let long =
            json!({"labels": {"axon.io/task": "a-1"}, "annotations": {"axon.io/task": "a-long"}});
        check(Kind::Job, &long, Some("Task/a-long"));
        check(
            Kind::Task,
            &json!({"labels": {"axon.io/taskspawner": "s"}}),
            Some("TaskSpawner/s"),
        );
        check(
            Kind::Task,
            &json!({"labels": {"axon.io/taskspawner": "../s"}}),
            None,
        );
        check(Kind::Task, &json!({}), None);
        check(Kind::RepoSync, &owner("Task"), None);
    }
}
