//! Objects on their way into the set: names, metadata, the checks of their specs.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value as Json;

use crate::api::API_VERSION;
use crate::api::labels;
use crate::model::Code;
use crate::model::Desired;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::SyncId;
use crate::model::names::MAX_LABEL;
use crate::model::object::DesiredSet;
use crate::model::run::RunDigest;

use super::MAX_OBJECTS;
use super::MAX_OBJECTS_WEIGHT;
use super::config;
use super::dependencies::Dependencies;
use super::meaning;
use super::metadata;
use super::node::Entry;
use super::node::Mark;
use super::node::Node;
use super::report::Report;
use super::report::suggest;
use super::schema;
use super::schema::Holder;

/// An object as it was written.
pub(super) struct Draft<'d> {
    pub(super) kind: Kind,
    /// The name, and where it stands.
    pub(super) name: (&'d str, Mark),
    pub(super) metadata: Option<&'d Node>,
    pub(super) spec: Node,
    pub(super) rerun: Option<Rerun>,
    pub(super) holder: Holder<'d>,
    /// See [`Desired::own_repository`].
    pub(super) own_repository: bool,
}

/// The number that is raised to run a Task again.
#[derive(Clone, Copy)]
pub(super) struct Rerun {
    pub(super) number: u32,
    pub(super) mark: Mark,
}

/// The objects declared so far, and what concerns them all.
pub(super) struct Objects<'a> {
    source_url: Option<&'a str>,
    has_config: bool,
    defaults: Option<Node>,
    namespace: Option<(Namespace, Mark)>,
    sync: Option<SyncId>,
    declared: BTreeMap<Key, (Desired, Mark)>,
    /// Workspaces that are named, and where first.
    used: BTreeMap<ObjectName, Mark>,
    /// What Tasks wait for.
    dependencies: Dependencies,
    weight: usize,
    is_full: bool,
}

impl<'a> Objects<'a> {
    pub(super) fn new(source_url: Option<&'a str>) -> Self {
        Self {
            source_url,
            has_config: false,
            defaults: None,
            namespace: None,
            sync: None,
            declared: BTreeMap::new(),
            used: BTreeMap::new(),
            dependencies: Dependencies::default(),
            weight: 0,
            is_full: false,
        }
    }

