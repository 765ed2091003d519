//! What `axon dev` makes of its source.

use std::path::Path;
use std::path::PathBuf;

use kube::Client;

use crate::cli::args::Global;
use crate::cli::commands::dev::Options;
use crate::cli::source::Source;
use crate::cli::ui::Failure;
use crate::controller::follow::Follower;
use crate::controller::follow::Lineage;
use crate::controller::follow::Trigger;
use crate::model::Namespace;
use crate::sync;

/// Where state is kept, below the directory of the source.
const STATE: &str = ".axon";
/// What was applied last, below that.
const LINEAGE: &str = "applied.json";
/// Where objects go that name no namespace.
const NAMESPACE: &str = "default";

/// The directory, where the source is one.
pub(super) fn folder(source: &Source) -> Option<&Path> {
    source.folder.as_deref()
}

/// Where the embedded cluster keeps its state: absolute, because containers have directories of
/// their own.
pub(super) fn state_dir(source: &Source) -> Result<PathBuf, Failure> {
    let state = folder(source).unwrap_or(Path::new(".")).join(STATE);
    std::path::absolute(&state)
        .map_err(|error| Failure::new(format!("cannot use \"{}\"", state.display()), &error))
}

/// What makes the loop look again; nothing with `--once`.
pub(super) fn trigger(source: &Source, options: &Options) -> Option<Trigger> {
    match source.repository.directory() {
        _ if options.once => None,
        Some(top) => Some(Trigger::Changes(top.to_path_buf())),
        None => Some(Trigger::Every(options.interval.get())),
    }
}

pub(super) fn sync_of(
    source: Source,
    global: &Global,
    options: &Options,
    state: &Path,
    client: Client,
) -> Result<Follower, Failure> {
    let name = |text: &str| {
        Namespace::parse(text)
            .map_err(|error| Failure::new(format!("cannot use namespace \"{text}\""), &error))
    };
    Ok(Follower {
        client,
        namespace: global.namespace.as_deref().map(name).transpose()?,
        default_namespace: name(NAMESPACE)?,
        workspace_url: folder(&source).and_then(git_repository),
        reference: source.reference,
        root: source.root,
        repository: source.repository,
        options: sync::Options::default(),
        lineage: (!options.ephemeral).then(|| Lineage::new(state.join(LINEAGE))),
        allow: sync::Allow {
            deletes: options.allow_delete,
            runs: options.allow_runs,
        },
    })
}

/// URL of the git repository that holds `folder`.
fn git_repository(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let top = folder.ancestors().find(|it| it.join(".git").exists())?;
    Some(format!("file://{}", top.display()))
}
