//! `x-kubernetes-validations`: CEL rules of a schema.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kube_cel::CompiledSchema;
use kube_cel::ValidationError;
use kube_cel::Validator;
use serde_json::Value;

use crate::local::api_server::error::FieldError;
use crate::local::api_server::error::Problem;

/// How long the rules of one object may take. Kubernetes counts their steps instead.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many objects may be checked at once, those that were given up included: nothing ends a rule that runs.
const MAX_RUNNING: usize = 32;

/// Objects that are being checked.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Runs all rules, on a thread of their own: what takes too long is given up.
pub(super) fn check(
    rules: &Arc<CompiledSchema>,
    object: &Value,
    old: Option<&Value>,
) -> Vec<FieldError> {
    let Some(running) = Running::begin(&RUNNING) else {
        return vec![gave_up("too many others of this server take too long")];
    };
    let (rules, object, old) = (Arc::clone(rules), object.clone(), old.cloned());
    let work = move || {
        let _running = running;
        run(&rules, &object, old.as_ref())
    };
    within(PATIENCE, work).unwrap_or_else(|| vec![gave_up("they take too long")])
}

/// One of those that run, until it is dropped.
struct Running(&'static AtomicUsize);

impl Running {
    fn begin(all: &'static AtomicUsize) -> Option<Self> {
        let it = Self(all);
        // Where it is one too many, it is dropped, and counted no more.
        (all.fetch_add(1, Ordering::Relaxed) < MAX_RUNNING).then_some(it)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What `work` gives, if it does so in time. It goes on all the same.
fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, answer) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name("rules".into()).spawn(move || {
        // Whoever asked may have given up.
        sender.send(work()).ok();
    });
    spawned.ok()?;
    answer.recv_timeout(patience).ok()
}

fn gave_up(why: &str) -> FieldError {
    FieldError::new(
        "<nil>",
        Problem::Invalid(Value::Null),
        format!("the validation rules were given up: {why}"),
    )
}

fn run(rules: &CompiledSchema, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let validator = Validator::new();
    let Err(errors) = validator.validate_compiled(rules, object, old) else {
        return Vec::new();
    };
    let errors = errors.into_vec();
    errors
        .iter()
        .map(|error| explained(error, object))
        .collect()
}

fn explained(error: &ValidationError, object: &Value) -> FieldError {
    let found = error.field_path.split('.').try_fold(object, step);
    // Objects and lists are not repeated in what is said of them.
    let scalar = found.filter(|it| !it.is_object() && !it.is_array());
    let problem = match error.reason.as_deref() {
        Some("FieldValueForbidden") => Problem::Forbidden,
        Some("FieldValueRequired") => Problem::Required,
        Some("FieldValueDuplicate") => Problem::Duplicate(found.cloned().unwrap_or_default()),
        _ => scalar.map_or(Problem::InvalidWhole, |it| Problem::Invalid(it.clone())),
    };
    let field = if error.field_path.is_empty() {
        "<nil>"
    } else {
        &error.field_path
    };
    FieldError::new(field, problem, error.message.as_str())
}

/// One step along a path: `parts[0]` is two.
fn step<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    let mut pieces = part.split(['[', ']']).filter(|piece| !piece.is_empty());
    let value = value.get(pieces.next()?)?;
    pieces.try_fold(value, |value, piece| match piece.parse::<usize>() {
        Ok(index) => value.get(index),
        Err(_) => value.get(piece),
    })
}

/// Said when rules could not run because the object is not even of the right form.
pub(super) fn unchecked() -> FieldError {
    FieldError::new(
        "<nil>",
        Problem::Invalid(Value::Null),
        "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
    )
}

/// What is wrong with the rules themselves: (path in the schema, why).
pub(crate) fn broken(rules: &CompiledSchema, path: &str) -> Vec<(String, String)> {
    let own = rules.compilation_errors().into_iter();
    let mut found: Vec<_> = own
        .map(|error| (path.to_owned(), error.to_string()))
        .collect();
    for (name, inner) in &rules.properties {
        found.extend(broken(inner, &format!("{path}.properties[{name}]")));
    }
    for (inner, name) in [
        (&rules.items, "items"),
        (&rules.additional_properties, "additionalProperties"),
    ] {
        if let Some(inner) = inner {
            found.extend(broken(inner, &format!("{path}.{name}")));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_given_up() {
        let (release, held) = mpsc::channel::<()>();
        let stuck = within(Duration::from_millis(10), move || held.recv().ok());
        assert_eq!(stuck, None);
        drop(release);
        assert_eq!(within(PATIENCE, || 7), Some(7));
    }

    #[test]
    fn no_more_run_than_are_allowed() {
        static ALL: AtomicUsize = AtomicUsize::new(0);
        let mut all: Vec<_> = std::iter::from_fn(|| Running::begin(&ALL)).collect();
        assert_eq!(all.len(), MAX_RUNNING);
        all.pop();
        assert!(Running::begin(&ALL).is_some());
        assert_eq!(ALL.load(Ordering::Relaxed), MAX_RUNNING - 1);
    }
}
