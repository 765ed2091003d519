//! Delete: preconditions, grace, finalizers and what becomes of dependents.

use std::sync::Arc;

use http::StatusCode;
use jiff::SignedDuration;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::Inner;
use super::builtin;
use super::call::Call;
use super::error::ApiError;
use super::error::FieldError;
use super::error::Problem;
use super::object;
use super::read;
use super::reply;
use super::reply::Reply;
use super::request::check_list;
use super::resource::Resource;
use super::resource::Rules;
use super::write;
use crate::local::clock;
use crate::local::store;
use crate::local::store::Action;
use crate::local::store::Entry;
use crate::local::store::Expected;
use crate::local::store::Key;
use crate::local::store::WriteError;

/// Holds an object until its dependents are gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Holds an object until its dependents have forgotten it.
pub(super) const ORPHAN: &str = "orphan";
/// Holds a definition until its objects are gone.
pub(super) const CRD_CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// How many objects of a collection are deleted at a time.
const AT_A_TIME: usize = 64;
/// Namespaces that a cluster always has.
const LASTING: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What becomes of the objects that an object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// `DeleteOptions`.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) dry_run: bool,
    pub(super) grace: Option<i64>,
    pub(super) uid: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) propagation: Option<Propagation>,
}

impl Options {
    /// A body counts alone; without one the query does.
    fn parse(call: &Call) -> Result<Self, ApiError> {
        let given = if call.body.is_empty() {
            let text = |name: &str| call.query.get(name).map_or(Value::Null, Into::into);
            let grace = call.query.number("gracePeriodSeconds")?;
            json!({
                "propagationPolicy": text("propagationPolicy"),
                "dryRun": call.query.get("dryRun").map(|it| [it]),
                "gracePeriodSeconds": grace,
            })
        } else {
            call.decode()?
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut errors = Vec::new();
        let named = &given["propagationPolicy"];
        if named.is_string() && given["orphanDependents"].is_boolean() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::new(
                "propagationPolicy",
                Problem::Invalid(named.clone()),
                why,
            ));
        }
        let propagation = match named.as_str() {
            None if given["orphanDependents"] == true => Some(Propagation::Orphan),
            None if given["orphanDependents"] == false => Some(Propagation::Background),
            None => None,
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(_) => {
                let why = "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
                let problem = Problem::Unsupported(named.clone());
                errors.push(FieldError::new("propagationPolicy", problem, why));
                None
            }
        };
        let dry_run = given["dryRun"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if dry_run.iter().any(|it| it != "All") {
            let problem = Problem::Unsupported(json!(dry_run));
            errors.push(FieldError::new(
                "dryRun",
                problem,
                "supported values: \"All\"",
            ));
        }
        if !errors.is_empty() {
            return Err(ApiError::bad_options("DeleteOptions", &errors));
        }
        // Less than nothing is as good as at once.
        let grace = given["gracePeriodSeconds"].as_i64();
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            grace: grace.map(|it| if it < 0 { 1 } else { it }),
            uid: text(&given["preconditions"]["uid"]),
            revision: text(&given["preconditions"]["resourceVersion"]),
            propagation,
        })
    }
}

/// How far a deletion got.
pub(super) enum Deleted {
    /// It is gone; this was its last state.
    Gone(Value),
    /// It is marked and waits for a grace period or finalizers.
    Waiting(Value),
}

pub(super) fn delete(call: &Call) -> Result<Reply, ApiError> {
    if call.resource.storage == "namespaces" && LASTING.contains(&call.name.as_str()) {
        let why = "this namespace may not be deleted";
        return Err(ApiError::forbidden(&call.resource, &call.name, why));
    }
    let options = Options::parse(call)?;
    warn_of_orphans(call, &options);
    let deleted = remove(
        &call.server,
        &call.resource,
        &call.key(&call.name),
        &options,
        call.now,
    )?;
    write::after(call);
    let returns = matches!(&call.resource.rules, Rules::Builtin(it) if it.returns_deleted);
    match deleted {
        Deleted::Gone(object) if !returns => {
            let mut details = json!({
                "name": call.name,
                "kind": call.resource.plural,
                "uid": object::meta(&object, "uid"),
            });
            if !call.resource.group.is_empty() {
                details["group"] = call.resource.group.as_str().into();
            }
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Success", "details": details,
            });
            Ok(reply::value(StatusCode::OK, &status))
        }
        Deleted::Gone(object) | Deleted::Waiting(object) => {
            Ok(write::answer_dry(call, StatusCode::OK, object))
        }
    }
}

