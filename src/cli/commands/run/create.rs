//! Creates a Task exactly once, also where the answer is lost on the way.

use std::time::Duration;

use kube::api::DynamicObject;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use crate::api::API_VERSION;
use crate::api::labels;
use crate::cli::commands::named::FIELD_MANAGER;
use crate::cli::commands::plan::with_hint;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::kind::object_name;
use crate::cli::inspect::reader::within;
use crate::cli::ui::Failure;
use crate::cluster::Error;
use crate::model::Namespace;
use crate::model::ObjectName;

/// How often the request is sent before the server is given up.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(300);
/// Letters that are not taken for one another, and make no words; as the API server's own.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const RANDOM: usize = 5;
/// Most of a name before its random letters: the Job's name is the Task's, up to 63.
const MAX_BASE: usize = 57;

/// A name that nobody has: `<base>-xxxxx`.
pub(in crate::cli::commands) fn fresh_name(base: &str) -> Result<ObjectName, Failure> {
    let random = Uuid::new_v4().into_bytes();
    let letters = random.iter().take(RANDOM);
    let letters = letters.map(|it| char::from(LETTERS[usize::from(*it) % LETTERS.len()]));
    let base = base.get(..MAX_BASE).unwrap_or(base);
    let base = base.trim_end_matches(['-', '.']);
    object_name(&format!("{base}-{}", letters.collect::<String>()))
}

/// A Task by that name.
pub(in crate::cli::commands) fn manifest(name: &ObjectName, spec: &Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "Task", "metadata": {"name": name.as_str()}, "spec": spec})
}

/// Creates the Task. A request whose answer was lost is sent again; if the Task is there by then, and it
/// is the one that was asked for, that is what was wanted.
pub(in crate::cli::commands) async fn create(
    reader: &Reader,
    namespace: &Namespace,
    name: &ObjectName,
    mut manifest: Value,
) -> Result<Item, Failure> {
    // Tells ours from one that somebody else made of the same words.
    let request = Uuid::new_v4().to_string();
    manifest["metadata"]["annotations"][labels::REQUEST] = json!(request);
    let object: DynamicObject = serde_json::from_value(manifest)
        .map_err(|error| Failure::new("cannot make a Task of this", &error))?;
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let api = reader.api(Kind::Task);
    let mut attempt = 1;
    loop {
        let sent = within(Kind::Task, Some(name), api.create(&params, &object)).await;
        let error = match sent {
            Ok(object) => return Ok(Item::new(Kind::Task, object)),
            Err(error) => error,
        };
        match &error {
            Error::Moved(_) if attempt > 1 => {
                if let Ok(Some(task)) = reader.get(Kind::Task, name).await
                    && task.annotation(labels::REQUEST) == Some(&request)
                {
                    return Ok(task);
                }
                return Err(refused(&error, name, namespace));
            }
            _ if attempt < ATTEMPTS && is_passing(&error) => {}
            _ => return Err(refused(&error, name, namespace)),
        }
        sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}

/// Whether the server may have done it, or may do it another time.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Unreachable(_)
        | Error::Timeout(_)
        | Error::Server { .. }
        | Error::TooMany { .. }
        | Error::Garbled(_) => true,
        Error::NotFound(_)
        | Error::NotInstalled(_)
        | Error::NoNamespace(_)
        | Error::FieldConflict(_)
        | Error::Moved(_)
        | Error::Unauthorized(_)
        | Error::Forbidden(_)
        | Error::Invalid(_)
        | Error::Expired
        | Error::TooMuch(_)
        | Error::Schema(_)
        | Error::StillThere(_) => false,
    }
}

fn refused(error: &Error, name: &ObjectName, namespace: &Namespace) -> Failure {
    if let Error::Moved(_) = error {
        let what = format!("Task \"{name}\" is there already, in namespace \"{namespace}\"");
        return Failure::plain(what).hint("choose another --name, or none: then one is made up");
    }
    let tried = format!("cannot create Task \"{name}\"");
    with_hint(Failure::new(tried, error), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_new_and_fit() {
        let first = fresh_name("codex").unwrap();
        let second = fresh_name("codex").unwrap();
        assert!(first.as_str().starts_with("codex-") && first.as_str().len() == 11);
        assert_ne!(first, second);
        assert!(fresh_name(&"a".repeat(300)).unwrap().as_str().len() <= 63);
        assert!(fresh_name(&format!("{}-b", "a".repeat(56))).is_ok());
    }
}
