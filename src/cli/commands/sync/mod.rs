//! `axon sync NAME`: has a RepoSync look now, and waits for what comes of it.

pub(super) mod answer;

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use kube::runtime::watcher::watch_object;
use serde_json::json;
use tokio::time::sleep;
use tokio::time::timeout;
use uuid::Uuid;

use crate::api::labels;
use crate::cli::args::Global;
use crate::cli::commands::named;
use crate::cli::commands::plan::with_hint;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Reference;
use crate::cli::inspect::age;
use crate::cli::inspect::reader::broken;
use crate::cli::screen;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::ObjectName;
use crate::model::duration::GoDuration;

use answer::Answer;

/// A controller that runs answers sooner; then it is worth asking whether one does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Make a RepoSync look now, and wait for what comes of it
#[derive(Debug, Args)]
pub struct Options {
    /// The RepoSync: `NAME` or `sync/NAME`
    name: String,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = GoDuration::parse)]
    timeout: GoDuration,
    /// Only ask; do not wait
    #[arg(long)]
    no_wait: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let name = Reference::name_of(&options.name, Kind::RepoSync)?;
    let (reader, namespace) = Reader::connect(global).await?;
    let before = named::get(&reader, &namespace, Kind::RepoSync, &name).await?;
    if answer::is_suspended(&before) {
        return Err(
            Failure::plain(format!("{} is suspended", before.key())).hint(format!(
                "let it go on: axon resume sync/{name} -n {namespace}"
            )),
        );
    }
    let asked = format!("{}/{}", age::now().strftime("%FT%TZ"), Uuid::new_v4());
    let change = json!({"metadata": {"annotations": {labels::RECONCILE_AT: asked}}});
    named::patch(&reader, Kind::RepoSync, &name, &change)
        .await
        .map_err(|error| {
            with_hint(
                Failure::new(format!("cannot ask {}", before.key()), &error),
                &error,
            )
        })?;
    if options.no_wait {
        ui::note(format_args!("asked {}", before.key()));
        return Ok(Exit::Ok);
    }
    let waiting = wait(&reader, &name, &asked);
    let limited = timeout(options.timeout.get(), waiting);
    tokio::select! {
        ended = limited => match ended {
            Ok(ended) => ended,
            Err(_) => Err(too_long(&before, options.timeout)),
        },
        _ = tokio::signal::ctrl_c() => {
            ui::note(format_args!("interrupted; {} goes on: axon status -n {namespace}", before.key()));
            Ok(Exit::Interrupted)
        }
    }
}

/// Follows the object to the answer.
async fn wait(reader: &Reader, name: &ObjectName, asked: &str) -> Result<Exit, Failure> {
    let changes = watch_object(reader.api(Kind::RepoSync), name.as_str()).default_backoff();
    let mut changes = pin!(changes);
    let mut patience = pin!(sleep(PATIENCE));
    let mut progress = Progress::default();
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = &mut patience, if !progress.is_doubted => {
                progress.doubt();
                continue;
            }
        };
        let item = match change {
            Some(Ok(Some(object))) => Item::new(Kind::RepoSync, object),
            Some(Ok(None)) => {
                let message = format!("RepoSync \"{name}\" was deleted meanwhile");
                return Err(Failure::plain(message));
            }
            Some(Err(error)) => {
                refused(error, name)?;
                continue;
            }
            None => {
                let message = format!("the watch on RepoSync \"{name}\" ended");
                return Err(Failure::plain(message));
            }
        };
        match answer::answer(&item, asked) {
            Answer::NotYet => {}
            Answer::Working(message) => progress.tell(&message),
            Answer::Ready => {
                ui::out(answer::done(&item));
                return Ok(Exit::Ok);
            }
            Answer::NotReady(standing) => {
                let plan = answer::plan(&item);
                if !plan.is_empty() {
                    ui::note(plan.trim_end());
                }
                return Err(answer::failure(&item, &standing));
            }
        }
    }
}

/// What was told on the way.
#[derive(Default)]
struct Progress {
    told: String,
    is_heard: bool,
    is_doubted: bool,
}

impl Progress {
    fn tell(&mut self, message: &str) {
        let message = screen::line(message);
        self.is_heard = true;
        if !message.is_empty() && message != self.told {
            ui::note(&message);
            self.told = message;
        }
    }

    fn doubt(&mut self) {
        self.is_doubted = true;
        if !self.is_heard {
            ui::note("still waiting: does a controller run that watches this namespace?");
        }
    }
}

/// A watch that breaks is begun anew; one that is refused never will be granted.
fn refused(error: watcher::Error, name: &ObjectName) -> Result<(), Failure> {
    broken(error, Kind::RepoSync).map_err(|cause| {
        let tried = format!("cannot watch RepoSync \"{name}\"");
        with_hint(Failure::new(tried, &cause), &cause).hint("ask without waiting: --no-wait")
    })
}

fn too_long(before: &Item, limit: GoDuration) -> Failure {
    Failure::plain(format!("{} has not answered within {limit}", before.key()))
        .exit(Exit::TimedOut)
        .hint("is a controller running that watches this namespace? Wait longer: --timeout")
}
