//! `axon create sync NAME`: a RepoSync, checked before it is sent.

use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use kube::Api;
use kube::api::PostParams;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::api::API_VERSION;
use crate::api::RepoSync;
use crate::cli::args::Global;
use crate::cli::commands::named::FIELD_MANAGER;
use crate::cli::commands::plan::with_hint;
use crate::cli::connect::Target;
use crate::cli::connect::connect;
use crate::cli::exit::Exit;
use crate::cli::inspect::Kind;
use crate::cli::inspect::kind::object_name;
use crate::cli::inspect::reader::within;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::cluster;
use crate::model::Namespace;
use crate::model::RepoPath;
use crate::model::RepoUrl;
use crate::model::duration::GoDuration;
use crate::model::names::MAX_LABEL;
use crate::repo::Reference;
use crate::sync::render;

/// The shortest interval that the controller takes.
const SHORTEST: Duration = Duration::from_secs(10);

/// Create an object
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Create a RepoSync: a namespace kept equal to the axon.yaml of a repository
    #[command(visible_alias = "reposync")]
    Sync(SyncOptions),
}

#[derive(Debug, Args)]
struct SyncOptions {
    /// Name of the RepoSync
    name: String,
    /// URL of the repository
    #[arg(long, value_name = "URL")]
    repo: String,
    /// Branch, tag or commit; default: the repository's default branch
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// Path of axon.yaml in the repository
    #[arg(long, value_name = "FILE")]
    path: Option<String>,
    /// How often to look for commits: at least 10s; default: 1m
    #[arg(long, value_name = "DURATION")]
    interval: Option<String>,
    /// Secret with the credentials for the repository
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// ServiceAccount that objects are written as; default: the controller's own
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// Which plans wait for `axon approve`
    #[arg(long, value_name = "WHICH", ignore_case = true)]
    approval: Option<Approval>,
    /// Print the manifest and create nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which plans wait.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Approval {
    None,
    /// Those that delete or replace objects, or run Tasks again.
    Destructive,
    All,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    match &options.what {
        What::Sync(options) => sync(global, options).await,
    }
}

async fn sync(global: &Global, options: &SyncOptions) -> Result<Exit, Failure> {
    let spec = options.spec()?;
    let name = object_name(&options.name)?;
    if name.as_str().len() > MAX_LABEL {
        let message = format!("the name of a RepoSync has at most {MAX_LABEL} characters");
        return Err(Failure::usage(message));
    }
    let manifest = |namespace: Option<&Namespace>| {
        let mut metadata = json!({"name": name.as_str()});
        if let Some(namespace) = namespace {
            metadata["namespace"] = json!(namespace.as_str());
        }
        json!({"apiVersion": API_VERSION, "kind": "RepoSync", "metadata": metadata, "spec": spec})
    };
    if options.dry_run {
        // Nothing is asked of a cluster, so there need not be one.
        let namespace = match &global.namespace {
            Some(name) => {
                Some(Namespace::parse(name).map_err(|error| usage("--namespace", &error))?)
            }
            None => connect(global).await.ok().map(|it| it.namespace),
        };
        ui::out(render::document(&manifest(namespace.as_ref())));
        return Ok(Exit::Ok);
    }
    let Target {
        client, namespace, ..
    } = connect(global).await?;
    let object: RepoSync = serde_json::from_value(manifest(Some(&namespace)))
        .map_err(|error| Failure::new("cannot make a RepoSync of this", &error))?;
    let api: Api<RepoSync> = Api::namespaced(client, namespace.as_str());
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    within(Kind::RepoSync, Some(&name), api.create(&params, &object))
        .await
        .map_err(|error| refused(&error, name.as_str(), &namespace))?;
    ui::out(format_args!("RepoSync/{name} created\n"));
    ui::hint(format_args!(
        "watch its first sync: axon sync {name} -n {namespace}; then: axon status -n {namespace}"
    ));
    Ok(Exit::Ok)
}

