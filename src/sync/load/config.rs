//! Configuration documents: entries become objects.

use crate::model::Code;
use crate::model::Kind;
use crate::model::Namespace;
use crate::model::SyncId;
use crate::template::fleet::Fleets;

use super::fleet;
use super::node::Entry;
use super::node::Mark;
use super::node::Node;
use super::node::Value;
use super::object::Draft;
use super::object::Objects;
use super::object::Rerun;
use super::report::Report;
use super::schema;
use super::schema::Holder;

/// Keys that concern the whole configuration.
const ROOT_KEYS: [&str; 4] = ["namespace", "sync", "include", "defaults"];
/// Fields of a spawner entry that are not fields of its task template.
const SPAWNER_KEYS: [&str; 5] = [
    "when",
    "pollInterval",
    "maxConcurrency",
    "suspend",
    "maxTotalTasks",
];

/// Tells of keys that only the root file may have.
pub(super) fn refuse_root_keys(document: &Node, report: &mut Report<'_>) {
    for entry in document.entries() {
        if ROOT_KEYS.contains(&entry.key.as_str()) {
            let message = format!("\"{}\" can stand only in the root file", entry.key);
            report.error(Code::RootOnly, entry.mark, message);
        }
    }
}

/// Reads what concerns the whole configuration.
pub(super) fn root_keys(document: &Node, objects: &mut Objects<'_>, report: &mut Report<'_>) {
    if let Some((text, mark)) = document.text_of("namespace") {
        match Namespace::parse(text) {
            Ok(namespace) => objects.agree_on_namespace(namespace, mark, report),
            Err(error) => report.error(Code::InvalidName, mark, format!("\"namespace\": {error}")),
        }
    }
    if let Some((text, mark)) = document.text_of("sync") {
        match SyncId::parse(text) {
            Ok(id) => objects.set_sync(id),
            Err(error) => report.error(Code::InvalidName, mark, format!("\"sync\": {error}")),
        }
    }
    if let Some(defaults) = document.get("defaults") {
        check_credentials(defaults, report);
        objects.set_defaults(defaults.clone());
    }
}

/// The one rule about a value of `defaults` that is told of entries only where there are some.
fn check_credentials(defaults: &Node, report: &mut Report<'_>) {
    let Some(credentials) = defaults.get("credentials") else {
        return;
    };
    let needs = matches!(credentials.text_of("type"), Some(("api-key" | "oauth", _)));
    if needs && credentials.get("secretRef").is_none() {
        let hint = "name the Secret that holds the key, or set type to \"none\"".to_owned();
        let message = "credentials need a secretRef";
        report.error_with(Code::MissingKey, credentials.mark, message, Some(hint));
    }
}

/// A configuration document.
pub(super) struct Config<'d> {
    document: &'d Node,
}

impl<'d> Config<'d> {
    pub(super) fn new(document: &'d Node) -> Self {
        Self { document }
    }

    /// Declares the entries.
    pub(super) fn declare(
        &self,
        fleets: &mut Fleets,
        objects: &mut Objects<'_>,
        report: &mut Report<'_>,
    ) {
        objects.saw_config();
        schema::check_config(self.document, report);
        for entry in self.entries("workspaces") {
            let (metadata, spec) = apart(&entry.value);
            workspace(entry, metadata, spec, objects, report);
        }
        for entry in self.entries("spawners") {
            if let Some(filled) = objects.filled(entry, report) {
                spawner(entry, &filled, holder(entry), objects, report);
            }
        }
        for entry in self.entries("tasks") {
            if let Some(filled) = objects.filled(entry, report) {
                task(entry, &filled, holder(entry), objects, report);
            }
        }
        for entry in self.entries("fleets") {
            fleet::declare(entry, fleets, objects, report);
        }
    }

    /// The entries under `key` that are maps; of others the schema tells.
    fn entries(&self, key: &str) -> impl Iterator<Item = &'d Entry> + use<'d> {
        let entries = self.document.entry(key).map(|map| map.value.entries());
        let entries = entries.unwrap_or_default().iter();
        entries.filter(|entry| matches!(entry.value.value, Value::Map(_)))
    }
}

/// The metadata of an entry, and its other fields.
fn apart(entry: &Node) -> (Option<&Node>, Vec<Entry>) {
    let others = entry.entries().iter().filter(|it| it.key != "metadata");
    (entry.get("metadata"), others.cloned().collect())
}

fn workspace(
    entry: &Entry,
    metadata: Option<&Node>,
    mut spec: Vec<Entry>,
    objects: &mut Objects<'_>,
    report: &mut Report<'_>,
) {
    spec.retain(|field| field.key != "repo" || !matches!(field.value.value, Value::Null));
    let own_repository = !spec.iter().any(|field| field.key == "repo");
    if own_repository {
        let repo = if let Some(url) = objects.source_url() {
            Node::text(entry.mark, url)
        } else {
            let message = format!("workspace \"{}\" has no \"repo\"", entry.key);
            let hint = "this configuration has no repository URL (a git remote \"origin\") to take it from";
            report.error_with(Code::Incomplete, entry.mark, message, Some(hint.to_owned()));
            Node::broken(entry.mark)
        };
        spec.push(field(entry.mark, "repo", repo));
    }
    let draft = Draft {
        kind: Kind::Workspace,
        name: (&entry.key, entry.mark),
        metadata,
        spec: map(entry.mark, spec),
        rerun: None,
        holder: holder(entry),
        own_repository,
    };
    objects.declare(&draft, report);
}

