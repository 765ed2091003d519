//! `axon delete`: removes objects, and says which of them git will bring back.

use std::time::Duration;

use clap::Args;
use kube::api::DeleteParams;
use kube::api::Preconditions;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::cli::args::Global;
use crate::cli::commands::get::kind;
use crate::cli::commands::get::split;
use crate::cli::commands::named;
use crate::cli::commands::plan::with_hint;
use crate::cli::commands::status::cannot_read;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::kind::object_name;
use crate::cli::inspect::reader::within;
use crate::cli::logs::Waiting;
use crate::cli::screen;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::cluster;
use crate::model::duration::GoDuration;

/// How often it is looked whether an object is gone.
const LOOK: Duration = Duration::from_millis(300);

/// Delete objects
#[derive(Debug, Args)]
pub struct Options {
    /// tasks, taskspawners (ts), workspaces (ws) or reposyncs
    #[arg(value_name = "RESOURCE")]
    resource: String,
    /// Which
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All of the namespace
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Those with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with_all = ["names", "all"])]
    selector: Option<String>,
    /// Wait until they are gone
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = GoDuration::parse)]
    timeout: GoDuration,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let (resource, names) = split(&options.resource, &options.names);
    let kind = kind(&resource)?;
    if names.is_empty() && !options.all && options.selector.is_none() {
        return Err(Failure::usage("nothing is named to be deleted")
            .hint(format!("axon delete {} NAME, or --all", kind.plural())));
    }
    let (reader, namespace) = Reader::connect(global).await?;
    let mut exit = Exit::Ok;
    let mut items = Vec::new();
    if names.is_empty() {
        let labels = options.selector.as_deref().unwrap_or_default();
        let listed = reader.list(kind, labels).await;
        let place = format!("namespace \"{namespace}\"");
        items = listed.map_err(|error| cannot_read(&place, &error))?;
        if items.is_empty() {
            ui::note(format_args!("No such {} in {place}.", kind.plural()));
        }
    }
    let names: Vec<_> = names
        .iter()
        .map(|it| object_name(it))
        .collect::<Result<_, _>>()?;
    for name in &names {
        match named::get(&reader, &namespace, kind, name).await {
            Ok(item) => items.push(item),
            Err(failure) => exit = told(&failure),
        }
    }
    let mut going = Vec::new();
    for item in items {
        match delete(&reader, &item).await {
            Ok(()) => {
                ui::out(format_args!("{} deleted\n", item.key()));
                going.push(item);
            }
            Err(failure) => exit = told(&failure),
        }
    }
    tell_returning(&going);
    if options.wait {
        let waiting = await_gone(&reader, &going, options.timeout);
        tokio::select! {
            gone = waiting => gone?,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
    }
    Ok(exit)
}

fn told(failure: &Failure) -> Exit {
    ui::error(failure);
    failure.exit
}

/// Deletes exactly the object that was read. What it owns goes after it.
async fn delete(reader: &Reader, item: &Item) -> Result<(), Failure> {
    let params = DeleteParams::background().preconditions(Preconditions {
        uid: Some(item.uid().to_owned()),
        resource_version: None,
    });
    let name = object_name(item.name())?;
    let api = reader.api(item.kind);
    match within(item.kind, Some(&name), api.delete(name.as_str(), &params)).await {
        Ok(_) | Err(cluster::Error::NotFound(_)) => Ok(()),
        Err(error) => {
            let tried = format!("cannot delete {}", item.key());
            Err(with_hint(Failure::new(tried, &error), &error))
        }
    }
}

/// Says what comes back, and what does not although git declares it.
fn tell_returning(items: &[Item]) {
    for item in items {
        let Some(sync) = item.sync().map(screen::line) else {
            continue;
        };
        let key = item.key();
        let has_begun = item.kind == Kind::Task && item.text("/status/jobName").is_some();
        if has_begun {
            ui::warning(format_args!(
                "{key} is declared in git, by sync \"{sync}\"; its run is on record and is not repeated: to run it again raise its \"rerun\" there"
            ));
        } else {
            ui::warning(format_args!(
                "{key} is declared in git, by sync \"{sync}\", which will make it again: remove it there too"
            ));
        }
    }
}

async fn await_gone(reader: &Reader, items: &[Item], limit: GoDuration) -> Result<(), Failure> {
    let deadline = Instant::now() + limit.get();
    let mut waiting = Waiting::new();
    for item in items {
        let name = object_name(item.name())?;
        loop {
            let found = reader.get(item.kind, &name).await;
            let found = found.map_err(|error| {
                let tried = format!("cannot see whether {} is gone", item.key());
                with_hint(Failure::new(tried, &error), &error)
            })?;
            if found.is_none_or(|it| it.uid() != item.uid()) {
                break;
            }
            if Instant::now() > deadline {
                let what = format!("{} is still there after {limit}", item.key());
                return Err(Failure::plain(what)
                    .exit(Exit::TimedOut)
                    .hint("a finalizer may hold it: look at metadata.finalizers"));
            }
            waiting.tell(&format!("waits until {} is gone", item.key()));
            sleep(LOOK).await;
        }
    }
    Ok(())
}
