//! `axon approve NAME`: lets a RepoSync apply the very plan that it shows.

use std::io;
use std::io::IsTerminal as _;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::api::labels;
use crate::cli::args::Global;
use crate::cli::commands::apply::answered_yes;
use crate::cli::commands::named;
use crate::cli::commands::plan::with_hint;
use crate::cli::commands::sync::answer;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Reference;
use crate::cli::inspect::Standing;
use crate::cli::inspect::sync::Pending;
use crate::cli::inspect::sync::pending;
use crate::cli::screen;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::cluster;
use crate::model::Namespace;
use crate::model::ObjectName;

/// Digits of a digest that name a plan well enough.
const SHORTEST: usize = 12;
/// How often the annotation is tried while other writes to the object get in between.
const ATTEMPTS: usize = 5;

/// Let a RepoSync apply the plan that it shows
#[derive(Debug, Args)]
pub struct Options {
    /// The RepoSync: `NAME` or `sync/NAME`
    name: String,
    /// Digest of the plan that is meant; another one is not approved
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Approve without asking
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let name = Reference::name_of(&options.name, Kind::RepoSync)?;
    let has_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !options.yes && !has_terminal {
        return Err(Failure::usage("there is no terminal to ask on")
            .hint("approve without asking: --yes, best with --plan DIGEST"));
    }
    let (reader, namespace) = Reader::connect(global).await?;
    let item = named::get(&reader, &namespace, Kind::RepoSync, &name).await?;
    let standing = Standing::of(&item);
    let Some(shown) = pending(&item) else {
        return Err(nothing(&item, &standing));
    };
    ui::out(answer::plan(&item));
    if !standing.message.is_empty() {
        ui::out(format_args!("{}\n", screen::line(&standing.message)));
    }
    if let Some(meant) = &options.plan
        && !names(meant, &shown.digest)
    {
        return Err(
            Failure::plain(format!("the plan that waits is not {meant:?}"))
                .exit(Exit::Stale)
                .hint("look at the plan above; approve it by its own digest"),
        );
    }
    let changes = annotations(&item, &standing.word, &shown.digest);
    if changes.is_empty() {
        ui::note("This plan is approved already.");
        return Ok(Exit::Ok);
    }
    if !options.yes && !confirmed().await? {
        ui::note("Nothing was approved.");
        return Ok(Exit::Error);
    }
    write(&reader, &namespace, item, &name, &shown).await?;
    ui::note(format_args!(
        "approved; follow it: axon sync {name} -n {namespace}"
    ));
    Ok(Exit::Ok)
}

/// Writes the approval, unless another plan waits by now.
async fn write(
    reader: &Reader,
    namespace: &Namespace,
    mut item: Item,
    name: &ObjectName,
    shown: &Pending,
) -> Result<(), Failure> {
    for _ in 0..ATTEMPTS {
        if pending(&item).is_none_or(|it| it.digest != shown.digest) {
            return Err(Failure::plain("the plan changed while it was looked at")
                .exit(Exit::Stale)
                .hint(format!(
                    "look at the new one: axon approve {name} -n {namespace}"
                )));
        }
        let standing = Standing::of(&item);
        let change = json!({"metadata": {
            "resourceVersion": item.resource_version(),
            "annotations": Value::Object(
                annotations(&item, &standing.word, &shown.digest)
                    .into_iter()
                    .map(|key| (key.to_owned(), json!(shown.digest)))
                    .collect(),
            ),
        }});
        match named::patch(reader, Kind::RepoSync, name, &change).await {
            Ok(()) => return Ok(()),
            // Something else about the object changed: look whether the plan did.
            Err(cluster::Error::Moved(_)) => {
                item = named::get(reader, namespace, Kind::RepoSync, name).await?;
            }
            Err(error) => {
                let tried = format!("cannot approve the plan of {}", item.key());
                return Err(with_hint(Failure::new(tried, &error), &error));
            }
        }
    }
    Err(Failure::plain(format!("{} does not hold still", item.key())).hint("try again"))
}

