//! Create and update: from what a client sent to what is stored.

use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use super::binding;
use super::builtin;
use super::call::Call;
use super::call::Part;
use super::crd;
use super::error::ApiError;
use super::error::FieldError;
use super::error::Problem;
use super::metadata;
use super::object;
use super::reply;
use super::reply::Reply;
use super::resource::Resource;
use super::resource::Rules;
use super::validate;
use super::view::View;
use crate::local::store::Action;
use crate::local::store::Entry;
use crate::local::store::Expected;
use crate::local::store::Key;
use crate::local::store::WriteError;

/// How often a write that may start over does so when others write the same object.
pub(super) const MAX_RETRIES: usize = 16;
/// How deep what is stored may be nested: it is read anew with a reader that gives up at 128.
pub(super) const MAX_DEPTH: usize = 120;
/// How often another name is made up when a generated one is taken.
const MAX_GENERATED: usize = 8;

pub(super) fn create(call: &Call) -> Result<Reply, ApiError> {
    if call.part == Part::Binding {
        return binding::bind(call);
    }
    let mut sent = call.decode()?;
    check_address(call, &mut sent)?;
    let mut sent = validate::shape(call, sent, Source::Body)?;
    object::wipe(&mut sent);
    for _ in 0..MAX_GENERATED {
        match make(call, sent.clone(), Source::Body) {
            Err(error) if error.reason == "AlreadyExists" && object::name(&sent).is_empty() => {}
            other => return other,
        }
    }
    Err(ApiError::internal("no free name could be generated"))
}

/// How an object came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It was sent as it is.
    Body,
    /// Another patch than an apply has made it.
    Patch,
    /// An apply has made it, and has written down who owns which fields.
    Apply,
}

/// Creates an object from what was sent.
pub(super) fn make(call: &Call, mut sent: Value, source: Source) -> Result<Reply, ApiError> {
    let resource = &call.resource;
    check_sent(call, &sent)?;
    if object::name(&sent).is_empty() {
        let base = object::meta(&sent, "generateName");
        if base.is_empty() {
            let missing = FieldError::new(
                "metadata.name",
                Problem::Required,
                "name or generateName is required",
            );
            return Err(ApiError::invalid(resource, "", &[missing]));
        }
        let name = object::generate_name(base);
        object::meta_mut(&mut sent).insert("name".into(), name.into());
    }
    if !object::meta(&sent, "resourceVersion").is_empty() {
        return Err(ApiError::unexplained(
            "resourceVersion should not be set on objects to be created".into(),
        ));
    }
    let object = complete(call, None, sent, source)?;
    check_namespace(call)?;
    let name = object::name(&object).to_owned();
    let key = call.key(&name);
    if let Some(known) = call.server.store.get(&key) {
        let generated = !object::meta(&object, "generateName").is_empty();
        let mut error = ApiError::already_exists(resource, &name);
        if generated {
            error = error.ungenerated();
        }
        if object::is_deleting(&known.object()) {
            error.message = format!("object is being deleted: {}", error.message);
        }
        return Err(error);
    }
    if call.options.dry_run {
        return Ok(answer_dry(call, StatusCode::CREATED, object));
    }
    let within = call.namespace.as_deref().map(namespace_key);
    let expected = Expected::Absent { within };
    let written = call.server.store.write(&key, expected, Action::Put(object));
    let entry = match written {
        Ok(entry) => entry,
        Err(WriteError::Changed) => {
            // The namespace may have begun to go since it was looked at.
            check_namespace(call)?;
            return Err(ApiError::already_exists(resource, &name));
        }
        Err(other) => return Err(failed(&other)),
    };
    after(call);
    Ok(answer(call, StatusCode::CREATED, &entry))
}

pub(super) fn update(call: &Call) -> Result<Reply, ApiError> {
    let mut sent = call.decode()?;
    check_address(call, &mut sent)?;
    let sent = validate::shape(call, sent, Source::Body)?;
    check_sent(call, &sent)?;
    check_name(call, &sent)?;
    for _ in 0..MAX_RETRIES {
        let stored = call.stored()?;
        check_uid(call, &stored, &sent)?;
        let version = object::meta(&sent, "resourceVersion");
        let is_unconditional = version.is_empty() || version == "0";
        if is_unconditional && call.resource.is_custom() {
            return Err(ApiError::unversioned(&call.resource, &call.name));
        }
        match replace(call, &stored, sent.clone(), Source::Body)? {
            Some(reply) => return Ok(reply),
            None if is_unconditional => {}
            None => return Err(ApiError::modified(&call.resource, &call.name)),
        }
    }
    Err(ApiError::modified(&call.resource, &call.name))
}

