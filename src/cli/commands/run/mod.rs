//! `axon run`: a Task from the command line.

mod create;
mod options;

use std::io;
use std::io::IsTerminal as _;
use std::io::Read as _;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::Value;

use crate::cli::args::Global;
use crate::cli::commands::logs::ended;
use crate::cli::commands::logs::interrupted;
use crate::cli::connect::connect;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::kind::object_name;
use crate::cli::logs::Follower;
use crate::cli::logs::Voice;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Namespace;
use crate::sync::render;

pub(super) use create::create;
pub(super) use create::fresh_name;
pub use options::Options;

/// Bytes of the longest prompt that a Task takes.
const MAX_PROMPT: usize = 128 << 10;

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let prompt = prompt(options)?;
    let spec = options.spec(&prompt)?;
    let name = match &options.name {
        Some(name) => object_name(name)?,
        None => fresh_name(options.agent())?,
    };
    if options.dry_run {
        // Nothing is asked of a cluster, so there need not be one.
        let namespace = match &global.namespace {
            Some(name) => Some(name.clone()),
            None => connect(global)
                .await
                .ok()
                .map(|it| it.namespace.to_string()),
        };
        let mut manifest = create::manifest(&name, &spec);
        if let Some(namespace) = namespace {
            manifest["metadata"]["namespace"] = namespace.into();
        }
        options::mask(&mut manifest);
        ui::out(render::document(&manifest));
        return Ok(Exit::Ok);
    }
    let (reader, namespace) = Reader::connect(global).await?;
    let missing = missing(&reader, &namespace, &spec).await;
    if !missing.is_empty() && !go_on(&missing, options.yes).await? {
        ui::note("Nothing was created.");
        return Ok(Exit::Error);
    }
    let task = create(&reader, &namespace, &name, create::manifest(&name, &spec)).await?;
    ui::out(format_args!("{} created\n", task.key()));
    if options.watch {
        return watch(&reader, task).await;
    }
    ui::hint(format_args!(
        "follow it: axon logs -f {name} -n {namespace}"
    ));
    Ok(Exit::Ok)
}

/// Follows the Task to its end.
pub(super) async fn watch(reader: &Reader, task: Item) -> Result<Exit, Failure> {
    let follower = Follower {
        client: reader.client(),
        reader: reader.clone(),
        name: object_name(task.name())?,
        follow: true,
        raw: false,
    };
    let mut voice = Voice::alone();
    let following = async {
        let task = follower.run(task, &mut |told| voice.tell(told)).await?;
        Ok::<Item, Failure>(task)
    };
    let task = tokio::select! {
        task = following => task?,
        _ = tokio::signal::ctrl_c() => return Ok(interrupted()),
    };
    let exit = ended(&task, true, &mut voice);
    for output in task
        .list("/status/outputs")
        .iter()
        .filter_map(Value::as_str)
    {
        voice.note(&format!("  {}", crate::cli::screen::line(output)));
    }
    Ok(exit)
}

fn prompt(options: &Options) -> Result<String, Failure> {
    let tried = |path: &str| format!("cannot read the prompt from \"{path}\"");
    let text = match (&options.prompt, &options.prompt_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            // One byte more is enough to see that it is too long.
            let most = MAX_PROMPT as u64 + 1;
            let mut bytes = Vec::new();
            let read = if path == "-" {
                io::stdin().take(most).read_to_end(&mut bytes)
            } else {
                std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
            };
            read.map_err(|error| Failure::new(tried(path), &error))?;
            if bytes.len() > MAX_PROMPT {
                return Err(
                    Failure::usage(format!("the prompt has more than {MAX_PROMPT} bytes"))
                        .hint("commit what is long to the repository, and name it in the prompt"),
                );
            }
            String::from_utf8(bytes)
                .map_err(|error| Failure::new(tried(path), &error.utf8_error()))?
        }
        (None, None) => {
            return Err(Failure::usage("there is no prompt")
                .hint("axon run -p TEXT, or --prompt-file FILE (- for stdin)"));
        }
    };
    if text.trim().is_empty() {
        return Err(Failure::usage("the prompt is empty"));
    }
    Ok(text)
}

/// What the Task names that is not there. What may not be looked at is taken to be.
async fn missing(reader: &Reader, namespace: &Namespace, spec: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    if let Some(name) = spec
        .pointer("/credentials/secretRef/name")
        .and_then(Value::as_str)
    {
        let secrets: Api<Secret> = Api::namespaced(reader.client(), namespace.as_str());
        if let Ok(None) = secrets.get_metadata_opt(name).await {
            missing.push(format!("Secret \"{name}\""));
        }
    }
    if let Some(name) = spec.pointer("/workspaceRef/name").and_then(Value::as_str)
        && let Ok(name) = object_name(name)
        && let Ok(None) = reader.get(Kind::Workspace, &name).await
    {
        missing.push(format!("Workspace \"{name}\""));
    }
    missing
}

/// Whether to create a Task that will wait for what is missing.
async fn go_on(missing: &[String], yes: bool) -> Result<bool, Failure> {
    let verb = if missing.len() == 1 { "is" } else { "are" };
    ui::warning(format_args!(
        "{} {verb} not there: the Task waits until it is",
        missing.join(" and ")
    ));
    let asks = !yes && io::stdin().is_terminal() && io::stderr().is_terminal();
    if !asks {
        return Ok(true);
    }
    ui::note("Create the Task all the same? Only \"yes\" is taken as yes:");
    crate::cli::commands::apply::answered_yes().await
}