/// Says what is left behind where the request leaves that open.
fn warn_of_orphans(call: &Call, options: &Options) {
    let orphans = matches!(&call.resource.rules, Rules::Builtin(it) if it.orphans);
    if orphans && options.propagation.is_none() {
        call.warn("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning".into());
    }
}

pub(super) fn delete_collection(call: &Call) -> Result<Reply, ApiError> {
    let options = Options::parse(call)?;
    warn_of_orphans(call, &options);
    check_list(&call.query)?;
    let selector = read::selector(call)?;
    let page = read::page(call, &selector, 0)?;
    let mut items = Vec::new();
    // Handed in together, so that one write of the store takes many of them; in the order of the list, as
    // Kubernetes does it.
    for entries in page.entries.chunks(AT_A_TIME) {
        let found: Vec<_> = entries.iter().map(|it| Found::new(call, it)).collect();
        let begun: Vec<_> = found
            .iter()
            .map(|it| begin(&call.server, &call.resource, &it.key, &options, call.now))
            .collect();
        for (found, begun) in found.into_iter().zip(begun) {
            let ended = begun.and_then(|begun| match begun.end()? {
                Some(removed) => Ok(removed),
                None => remove(&call.server, &call.resource, &found.key, &options, call.now),
            });
            match ended {
                Ok(Deleted::Gone(_) | Deleted::Waiting(_)) => items.push(found.object),
                Err(error) if error.code == StatusCode::NOT_FOUND => {}
                Err(error) => return Err(error),
            }
        }
    }
    write::after(call);
    let mut list = json!({
        "kind": call.resource.list_kind,
        "apiVersion": call.resource.api_version(),
        "metadata": {"resourceVersion": page.revision.to_string()},
        "items": items,
    });
    if call.resource.is_custom() {
        list["metadata"]["continue"] = "".into();
    }
    Ok(reply::value(StatusCode::OK, &list))
}

/// An object of a collection, as it was found.
struct Found {
    key: Key,
    object: Value,
}

impl Found {
    fn new(call: &Call, entry: &Entry) -> Self {
        let object = entry.object();
        let namespace = object::meta(&object, "namespace");
        let key = Key::new(&call.resource.storage, namespace, object::name(&object));
        Self { key, object }
    }
}

/// Deletes an object, or marks it for deletion.
pub(super) fn remove(
    server: &Inner,
    resource: &Resource,
    key: &Key,
    options: &Options,
    now: Timestamp,
) -> Result<Deleted, ApiError> {
    for _ in 0..write::MAX_RETRIES {
        let begun = begin(server, resource, key, options, now)?;
        if let Some(removed) = begun.end()? {
            return Ok(removed);
        }
    }
    Err(ApiError::modified(resource, key.name()))
}

/// The last state of an object, with the revision at which it went.
fn gone_at(mut last: Value, entry: &Entry) -> Value {
    object::meta_mut(&mut last).insert("resourceVersion".into(), entry.revision.to_string().into());
    last
}

/// A removal that was handed to the store, or that needs no write.
enum Begun {
    Ended(Deleted),
    Writes(store::Begun, Deleted),
}

impl Begun {
    /// None: the object was changed meanwhile.
    fn end(self) -> Result<Option<Deleted>, ApiError> {
        let (write, result) = match self {
            Self::Ended(result) => return Ok(Some(result)),
            Self::Writes(write, result) => (write, result),
        };
        match write.wait() {
            Ok(entry) => Ok(Some(match result {
                Deleted::Gone(last) => Deleted::Gone(gone_at(last, &entry)),
                Deleted::Waiting(_) => Deleted::Waiting(entry.object()),
            })),
            Err(WriteError::Changed) => Ok(None),
            Err(error) => Err(write::failed(&error)),
        }
    }
}