/// The annotations that have to name the plan and do not yet.
fn annotations(item: &Item, reason: &str, digest: &str) -> Vec<&'static str> {
    let wanted: &[&str] = match reason {
        "PruneGuard" | "EmptyGuard" => &[labels::APPROVED_PLAN, labels::ALLOW_PRUNE],
        _ => &[labels::APPROVED_PLAN],
    };
    let wanted = wanted.iter().copied();
    wanted
        .filter(|key| item.annotation(key) != Some(digest))
        .collect()
}

/// Whether `typed` names the plan: its digest, or enough of its beginning.
fn names(typed: &str, digest: &str) -> bool {
    let whole = typed == digest;
    whole || (typed.len() >= SHORTEST && digest.starts_with(typed))
}

fn nothing(item: &Item, standing: &Standing) -> Failure {
    let mut failure = Failure::plain(format!(
        "{} has no plan that waits for approval",
        item.key()
    ));
    failure.causes = vec![match standing.message.as_str() {
        "" => format!("it is {}", screen::line(&standing.word)),
        why => format!(
            "it is {}: {}",
            screen::line(&standing.word),
            screen::line(why)
        ),
    }];
    failure
}

/// Asks on the terminal.
async fn confirmed() -> Result<bool, Failure> {
    ui::note("Approve this plan? Only \"yes\" is taken as yes:");
    answered_yes().await
}

#[cfg(test)]
mod tests {
    use kube::client::Body;

    use super::*;
    use crate::cli::inspect::Kind;
    use crate::cli::inspect::standing::tests::item;

    #[test]
    fn a_digest_is_named_whole_or_by_enough_of_it() {
        let digest = "0123456789abcdef";
        assert!(names(digest, digest) && names("0123456789ab", digest));
        assert!(!names("0123456789a", digest) && !names("0123456789ac", digest));
        assert!(names("d1", "d1") && !names("", "d1"));
    }

    /// A RepoSync whose plan is the one that `digest` names.
    fn waiting(digest: &str) -> Value {
        json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "RepoSync",
            "metadata": {"name": "app", "namespace": "agents", "resourceVersion": digest},
            "status": {"plan": {"digest": digest, "summary": ""}},
        })
    }

    /// A server on which every write comes too late, and that holds a plan by then.
    async fn approved_late(then: &'static str) -> Result<(), Failure> {
        let service = tower::service_fn(move |request: http::Request<Body>| async move {
            let (code, body) = if request.method() == http::Method::PATCH {
                let moved = json!({"kind": "Status", "status": "Failure", "reason": "Conflict",
                    "message": "changed", "code": 409});
                (409, moved)
            } else {
                (200, waiting(then))
            };
            let body = Body::from(body.to_string().into_bytes());
            http::Response::builder().status(code).body(body)
        });
        let namespace = Namespace::parse("agents").unwrap();
        let client = kube::Client::new(service, "agents");
        let reader = Reader::of(client, namespace.clone());
        let seen = item(Kind::RepoSync, "app", &waiting("old"));
        let shown = pending(&seen).unwrap();
        let name = crate::model::ObjectName::parse("app").unwrap();
        write(&reader, &namespace, seen, &name, &shown).await
    }

    #[tokio::test]
    async fn a_plan_that_moves_meanwhile_is_not_approved() {
        let check = async |then, expected: &str, exit| {
            let failure = approved_late(then).await.unwrap_err();
            assert!(failure.what.contains(expected), "{failure:?}");
            assert_eq!(failure.exit, exit);
        };
        check("new", "the plan changed while", Exit::Stale).await;
        check("old", "does not hold still", Exit::Error).await;
    }

    #[test]
    fn a_guard_on_deletions_wants_one_more_word() {
        let approved = json!({"metadata": {"annotations": {"axon.io/approved-plan": "d"}}});
        let approved = item(Kind::RepoSync, "app", &approved);
        let check = |reason: &str, digest: &str, expected: &[&str]| {
            assert_eq!(annotations(&approved, reason, digest), expected, "{reason}");
        };
        check("ApprovalRequired", "d", &[]);
        check("ApprovalRequired", "e", &["axon.io/approved-plan"]);
        check("PruneGuard", "d", &["axon.io/allow-prune"]);
        check(
            "PruneGuard",
            "e",
            &["axon.io/approved-plan", "axon.io/allow-prune"],
        );
    }
}
