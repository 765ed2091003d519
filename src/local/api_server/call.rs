//! One request to a resource, taken apart.

use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use http::HeaderMap;
use http::header;
use http::request::Parts;
use jiff::Timestamp;
use serde_json::Value;

use super::Inner;
use super::apply::Type;
use super::apply::Writer;
use super::error::ApiError;
use super::patch;
use super::protobuf;
use super::request::FieldValidation;
use super::request::Query;
use super::request::Target;
use super::request::Verb;
use super::request::WriteOptions;
use super::request::verb;
use super::resource::Resource;
use super::resource::Rules;
use super::schema::typed;
use super::strict;
use crate::local::clock;
use crate::local::store::Entry;
use crate::local::store::Key;
use crate::local::store::Scope;

/// What a status write of a built-in object cannot change.
const FIXED_IN_STATUS: &[&[&str]] = &[
    &["spec"],
    &["metadata", "deletionTimestamp"],
    &["metadata", "ownerReferences"],
];

/// Which part of an object a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Status,
    /// The finalizers of a namespace's spec.
    Finalize,
    Log,
    /// The node of a Pod.
    Binding,
}

/// One request.
pub(crate) struct Call {
    pub(crate) server: Arc<Inner>,
    pub(crate) resource: Arc<Resource>,
    /// None: all namespaces, or an object of the whole cluster.
    pub(crate) namespace: Option<String>,
    /// Empty for requests about a collection.
    pub(crate) name: String,
    pub(crate) part: Part,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) options: WriteOptions,
    pub(crate) now: Timestamp,
    /// What the client is to be told besides the answer.
    pub(crate) warnings: Mutex<Vec<String>>,
    /// Fields that stand twice in the body.
    pub(crate) duplicates: Mutex<Vec<String>>,
}

impl Call {
    pub(crate) fn new(
        server: &Arc<Inner>,
        target: Target,
        parts: &Parts,
        query: Query,
        body: Bytes,
    ) -> Result<(Verb, Self), ApiError> {
        let resource = server
            .registry
            .find(&target.group, &target.version, &target.resource)
            .ok_or_else(ApiError::no_such_path)?;
        let verb = verb(&parts.method, &target, &query).ok_or_else(ApiError::method_not_allowed)?;
        let part = part(&resource, target.subresource.as_deref())?;
        let fits = match part {
            Part::Whole => true,
            Part::Status => matches!(verb, Verb::Get | Verb::Update | Verb::Patch),
            Part::Finalize => verb == Verb::Update,
            Part::Log => verb == Verb::Get,
            Part::Binding => verb == Verb::Create,
        };
        let placed = match verb {
            Verb::List | Verb::Watch => resource.namespaced || target.namespace.is_none(),
            _ => resource.namespaced == target.namespace.is_some(),
        };
        if !placed {
            return Err(ApiError::no_such_path());
        }
        if !fits {
            return Err(ApiError::method_not_allowed());
        }
        if verb == Verb::Patch {
            patch::kind(&resource, &parts.headers)?;
        }
        let agent = parts.headers.get(header::USER_AGENT);
        let agent = agent.and_then(|it| it.to_str().ok()).unwrap_or("unknown");
        let options = WriteOptions::parse(&query, agent, verb, &parts.headers)?;
        let call = Self {
            server: Arc::clone(server),
            resource,
            namespace: target.namespace,
            name: target.name.unwrap_or_default(),
            part,
            query,
            headers: parts.headers.clone(),
            body,
            options,
            now: clock::now(),
            warnings: Mutex::default(),
            duplicates: Mutex::default(),
        };
        Ok((verb, call))
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope {
            resource: self.resource.storage.clone(),
            namespace: self.namespace.clone(),
        }
    }

    pub(crate) fn key(&self, name: &str) -> Key {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        Key::new(&self.resource.storage, namespace, name)
    }

    /// The stored object that the request names.
    pub(crate) fn stored(&self) -> Result<Arc<Entry>, ApiError> {
        let found = self.server.store.get(&self.key(&self.name));
        found.ok_or_else(|| ApiError::not_found(&self.resource, &self.name))
    }

