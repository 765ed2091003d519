//! What the server serves: the table of built-in resources, and those that definitions add.

use std::sync::Arc;

use super::builtin;
use super::builtin::Builtin;
use super::crd::Custom;
use super::schema::typed;

/// One served resource.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// Whether there is a status subresource.
    pub(crate) status: bool,
    /// Under which name objects are stored; two versions of one resource share it.
    pub(crate) storage: String,
    pub(crate) rules: Rules,
}

/// How objects of a resource are completed and checked.
#[derive(Clone, Debug)]
pub(crate) enum Rules {
    Builtin(&'static Builtin),
    Custom(Arc<Custom>),
}

impl Resource {
    /// `tasks.axon.io`, `pods`: how messages name it.
    pub(crate) fn qualified(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// `axon.io/v1alpha1`, `v1`.
    pub(crate) fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The name of the type of a built-in kind.
    pub(crate) fn type_name(&self) -> String {
        typed::type_name(&self.group, &self.version, &self.kind)
    }

    /// Whether `metadata.generation` counts changes of the object.
    pub(crate) fn has_generation(&self) -> bool {
        match &self.rules {
            Rules::Builtin(builtin) => builtin.generation,
            Rules::Custom(_) => true,
        }
    }

    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.rules, Rules::Custom(_))
    }
}

pub(crate) fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.into()
    } else {
        format!("{name}.{group}")
    }
}

pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.into()
    } else {
        format!("{group}/{version}")
    }
}

/// The built-in resources.
pub(crate) fn builtins() -> Vec<Arc<Resource>> {
    builtin::TABLE
        .iter()
        .map(|row| {
            let singular = row.kind.to_lowercase();
            Arc::new(Resource {
                group: row.group.into(),
                version: row.version.into(),
                plural: row.plural.into(),
                singular,
                kind: row.kind.into(),
                list_kind: format!("{}List", row.kind),
                short_names: row.short_names.iter().map(|it| (*it).into()).collect(),
                categories: row.categories.iter().map(|it| (*it).into()).collect(),
                namespaced: row.namespaced,
                status: row.status,
                storage: row.storage.into(),
                rules: Rules::Builtin(row),
            })
        })
        .collect()
}
