//! Which object stands under which. Pure.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::api::labels;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Seen;
use crate::cli::inspect::sync;

/// An object, or a heading where there is no object, and what stands under it.
#[derive(Debug)]
pub(super) struct Branch<'a> {
    pub(super) top: Top<'a>,
    pub(super) under: Vec<Branch<'a>>,
}

/// What a branch stands for.
#[derive(Clone, Debug)]
pub(super) enum Top<'a> {
    Object(&'a Item),
    /// Objects of a sync that no RepoSync here stands for.
    Sync(&'a str),
    /// Objects that nobody declared.
    Loose,
}

impl<'a> Branch<'a> {
    /// All objects, as they stand.
    pub(super) fn items(&self, into: &mut Vec<&'a Item>) {
        if let Top::Object(item) = &self.top {
            into.push(item);
        }
        for branch in &self.under {
            branch.items(into);
        }
    }
}

/// What was seen as trees. `only`: that of one RepoSync.
pub(super) fn forest<'a>(seen: &'a Seen, only: Option<&str>) -> Vec<Branch<'a>> {
    let links = Links::of(seen);
    let mut roots = Vec::new();
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for item in seen.of(Kind::RepoSync) {
        let mine = sync::id(item);
        // Of two RepoSyncs that claim one id only one owns it: the first that is shown.
        let mine = mine.filter(|id| shown.insert(id));
        if only.is_none_or(|it| it == item.name()) {
            let under = mine.map_or_else(Vec::new, |id| links.declared(Some(id)));
            let top = Top::Object(item);
            roots.push(Branch { top, under });
        }
    }
    if only.is_some() {
        return roots;
    }
    let others: BTreeSet<&str> = links
        .declarable()
        .filter_map(Item::sync)
        .filter(|id| !shown.contains(id))
        .collect();
    for id in others {
        let under = links.declared(Some(id));
        let top = Top::Sync(id);
        roots.push(Branch { top, under });
    }
    let loose = links.declared(None);
    if !loose.is_empty() {
        roots.push(Branch {
            top: Top::Loose,
            under: loose,
        });
    }
    roots
}

/// Who stands under whom.
struct Links<'a> {
    seen: &'a Seen,
    tasks: BTreeMap<&'a str, Vec<&'a Item>>,
    /// By the UID of the owner.
    owned: BTreeMap<&'a str, Vec<&'a Item>>,
}

impl<'a> Links<'a> {
    fn of(seen: &'a Seen) -> Self {
        let spawners: BTreeSet<&str> = seen.of(Kind::TaskSpawner).iter().map(Item::name).collect();
        let mut tasks: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
        for task in seen.of(Kind::Task) {
            if let Some(spawner) = task.spawner().filter(|it| spawners.contains(it)) {
                tasks.entry(spawner).or_default().push(task);
            }
        }
        let mut owned: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
        let jobs: BTreeSet<&str> = seen.of(Kind::Job).iter().map(Item::uid).collect();
        for item in seen.of(Kind::Job).iter().chain(seen.of(Kind::Pod)) {
            let above = item.owners().map(|(_, _, uid)| uid);
            let mut above = above.filter(|uid| item.kind == Kind::Job || jobs.contains(uid));
            // A Pod may outlive its Job.
            let above = above.next().or_else(|| item.annotation(labels::TASK_UID));
            if let Some(above) = above {
                owned.entry(above).or_default().push(item);
            }
        }
        Self { seen, tasks, owned }
    }

    fn declarable(&self) -> impl Iterator<Item = &'a Item> {
        let kinds = [Kind::Workspace, Kind::TaskSpawner, Kind::Task];
        let seen = self.seen;
        kinds.into_iter().flat_map(move |kind| seen.of(kind))
    }

    /// The objects of one sync, or of none: those that no spawner made.
    fn declared(&self, sync: Option<&str>) -> Vec<Branch<'a>> {
        self.declarable()
            .filter(|it| it.sync() == sync)
            .filter(|it| !self.is_spawned(it))
            .map(|it| self.branch(it))
            .collect()
    }

    fn is_spawned(&self, item: &Item) -> bool {
        item.kind == Kind::Task && item.spawner().is_some_and(|it| self.tasks.contains_key(it))
    }

    fn branch(&self, item: &'a Item) -> Branch<'a> {
        let under = match item.kind {
            Kind::TaskSpawner => self.tasks.get(item.name()),
            Kind::Task | Kind::Job => self.owned.get(item.uid()),
            Kind::RepoSync | Kind::Workspace | Kind::Record | Kind::Pod => None,
        };
        let under = under.into_iter().flatten();
        Branch {
            top: Top::Object(item),
            under: under.map(|it| self.branch(it)).collect(),
        }
    }
}
