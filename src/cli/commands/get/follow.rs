//! `axon get --watch`: what there is, then each change as a row.

use std::collections::HashMap;
use std::pin::pin;

use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;

use super::Query;
use super::row::View;
use crate::cli::commands::plan::with_hint;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Reader;
use crate::cli::inspect::age;
use crate::cli::inspect::reader::broken;
use crate::cli::output::Audience;
use crate::cli::table::Cell;
use crate::cli::ui;
use crate::cli::ui::Failure;

/// Follows until it is interrupted.
pub(super) async fn run(
    reader: &Reader,
    query: &Query,
    audience: &Audience,
) -> Result<Exit, Failure> {
    // What can never be read is told at once; the watch itself tries on.
    query.read(reader).await?;
    let config = watcher::Config::default().labels(&query.labels);
    let mut events = pin!(watcher(reader.api(query.kind), config).default_backoff());
    let mut shown = Shown::default();
    // Told together: a table's columns are as wide as all that is in it.
    let mut first = Some(Vec::new());
    while let Some(event) = events.next().await {
        let (object, is_gone) = match event {
            Ok(watcher::Event::Init) => continue,
            Ok(watcher::Event::InitDone) => {
                let items = first.take().unwrap_or_default();
                if items.is_empty() && shown.is_new() {
                    query.tell_none();
                }
                shown.tell(query, audience, &items, false);
                continue;
            }
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                (object, false)
            }
            Ok(watcher::Event::Delete(object)) => (object, true),
            Err(error) => {
                refused(query, error)?;
                continue;
            }
        };
        let item = Item::new(query.kind, object);
        if !query.takes(&item) {
            continue;
        }
        match &mut first {
            Some(items) => items.push(item),
            None => shown.tell(query, audience, &[item], is_gone),
        }
    }
    Err(Failure::plain("the watch ended"))
}

/// What was told so far.
#[derive(Default)]
struct Shown {
    widths: Option<Vec<usize>>,
    /// By UID: the row, so that nothing is told twice.
    versions: HashMap<String, Option<String>>,
}

impl Shown {
    fn is_new(&self) -> bool {
        self.versions.is_empty()
    }

    fn tell(&mut self, query: &Query, audience: &Audience, items: &[Item], is_gone: bool) {
        let new: Vec<Item> = items
            .iter()
            .filter(|it| {
                let version = it.resource_version().map(str::to_owned);
                let before = self.versions.insert(it.uid().to_owned(), version.clone());
                is_gone || before != Some(version)
            })
            .cloned()
            .collect();
        if is_gone {
            for item in items {
                self.versions.remove(item.uid());
            }
        }
        if new.is_empty() {
            return;
        }
        match audience {
            Audience::Programs(machine) => {
                for item in &new {
                    let text = machine.object(item);
                    let end = if text.ends_with('\n') { "" } else { "\n" };
                    ui::out(format_args!("{text}{end}"));
                }
            }
            Audience::People { wide } => self.rows(query, *wide, &new, is_gone),
        }
    }

    fn rows(&mut self, query: &Query, wide: bool, items: &[Item], is_gone: bool) {
        let view = View {
            now: age::now(),
            ..query.view(wide)
        };
        let mut table = view.table(query.kind, items);
        if is_gone {
            table.replace(&["PHASE", "STATE"], &Cell::new("Deleted"));
        }
        match &self.widths {
            None => {
                self.widths = Some(table.layout(view.width));
                ui::out(table.render(view.width));
            }
            Some(widths) => ui::out(table.rows_in(widths)),
        }
    }
}

/// A watch that breaks is begun anew; one that is refused never will be granted.
fn refused(query: &Query, error: watcher::Error) -> Result<(), Failure> {
    broken(error, query.kind).map_err(|cause| {
        let tried = format!("cannot watch {} in {}", query.kind.plural(), query.place());
        with_hint(Failure::new(tried, &cause), &cause)
    })
}
