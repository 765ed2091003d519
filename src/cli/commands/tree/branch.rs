//! Trees as people read them. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::Style;
use jiff::Timestamp;

use super::grow::Branch;
use super::grow::Top;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Standing;
use crate::cli::inspect::age;
use crate::cli::inspect::sync;
use crate::cli::screen;
use crate::cli::text_diff::visible;

/// How many finished Tasks are shown under one object where nobody asked for all.
const FINISHED: usize = 5;
/// Lines of the tree itself.
const WOOD: Style = Style::new().dimmed();

/// How much of it is shown.
pub(super) struct View {
    pub(super) wide: bool,
    pub(super) all: bool,
    pub(super) width: Option<usize>,
    pub(super) now: Timestamp,
}

impl View {
    pub(super) fn text(&self, roots: &[Branch<'_>]) -> String {
        let mut text = String::new();
        for root in roots {
            let (label, word, style) = self.top(&root.top);
            self.line(&mut text, "", &label, &word, style);
            self.under(&mut text, root, "");
        }
        text
    }

    fn under(&self, text: &mut String, branch: &Branch<'_>, indent: &str) {
        let (shown, rest) = self.chosen(&branch.under);
        let last = shown.len() - usize::from(!shown.is_empty() && rest.is_empty());
        for (at, child) in shown.iter().enumerate() {
            let is_last = at == last && rest.is_empty();
            let (fork, further) = if is_last {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            let (label, word, style) = self.top(&child.top);
            self.line(text, &format!("{indent}{fork}"), &label, &word, style);
            self.under(text, child, &format!("{indent}{further}"));
        }
        if !rest.is_empty() {
            let label = format!("… {rest} (all: --all)");
            self.line(text, &format!("{indent}└── "), &label, "", WOOD);
        }
    }

    /// The branches that are shown, and a word on those that are not: finished Tasks pile up.
    fn chosen<'a, 'b>(&self, under: &'b [Branch<'a>]) -> (Vec<&'b Branch<'a>>, String) {
        let (mut shown, mut over) = (Vec::new(), Vec::new());
        for branch in under {
            match &branch.top {
                Top::Object(item) if item.kind == Kind::Task && item.is_finished() => {
                    over.push((item.time("/status/completionTime"), branch));
                }
                Top::Object(_) | Top::Sync(_) | Top::Loose => shown.push(branch),
            }
        }
        over.sort_by_key(|(time, _)| Reverse(*time));
        let keep = if self.all { over.len() } else { FINISHED };
        let rest = over.split_off(keep.min(over.len()));
        shown.extend(over.into_iter().map(|(_, branch)| branch));
        let mut words: BTreeMap<String, usize> = BTreeMap::new();
        for (_, branch) in rest {
            if let Top::Object(item) = &branch.top {
                *words.entry(Standing::of(item).word).or_default() += 1;
            }
        }
        let words: Vec<String> = words
            .iter()
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        let rest = if words.is_empty() {
            String::new()
        } else {
            format!("{} more Tasks", words.join(", "))
        };
        (shown, rest)
    }

    /// Label, state and its style.
    fn top(&self, top: &Top<'_>) -> (String, String, Style) {
        match top {
            Top::Object(item) => {
                let standing = Standing::of(item);
                let word = if standing.word == "-" {
                    String::new()
                } else {
                    standing.word.clone()
                };
                let more = self.more(item, &standing);
                (item.key(), format!("{word}{more}"), standing.health.style())
            }
            Top::Sync(id) => {
                let label = format!("sync {id} (no RepoSync here)");
                (label, String::new(), Style::new())
            }
            Top::Loose => ("of no sync".to_owned(), String::new(), Style::new()),
        }
    }

    fn more(&self, item: &Item, standing: &Standing) -> String {
        let mut more = String::new();
        if item.kind == Kind::RepoSync
            && let Some(revision) = item.text("/status/lastAppliedRevision")
        {
            write!(more, "  at {}", sync::short(revision)).ok();
        }
        if self.wide {
            if let Some(created) = item.created() {
                write!(more, "  {}", age::ago(created, self.now)).ok();
            }
            if !standing.message.is_empty() {
                write!(more, "  {}", screen::line(&standing.message)).ok();
            }
        }
        more
    }

    /// One line. The name gives way first, so that the state is always seen.
    fn line(&self, text: &mut String, before: &str, name: &str, state: &str, style: Style) {
        let (mut name, state) = (screen::line(name), visible(state));
        if let Some(width) = self.width {
            let taken = screen::columns_of(before) + screen::columns_of(&state) + 2;
            name = screen::cut(&name, width.saturating_sub(taken).max(1));
        }
        let gap = if state.is_empty() { "" } else { "  " };
        // Writing to a String cannot fail.
        writeln!(
            text,
            "{WOOD}{before}{WOOD:#}{name}{gap}{style}{state}{style:#}"
        )
        .ok();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;
    use crate::cli::commands::tree::grow::forest;
    use crate::cli::inspect::Seen;
    use crate::cli::inspect::standing::tests::item;

    fn of(sync: &str) -> Value {
        json!({"metadata": {"labels": {"axon.io/sync": sync}}})
    }

    fn owned(by: &str) -> Value {
        json!({"metadata": {"ownerReferences": [
            {"apiVersion": "x", "kind": "x", "name": by, "uid": format!("uid-{by}")}]}})
    }

    fn spawned(phase: &str) -> Value {
        json!({"metadata": {"labels": {"axon.io/taskspawner": "bugs"}}, "status": {"phase": phase}})
    }

    fn seen() -> Seen {
        let mut seen = Seen::default();
        let ready = json!({"status": {"sync": "app-1", "observedGeneration": 1,
            "lastAppliedRevision": "0123456789abcdef0123456789abcdef01234567",
            "conditions": [{"type": "Ready", "status": "True", "reason": "Synced"}]}});
        seen.add(vec![
            item(Kind::RepoSync, "app", &ready),
            item(Kind::Workspace, "web", &of("app-1")),
            item(Kind::TaskSpawner, "bugs", &of("app-1")),
            item(Kind::Task, "bugs-1", &spawned("Running")),
            item(Kind::Task, "port", &of("other")),
            item(Kind::Task, "hand", &json!({})),
            item(Kind::Job, "bugs-1-job", &owned("bugs-1")),
            item(Kind::Pod, "bugs-1-pod", &owned("bugs-1-job")),
        ]);
        seen
    }

    fn text(seen: &Seen, only: Option<&str>, width: Option<usize>) -> String {
        let now = "2026-11-22T11:00:00Z".parse().unwrap();
        let view = View {
            wide: false,
            all: false,
            width,
            now,
        };
        anstream::adapter::strip_str(&view.text(&forest(seen, only))).to_string()
    }

    #[test]
    fn from_the_sync_to_the_pod() {
        insta::assert_snapshot!(text(&seen(), None, None), @r"
        RepoSync/app  Ready  at 0123456789ab
        ├── Workspace/web
        └── TaskSpawner/bugs  Unseen
            └── Task/bugs-1  Running
                └── Job/bugs-1-job  Pending
                    └── Pod/bugs-1-pod  Unknown
        sync other (no RepoSync here)
        └── Task/port  Unseen
        of no sync
        └── Task/hand  Unseen
        ");
        assert!(!text(&seen(), Some("app"), None).contains("port"));
    }

    #[test]
    fn finished_tasks_pile_up_out_of_sight() {
        let mut seen = seen();
        let many = (0..990).map(|at| item(Kind::Task, &format!("old-{at}"), &spawned("Succeeded")));
        seen.add(many.collect());
        let text = text(&seen, None, None);
        assert!(
            text.contains("… 985 Succeeded more Tasks (all: --all)\n"),
            "{text}"
        );
        assert!(text.contains("bugs-1  Running"), "{text}");
    }

    #[test]
    fn a_narrow_terminal_cuts_names_and_keeps_states() {
        let mut seen = seen();
        let name = "x".repeat(253);
        seen.add(vec![item(Kind::Task, &name, &spawned("Running"))]);
        for width in [40, 80, 200] {
            let text = text(&seen, None, Some(width));
            assert!(
                text.lines().all(|it| screen::columns_of(it) <= width),
                "{text}"
            );
            assert!(text.contains("…  Running\n"), "{text}");
        }
    }
}
