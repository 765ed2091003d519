//! `axon rerun`: runs a Task again, or says who can.

use clap::Args;
use serde_json::json;

use crate::api::labels;
use crate::cli::args::Global;
use crate::cli::commands::named;
use crate::cli::commands::run::create;
use crate::cli::commands::run::fresh_name;
use crate::cli::commands::run::watch;
use crate::cli::commands::trace::declared_at;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::kind::object_name;
use crate::cli::screen;
use crate::cli::source;
use crate::cli::ui;
use crate::cli::ui::Failure;

/// Run a Task again that was made by hand; of others say what helps
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the Task
    #[arg(value_name = "TASK")]
    task: String,
    /// Name of the new Task [default: the old one and five letters]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Follow the run; exits 1 if it failed
    #[arg(short, long)]
    watch: bool,
    /// Look for file and line in this directory's repository only, not over the network
    #[arg(long)]
    no_fetch: bool,
    #[command(flatten)]
    git: source::Git,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let name = object_name(options.task.strip_prefix("task/").unwrap_or(&options.task))?;
    let (reader, namespace) = Reader::connect(global).await?;
    let task = named::get(&reader, &namespace, Kind::Task, &name).await?;
    if task.sync().is_some() {
        return Err(declared(&reader, task, options).await);
    }
    if let Some(spawner) = task.spawner() {
        return Err(spawned(&task, spawner));
    }
    let first = task.annotation(labels::RERUN_OF).unwrap_or(task.name());
    let fresh = match &options.name {
        Some(name) => object_name(name)?,
        None => fresh_name(first)?,
    };
    let mut manifest = json!({
        "apiVersion": crate::api::API_VERSION,
        "kind": "Task",
        "metadata": {"name": fresh.as_str(), "annotations": {labels::RERUN_OF: first}},
        "spec": task.value("/spec"),
    });
    if let Some(spec) = manifest["spec"].as_object_mut() {
        spec.remove("cancelled");
    }
    let made = create(&reader, &namespace, &fresh, manifest).await?;
    ui::out(format_args!(
        "{} created, as {} was\n",
        made.key(),
        task.key()
    ));
    if !task.is_finished() {
        ui::warning(format_args!("{} has not ended: both run", task.key()));
    }
    if options.watch {
        return watch(&reader, made).await;
    }
    ui::hint(format_args!(
        "follow it: axon logs -f {fresh} -n {namespace}"
    ));
    Ok(Exit::Ok)
}

/// A declared Task runs again when git says so.
async fn declared(reader: &Reader, task: Item, options: &Options) -> Failure {
    let key = task.key();
    let sync = task.sync().map(screen::line).unwrap_or_default();
    let place = declared_at(reader, task, &options.git, options.no_fetch).await;
    let place = place.map(|it| format!(" at {it}")).unwrap_or_default();
    let mut failure = Failure::plain(format!("{key} is declared in git: nothing was run"));
    failure.causes = vec![format!("sync \"{sync}\" runs each definition once")];
    failure.hint(format!(
        "raise its \"rerun\"{place}, by one, and commit that"
    ))
}

fn spawned(task: &Item, spawner: &str) -> Failure {
    let spawner = screen::line(spawner);
    let what = format!(
        "{} was made by TaskSpawner \"{spawner}\": nothing was run",
        task.key()
    );
    let item = task.annotation(labels::ITEM_URL).map(screen::line);
    let item = item.map_or_else(
        || "its work item".to_owned(),
        |it| format!("its work item ({it})"),
    );
    Failure::plain(what).hint(format!(
        "it runs again when {item} changes: edit it, comment on it, or take its label away and give it back; to run the same words once: axon run --prompt-file"
    ))
}
