//! What the Tasks of `axon dev` do at this moment: their agents' words as lines, and on a terminal a few
//! lines below them that tell where each Task stands.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::time::Duration;

use axon_helper::stream::Event;
use kube::Client;
use kube::ResourceExt as _;
use tokio::time::Instant;

use crate::api::Task;
use crate::api::task::TaskPhase;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::live::Lines;
use crate::cli::logs::Follower;
use crate::cli::logs::Told;
use crate::cli::logs::Voice;
use crate::cli::logs::brief;
use crate::cli::screen;
use crate::model::Namespace;
use crate::model::ObjectName;

/// Most Tasks whose agents are listened to at once.
const MAX_FOLLOWED: usize = 50;
/// Most Tasks that have a line of their own.
const MAX_LINES: usize = 10;
/// Widest name that others are lined up with.
const MAX_NAME: usize = 30;

/// Where the Tasks stand.
pub(super) struct Live {
    lines: Option<Lines>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<String, Row>,
    /// UIDs of Tasks that were seen before their end, and of those whose agents are listened to.
    seen: HashSet<String>,
    heard: HashSet<String>,
    listening: usize,
}

/// One Task.
struct Row {
    phase: TaskPhase,
    since: Instant,
    doing: String,
    cost: Option<f64>,
    turns: u32,
}

impl Live {
    pub(super) fn new() -> Self {
        Self {
            lines: Lines::new(),
            state: RefCell::default(),
        }
    }

    /// Takes a Task's new state; gives it back if its agent is to be listened to from now on.
    pub(super) fn task(&self, task: &Task) -> Option<Item> {
        let mut state = self.state.borrow_mut();
        let status = task.status.clone().unwrap_or_default();
        let phase = status.phase.unwrap_or(TaskPhase::Pending);
        let reason = status.conditions.last().map(|it| it.reason.clone());
        state.stands(&task.name_any(), phase, reason.unwrap_or_default());
        let uid = task.uid().unwrap_or_default();
        let begun = match phase {
            TaskPhase::Pending => {
                state.seen.insert(uid);
                return None;
            }
            TaskPhase::Running => true,
            // It ran between two looks.
            TaskPhase::Succeeded | TaskPhase::Failed => state.seen.contains(&uid),
        };
        if !begun || state.listening >= MAX_FOLLOWED || !state.heard.insert(uid) {
            return None;
        }
        state.listening += 1;
        let object = serde_json::to_value(task).ok()?;
        let object = serde_json::from_value(object).ok()?;
        Some(Item::new(Kind::Task, object))
    }

    pub(super) fn gone(&self, task: &Task) {
        self.state.borrow_mut().rows.remove(&task.name_any());
    }

    /// Whether an agent is listened to.
    pub(super) fn listens(&self) -> bool {
        self.state.borrow().listening > 0
    }

    /// Tells what the Task's agent does, until it has ended.
    pub(super) async fn listen(&self, client: Client, task: Item) {
        let name = task.name().to_owned();
        let names = ObjectName::parse(&name).ok();
        let namespace = Namespace::parse(task.namespace()).ok();
        if let Some((object, namespace)) = names.zip(namespace) {
            let follower = Follower {
                client: client.clone(),
                reader: Reader::of(client, namespace),
                name: object,
                follow: true,
                raw: false,
            };
            let mut voice = Voice::named(&name, self.width()).aside();
            let mut tell = |told: Told<'_>| {
                if let Told::Event(_, event) = &told {
                    self.heard(&name, event);
                }
                // Why it waits is on the board.
                if !matches!(told, Told::Waits(_)) {
                    voice.tell(told);
                }
            };
            if let Err(failure) = follower.run(task, &mut tell).await {
                tracing::debug!(what = failure.what, "an agent is no longer listened to");
            }
        }
        self.state.borrow_mut().listening -= 1;
    }

    fn heard(&self, name: &str, event: &Event) {
        let mut state = self.state.borrow_mut();
        let Some(row) = state.rows.get_mut(name) else {
            return;
        };
        if let Event::Usage(usage) = event {
            row.cost = usage.cost_usd.or(row.cost);
            row.turns = usage.turns;
        }
        if let Some(doing) = brief(event) {
            row.doing = doing;
        }
    }

    fn width(&self) -> usize {
        let state = self.state.borrow();
        let widths = state.rows.keys().map(|it| screen::columns_of(it));
        widths.max().unwrap_or(0).min(MAX_NAME)
    }

    /// Draws what is known by now.
    pub(super) fn draw(&self) {
        if let Some(lines) = &self.lines {
            lines.draw(&self.state.borrow().lines(Instant::now()));
        }
    }
}

