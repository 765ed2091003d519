//! A trace as people and programs read it. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::gather;
use super::gather::Gathered;
use super::gather::Synced;
use super::origin;
use super::origin::Origin;
use super::place::Found;
use crate::api::labels;
use crate::cli::inspect::Health;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Standing;
use crate::cli::inspect::age;
use crate::cli::inspect::sync;
use crate::cli::output::Machine;
use crate::cli::output::lines;
use crate::cli::screen;

/// Columns of the names of facts.
const NAMES: usize = 10;

/// One step of the trace, from the repository to the Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) title: String,
    pub(super) standing: Standing,
    pub(super) facts: Vec<(&'static str, String)>,
    /// Whether all of it could be read.
    pub(super) is_whole: bool,
}

/// The steps, from where an object was declared to what runs.
pub(super) fn links(gathered: &Gathered, found: Option<&Found>, now: Timestamp) -> Vec<Link> {
    let mut links = Vec::new();
    if let Some(item) = gathered.declared() {
        links.extend(repository(gathered, item, found, now));
        links.extend(synced(&gathered.sync));
    }
    links.extend(gathered.chain.iter().map(|link| match link {
        gather::Link::Item(item) => of_item(item, now),
        gather::Link::Missing(missing) => Link {
            title: missing.key.clone(),
            standing: standing(Health::Unknown, "not seen", &missing.why),
            facts: Vec::new(),
            is_whole: !missing.is_unread,
        },
    }));
    links
}

/// Where the files are.
fn repository(
    gathered: &Gathered,
    item: &Item,
    found: Option<&Found>,
    now: Timestamp,
) -> Option<Link> {
    let sync = match &gathered.sync {
        Synced::By(sync) => Some(sync.as_ref()),
        Synced::None | Synced::Unknown { .. } | Synced::Unread { .. } => None,
    };
    // A RepoSync is traced to its repository, though no file declares it.
    let sync = sync.or_else(|| (item.kind == Kind::RepoSync).then_some(item));
    let origin = origin::of(item);
    let source = match (&origin, sync) {
        (_, Some(sync)) => sync.text("/spec/repo").unwrap_or("-").to_owned(),
        (Origin::Declared(declared), None) => declared.source.clone(),
        (Origin::None | Origin::CopyOf(_), None) => return None,
    };
    let mut facts = Vec::new();
    if let Some(sync) = sync {
        let reference = sync.text("/spec/ref").unwrap_or("its default branch");
        facts.push(("ref", reference.to_owned()));
        facts.push(("revision", revision(sync, now)));
    }
    let mut is_whole = true;
    if let Origin::Declared(declared) = &origin {
        let mut place = declared.path.clone();
        match found {
            Some(Found::At {
                place: at,
                is_applied,
            }) => {
                place = at.to_string();
                if !is_applied {
                    place.push_str(" (as the files are now)");
                }
            }
            Some(Found::Unknown(why)) => {
                write!(place, " (line not known: {why})").ok();
                is_whole = false;
            }
            None => {}
        }
        facts.push(("declared", place));
    }
    // Without an origin a directory has no more than a name.
    let what = if source.contains('/') {
        "Repository"
    } else {
        "Directory"
    };
    Some(Link {
        title: format!("{what} {source}"),
        standing: standing(Health::Well, "", ""),
        facts,
        is_whole,
    })
}

/// What was applied, and when.
fn revision(sync: &Item, now: Timestamp) -> String {
    let Some(revision) = sync.text("/status/lastAppliedRevision") else {
        return "nothing was applied yet".to_owned();
    };
    let past = sync::past(sync);
    let applied = past
        .iter()
        .find(|it| it.revision == revision && it.reason == "Synced");
    let ago = applied.and_then(|it| it.time).map(|it| age::ago(it, now));
    let ago = ago.map_or_else(String::new, |it| format!(", applied {it} ago"));
    format!("{revision}{ago}")
}