/// Replaces what is stored. None: someone else was faster.
pub(super) fn replace(
    call: &Call,
    stored: &Entry,
    mut sent: Value,
    source: Source,
) -> Result<Option<Reply>, ApiError> {
    let resource = &call.resource;
    let old = stored.object();
    let version = object::meta(&sent, "resourceVersion");
    if !version.is_empty() && version != "0" && version != stored.revision.to_string() {
        return Err(ApiError::modified(resource, &call.name));
    }
    if sent["metadata"].is_null() {
        sent["metadata"] = json!({});
    }
    let mut object = complete(call, Some(&old), sent, source)?;
    if call.options.dry_run {
        object::copy_meta(&mut object, &old, "resourceVersion");
        return Ok(Some(answer_dry(call, StatusCode::OK, object)));
    }
    if object::same(&old, &object) {
        return Ok(Some(answer(call, StatusCode::OK, stored)));
    }
    let key = call.key(&call.name);
    let expected = Expected::Revision(stored.revision);
    // What nothing holds any more goes instead of being written.
    let last = is_finished(&object).then(|| {
        let mut last = object.clone();
        object::copy_meta(&mut last, &old, "resourceVersion");
        last
    });
    let action = match last {
        Some(_) => Action::Delete,
        None => Action::Put(object),
    };
    match call.server.store.write(&key, expected, action) {
        Ok(entry) => {
            after(call);
            Ok(Some(match last {
                Some(last) => answer_dry(call, StatusCode::OK, last),
                None => answer(call, StatusCode::OK, &entry),
            }))
        }
        Err(WriteError::Changed) => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

/// A UID that is sent says which object is meant.
pub(super) fn check_uid(call: &Call, stored: &Entry, sent: &Value) -> Result<(), ApiError> {
    let uid = object::meta(sent, "uid");
    if !uid.is_empty() && uid != &*stored.uid {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            stored.uid
        );
        return Err(ApiError::conflict(&call.resource, &call.name, &why));
    }
    Ok(())
}

/// Whether nothing holds back an object that is being deleted.
pub(super) fn is_finished(object: &Value) -> bool {
    let grace = object["metadata"]["deletionGracePeriodSeconds"].as_u64();
    let waits = object["kind"] == "Namespace"
        && object["spec"]["finalizers"]
            .as_array()
            .is_some_and(|it| !it.is_empty());
    object::is_deleting(object)
        && object::finalizers(object).is_empty()
        && grace.unwrap_or(0) == 0
        && !waits
}

/// Makes of what was sent what is to be stored: complete, and checked.
fn complete(
    call: &Call,
    old: Option<&Value>,
    sent: Value,
    source: Source,
) -> Result<Value, ApiError> {
    let resource = &*call.resource;
    // It was brought into its form before anything else was asked.
    let mut object = sent;
    if source != Source::Apply {
        call.with_writer(|writer| writer.update(old, &mut object));
    }
    match old {
        None => {
            let namespace = call.namespace.as_deref().unwrap_or_default();
            object::birth(&mut object, namespace, call.now);
            if resource.status
                && let Some(fields) = object.as_object_mut()
            {
                fields.remove("status");
            }
        }
        Some(old) => keep(call, old, &mut object),
    }
    match &resource.rules {
        Rules::Builtin(builtin) => (builtin.prepare)(&mut object, old.is_none()),
        // A status that was not taken from the request may have a default.
        Rules::Custom(custom) => custom.schema.default(&mut object, source != Source::Apply),
    }
    if resource.storage == builtin::CRDS && call.part == Part::Whole {
        crd::establish(&mut object, call.now);
    }
    count_generation(resource, old, &mut object);
    validate::check(call, old, &object)?;
    if object::is_deeper(&object, MAX_DEPTH) {
        return Err(ApiError::bad_request(format!(
            "the object is nested more than {MAX_DEPTH} deep, its managed fields included"
        )));
    }
    if call.part == Part::Whole && resource.is_custom() {
        for warning in metadata::finalizer_warnings(old, &object) {
            call.warn(warning);
        }
    }
    Ok(object)
}

/// Keeps of the stored object what this request cannot change.
fn keep(call: &Call, old: &Value, object: &mut Value) {
    if object::meta(object, "uid").is_empty() {
        object::copy_meta(object, old, "uid");
    }
    if object::is_deleting(old) {
        object::copy_meta(object, old, "deletionTimestamp");
    }
    for field in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
        "namespace",
        "name",
    ] {
        object::copy_meta(object, old, field);
    }
    match call.part {
        Part::Status => {
            let status = object.get("status").cloned();
            let mut kept = old.clone();
            if !call.resource.is_custom() {
                kept["metadata"] = object["metadata"].clone();
                object::copy_meta(&mut kept, old, "ownerReferences");
            }
            let managed = object["metadata"].get("managedFields").cloned();
            object::copy_field(
                &mut kept,
                &json!({"status": status.unwrap_or(Value::Null)}),
                "status",
            );
            if kept["status"].is_null()
                && let Some(fields) = kept.as_object_mut()
            {
                fields.remove("status");
            }
            if let Some(managed) = managed {
                object::meta_mut(&mut kept).insert("managedFields".into(), managed);
            }
            *object = kept;
        }
        Part::Finalize => {
            let finalizers = object["spec"]["finalizers"].clone();
            *object = old.clone();
            object["spec"]["finalizers"] = finalizers;
        }
        Part::Whole | Part::Log | Part::Binding => {
            if call.resource.status {
                object::copy_field(object, old, "status");
            }
        }
    }
}