fn begin(
    server: &Inner,
    resource: &Resource,
    key: &Key,
    options: &Options,
    now: Timestamp,
) -> Result<Begun, ApiError> {
    let found = server.store.get(key);
    let stored = found.ok_or_else(|| ApiError::not_found(resource, key.name()))?;
    check_preconditions(resource, key.name(), &stored, options)?;
    let old = stored.object();
    let (action, result) = match mark(resource, &old, options, now) {
        None => (Action::Delete, Deleted::Gone(old)),
        Some(object) if object == old => return Ok(Begun::Ended(Deleted::Waiting(object))),
        Some(object) if write::is_finished(&object) => {
            (Action::Retire(object.clone()), Deleted::Gone(object))
        }
        Some(object) => (Action::Put(object.clone()), Deleted::Waiting(object)),
    };
    if options.dry_run {
        return Ok(Begun::Ended(result));
    }
    let expected = Expected::Revision(stored.revision);
    let write = server.store.begin(key, expected, action);
    let write = write.map_err(|error| write::failed(&error))?;
    Ok(Begun::Writes(write, result))
}

fn check_preconditions(
    resource: &Resource,
    name: &str,
    stored: &Arc<Entry>,
    options: &Options,
) -> Result<(), ApiError> {
    if let Some(uid) = &options.uid
        && **uid != *stored.uid
    {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            stored.uid
        );
        return Err(ApiError::conflict_of_kind(resource, name, &why));
    }
    if let Some(revision) = &options.revision
        && *revision != stored.revision.to_string()
    {
        let why = format!(
            "the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record ({}). The object might have been modified",
            stored.revision
        );
        return Err(ApiError::conflict_of_kind(resource, name, &why));
    }
    Ok(())
}

/// The object marked for deletion. None: nothing holds it, and it can go at once.
fn mark(resource: &Resource, old: &Value, options: &Options, now: Timestamp) -> Option<Value> {
    let mut object = old.clone();
    let orphans = matches!(&resource.rules, Rules::Builtin(it) if it.orphans);
    let keeps_policy = [ORPHAN, FOREGROUND]
        .iter()
        .any(|it| object::has_finalizer(old, it));
    let policy = match options.propagation {
        Some(policy) => Some(policy),
        None if keeps_policy => None,
        None if orphans => Some(Propagation::Orphan),
        None => Some(Propagation::Background),
    };
    if let Some(policy) = policy {
        object::remove_finalizer(&mut object, ORPHAN);
        object::remove_finalizer(&mut object, FOREGROUND);
        match policy {
            Propagation::Background => {}
            Propagation::Foreground => object::add_finalizer(&mut object, FOREGROUND),
            Propagation::Orphan => object::add_finalizer(&mut object, ORPHAN),
        }
    }
    if resource.storage == builtin::CRDS && !object::is_deleting(old) {
        object::add_finalizer(&mut object, CRD_CLEANUP);
    }
    let grace = grace(resource, old, options);
    let is_namespace = resource.storage == "namespaces";
    let is_held = !object::finalizers(&object).is_empty()
        || (is_namespace && object["spec"]["finalizers"] != json!([]));
    // A Pod is marked before it goes, though nothing holds it.
    let is_marked = resource.storage != "pods" || object::is_deleting(old);
    if !is_held && grace == 0 && is_marked {
        return None;
    }
    let meta = object::meta_mut(&mut object);
    let known = meta
        .get("deletionGracePeriodSeconds")
        .and_then(Value::as_i64);
    if known.is_none_or(|known| grace < known) {
        let at = now
            .checked_add(SignedDuration::from_secs(grace))
            .unwrap_or(now);
        if known.is_none()
            && let Some(generation) = meta.get("generation").and_then(Value::as_i64)
        {
            meta.insert("generation".into(), json!(generation + 1));
        }
        meta.insert("deletionTimestamp".into(), clock::text(at).into());
        meta.insert("deletionGracePeriodSeconds".into(), json!(grace));
    }
    if is_namespace {
        object["status"]["phase"] = "Terminating".into();
    }
    Some(object)
}

/// Seconds that a Pod is given to end; nothing else needs any.
fn grace(resource: &Resource, old: &Value, options: &Options) -> i64 {
    let is_over = matches!(
        old["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    let is_scheduled = old["spec"]["nodeName"]
        .as_str()
        .is_some_and(|it| !it.is_empty());
    if resource.storage != "pods" || is_over || !is_scheduled {
        return 0;
    }
    let own = old["spec"]["terminationGracePeriodSeconds"].as_i64();
    options.grace.or(own).unwrap_or(30)
}