impl State {
    fn stands(&mut self, name: &str, phase: TaskPhase, reason: String) {
        let doing = match phase {
            TaskPhase::Pending => reason,
            TaskPhase::Running => "starts".to_owned(),
            TaskPhase::Succeeded | TaskPhase::Failed => String::new(),
        };
        match self.rows.get_mut(name) {
            Some(row) if row.phase == phase => {
                if phase == TaskPhase::Pending {
                    row.doing = doing;
                }
            }
            Some(_) | None => {
                let row = Row {
                    phase,
                    since: Instant::now(),
                    doing,
                    cost: None,
                    turns: 0,
                };
                self.rows.insert(name.to_owned(), row);
            }
        }
    }

    /// Those that run, then those that wait, and a count of all; nothing where nothing goes on.
    fn lines(&self, now: Instant) -> Vec<String> {
        let of = |phase: TaskPhase| self.rows.iter().filter(move |(_, it)| it.phase == phase);
        let (running, waiting) = (of(TaskPhase::Running), of(TaskPhase::Pending));
        let open = running.clone().count() + waiting.clone().count();
        if open == 0 {
            return Vec::new();
        }
        let shown = running.clone().chain(waiting.clone()).take(MAX_LINES);
        let width = shown.clone().map(|(name, _)| screen::columns_of(name));
        let width = width.max().unwrap_or(0).min(MAX_NAME);
        let mut lines: Vec<String> = shown
            .map(|(name, row)| row.line(name, width, now))
            .collect();
        let ended = self.rows.len() - open;
        lines.push(format!(
            "        {} running, {} waiting, {ended} ended",
            running.count(),
            waiting.count()
        ));
        lines
    }
}

impl Row {
    fn line(&self, name: &str, width: usize, now: Instant) -> String {
        let elapsed = clock(now.saturating_duration_since(self.since));
        let name = screen::cut(name, width);
        let pad = " ".repeat(width.saturating_sub(screen::columns_of(&name)));
        let mut used = String::new();
        if self.turns > 0 {
            used = format!("turn {}  ", self.turns);
        }
        if let Some(cost) = self.cost {
            used = format!("{used}${cost:.4}  ");
        }
        let (phase, doing) = (self.phase, screen::line(&self.doing));
        format!("{elapsed:>7}  {name}{pad}  {phase:?}  {used}{doing}")
            .trim_end()
            .to_owned()
    }
}

/// `4:07`, `1:02:03`.
fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_shown() {
        let mut state = State::default();
        assert!(state.lines(Instant::now()).is_empty());
        state.stands("fix", TaskPhase::Running, String::new());
        state.stands("port-it", TaskPhase::Pending, "SecretNotFound".into());
        state.stands("old", TaskPhase::Failed, String::new());
        let row = state.rows.get_mut("fix").unwrap();
        row.doing = "Bash  cargo\u{1b} test".into();
        row.cost = Some(0.1234);
        row.turns = 3;
        let now = row.since + Duration::from_secs(67);
        let lines: Vec<String> = state.lines(now);
        assert_eq!(
            lines[0],
            "   1:07  fix      Running  turn 3  $0.1234  Bash cargo\\u{1b} test"
        );
        assert!(
            lines[1].ends_with("port-it  Pending  SecretNotFound"),
            "{lines:?}"
        );
        assert_eq!(lines[2], "        1 running, 1 waiting, 1 ended");
        for n in 0..1_000 {
            state.stands(&format!("t{n}"), TaskPhase::Running, String::new());
        }
        assert_eq!(state.lines(now).len(), MAX_LINES + 1);
    }
}
