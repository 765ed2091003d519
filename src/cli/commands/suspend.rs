//! `axon suspend` and `axon resume`: hold a sync or a spawner, and let it go on.

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::args::Global;
use crate::cli::commands::named;
use crate::cli::commands::named::FIELD_MANAGER;
use crate::cli::commands::plan::with_hint;
use crate::cli::exit::Exit;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Reference;
use crate::cli::screen;
use crate::cli::ui;
use crate::cli::ui::Failure;

/// What can be held.
const KINDS: [Kind; 2] = [Kind::RepoSync, Kind::TaskSpawner];

/// Which object
#[derive(Debug, Args)]
pub struct Options {
    /// `sync/NAME` or `spawner/NAME`
    #[arg(required = true, num_args = 1..=2, value_name = "KIND/NAME")]
    object: Vec<String>,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Suspend,
    Resume,
}

pub(super) async fn run(global: &Global, options: &Options, to: To) -> Result<Exit, Failure> {
    let Some(Reference { kind, name }) = Reference::parse(&options.object, &KINDS)? else {
        return Err(Failure::usage(
            "name what to hold: sync/NAME or spawner/NAME",
        ));
    };
    let (reader, namespace) = Reader::connect(global).await?;
    let item = named::get(&reader, &namespace, kind, &name).await?;
    let wanted = to == To::Suspend;
    let is_suspended = item.value("/spec/suspend") == Some(&Value::Bool(true));
    let (done, verb) = match to {
        To::Suspend => ("suspended", "suspend"),
        To::Resume => ("resumed", "resume"),
    };
    if is_suspended == wanted {
        let word = if wanted {
            "suspended already"
        } else {
            "not suspended"
        };
        ui::note(format_args!("{} is {word}", item.key()));
        return Ok(Exit::Ok);
    }
    let change = json!({"spec": {"suspend": wanted}});
    named::patch(&reader, kind, &name, &change)
        .await
        .map_err(|error| {
            with_hint(
                Failure::new(format!("cannot {verb} {}", item.key()), &error),
                &error,
            )
        })?;
    ui::out(format_args!("{} {done}\n", item.key()));
    if kind == Kind::TaskSpawner && wanted {
        ui::note("No new Tasks are made; those that run go on.");
    }
    if let Some(manager) = rival(&item, "suspend") {
        ui::warning(format_args!(
            "\"spec.suspend\" is set by {:?}, which will set it back: change it there too",
            screen::line(manager)
        ));
    }
    Ok(Exit::Ok)
}

/// Who applies the field again and again.
pub(super) fn rival<'a>(item: &'a Item, field: &str) -> Option<&'a str> {
    let managers = item.managers_of(field).into_iter();
    let mut rivals = managers.filter(|(name, applies)| {
        // `kubectl apply` of old is an Update, and sets back what its file says.
        *name != FIELD_MANAGER && (*applies || *name == "kubectl-client-side-apply")
    });
    rivals.next().map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::inspect::standing::tests::item;

    #[test]
    fn who_sets_the_field_back() {
        let check = |manager: &str, operation: &str, field: &str, expected: Option<&str>| {
            let fields = json!({"metadata": {"managedFields": [{
                "manager": manager, "operation": operation,
                "fieldsV1": {"f:spec": {format!("f:{field}"): {}}},
            }]}});
            let item = item(Kind::RepoSync, "app", &fields);
            assert_eq!(
                rival(&item, "suspend"),
                expected,
                "{manager} {operation} {field}"
            );
        };
        check("flux", "Apply", "suspend", Some("flux"));
        check("flux", "Apply", "interval", None);
        check("kubectl-edit", "Update", "suspend", None);
        check(
            "kubectl-client-side-apply",
            "Update",
            "suspend",
            Some("kubectl-client-side-apply"),
        );
        check("axon-cli", "Update", "suspend", None);
    }
}