    pub(super) fn source_url(&self) -> Option<&'a str> {
        self.source_url
    }

    pub(super) fn saw_config(&mut self) {
        self.has_config = true;
    }

    pub(super) fn set_defaults(&mut self, defaults: Node) {
        self.defaults = Some(defaults);
    }

    pub(super) fn set_sync(&mut self, id: SyncId) {
        self.sync = Some(id);
    }

    /// One configuration fills one namespace: whoever names one names the same.
    pub(super) fn agree_on_namespace(
        &mut self,
        namespace: Namespace,
        mark: Mark,
        report: &mut Report<'_>,
    ) {
        match &self.namespace {
            None => self.namespace = Some((namespace, mark)),
            Some((agreed, _)) if *agreed == namespace => {}
            Some((agreed, first)) => {
                let message = format!("namespace \"{namespace}\" is not \"{agreed}\"");
                let first = report.place(*first);
                let hint = format!("one configuration fills one namespace; see {first}");
                report.error_with(Code::NamespaceMismatch, mark, message, Some(hint));
            }
        }
    }

    /// An entry with what it leaves out taken from `defaults`; nothing where there is no room left.
    pub(super) fn filled(&mut self, entry: &Entry, report: &mut Report<'_>) -> Option<Node> {
        let Some(defaults) = &self.defaults else {
            return Some(entry.value.clone());
        };
        let weight = defaults.weight();
        if self.weight + weight > MAX_OBJECTS_WEIGHT {
            self.refuse_more(entry.mark, report);
            return None;
        }
        Some(config::fill(&entry.value, defaults))
    }

    /// Checks an object and puts it into the set.
    pub(super) fn declare(&mut self, draft: &Draft<'_>, report: &mut Report<'_>) {
        let (name, mark) = draft.name;
        self.weight += draft.spec.weight() + draft.metadata.map_or(0, Node::weight);
        if self.declared.len() == MAX_OBJECTS || self.weight > MAX_OBJECTS_WEIGHT {
            return self.refuse_more(mark, report);
        }
        schema::check_spec(draft.kind, &draft.spec, &draft.holder, report);
        meaning::check(draft.kind, &draft.spec, &draft.holder, report);
        let mut metadata = metadata::read(draft.kind, draft.metadata, report);
        if let (Some(rerun), Some(_)) = (draft.rerun, metadata.rerun) {
            let message = format!("\"rerun\" is set twice, here and as \"{}\"", labels::RERUN);
            report.error(Code::DuplicateRerun, rerun.mark, message);
        }
        let rerun = draft.rerun.or(metadata.rerun).map(|rerun| rerun.number);
        if let Some(rerun) = rerun {
            // As on a plain manifest, so that what is rendered means the same when it is loaded.
            let value = rerun.to_string().into();
            metadata.annotations.insert(labels::RERUN.to_owned(), value);
        }
        let name = match ObjectName::parse(name) {
            Ok(name) => name,
            // Of the names of entries, the schema tells.
            Err(_) if report.is_refused(mark) => return,
            Err(error) => {
                let message = format!("the name {error}");
                return report.error(Code::InvalidName, mark, message);
            }
        };
        let is_told = report.is_refused(mark);
        if draft.kind == Kind::TaskSpawner && name.as_str().len() > MAX_LABEL && !is_told {
            let message =
                format!("the name of a TaskSpawner must have at most {MAX_LABEL} characters");
            report.error(Code::InvalidName, mark, message);
        }
        self.use_workspace(draft.kind, &draft.spec);
        let key = Key {
            kind: draft.kind,
            name,
        };
        if let Some((_, first)) = self.declared.get(&key) {
            let message = format!("{} \"{}\" is declared a second time", key.kind, key.name);
            let hint = format!("the first is at {}", report.place(*first));
            return report.error_with(Code::DuplicateObject, mark, message, Some(hint));
        }
        if key.kind == Kind::Task {
            self.dependencies.add(&key.name, &draft.spec);
        }
        let spec = draft.spec.to_json();
        let run = (key.kind == Kind::Task).then(|| RunDigest::of(&spec, rerun.unwrap_or(0)));
        let desired = Desired {
            manifest: manifest(&key, metadata, spec),
            place: report.place(mark),
            run,
            key: key.clone(),
            own_repository: draft.own_repository,
        };
        self.declared.insert(key, (desired, mark));
    }

    fn use_workspace(&mut self, kind: Kind, spec: &Node) {
        let holder = match kind {
            Kind::Workspace => None,
            Kind::TaskSpawner => spec.get("taskTemplate"),
            Kind::Task => Some(spec),
        };
        let named = holder
            .and_then(|it| it.get("workspaceRef"))
            .and_then(|it| it.text_of("name"));
        if let Some((name, mark)) = named
            && let Ok(name) = ObjectName::parse(name)
        {
            self.used.entry(name).or_insert(mark);
        }
    }

    /// Whether no more objects fit.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    fn refuse_more(&mut self, mark: Mark, report: &mut Report<'_>) {
        if !std::mem::replace(&mut self.is_full, true) {
            let message = format!(
                "more than {MAX_OBJECTS} objects, or more than {} MiB of them",
                MAX_OBJECTS_WEIGHT >> 20
            );
            let hint = "split the configuration into several".to_owned();
            report.error_with(Code::TooLarge, mark, message, Some(hint));
        }
    }

    /// The set, once everything is declared. Workspaces that nobody declared are told of.
    pub(super) fn into_set(self, report: &mut Report<'_>) -> DesiredSet {
        let of_workspaces = |key: &&Key| key.kind == Kind::Workspace;
        let declared: Vec<&str> = self
            .declared
            .keys()
            .filter(of_workspaces)
            .map(|key| key.name.as_str())
            .collect();
        let tasks = self.declared.keys().filter(|key| key.kind == Kind::Task);
        let tasks: Vec<&str> = tasks.map(|key| key.name.as_str()).collect();
        self.dependencies.check(&tasks, report);
        let mut external = Vec::new();
        for (name, mark) in self.used {
            // Sorted, as keys are.
            if declared.binary_search(&name.as_str()).is_ok() {
                continue;
            }
            let message =
                format!("workspace \"{name}\" is not declared here: the cluster must have it");
            let hint = report
                .has_room()
                .then(|| suggest(name.as_str(), declared.iter().copied()));
            report.warning(Code::UnknownWorkspace, mark, message, hint.flatten());
            external.push((name, report.place(mark)));
        }
        DesiredSet {
            objects: self.declared.into_values().map(|(it, _)| it).collect(),
            namespace: self.namespace.map(|(namespace, _)| namespace),
            sync: self.sync,
            has_config: self.has_config,
            external_workspaces: external,
        }
    }
}

fn manifest(key: &Key, metadata: metadata::Metadata, spec: Json) -> Json {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), key.name.as_str().into());
    if !metadata.labels.is_empty() {
        fields.insert("labels".to_owned(), metadata.labels.into());
    }
    if !metadata.annotations.is_empty() {
        fields.insert("annotations".to_owned(), metadata.annotations.into());
    }
    let fields = [
        ("apiVersion", API_VERSION.into()),
        ("kind", key.kind.as_str().into()),
        ("metadata", fields.into()),
        ("spec", spec),
    ];
    fields
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect::<Map<_, _>>()
        .into()
}