/// Declares a spawner. `holder` is what a person wrote it as: `entry`, or a fleet.
pub(super) fn spawner(
    entry: &Entry,
    filled: &Node,
    holder: Holder<'_>,
    objects: &mut Objects<'_>,
    report: &mut Report<'_>,
) {
    let (metadata, fields) = apart(filled);
    let mut spec = Vec::new();
    let mut template = Vec::new();
    for mut field in fields {
        if SPAWNER_KEYS.contains(&field.key.as_str()) {
            spec.push(field);
            continue;
        }
        match field.key.as_str() {
            "prompt" => "promptTemplate".clone_into(&mut field.key),
            "workspace" => {
                if let Value::Map(_) = field.value.value {
                    let message = "\"workspace\" of a spawner must be text, got a map";
                    let hint = "declare it under \"workspaces\", and name it here".to_owned();
                    report.error_with(Code::WrongType, field.value.mark, message, Some(hint));
                    field.value = Node::broken(field.value.mark);
                }
                field = reference(field);
            }
            _ => {}
        }
        template.push(field);
    }
    spec.push(field(entry.mark, "taskTemplate", map(entry.mark, template)));
    let draft = Draft {
        kind: Kind::TaskSpawner,
        name: (&entry.key, entry.mark),
        metadata,
        spec: map(entry.mark, spec),
        rerun: None,
        holder,
        own_repository: false,
    };
    objects.declare(&draft, report);
}

/// Declares a task. `holder` is what a person wrote it as: `entry`, or a fleet.
pub(super) fn task(
    entry: &Entry,
    filled: &Node,
    holder: Holder<'_>,
    objects: &mut Objects<'_>,
    report: &mut Report<'_>,
) {
    let (metadata, fields) = apart(filled);
    let mut rerun = None;
    let mut spec = Vec::new();
    for field in fields {
        match (field.key.as_str(), &field.value.value) {
            ("rerun", Value::Number(number)) => {
                let number = number.as_u64().and_then(|it| u32::try_from(it).ok());
                rerun = number.map(|number| Rerun {
                    number,
                    mark: field.mark,
                });
            }
            ("rerun", _) => {}
            ("workspace", Value::Map(_)) => {
                let (metadata, inline) = apart(&field.value);
                let named = Entry {
                    key: entry.key.clone(),
                    ..field.clone()
                };
                workspace(&named, metadata, inline, objects, report);
                let name = Node::text(field.mark, &entry.key);
                spec.push(reference(Entry {
                    value: name,
                    ..field
                }));
            }
            ("workspace", _) => spec.push(reference(field)),
            _ => spec.push(field),
        }
    }
    let draft = Draft {
        kind: Kind::Task,
        name: (&entry.key, entry.mark),
        metadata,
        spec: map(entry.mark, spec),
        rerun,
        holder,
        own_repository: false,
    };
    objects.declare(&draft, report);
}

/// An entry, as what a person wrote.
pub(super) fn holder(entry: &Entry) -> Holder<'_> {
    Holder {
        name: &entry.key,
        mark: entry.mark,
        is_entry: true,
    }
}

/// `workspace: NAME` as `workspaceRef: {name: NAME}`.
fn reference(workspace: Entry) -> Entry {
    let Entry { mark, value, .. } = workspace;
    let value = match value.value {
        Value::Null | Value::Broken => value,
        _ => map(value.mark, vec![field(mark, "name", value)]),
    };
    field(mark, "workspaceRef", value)
}

fn field(mark: Mark, key: &str, value: Node) -> Entry {
    let key = key.to_owned();
    Entry { key, mark, value }
}

fn map(mark: Mark, entries: Vec<Entry>) -> Node {
    let value = Value::Map(entries);
    Node { mark, value }
}

/// `entry` with what it leaves out taken from `defaults`. Maps merge key by key, except
/// `credentials`; everything else is taken whole. A key that is set to nothing stays nothing.
pub(super) fn fill(entry: &Node, defaults: &Node) -> Node {
    let (Value::Map(own), Value::Map(others)) = (&entry.value, &defaults.value) else {
        return entry.clone();
    };
    let mut filled: Vec<Entry> = Vec::with_capacity(own.len() + others.len());
    for field in own {
        let default = others.iter().find(|other| other.key == field.key);
        let value = match default {
            Some(default) if field.key != "credentials" => fill(&field.value, &default.value),
            Some(_) | None => field.value.clone(),
        };
        filled.push(Entry {
            value,
            ..field.clone()
        });
    }
    let left_out = |other: &&Entry| !own.iter().any(|field| field.key == other.key);
    filled.extend(others.iter().filter(left_out).cloned());
    map(entry.mark, filled)
}
