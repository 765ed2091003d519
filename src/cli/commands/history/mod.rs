//! `axon history`: what happened, newest first.

mod entry;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::api::labels;
use crate::cli::args::Global;
use crate::cli::commands::named;
use crate::cli::commands::status::cannot_read;
use crate::cli::commands::status::told_unread;
use crate::cli::exit::Exit;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Reference;
use crate::cli::inspect::age;
use crate::cli::inspect::sync::short;
use crate::cli::output::Audience;
use crate::cli::output::Machine;
use crate::cli::output::Output;
use crate::cli::output::lines;
use crate::cli::screen;
use crate::cli::table::Cell;
use crate::cli::table::Table;
use crate::cli::ui;
use crate::cli::ui::Failure;

use entry::Entry;
use entry::Only;

/// Show what happened, newest first: syncs and runs
#[derive(Debug, Args)]
pub struct Options {
    /// Only of this one: `sync/NAME` or `task/NAME`
    #[arg(num_args = 0..=2, value_name = "KIND/NAME")]
    object: Vec<String>,
    /// How many entries to show; 0: all
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let asked = Reference::parse(&options.object, &[Kind::RepoSync, Kind::Task])?;
    let (reader, namespace) = Reader::connect(global).await?;
    let only = match &asked {
        None => Only::Nothing,
        Some(it) if it.kind == Kind::Task => Only::Task(it.name.as_str()),
        Some(it) => {
            named::get(&reader, &namespace, Kind::RepoSync, &it.name).await?;
            Only::Sync(it.name.as_str())
        }
    };
    let records = format!("{}={}", labels::RECORD, labels::RECORD_RUN);
    let kinds = [
        (Kind::RepoSync, ""),
        (Kind::Task, ""),
        (Kind::Record, records.as_str()),
    ];
    let seen = reader.read(&kinds).await;
    let place = format!("namespace \"{namespace}\"");
    let seen = seen.map_err(|error| cannot_read(&place, &error))?;
    let mut entries = entry::entries(&seen, only);
    let more = match options.limit {
        0 => 0,
        limit => entries.len().saturating_sub(limit),
    };
    entries.truncate(entries.len() - more);
    match options.output.audience() {
        Audience::Programs(machine) => ui::out(programs(&machine, &entries)),
        Audience::People { wide } => {
            if entries.is_empty() && seen.unread.is_empty() {
                let what = asked.map_or(place, |it| it.to_string());
                ui::note(format_args!("Nothing is on record of {what}."));
            } else {
                ui::out(people(&entries, wide));
            }
        }
    }
    if more > 0 {
        ui::note(format_args!("… and {more} older (all: --limit 0)"));
    }
    Ok(told_unread(&seen))
}

fn people(entries: &[Entry], wide: bool) -> String {
    let now = age::now();
    let mut table = Table::new(&["AGO", "WHAT", "OUTCOME", "REVISION", "DETAIL"]);
    for entry in entries {
        let ago = entry.time.map(|it| {
            if wide {
                it.strftime("%FT%TZ").to_string()
            } else {
                age::ago(it, now)
            }
        });
        table.row(vec![
            Cell::maybe(ago),
            Cell::new(&entry.what),
            Cell::styled(&entry.outcome, entry.health.style()),
            Cell::maybe(entry.revision.as_deref().map(short)),
            Cell::new(&entry.detail),
        ]);
    }
    table.render(screen::width().filter(|_| !wide))
}

fn programs(machine: &Machine, entries: &[Entry]) -> String {
    match machine {
        Machine::Name => lines(entries.iter().map(|it| it.what.clone())),
        Machine::Yaml | Machine::Json | Machine::JsonPath(_) => {
            let items = entries.iter().map(|it| {
                json!({
                    "time": it.time.map(|it| it.strftime("%FT%TZ").to_string()),
                    "object": it.what,
                    "outcome": it.outcome,
                    "revision": it.revision,
                    "detail": it.detail,
                })
            });
            machine.value(&json!({"items": items.collect::<Vec<Value>>()}))
        }
    }
}