fn synced(sync: &Synced) -> Option<Link> {
    let unknown = |id: &str, why: &str, is_whole: bool| Link {
        title: format!("sync {id}"),
        standing: standing(Health::Unknown, "not seen", why),
        facts: Vec::new(),
        is_whole,
    };
    match sync {
        Synced::None => None,
        Synced::By(item) => Some(Link {
            title: item.key(),
            standing: Standing::of(item),
            facts: Vec::new(),
            is_whole: true,
        }),
        Synced::Unknown { id } => Some(Link {
            standing: standing(
                Health::Idle,
                "applied by axon apply",
                "no RepoSync here has this id",
            ),
            ..unknown(id, "", true)
        }),
        Synced::Unread { id, why } => Some(unknown(id, why, false)),
    }
}

fn of_item(item: &Item, now: Timestamp) -> Link {
    let mut facts = Vec::new();
    let mut fact = |name: &'static str, value: Option<String>| {
        facts.extend(value.map(|it| (name, it)));
    };
    match origin::of(item) {
        Origin::CopyOf(other) => fact("origin", Some(format!("copied from {other}"))),
        Origin::None if by_hand(item) => {
            fact("declared", Some("by no file: made by hand".to_owned()));
        }
        Origin::None | Origin::Declared(_) => {}
    }
    fact("for", item.annotation(labels::ITEM_URL).map(str::to_owned));
    if item.annotation(labels::ITEM_URL).is_none() {
        fact("for", item.annotation(labels::ITEM).map(str::to_owned));
    }
    fact("node", item.text("/spec/nodeName").map(str::to_owned));
    if item.kind == Kind::TaskSpawner {
        let made = item.number("/status/totalTasksCreated");
        let active = item.number("/status/activeTasks").unwrap_or(0);
        fact(
            "tasks",
            made.map(|it| format!("{it} made, {active} active")),
        );
    }
    fact(
        "created",
        item.created()
            .map(|it| format!("{} ago", age::ago(it, now))),
    );
    for output in item
        .list("/status/outputs")
        .iter()
        .filter_map(Value::as_str)
    {
        fact("output", Some(output.to_owned()));
    }
    Link {
        title: item.key(),
        standing: Standing::of(item),
        facts,
        is_whole: true,
    }
}

/// Whether a person made it, and nothing else did.
fn by_hand(item: &Item) -> bool {
    match item.kind {
        Kind::Workspace | Kind::TaskSpawner => item.sync().is_none(),
        Kind::Task => item.sync().or(item.spawner()).is_none(),
        Kind::RepoSync | Kind::Record | Kind::Job | Kind::Pod => false,
    }
}

fn standing(health: Health, word: &str, message: &str) -> Standing {
    Standing {
        health,
        word: word.to_owned(),
        message: message.to_owned(),
    }
}

pub(super) fn people(links: &[Link]) -> String {
    let mut text = String::new();
    for link in links {
        let Standing {
            health,
            word,
            message,
        } = &link.standing;
        let style = health.style();
        text.push_str(&screen::line(&link.title));
        // Writing to a String cannot fail.
        if !matches!(word.as_str(), "" | "-") {
            write!(text, "  {style}{}{style:#}", screen::line(word)).ok();
        }
        if !message.is_empty() {
            write!(text, ": {}", screen::line(message)).ok();
        }
        text.push('\n');
        for (name, value) in &link.facts {
            writeln!(text, "    {name:NAMES$}{}", screen::line(value)).ok();
        }
    }
    text
}

