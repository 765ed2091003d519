//! Checks on whole objects: their shape, their names, what may not change.

use serde_json::Value;

use super::builtin;
use super::builtin_rules;
use super::call::Call;
use super::call::Part;
use super::crd;
use super::error::ApiError;
use super::metadata;
use super::object;
use super::patch;
use super::resource::Rules;
use super::schema::typed;
use super::write::Source;

/// Brings what was sent into the form of its type: unknown fields go, defaults come. The errors are told by `source`.
pub(super) fn shape(call: &Call, mut sent: Value, source: Source) -> Result<Value, ApiError> {
    let resource = &call.resource;
    let whole = (source == Source::Patch).then(|| sent.clone());
    let failed = |why: String| match (&whole, source) {
        (Some(whole), _) => ApiError::bad_patch(whole, &why),
        (None, Source::Apply) => patch::unconvertible(call, &why),
        (None, _) => call.unreadable(&why),
    };
    // Said in words that types leave out: nobody owns anything any more. Of custom resources they leave it out.
    let is_reset =
        !resource.is_custom() && sent["metadata"]["managedFields"] == Value::Array(Vec::new());
    let mut unknown = Vec::new();
    let mut object = match &resource.rules {
        Rules::Builtin(_) => {
            typed::typed(sent, &resource.type_name(), "", &mut unknown).map_err(failed)?
        }
        Rules::Custom(custom) => {
            let meta = sent["metadata"].take();
            sent["metadata"] = typed::typed(meta, typed::OBJECT_META, "metadata", &mut unknown)
                .map_err(|why| failed(why.replace("ObjectMeta.metadata.", "ObjectMeta.")))?;
            unknown.extend(custom.schema.prune(&mut sent));
            sent
        }
    };
    call.unknown_fields(&unknown, whole.as_ref())?;
    if is_reset {
        object["metadata"]["managedFields"] = Value::Array(Vec::new());
    }
    match &resource.rules {
        Rules::Builtin(builtin) => (builtin.defaults)(&mut object),
        Rules::Custom(custom) => custom.schema.default(&mut object, source != Source::Apply),
    }
    Ok(object)
}

/// Checks an object that is about to be stored.
pub(super) fn check(call: &Call, old: Option<&Value>, object: &Value) -> Result<(), ApiError> {
    let resource = &call.resource;
    let mut errors = Vec::new();
    metadata::check(resource, old, object, &mut errors);
    match &resource.rules {
        Rules::Custom(custom) => {
            errors.extend(custom.schema.check(object, old, call.part == Part::Status));
        }
        Rules::Builtin(_) => builtin_rules::check(resource, old, object, call.part, &mut errors),
    }
    if resource.storage == builtin::CRDS {
        errors.extend(crd::problems(object));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(resource, object::name(object), &errors))
    }
}
