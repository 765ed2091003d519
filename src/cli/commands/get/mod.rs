//! `axon get`: objects as tables, one of them in detail, or as programs read them.

mod detail;
mod follow;
mod row;

use clap::Args;
use clap::ValueEnum;

use crate::cli::args::Global;
use crate::cli::commands::named;
use crate::cli::commands::status::cannot_read;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::age;
use crate::cli::inspect::kind::object_name;
use crate::cli::output::Audience;
use crate::cli::output::Output;
use crate::cli::screen;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Namespace;

use row::View;

/// What can be listed.
pub(super) const KINDS: [Kind; 4] = [
    Kind::Task,
    Kind::TaskSpawner,
    Kind::Workspace,
    Kind::RepoSync,
];

/// Show objects: all of a kind, or those that are named
#[derive(Debug, Args)]
pub struct Options {
    /// tasks, taskspawners (ts), workspaces (ws) or reposyncs
    #[arg(value_name = "RESOURCE")]
    resource: String,
    /// Only these; one alone is shown in detail
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Look at all namespaces
    #[arg(short = 'A', long, conflicts_with = "names")]
    all_namespaces: bool,
    /// Show each change, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// Only Tasks, or spawners, of this phase
    #[arg(long, value_name = "PHASE", ignore_case = true)]
    phase: Option<Phase>,
    /// Only those with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "names")]
    selector: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// A kind as it is typed where objects are listed: `tasks`, `ts`, `task/NAME`.
pub(super) fn kind(text: &str) -> Result<Kind, Failure> {
    let known = Kind::parse(text).filter(|it| KINDS.contains(it));
    known.ok_or_else(|| {
        Failure::usage(format!("{text:?} is not a kind that this command takes"))
            .hint("known are tasks, taskspawners (ts), workspaces (ws) and reposyncs")
    })
}

/// Splits `KIND/NAME`, so that what `-o name` prints can be typed.
pub(super) fn split(resource: &str, names: &[String]) -> (String, Vec<String>) {
    let (kind, first) = match resource.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (resource, None),
    };
    let first = first.into_iter().map(str::to_owned);
    let names = names.iter().map(|it| match it.split_once('/') {
        Some((other, name)) if Kind::parse(other) == Kind::parse(kind) => name.to_owned(),
        Some(_) | None => it.clone(),
    });
    (kind.to_owned(), first.chain(names).collect())
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let (resource, names) = split(&options.resource, &options.names);
    let kind = kind(&resource)?;
    if options.phase.is_some() && !matches!(kind, Kind::Task | Kind::TaskSpawner) {
        return Err(Failure::usage(format!("a {kind} has no phase"))
            .hint("--phase is for tasks and taskspawners"));
    }
    let (reader, namespace) = if options.all_namespaces {
        (Reader::everywhere(global).await?, None)
    } else {
        let (reader, namespace) = Reader::connect(global).await?;
        (reader, Some(namespace))
    };
    let query = Query {
        kind,
        names,
        phase: options.phase,
        labels: options.selector.clone().unwrap_or_default(),
        namespace,
    };
    let audience = options.output.audience();
    if options.watch {
        return tokio::select! {
            ended = follow::run(&reader, &query, &audience) => ended,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        };
    }
    let items = query.read(&reader).await?;
    match audience {
        Audience::Programs(machine) => match items.as_slice() {
            [one] if query.names.len() == 1 => ui::out(machine.object(one)),
            all => ui::out(machine.objects(all)),
        },
        Audience::People { wide } => {
            let view = query.view(wide);
            match items.as_slice() {
                [one] if query.names.len() == 1 => ui::out(detail::text(one, view.now)),
                [] => query.tell_none(),
                all => ui::out(view.table(kind, all).render(view.width)),
            }
        }
    }
    Ok(Exit::Ok)
}

/// Which objects.
struct Query {
    kind: Kind,
    names: Vec<String>,
    phase: Option<Phase>,
    labels: String,
    /// None: all.
    namespace: Option<Namespace>,
}

impl Query {
    async fn read(&self, reader: &Reader) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        match &self.namespace {
            Some(namespace) if !self.names.is_empty() => {
                for name in &self.names {
                    let name = object_name(name)?;
                    items.push(named::get(reader, namespace, self.kind, &name).await?);
                }
            }
            Some(_) | None => {
                let listed = reader.list(self.kind, &self.labels).await;
                items = listed.map_err(|error| cannot_read(&self.place(), &error))?;
            }
        }
        items.retain(|it| self.takes(it));
        Ok(items)
    }

    fn takes(&self, item: &Item) -> bool {
        let named = self.names.is_empty() || self.names.iter().any(|it| it == item.name());
        let phase = item.text("/status/phase");
        named
            && self
                .phase
                .is_none_or(|it| phase.unwrap_or("Pending") == it.as_str())
    }

    fn place(&self) -> String {
        self.namespace.as_ref().map_or_else(
            || "all namespaces".to_owned(),
            |it| format!("namespace \"{it}\""),
        )
    }

    fn view(&self, wide: bool) -> View {
        View {
            everywhere: self.namespace.is_none(),
            wide,
            width: screen::width().filter(|_| !wide),
            now: age::now(),
        }
    }

    fn tell_none(&self) {
        let what = self.kind.plural();
        let such = if self.phase.is_some() || !self.labels.is_empty() {
            "such "
        } else {
            ""
        };
        ui::note(format_args!("No {such}{what} in {}.", self.place()));
    }
}
