//! `axon tree`: what belongs to what.

mod branch;
mod grow;

use clap::Args;

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
use crate::cli::output::Audience;
use crate::cli::output::Output;
use crate::cli::screen;
use crate::cli::ui;
use crate::cli::ui::Failure;

/// What is read: of Jobs and Pods only ours.
const KINDS: [(Kind, &str); 6] = [
    (Kind::RepoSync, ""),
    (Kind::Workspace, ""),
    (Kind::TaskSpawner, ""),
    (Kind::Task, ""),
    (Kind::Job, labels::TASK),
    (Kind::Pod, labels::TASK),
];

/// Show what belongs to what: syncs, their objects, Tasks, Jobs and Pods
#[derive(Debug, Args)]
pub struct Options {
    /// Only this one: `sync/NAME` or `sync NAME`
    #[arg(num_args = 0..=2, value_name = "sync/NAME")]
    object: Vec<String>,
    /// Show all finished Tasks, not only the latest
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let only = Reference::parse(&options.object, &[Kind::RepoSync])?;
    let (reader, namespace) = Reader::connect(global).await?;
    if let Some(only) = &only {
        named::get(&reader, &namespace, Kind::RepoSync, &only.name).await?;
    }
    let place = format!("namespace \"{namespace}\"");
    let seen = reader.read(&KINDS).await;
    let seen = seen.map_err(|error| cannot_read(&place, &error))?;
    let only = only.as_ref().map(|it| it.name.as_str());
    let roots = grow::forest(&seen, only);
    match options.output.audience() {
        Audience::Programs(machine) => {
            let mut items = Vec::new();
            for root in &roots {
                root.items(&mut items);
            }
            ui::out(machine.objects(items));
        }
        Audience::People { wide } => {
            let view = branch::View {
                wide,
                all: options.all,
                width: screen::width().filter(|_| !wide),
                now: age::now(),
            };
            if roots.is_empty() && seen.unread.is_empty() {
                ui::note(format_args!("Nothing of Axon's is in {place}."));
            }
            ui::out(view.text(&roots));
        }
    }
    Ok(told_unread(&seen))
}
