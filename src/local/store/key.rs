//! The name under which an object is stored.

use std::fmt;

/// `resource/namespace/name`; the namespace is empty for objects of the whole cluster. Neither part
/// holds a slash, so that all objects of a resource, or of one namespace, are neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(Box<str>);

impl Key {
    pub(crate) fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self(format!("{resource}/{namespace}/{name}").into())
    }

    /// A key as it was stored.
    pub(super) fn parse(text: String) -> Option<Self> {
        (text.split('/').count() == 3).then(|| Self(text.into()))
    }

    /// The place just before every key that begins with `prefix`.
    pub(super) fn begin(prefix: &str) -> Self {
        Self(prefix.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// `pods`, `tasks.axon.io`.
    pub(crate) fn resource(&self) -> &str {
        self.part(0)
    }

    pub(crate) fn namespace(&self) -> &str {
        self.part(1)
    }

    pub(crate) fn name(&self) -> &str {
        self.part(2)
    }

    fn part(&self, index: usize) -> &str {
        self.0.split('/').nth(index).unwrap_or_default()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a list or a watch looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) resource: String,
    /// None: every namespace.
    pub(crate) namespace: Option<String>,
}

impl Scope {
    /// What every key inside begins with.
    pub(crate) fn prefix(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{}/{namespace}/", self.resource),
            None => format!("{}/", self.resource),
        }
    }
}
