//! How objects are shown: as they are, as metadata only, or as a table.

use bytes::Bytes;
use http::header;
use serde_json::Value;
use serde_json::json;

use super::call::Call;
use super::read::Page;
use super::read::joined;
use super::table;
use super::table::Include;
use crate::local::clock;
use crate::local::store::Entry;

/// The form that a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Full,
    Metadata,
    Table(Include),
}

impl View {
    pub(super) fn of(call: &Call) -> Self {
        let accept = call.headers.get(header::ACCEPT);
        let accept = accept.and_then(|it| it.to_str().ok()).unwrap_or_default();
        for wanted in accept.split(',') {
            if wanted.contains("as=Table") && wanted.contains("v=v1") && !wanted.contains("v1beta1")
            {
                return Self::Table(match call.query.get("includeObject") {
                    Some("None") => Include::Nothing,
                    Some("Object") => Include::Object,
                    _ => Include::Metadata,
                });
            }
            if wanted.contains("as=PartialObjectMetadata") {
                return Self::Metadata;
            }
            if !wanted.contains("as=") {
                return Self::Full;
            }
        }
        Self::Full
    }

    pub(super) fn object(self, call: &Call, entry: &Entry) -> Bytes {
        match self {
            Self::Full => entry.json.clone(),
            Self::Metadata | Self::Table(_) => self.value(call, entry.object()).to_string().into(),
        }
    }

    pub(super) fn value(self, call: &Call, object: Value) -> Value {
        match self {
            Self::Full => object,
            Self::Metadata => table::partial(&object),
            Self::Table(include) => {
                let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                table::table(&call.resource, &[object], &meta, include, clock::now())
            }
        }
    }

    pub(super) fn list(self, call: &Call, page: &Page) -> Bytes {
        let mut meta = json!({"resourceVersion": page.revision.to_string()});
        // Kubernetes writes it for custom resources even when it is empty.
        if page.next.is_some() || call.resource.is_custom() && self == Self::Full {
            meta["continue"] = page.next.as_deref().unwrap_or_default().into();
        }
        if let Some(remaining) = page.remaining {
            meta["remainingItemCount"] = remaining.into();
        }
        let (kind, api_version) = match self {
            Self::Full => (
                call.resource.list_kind.as_str(),
                call.resource.api_version(),
            ),
            Self::Metadata => ("PartialObjectMetadataList", "meta.k8s.io/v1".into()),
            Self::Table(include) => {
                let objects: Vec<_> = page.entries.iter().map(|it| it.object()).collect();
                let table = table::table(&call.resource, &objects, &meta, include, clock::now());
                return table.to_string().into();
            }
        };
        let head = json!({"kind": kind, "apiVersion": api_version, "metadata": meta});
        joined(
            &head,
            page.entries.iter().map(|entry| self.object(call, entry)),
        )
    }
}