    /// Who writes, for the ownership of fields.
    pub(crate) fn with_writer<T>(&self, work: impl FnOnce(Writer<'_>) -> T) -> T {
        let api_version = self.resource.api_version();
        let time = clock::text(self.now);
        let name = self.resource.type_name();
        let blank = typed::blank(&name);
        let (of, blank) = match &self.resource.rules {
            Rules::Builtin(_) => (Type::builtin(&name), Some(&blank)),
            Rules::Custom(custom) => (Type::Custom(&custom.schema.value), None),
        };
        let (subresource, ignored): (&str, &[&[&str]]) = match self.part {
            Part::Status if self.resource.is_custom() => ("status", &[&["metadata"], &["spec"]]),
            Part::Status => ("status", FIXED_IN_STATUS),
            Part::Finalize => ("finalize", &[&["status"]]),
            Part::Binding => ("binding", &[&["status"]]),
            Part::Whole | Part::Log if self.resource.status => ("", &[&["status"]]),
            Part::Whole | Part::Log => ("", &[]),
        };
        work(Writer {
            manager: &self.options.manager,
            subresource,
            api_version: &api_version,
            time: &time,
            of,
            ignored,
            blank,
        })
    }

    /// Has the client told about fields that nothing knows or that stand there twice, or refuses them.
    /// `patched`: the object that a patch has made, if there was one.
    pub(crate) fn unknown_fields(
        &self,
        fields: &[String],
        patched: Option<&Value>,
    ) -> Result<(), ApiError> {
        let duplicates = self
            .duplicates
            .lock()
            .expect("no holder of this lock panics");
        let unknown = fields.iter().map(|it| format!("unknown field \"{it}\""));
        let told: Vec<_> = duplicates.iter().cloned().chain(unknown).collect();
        drop(duplicates);
        if told.is_empty() {
            return Ok(());
        }
        match (self.options.validation, patched) {
            (FieldValidation::Ignore, _) => Ok(()),
            (FieldValidation::Warn, _) => {
                for it in told {
                    self.warn(it);
                }
                Ok(())
            }
            (FieldValidation::Strict, None) => {
                Err(self.unreadable(&format!("strict decoding error: {}", told.join(", "))))
            }
            (FieldValidation::Strict, Some(object)) => {
                let why = format!("strict decoding error: {}", told.join(", "));
                Err(ApiError::bad_patch(object, &why))
            }
        }
    }

    /// The body is no object of the kind.
    pub(crate) fn unreadable(&self, why: &str) -> ApiError {
        let kind = &self.resource.kind;
        ApiError::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {kind}: {why}",
            self.resource.version
        ))
    }

    /// Has the client told something, once.
    pub(crate) fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().expect("no holder of this lock panics");
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().expect("no holder of this lock panics");
        std::mem::take(&mut *warnings)
    }

    /// The body of a patch, which is JSON.
    pub(crate) fn decode_patch(&self) -> Result<Value, ApiError> {
        let (value, twice) = strict::read(&self.body)
            .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
        let told = twice.iter().map(|it| format!("duplicate field \"{it}\""));
        *self
            .duplicates
            .lock()
            .expect("no holder of this lock panics") = told.collect();
        Ok(value)
    }

    /// The body as JSON or YAML.
    pub(crate) fn decode(&self) -> Result<Value, ApiError> {
        let media = self.headers.get(header::CONTENT_TYPE);
        let media = media.and_then(|it| it.to_str().ok()).unwrap_or_default();
        if let Ok((value, twice)) = strict::read(&self.body) {
            let told = twice.iter().map(|it| format!("duplicate field \"{it}\""));
            *self
                .duplicates
                .lock()
                .expect("no holder of this lock panics") = told.collect();
            return Ok(value);
        }
        decode(media, &self.body)
    }
}

fn part(resource: &Resource, subresource: Option<&str>) -> Result<Part, ApiError> {
    match subresource {
        None => Ok(Part::Whole),
        Some("status") if resource.status => Ok(Part::Status),
        Some("finalize") if resource.storage == "namespaces" => Ok(Part::Finalize),
        Some("log") if resource.storage == "pods" => Ok(Part::Log),
        Some("binding") if resource.storage == "pods" => Ok(Part::Binding),
        Some(_) => Err(ApiError::no_such_path()),
    }
}

/// Reads a body of the given media type.
pub(crate) fn decode(media: &str, body: &[u8]) -> Result<Value, ApiError> {
    let media = media.split(';').next().unwrap_or_default().trim();
    if media.contains("protobuf")
        && let Some(decoded) = protobuf::decode(body)
    {
        return decoded.map_err(|error| {
            ApiError::bad_request(format!("the object provided is unrecognized: {error}"))
        });
    }
    if media.contains("protobuf") || media.contains("cbor") {
        return Err(ApiError::new(
            http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml (not {media})"
            ),
        ));
    }
    let first = body.iter().find(|it| !it.is_ascii_whitespace());
    let decoded = if matches!(first, Some(b'{' | b'[')) {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    } else {
        serde_saphyr::from_slice(body).map_err(|error| error.to_string())
    };
    decoded.map_err(|error| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type JSON or YAML): {error}"
        ))
    })
}