/// Everything but metadata and status counts.
fn count_generation(resource: &Resource, old: Option<&Value>, object: &mut Value) {
    if !resource.has_generation() {
        return;
    }
    let Some(old) = old else {
        object::meta_mut(object).insert("generation".into(), json!(1));
        return;
    };
    let counted = |object: &Value| {
        let mut counted = object.clone();
        if let Some(fields) = counted.as_object_mut() {
            fields.remove("metadata");
            if resource.status {
                fields.remove("status");
            }
        }
        counted
    };
    if counted(old) != counted(object) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object::meta_mut(object).insert("generation".into(), json!(generation));
    }
}

/// The type and the namespace of what was sent must be those of the path.
pub(super) fn check_address(call: &Call, sent: &mut Value) -> Result<(), ApiError> {
    let resource = &call.resource;
    let expected = resource.api_version();
    if !sent.is_object() {
        return Err(ApiError::bad_request(
            "the object provided is unrecognized: it is no object",
        ));
    }
    match sent["apiVersion"].as_str() {
        None | Some("") => sent["apiVersion"] = expected.as_str().into(),
        Some(version) if version == expected => {}
        Some(version) => {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({version}) does not match the expected API version ({expected})"
            )));
        }
    }
    match sent["kind"].as_str() {
        None | Some("") => sent["kind"] = resource.kind.as_str().into(),
        Some(kind) if kind == resource.kind => {}
        Some(kind) => {
            return Err(ApiError::bad_request(format!(
                "{kind} in version \"{}\" cannot be handled as a {}: no kind \"{kind}\" is registered for version \"{expected}\"",
                resource.version, resource.kind
            )));
        }
    }
    Ok(())
}

/// The name must be the one of the path.
pub(super) fn check_name(call: &Call, sent: &Value) -> Result<(), ApiError> {
    if object::name(sent).is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            call.name
        )));
    }
    if object::name(sent) != call.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            object::name(sent),
            call.name
        )));
    }
    Ok(())
}

/// The namespace must be the one of the path.
pub(super) fn check_sent(call: &Call, sent: &Value) -> Result<(), ApiError> {
    let namespace = object::meta(sent, "namespace");
    let expected = call.namespace.as_deref().unwrap_or_default();
    if !namespace.is_empty() && namespace != expected {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// New objects need a namespace that exists and is not going away.
fn check_namespace(call: &Call) -> Result<(), ApiError> {
    let Some(namespace) = call.namespace.as_deref() else {
        return Ok(());
    };
    let registry = &call.server.registry;
    let namespaces = registry
        .find("", "v1", "namespaces")
        .expect("it is built in");
    let found = call.server.store.get(&namespace_key(namespace));
    let found = found.ok_or_else(|| ApiError::not_found(&namespaces, namespace))?;
    if object::is_deleting(&found.object()) {
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut error = ApiError::forbidden(&call.resource, &call.name, &why);
        if let Some(details) = &mut error.details {
            let message = format!("namespace {namespace} is being terminated");
            details["causes"] = json!([{
                "reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace",
            }]);
        }
        return Err(error);
    }
    Ok(())
}

fn namespace_key(name: &str) -> Key {
    Key::new("namespaces", "", name)
}

/// What follows a write: a definition changes what is served.
pub(super) fn after(call: &Call) {
    if call.resource.storage == builtin::CRDS {
        call.server.registry.refresh(&call.server.store);
    }
}

pub(super) fn failed(error: &WriteError) -> ApiError {
    tracing::debug!(%error, "a write failed");
    ApiError::internal(error)
}

pub(super) fn answer(call: &Call, code: StatusCode, entry: &Entry) -> Reply {
    reply::json(code, View::of(call).object(call, entry))
}

pub(super) fn answer_dry(call: &Call, code: StatusCode, object: Value) -> Reply {
    reply::value(code, &View::of(call).value(call, object))
}
