//! What goes on while a plan is carried out, on stderr: bars and live lines on a terminal, else one line
//! for each change.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::MultiProgress;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tokio::time::Instant;

use crate::cli::apply_text;
use crate::cli::live::Lines;
use crate::cli::live::is_live;
use crate::cli::text_diff::visible;
use crate::cli::ui;
use crate::model::Key;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::Plan;
use crate::model::plan::Action;
use crate::model::plan::Deed;
use crate::sync::Progress;
use crate::sync::Stand;

/// Most Tasks that have a line of their own.
const MAX_LINES: usize = 10;
/// A bar, its kind before it and its numbers after it.
const BAR: &str = "{prefix:<12} {bar:24} {pos}/{len}";

/// The objects of a plan as they are written.
pub(super) struct Applying {
    /// None: lines.
    bars: Option<BTreeMap<Kind, ProgressBar>>,
}

impl Applying {
    pub(super) fn new(plan: &Plan) -> Self {
        let bars = is_live().then(|| {
            let all = MultiProgress::new();
            let counts = Kind::ALL.map(|kind| (kind, turns(plan, kind)));
            let counts = counts.into_iter().filter(|(_, count)| *count > 0);
            counts
                .map(|(kind, count)| {
                    let bar = all.add(ProgressBar::new(count));
                    bar.set_style(style(BAR).progress_chars("##-"));
                    bar.set_prefix(kind.as_str());
                    bar.tick();
                    (kind, bar)
                })
                .collect()
        });
        Self { bars }
    }

    pub(super) fn tell(&self, key: &Key, progress: Progress) {
        match &self.bars {
            Some(bars) => bars.get(&key.kind).into_iter().for_each(|bar| bar.inc(1)),
            // Why it was is said at the end.
            None if progress == Progress::Skipped => {}
            None => ui::note(format_args!("{} {key}", word(progress))),
        }
    }
}

impl Drop for Applying {
    fn drop(&mut self) {
        // What is left on the screen is the summary.
        let bars = self.bars.iter().flat_map(BTreeMap::values);
        bars.for_each(ProgressBar::finish_and_clear);
    }
}

/// How many objects of a kind are to be written.
fn turns(plan: &Plan, kind: Kind) -> u64 {
    let writes = |action: &Action| match action {
        Action::Create { .. }
        | Action::Update { .. }
        | Action::Replace { .. }
        | Action::Delete { .. } => true,
        Action::Keep { .. }
        | Action::Unchanged
        | Action::AlreadyRan { .. }
        | Action::Blocked { .. } => false,
    };
    let steps = plan.steps.iter();
    let steps = steps.filter(|step| step.key.kind == kind && writes(&step.action));
    steps.count() as u64
}

fn word(progress: Progress) -> &'static str {
    match progress {
        Progress::Done(Deed::Created) => "created",
        Progress::Done(Deed::Updated) => "updated",
        Progress::Done(Deed::Replaced) => "replaced",
        Progress::Done(Deed::Deleted) => "deleted",
        Progress::Failed => "failed",
        Progress::Skipped => "skipped",
    }
}

/// The Tasks of a plan as they run.
pub(super) struct Waiting {
    tasks: Mutex<Tasks>,
    /// None: lines for each change.
    screen: Option<Lines>,
}

/// Where each stands, and since when.
type Tasks = BTreeMap<ObjectName, (Stand, Instant)>;

impl Waiting {
    pub(super) fn new() -> Self {
        Self {
            tasks: Mutex::default(),
            screen: Lines::new(),
        }
    }

    pub(super) fn tell(&self, name: &ObjectName, stand: &Stand) {
        let mut tasks = lock(&self.tasks);
        let since = match tasks.get(name) {
            // Another reason to wait does not begin the wait anew.
            Some((before, since)) if discriminant(before) == discriminant(stand) => *since,
            Some(_) | None => Instant::now(),
        };
        tasks.insert(name.clone(), (stand.clone(), since));
        drop(tasks);
        if self.screen.is_none() && *stand != Stand::Gone {
            let word = visible(&apply_text::stand(stand));
            ui::note(format_args!("Task/{name}  {word}"));
        }
    }

    /// Draws what is known by now.
    pub(super) fn draw(&self) {
        if let Some(screen) = &self.screen {
            screen.draw(&lines(&lock(&self.tasks), Instant::now()));
        }
    }
}

/// Those that have not ended, the running ones first, and a count of all.
fn lines(tasks: &Tasks, now: Instant) -> Vec<String> {
    let of = |wanted: fn(&Stand) -> bool| {
        let some = tasks.iter().filter(move |(_, (stand, _))| wanted(stand));
        some.collect::<Vec<_>>()
    };
    let running = of(|stand| *stand == Stand::Running);
    let pending = of(|stand| matches!(stand, Stand::Pending { .. }));
    let open = running.len() + pending.len();
    let shown = running.iter().chain(&pending).take(MAX_LINES);
    let mut lines: Vec<String> = shown
        .map(|(name, (stand, since))| {
            let elapsed = clock(now.saturating_duration_since(*since));
            let word = visible(&apply_text::stand(stand));
            format!("{elapsed:>6}  Task/{name}  {word}")
        })
        .collect();
    let ended = tasks.len() - open;
    lines.push(format!(
        "        {ended} of {} Tasks have ended; {} running, {} waiting",
        tasks.len(),
        running.len(),
        pending.len()
    ));
    lines
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

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well formed")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is shown may be stale; that is no reason to end.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::Outcome;

    fn check(stands: &[(&str, Stand)], expected: &[&str]) {
        let since = Instant::now();
        let tasks: Tasks = stands
            .iter()
            .map(|(name, stand)| (ObjectName::parse(name).unwrap(), (stand.clone(), since)))
            .collect();
        assert_eq!(lines(&tasks, since + Duration::from_secs(67)), expected);
    }

    #[test]
    fn what_goes_on_is_shown_with_its_time_and_reason() {
        let why = Some("SecretNotFound: no \"key\"\u{1b}".into());
        check(
            &[
                ("a", Stand::Pending { why }),
                ("b", Stand::Running),
                ("c", Stand::Finished(Outcome::Failed)),
            ],
            &[
                "  1:07  Task/b  Running",
                "  1:07  Task/a  Pending: SecretNotFound: no \"key\"\\u{1b}",
                "        1 of 3 Tasks have ended; 1 running, 1 waiting",
            ],
        );
    }

    #[test]
    fn many_tasks_do_not_fill_the_screen() {
        let since = Instant::now();
        let tasks: Tasks = (0..1000)
            .map(|n| ObjectName::parse(&format!("t{n}")).unwrap())
            .map(|name| (name, (Stand::Running, since)))
            .collect();
        assert_eq!(lines(&tasks, since).len(), MAX_LINES + 1);
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }
}