impl SyncOptions {
    /// The spec, of what was typed and nothing that is defaulted.
    fn spec(&self) -> Result<Value, Failure> {
        let url = RepoUrl::parse(&self.repo).map_err(|error| usage("--repo", &error))?;
        let mut spec = Map::from_iter([("repo".to_owned(), json!(url.to_string()))]);
        let mut set = |key: &str, value: Value| spec.insert(key.to_owned(), value);
        if let Some(reference) = &self.reference {
            Reference::parse(reference).map_err(|error| usage("--ref", &error))?;
            set("ref", json!(reference));
        }
        if let Some(path) = &self.path {
            RepoPath::parse(path).map_err(|error| usage("--path", &error))?;
            set("path", json!(path));
        }
        if let Some(interval) = &self.interval {
            let length =
                GoDuration::parse(interval).map_err(|error| usage("--interval", &error))?;
            if length.get() < SHORTEST {
                return Err(Failure::usage(format!(
                    "--interval must be at least 10s, got {length}"
                )));
            }
            set("interval", json!(length.to_string()));
        }
        if let Some(secret) = &self.secret {
            let secret = object_name(secret)?;
            set("secretRef", json!({"name": secret.as_str()}));
        }
        if let Some(account) = &self.service_account {
            set("serviceAccountName", json!(object_name(account)?.as_str()));
        }
        if let Some(approval) = self.approval {
            set(
                "approval",
                json!(match approval {
                    Approval::None => "None",
                    Approval::Destructive => "Destructive",
                    Approval::All => "All",
                }),
            );
        }
        Ok(Value::Object(spec))
    }
}

fn usage(flag: &str, error: &dyn std::error::Error) -> Failure {
    Failure {
        causes: vec![error.to_string()],
        ..Failure::usage(format!("cannot use {flag}"))
    }
}

fn refused(error: &cluster::Error, name: &str, namespace: &Namespace) -> Failure {
    if let cluster::Error::Moved(_) = error {
        let message = format!("RepoSync \"{name}\" is there already, in namespace \"{namespace}\"");
        return Failure::plain(message).hint(format!(
            "change it: kubectl edit reposync {name} -n {namespace}; have it look now: axon sync {name} -n {namespace}"
        ));
    }
    let tried = format!("cannot create RepoSync \"{name}\"");
    with_hint(Failure::new(tried, error), error)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn check(arguments: &str, expected: &str) {
        let words = format!("create sync app {arguments}");
        let line = Line::try_parse_from(words.split_whitespace()).unwrap();
        let What::Sync(options) = line.options.what;
        let told = match options.spec() {
            Ok(spec) => spec.to_string(),
            Err(failure) => format!("{} {}", failure.what, failure.causes.join(" ")),
        };
        assert!(told.contains(expected), "{arguments}: {told}");
    }

    #[test]
    fn only_what_was_typed_is_sent() {
        check(
            "--repo https://example.com/a.git",
            r#"{"repo":"https://example.com/a.git"}"#,
        );
        check(
            "--repo git@example.com:a --ref v1 --path ci/axon.yaml --interval 90s --secret tok --service-account sa --approval destructive",
            r#"{"approval":"Destructive","interval":"1m30s","path":"ci/axon.yaml","ref":"v1","repo":"git@example.com:a","secretRef":{"name":"tok"},"serviceAccountName":"sa"}"#,
        );
    }

    #[test]
    fn what_cannot_be_is_said_before_it_is_sent() {
        check("--repo https://bob:tok@example.com/a", "cannot use --repo");
        check("--repo nowhere", "cannot use --repo");
        check(
            "--repo https://example.com/a --ref a..b",
            "cannot use --ref",
        );
        check(
            "--repo https://example.com/a --path ../x",
            "cannot use --path",
        );
        check("--repo https://example.com/a --interval 5s", "at least 10s");
        check(
            "--repo https://example.com/a --interval soon",
            "cannot use --interval",
        );
        check(
            "--repo https://example.com/a --secret A_B",
            "cannot use this name",
        );
    }
}
