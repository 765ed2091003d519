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
use super::object;
use super::read;
use super::reply;
use super::reply::Reply;
use super::request;
use super::resource::Resource;
use super::resource::Rules;
use super::write;
use crate::local::clock;
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
    fn parse(call: &Call) -> Result<Self, ApiError> {
        let body = if call.body.is_empty() {
            Value::Null
        } else {
            call.decode()?
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let named = text(&body["propagationPolicy"])
            .or_else(|| call.query.get("propagationPolicy").map(Into::into));
        let propagation = match named.as_deref() {
            None if body["orphanDependents"] == true => Some(Propagation::Orphan),
            None if body["orphanDependents"] == false => Some(Propagation::Background),
            None => None,
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "propagationPolicy: Unsupported value: \"{other}\": supported values: \"Background\", \"Foreground\", \"Orphan\""
                )));
            }
        };
        let mut dry_run = call.options.dry_run;
        for value in body["dryRun"].as_array().into_iter().flatten() {
            dry_run |= request::dry_run(value.as_str())?;
        }
        let asked = call.query.number("gracePeriodSeconds")?;
        let grace = body["gracePeriodSeconds"]
            .as_i64()
            .or(asked.and_then(|it| i64::try_from(it).ok()));
        Ok(Self {
            dry_run,
            grace: grace.map(|it| it.max(0)),
            uid: text(&body["preconditions"]["uid"]),
            revision: text(&body["preconditions"]["resourceVersion"]),
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

pub(super) fn delete_collection(call: &Call) -> Result<Reply, ApiError> {
    let options = Options::parse(call)?;
    let selector = read::selector(call)?;
    let page = read::page(call, &selector, 0)?;
    let mut items = Vec::new();
    for entry in &page.entries {
        let object = entry.object();
        let namespace = object::meta(&object, "namespace");
        let key = Key::new(&call.resource.storage, namespace, object::name(&object));
        match remove(&call.server, &call.resource, &key, &options, call.now) {
            Ok(Deleted::Gone(object) | Deleted::Waiting(object)) => items.push(object),
            Err(error) if error.code == StatusCode::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    write::after(call);
    let list = json!({
        "kind": call.resource.list_kind,
        "apiVersion": call.resource.api_version(),
        "metadata": {"resourceVersion": page.revision.to_string()},
        "items": items,
    });
    Ok(reply::value(StatusCode::OK, &list))
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
        let found = server.store.get(key);
        let stored = found.ok_or_else(|| ApiError::not_found(resource, key.name()))?;
        check_preconditions(resource, key.name(), &stored, options)?;
        let old = stored.object();
        let marked = mark(resource, &old, options, now);
        let (action, result) = match marked {
            None => (Action::Delete, Deleted::Gone(old)),
            Some(object) if object == old => return Ok(Deleted::Waiting(object)),
            Some(object) => (Action::Put(object.clone()), Deleted::Waiting(object)),
        };
        if options.dry_run {
            return Ok(result);
        }
        let expected = Expected::Revision(stored.revision);
        match server.store.write(key, expected, action) {
            Ok(entry) => {
                return Ok(match result {
                    Deleted::Gone(_) => Deleted::Gone(entry.object()),
                    Deleted::Waiting(_) => Deleted::Waiting(entry.object()),
                });
            }
            Err(WriteError::Changed) => {}
            Err(error) => return Err(write::failed(&error)),
        }
    }
    Err(ApiError::modified(resource, key.name()))
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
        return Err(ApiError::conflict(resource, name, &why));
    }
    if let Some(revision) = &options.revision
        && *revision != stored.revision.to_string()
    {
        let why = format!(
            "the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record ({}). The object might have been modified",
            stored.revision
        );
        return Err(ApiError::conflict(resource, name, &why));
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
    if !is_held && grace == 0 {
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
