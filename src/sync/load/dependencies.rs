//! What declared Tasks wait for: names that lead somewhere, and no circle of them.

use std::collections::BTreeMap;

use crate::model::Code;
use crate::model::ObjectName;

use super::node::Mark;
use super::node::Node;
use super::report::Report;
use super::report::suggest;

/// Tasks of a circle that a message names at most.
const MAX_SHOWN: usize = 8;

/// Which Task waits for which, and where that is written.
#[derive(Default)]
pub(super) struct Dependencies {
    of: BTreeMap<String, Vec<(String, Mark)>>,
}

/// How far a Task has been followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    Open,
    Done,
}

impl Dependencies {
    pub(super) fn add(&mut self, task: &ObjectName, spec: &Node) {
        let named = spec.get("dependsOn").map(Node::items).unwrap_or_default();
        let named = named.iter().filter_map(|it| Some((it.as_text()?, it.mark)));
        // Of what is no name, the schema tells.
        let named = named.filter(|(name, _)| ObjectName::parse(name).is_ok());
        let named: Vec<_> = named.map(|(name, mark)| (name.to_owned(), mark)).collect();
        if !named.is_empty() {
            self.of.insert(task.as_str().to_owned(), named);
        }
    }

    /// Tells of names that are none of `tasks`, and of circles, each once. `tasks` is sorted.
    pub(super) fn check(&self, tasks: &[&str], report: &mut Report<'_>) {
        for (name, mark) in self.of.values().flatten() {
            if tasks.binary_search(&name.as_str()).is_ok() {
                continue;
            }
            let message = format!("task \"{name}\" is not declared here: the cluster must have it");
            let hint = report
                .has_room()
                .then(|| suggest(name, tasks.iter().copied()));
            report.warning(Code::UnknownTask, *mark, message, hint.flatten());
        }
        let mut seen = BTreeMap::new();
        for task in self.of.keys() {
            self.follow(task, &mut seen, report);
        }
    }

    /// Follows what `start` waits for. Not by recursion: a chain may be as long as the configuration.
    fn follow<'a>(
        &'a self,
        start: &'a str,
        seen: &mut BTreeMap<&'a str, Visit>,
        report: &mut Report<'_>,
    ) {
        if seen.contains_key(start) {
            return;
        }
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        seen.insert(start, Visit::Open);
        while let Some((task, next)) = path.last_mut() {
            let named = self.of.get(*task).map(Vec::as_slice).unwrap_or_default();
            let Some((name, mark)) = named.get(*next) else {
                seen.insert(*task, Visit::Done);
                path.pop();
                continue;
            };
            *next += 1;
            match seen.get(name.as_str()) {
                None => {
                    seen.insert(name, Visit::Open);
                    path.push((name, 0));
                }
                Some(Visit::Open) => tell(name, &path, *mark, report),
                Some(Visit::Done) => {}
            }
        }
    }
}

/// Tells that `name`, which is on the path, is waited for once more.
fn tell(name: &str, path: &[(&str, usize)], mark: Mark, report: &mut Report<'_>) {
    let circle: Vec<&str> = path
        .iter()
        .map(|(task, _)| *task)
        .skip_while(|task| *task != name)
        .collect();
    if circle.len() == 1 {
        let message = format!("task \"{name}\" waits for itself");
        return report.error(Code::DependencyCycle, mark, message);
    }
    let mut shown: Vec<String> = circle
        .iter()
        .take(MAX_SHOWN)
        .map(|task| format!("\"{task}\""))
        .collect();
    if circle.len() > MAX_SHOWN {
        shown.push("…".to_owned());
    }
    let message = format!(
        "tasks wait for each other: {} → \"{name}\"",
        shown.join(" → ")
    );
    report.error(Code::DependencyCycle, mark, message);
}
