//! `axon cancel`: stops the runs of Tasks, and waits until they have ended.

use clap::Args;
use futures::future::join_all;
use serde_json::Value;
use serde_json::json;
use tokio::time::timeout;

use crate::cli::args::Global;
use crate::cli::commands::logs::interrupted;
use crate::cli::commands::named;
use crate::cli::commands::plan::with_hint;
use crate::cli::commands::suspend::rival;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Standing;
use crate::cli::inspect::kind::object_name;
use crate::cli::logs::Waiting;
use crate::cli::logs::Watched;
use crate::cli::screen;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::duration::GoDuration;

/// Stop the runs of Tasks; what they cost and left is still told
#[derive(Debug, Args)]
pub struct Options {
    /// Names of Tasks
    #[arg(value_name = "TASK", required = true)]
    tasks: Vec<String>,
    /// Only ask; do not wait for the end
    #[arg(long)]
    no_wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = GoDuration::parse)]
    timeout: GoDuration,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let names = options.tasks.iter();
    let names: Vec<ObjectName> = names
        .map(|it| object_name(it.strip_prefix("task/").unwrap_or(it)))
        .collect::<Result<_, _>>()?;
    let (reader, namespace) = Reader::connect(global).await?;
    let each = names.iter().map(async |name| {
        let done = cancel(&reader, &namespace, name, options).await;
        done.unwrap_or_else(|failure| {
            ui::error(&failure);
            failure.exit
        })
    });
    let exits = tokio::select! {
        exits = join_all(each) => exits,
        _ = tokio::signal::ctrl_c() => return Ok(interrupted()),
    };
    let bad = exits.into_iter().find(|it| *it != Exit::Ok);
    Ok(bad.unwrap_or(Exit::Ok))
}

async fn cancel(
    reader: &Reader,
    namespace: &Namespace,
    name: &ObjectName,
    options: &Options,
) -> Result<Exit, Failure> {
    let task = named::get(reader, namespace, Kind::Task, name).await?;
    if task.is_finished() {
        ui::note(format_args!(
            "{} has ended already: {}",
            task.key(),
            Standing::of(&task).word
        ));
        return Ok(Exit::Ok);
    }
    if task.value("/spec/cancelled") != Some(&Value::Bool(true)) {
        // Not to another Task that took the name meanwhile.
        let change = json!({"metadata": {"uid": task.uid()}, "spec": {"cancelled": true}});
        let patched = named::patch(reader, Kind::Task, name, &change).await;
        patched.map_err(|error| {
            let tried = format!("cannot cancel {}", task.key());
            with_hint(Failure::new(tried, &error), &error)
        })?;
    }
    if let Some(manager) = rival(&task, "cancelled") {
        ui::warning(format_args!(
            "\"spec.cancelled\" of {} is set by {:?}: change it there too",
            task.key(),
            screen::line(manager)
        ));
    }
    if options.no_wait {
        ui::out(format_args!("{} is being cancelled\n", task.key()));
        return Ok(Exit::Ok);
    }
    let key = task.key();
    let ended = timeout(options.timeout.get(), wait(reader, name, task)).await;
    let Ok(ended) = ended else {
        let what = format!("{key} has not ended within {}", options.timeout);
        return Err(Failure::plain(what)
            .exit(Exit::TimedOut)
            .hint("is a controller running that watches this namespace?"));
    };
    Ok(told(&ended?))
}

/// The Task once it has ended, or as it was when it went.
async fn wait(reader: &Reader, name: &ObjectName, task: Item) -> Result<Item, Failure> {
    let line = format!("{}: waits for the end of its run", task.key());
    let mut watched = Watched::new(reader, name, task);
    let mut waiting = Waiting::new();
    while !watched.task.is_finished() && !watched.is_gone {
        waiting.tell(&line);
        watched.changed().await?;
    }
    Ok(watched.task)
}

fn told(task: &Item) -> Exit {
    let key = task.key();
    if !task.is_finished() {
        ui::out(format_args!("{key} is gone\n"));
        return Exit::Ok;
    }
    let is_cancelled = task
        .last_condition()
        .is_some_and(|it| it.reason == "Cancelled");
    if is_cancelled {
        ui::out(format_args!("{key} cancelled\n"));
        return Exit::Ok;
    }
    let Standing { word, message, .. } = Standing::of(task);
    let message = screen::line(&message);
    ui::out(format!("{key} ended by itself: {word}  {message}").trim_end());
    ui::out("\n");
    Exit::Ok
}
