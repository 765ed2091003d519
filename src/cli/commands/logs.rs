//! `axon logs`: what agents do, as people read it.

use clap::Args;
use futures::future::join_all;

use crate::cli::args::Global;
use crate::cli::commands::named;
use crate::cli::commands::plan::with_hint;
use crate::cli::exit::Exit;
use crate::cli::inspect::Health;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Standing;
use crate::cli::inspect::kind::object_name;
use crate::cli::logs::Follower;
use crate::cli::logs::Voice;
use crate::cli::screen;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Namespace;
use crate::model::ObjectName;

/// Most Tasks that are followed at once: each takes two connections.
const MAX_TASKS: usize = 50;

/// Show what the agents of Tasks do
///
/// What an agent says goes to stdout; tools, edits, retries and cost go to stderr. Of a Task with several
/// attempts the latest is shown; one that has not started is waited for.
#[derive(Debug, Args)]
pub struct Options {
    /// Names of Tasks
    #[arg(value_name = "TASK", required_unless_present = "selector")]
    tasks: Vec<String>,
    /// Tasks with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "tasks")]
    selector: Option<String>,
    /// Go on until each Task has ended; exits 1 if one failed
    #[arg(short, long)]
    follow: bool,
    /// What the agent printed, byte for byte
    #[arg(long)]
    raw: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let names: Vec<ObjectName> = options
        .tasks
        .iter()
        .map(|it| object_name(it.strip_prefix("task/").unwrap_or(it)))
        .collect::<Result<_, _>>()?;
    let (reader, namespace) = Reader::connect(global).await?;
    let names = match &options.selector {
        Some(labels) => selected(&reader, &namespace, labels).await?,
        None => names,
    };
    if names.len() > MAX_TASKS {
        let what = format!("{} Tasks are more than can be shown at once", names.len());
        return Err(Failure::usage(what).hint(format!("name at most {MAX_TASKS}")));
    }
    let showing = show(&reader, &namespace, &names, options);
    tokio::select! {
        exit = showing => exit,
        _ = tokio::signal::ctrl_c() => Ok(interrupted()),
    }
}

/// Ctrl-C: the Tasks go on.
pub(super) fn interrupted() -> Exit {
    ui::note("interrupted; what runs goes on");
    Exit::Interrupted
}

async fn show(
    reader: &Reader,
    namespace: &Namespace,
    names: &[ObjectName],
    options: &Options,
) -> Result<Exit, Failure> {
    if let [name] = names {
        let voice = Voice::alone();
        return one(
            reader,
            namespace,
            name,
            (options.follow, options.raw),
            voice,
        )
        .await;
    }
    let width = names.iter().map(|it| it.as_str().len()).max().unwrap_or(0);
    let each = names.iter().map(async |name| {
        let voice = Voice::named(name.as_str(), width);
        let shown = one(
            reader,
            namespace,
            name,
            (options.follow, options.raw),
            voice,
        )
        .await;
        shown.unwrap_or_else(|failure| {
            ui::error(&failure);
            failure.exit
        })
    });
    let exits = join_all(each).await;
    let bad = exits.into_iter().find(|it| *it != Exit::Ok);
    Ok(bad.unwrap_or(Exit::Ok))
}

async fn one(
    reader: &Reader,
    namespace: &Namespace,
    name: &ObjectName,
    (follow, raw): (bool, bool),
    mut voice: Voice,
) -> Result<Exit, Failure> {
    let task = named::get(reader, namespace, Kind::Task, name).await?;
    let follower = Follower {
        client: reader.client(),
        reader: reader.clone(),
        name: name.clone(),
        follow,
        raw,
    };
    let task = follower.run(task, &mut |told| voice.tell(told)).await?;
    Ok(ended(&task, follow, &mut voice))
}

/// Says how the Task stands, once all of its log is shown. Who follows has asked how it ends.
pub(super) fn ended(task: &Item, follow: bool, voice: &mut Voice) -> Exit {
    if !task.is_finished() {
        return Exit::Ok;
    }
    let Standing {
        health,
        word,
        message,
    } = Standing::of(task);
    let style = health.style();
    let message = screen::line(&message);
    let key = task.key();
    voice.note(format!("{key}  {style}{word}{style:#}  {message}").trim_end());
    match health {
        Health::Bad if follow => Exit::Error,
        Health::Bad | Health::Well | Health::Busy | Health::Idle | Health::Unknown => Exit::Ok,
    }
}

async fn selected(
    reader: &Reader,
    namespace: &Namespace,
    labels: &str,
) -> Result<Vec<ObjectName>, Failure> {
    let found = reader.list(Kind::Task, labels).await;
    let found = found.map_err(|error| {
        with_hint(
            Failure::new(
                format!("cannot list Tasks in namespace \"{namespace}\""),
                &error,
            ),
            &error,
        )
    })?;
    if found.is_empty() {
        let what = format!("no Task in namespace \"{namespace}\" has the labels {labels:?}");
        return Err(Failure::plain(what));
    }
    found.iter().map(|it| object_name(it.name())).collect()
}