pub(super) fn programs(machine: &Machine, links: &[Link]) -> String {
    match machine {
        Machine::Name => lines(links.iter().map(|it| screen::line(&it.title))),
        Machine::Yaml | Machine::Json | Machine::JsonPath(_) => {
            let items = links.iter().map(|it| {
                let mut facts: Map<String, Value> = Map::new();
                for (name, value) in &it.facts {
                    let list = facts.entry(*name).or_insert_with(|| json!([]));
                    if let Value::Array(list) = list {
                        list.push(json!(value));
                    }
                }
                json!({
                    "what": it.title,
                    "state": it.standing.word,
                    "message": it.standing.message,
                    "facts": facts,
                })
            });
            machine.value(&json!({"items": items.collect::<Vec<_>>()}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::inspect::standing::tests::item;
    use crate::model::RepoPath;
    use crate::model::problem::Place;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn told(gathered: &Gathered, found: Option<&Found>) -> String {
        let now = "2026-11-22T11:00:00Z".parse().unwrap();
        let links = links(gathered, found, now);
        anstream::adapter::strip_str(&people(&links)).to_string()
    }

    fn declared(kind: Kind, name: &str) -> Item {
        let origin = format!("example.com/a#axon.yaml#{kind}/{name}");
        item(
            kind,
            name,
            &json!({"metadata": {
            "labels": {"axon.io/sync": "app-1"}, "annotations": {"axon.io/origin": origin}}}),
        )
    }

    fn link(item: Item) -> gather::Link {
        gather::Link::Item(Box::new(item))
    }

    #[test]
    fn from_the_line_of_a_file_to_the_pod() {
        let sync = item(
            Kind::RepoSync,
            "app",
            &json!({
                "spec": {"repo": "https://example.com/a.git", "ref": "main"},
                "status": {"observedGeneration": 1, "sync": "app-1", "lastAppliedRevision": COMMIT,
                    "conditions": [{"type": "Ready", "status": "True", "reason": "Synced"}],
                    "history": [{"revision": COMMIT, "time": "2026-11-22T10:00:00Z", "reason": "Synced"}]},
            }),
        );
        let task = item(
            Kind::Task,
            "bugs-7",
            &json!({
                "metadata": {"labels": {"axon.io/taskspawner": "bugs"},
                    "annotations": {"axon.io/item-url": "https://example.com/a/issues/7\u{1b}"}},
                "status": {"phase": "Running"},
            }),
        );
        let gathered = Gathered {
            chain: vec![
                link(declared(Kind::TaskSpawner, "bugs")),
                link(task),
                gather::Link::Missing(gather::Missing {
                    key: "Job/bugs-7-x".into(),
                    why: "gone".into(),
                    is_unread: false,
                }),
            ],
            sync: Synced::By(Box::new(sync)),
        };
        let found = Found::At {
            place: Place {
                file: RepoPath::parse("agents/bugs.yaml").unwrap(),
                line: 12,
                column: 3,
            },
            is_applied: true,
        };
        insta::assert_snapshot!(told(&gathered, Some(&found)), @r"
        Repository https://example.com/a.git
            ref       main
            revision  0123456789abcdef0123456789abcdef01234567, applied 60m ago
            declared  agents/bugs.yaml:12:3
        RepoSync/app  Ready
        TaskSpawner/bugs  Unseen: no controller has looked
            created   60m ago
        Task/bugs-7  Running
            for       https://example.com/a/issues/7\u{1b}
            created   60m ago
        Job/bugs-7-x  not seen: gone
        ");
    }

    #[test]
    fn what_could_not_be_read_is_said() {
        let gathered = Gathered {
            chain: vec![link(declared(Kind::Workspace, "web"))],
            sync: Synced::Unread {
                id: "app-1".into(),
                why: "reposyncs are forbidden".into(),
            },
        };
        let found = Found::Unknown("cannot read \"example.com/a\"".into());
        insta::assert_snapshot!(told(&gathered, Some(&found)), @r#"
        Repository example.com/a
            declared  axon.yaml (line not known: cannot read "example.com/a")
        sync app-1  not seen: reposyncs are forbidden
        Workspace/web
            created   60m ago
        "#);
        let links = links(
            &gathered,
            Some(&found),
            "2026-11-22T11:00:00Z".parse().unwrap(),
        );
        assert!(links.iter().any(|it| !it.is_whole));
    }

    #[test]
    fn made_by_hand() {
        let gathered = Gathered {
            chain: vec![link(item(Kind::Task, "a", &json!({})))],
            sync: Synced::None,
        };
        insta::assert_snapshot!(told(&gathered, None), @r"
        Task/a  Unseen: no controller has looked
            declared  by no file: made by hand
            created   60m ago
        ");
    }
}
