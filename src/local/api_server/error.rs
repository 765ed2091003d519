//! What went wrong, as Kubernetes says it: a `Status` with code, reason, wording and causes.

use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use super::resource::Resource;
use super::resource::qualified;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) code: StatusCode,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Option<Value>,
}

impl ApiError {
    pub(crate) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    fn on(mut self, resource: &Resource, name: &str) -> Self {
        self.details = Some(named(name, &resource.group, &resource.plural));
        self
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).on(resource, name)
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).on(resource, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            resource.qualified()
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).on(resource, name)
    }

    /// Of a name that the server was to make up.
    pub(crate) fn ungenerated(mut self) -> Self {
        let more = ", the server was not able to generate a unique name for the object";
        self.message.push_str(more);
        if let Some(details) = &mut self.details {
            details["retryAfterSeconds"] = 1.into();
        }
        self
    }

    /// As [`Self::conflict`], where Kubernetes names the kind.
    pub(crate) fn conflict_of_kind(resource: &Resource, name: &str, why: &str) -> Self {
        let qualified = qualified(&resource.kind, &resource.group);
        let message = format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}");
        let mut error = Self::new(StatusCode::CONFLICT, "Conflict", message);
        error.details = Some(named(name, &resource.group, &resource.kind));
        error
    }

    /// The object was written by someone else since it was read.
    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.qualified());
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).on(resource, name)
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        Self::invalid_of(&resource.kind, resource, name, errors)
    }

    /// What a patch has made is no object of the kind.
    pub(crate) fn bad_patch(object: &Value, why: &str) -> Self {
        let wrong = FieldError::new("patch", Problem::Invalid(object.to_string().into()), why);
        Self::refused("", "", &[wrong])
    }

    /// Options of a request that are not as they should be.
    pub(crate) fn bad_options(kind: &str, errors: &[FieldError]) -> Self {
        Self::refused(kind, "meta.k8s.io", errors)
    }

    /// A patch that cannot be laid over the object; why is not told, as by Kubernetes.
    pub(crate) fn rejected() -> Self {
        let mut error = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            "the server rejected our request due to an error in our request",
        );
        error.details = Some(json!({}));
        error
    }

    /// An update has to say what it updates. Kubernetes names the resource, not the kind, here.
    pub(crate) fn unversioned(resource: &Resource, name: &str) -> Self {
        let missing = FieldError::new(
            "metadata.resourceVersion",
            Problem::Invalid(json!(0)),
            "must be specified for an update",
        );
        Self::invalid_of(&resource.plural, resource, name, &[missing])
    }

    fn invalid_of(kind: &str, resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        Self::refused_of(kind, &resource.group, name, errors)
    }

    fn refused(kind: &str, group: &str, errors: &[FieldError]) -> Self {
        Self::refused_of(kind, group, "", errors)
    }

    fn refused_of(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for text in errors.iter().map(FieldError::text) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let text = match texts.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let causes: Vec<_> = errors.iter().map(FieldError::cause).collect();
        let mut details = named(name, group, kind);
        let kind = qualified(kind, group);
        details["causes"] = causes.into();
        Self {
            code: StatusCode::UNPROCESSABLE_ENTITY,
            reason: "Invalid",
            message: format!("{kind} \"{name}\" is invalid: {text}"),
            details: Some(details),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(crate) fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
    }

    /// What Kubernetes gives no reason for.
    pub(crate) fn unexplained(message: String) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// Nothing is served under this path.
    pub(crate) fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// The `Status` object that carries it.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

fn named(name: &str, group: &str, kind: &str) -> Value {
    let mut details = json!({});
    for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details[key] = value.into();
        }
    }
    details
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) problem: Problem,
    pub(crate) detail: String,
}

/// The kinds of problem that Kubernetes tells apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Problem {
    Required,
    Invalid(Value),
    /// An object or a list that a rule refuses.
    InvalidWhole,
    TypeInvalid(Value),
    /// The value that is not supported.
    Unsupported(Value),
    Duplicate(Value),
    /// The name of what is not there.
    NotFound(Value),
    Forbidden,
    TooLong,
    /// How many there are.
    TooMany(u64),
}

impl FieldError {
    pub(crate) fn new(
        field: impl Into<String>,
        problem: Problem,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            problem,
            detail: detail.into(),
        }
    }

    /// Whether rules would make no sense on an object with this problem.
    pub(crate) fn blocks_rules(&self) -> bool {
        match self.problem {
            Problem::Required
            | Problem::TypeInvalid(_)
            | Problem::Unsupported(_)
            | Problem::TooLong
            | Problem::TooMany(_) => true,
            Problem::Invalid(_)
            | Problem::InvalidWhole
            | Problem::Duplicate(_)
            | Problem::NotFound(_)
            | Problem::Forbidden => false,
        }
    }

    /// `spec.image: Required value: …`
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.field, self.body())
    }

    fn body(&self) -> String {
        let head = match &self.problem {
            Problem::Required => "Required value".into(),
            Problem::Invalid(value) | Problem::TypeInvalid(value) => {
                format!("Invalid value: {}", shown(value))
            }
            Problem::InvalidWhole => "Invalid value".into(),
            Problem::Unsupported(value) => format!("Unsupported value: {}", shown(value)),
            Problem::Duplicate(value) => format!("Duplicate value: {}", shown(value)),
            Problem::NotFound(value) => format!("Not found: {}", shown(value)),
            Problem::Forbidden => "Forbidden".into(),
            Problem::TooLong => "Too long".into(),
            Problem::TooMany(count) => format!("Too many: {count}"),
        };
        if self.detail.is_empty() {
            return head;
        }
        format!("{head}: {}", self.detail)
    }

    fn cause(&self) -> Value {
        let reason = match self.problem {
            Problem::Required => "FieldValueRequired",
            Problem::Invalid(_) | Problem::InvalidWhole => "FieldValueInvalid",
            Problem::TypeInvalid(_) => "FieldValueTypeInvalid",
            Problem::Unsupported(_) => "FieldValueNotSupported",
            Problem::Duplicate(_) => "FieldValueDuplicate",
            Problem::NotFound(_) => "FieldValueNotFound",
            Problem::Forbidden => "FieldValueForbidden",
            Problem::TooLong => "FieldValueTooLong",
            Problem::TooMany(_) => "FieldValueTooMany",
        };
        json!({"reason": reason, "message": self.body(), "field": self.field})
    }
}

/// A value as it stands in a message.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        other => other.to_string(),
    }
}
