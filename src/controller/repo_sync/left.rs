//! What a RepoSync applied before its repository, path or id changed. It is told, and left alone: two
//! repositories never delete each other's objects, and who moved a repository may want to take them over.

use std::fmt;

use super::memory::Memory;
use super::status::Report;
use super::view::View;
use crate::api::RepoSync;
use crate::api::labels;
use crate::api::repo_sync::RepoSyncStatus;
use crate::model::Home;
use crate::model::Key;

/// Objects that a message names; the rest is counted.
const MAX_NAMED: usize = 5;

/// What earlier configurations of a RepoSync have left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Remains {
    #[default]
    Unknown,
    Nothing,
    Left(Left),
}

/// Objects that an earlier configuration of a RepoSync has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The id that they carry.
    pub(super) sync: String,
    /// Whether the RepoSync still has that id.
    is_same_id: bool,
    objects: Vec<Key>,
}

/// What is left by earlier configurations of `sync`, which has come to the one in `memory`.
/// `is_taken`: whether another RepoSync has this id.
pub(super) fn by(
    sync: &RepoSync,
    memory: &Memory,
    view: &View,
    is_taken: impl Fn(&str) -> bool,
) -> Remains {
    let attempt = memory.attempt.as_ref();
    let (Some(id), Some(config), Some(status), true) = (
        attempt.and_then(|it| it.sync.as_ref()),
        &memory.config,
        &sync.status,
        view.is_filled(),
    ) else {
        return Remains::Unknown;
    };
    let home = Home::new(&config.snapshot.source, &config.snapshot.root);
    let namespace = sync.metadata.namespace.as_deref().unwrap_or_default();
    let earlier = [&status.sync, &status.former_sync];
    let left = earlier.into_iter().flatten().find_map(|earlier| {
        let is_same_id = earlier == id.as_str();
        if !is_same_id && is_taken(earlier) {
            return None;
        }
        let objects = view.left(namespace, earlier, is_same_id.then_some(&home));
        (!objects.is_empty()).then(|| Left {
            sync: earlier.clone(),
            is_same_id,
            objects,
        })
    });
    left.map_or(Remains::Nothing, Remains::Left)
}

/// What is to be told: an id that was not told of before.
pub(super) fn news<'a>(before: Option<&RepoSyncStatus>, report: &'a Report) -> Option<&'a Left> {
    let told = before.and_then(|it| it.former_sync.as_ref());
    match &report.remains {
        Remains::Left(left) => (told != Some(&left.sync)).then_some(left),
        Remains::Unknown | Remains::Nothing => None,
    }
}

/// What is said of objects that carry the label of the sync and not whose they are.
pub(super) fn unproven(objects: &[Key]) -> Option<String> {
    (!objects.is_empty()).then(|| {
        format!(
            "nothing proves that this sync made what left its configuration without \"{}\": {}; \
             delete it, or take its label \"{}\" away",
            labels::ORIGIN,
            named(objects),
            labels::SYNC
        )
    })
}

fn named(objects: &[Key]) -> String {
    let shown = objects.len().min(MAX_NAMED);
    let named: Vec<String> = objects[..shown].iter().map(Key::to_string).collect();
    let named = named.join(", ");
    match objects.len() - shown {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

impl fmt::Display for Left {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sync = &self.sync;
        let source = if self.is_same_id {
            " from another source"
        } else {
            ""
        };
        write!(
            out,
            "objects of sync \"{sync}\"{source} are left: {}",
            named(&self.objects)
        )?;
        if self.is_same_id {
            write!(
                out,
                "; declare it here and run \"axon apply --adopt\", or delete it"
            )
        } else {
            write!(
                out,
                "; take over what is declared here with \"axon apply --take-over-sync {sync} --adopt\", \
                 or delete all with \"kubectl delete tasks,taskspawners,workspaces -l axon.io/sync={sync}\""
            )
        }
    }
}
