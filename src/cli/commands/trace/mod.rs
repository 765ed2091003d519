//! `axon trace KIND/NAME`: back to the line of a file, and forward to Job and Pod.
//!
//! Reads only. What cannot be read is said in its place; the rest is told all the same.

mod gather;
mod origin;
mod place;
mod text;

use clap::Args;

use crate::cli::args::Global;
use crate::cli::commands::status::cannot_read;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Reference;
use crate::cli::inspect::age;
use crate::cli::output::Audience;
use crate::cli::output::Output;
use crate::cli::source;
use crate::cli::ui;
use crate::cli::ui::Failure;

/// What can be traced.
const KINDS: [Kind; 6] = [
    Kind::RepoSync,
    Kind::Workspace,
    Kind::TaskSpawner,
    Kind::Task,
    Kind::Job,
    Kind::Pod,
];

/// Show where an object comes from and what became of it
#[derive(Debug, Args)]
pub struct Options {
    /// The object: `task/NAME`, `spawner/NAME`, `workspace/NAME`, `sync/NAME`, `job/NAME` or `pod/NAME`
    #[arg(required = true, num_args = 1..=2, value_name = "KIND/NAME")]
    object: Vec<String>,
    /// Look for file and line in this directory's repository only, not over the network
    #[arg(long)]
    no_fetch: bool,
    #[command(flatten)]
    git: source::Git,
    /// Show the git credential to this host, too; that of the clone one stands in is shown it anyway
    #[arg(long, value_name = "HOST")]
    git_host: Vec<String>,
    #[command(flatten)]
    output: Output,
}

/// File and line where an object is declared, as far as that can be found.
pub(super) async fn declared_at(
    reader: &Reader,
    item: Item,
    git: &source::Git,
    no_fetch: bool,
) -> Option<String> {
    let gathered = gather::gather(reader, item).await;
    match place::find(&gathered, git, &[], no_fetch).await? {
        place::Found::At { place, .. } => Some(place.to_string()),
        place::Found::Unknown(_) => None,
    }
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let Some(asked) = Reference::parse(&options.object, &KINDS)? else {
        return Err(Failure::usage("name an object: KIND/NAME"));
    };
    let (reader, namespace) = Reader::connect(global).await?;
    let place = format!("namespace \"{namespace}\"");
    let start = reader.get(asked.kind, &asked.name).await;
    let start = start.map_err(|error| cannot_read(&place, &error))?;
    let Some(start) = start else {
        return Err(Failure::plain(format!("{asked} is not in {place}"))
            .hint(format!("see what is there: axon tree -n {namespace}")));
    };
    let gathered = gather::gather(&reader, start).await;
    let place = place::find(&gathered, &options.git, &options.git_host, options.no_fetch).await;
    let links = text::links(&gathered, place.as_ref(), age::now());
    match options.output.audience() {
        Audience::Programs(machine) => ui::out(text::programs(&machine, &links)),
        Audience::People { wide: _ } => ui::out(text::people(&links)),
    }
    // What could not be read was said; "could not tell" is no success.
    let is_whole = links.iter().all(|it| it.is_whole);
    Ok(if is_whole { Exit::Ok } else { Exit::Error })
}
