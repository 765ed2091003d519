//! What users write and the cluster stores: wire types, with derives and defaults only.
//!
//! The custom resource definitions in `deploy/crds/` and the JSON Schema in `schema/` are generated
//! from these types. Nothing here decides anything: `model` turns these into values that are known
//! to be valid.

pub mod config;
pub mod labels;
pub mod pattern;
pub mod plan;
pub mod pod_overrides;
mod published;
pub mod repo_sync;
mod schema;
pub mod task;
pub mod task_spawner;
pub mod workspace;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use config::Config;
pub use plan::plan_schema;
pub use repo_sync::RepoSync;
pub use schema::config_schema;
pub use task::Task;
pub use task_spawner::TaskSpawner;
pub use workspace::Workspace;

/// API group of every kind of ours.
pub const GROUP: &str = "axon.io";
/// Version of every kind of ours.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of every manifest of ours, and of `axon.yaml`.
pub const API_VERSION: &str = "axon.io/v1alpha1";

/// The custom resource definitions, in the order in which they are to be applied.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [
        (Workspace::crd(), "A repository that agents work in."),
        (
            TaskSpawner::crd(),
            "Makes Tasks: of work items, or by the clock.",
        ),
        (Task::crd(), "One run of an agent."),
        (
            RepoSync::crd(),
            "Keeps its namespace equal to the axon.yaml of a repository.",
        ),
    ]
    .map(|(crd, description)| described(crd, description))
    .into()
}

/// In place of what the generator says of a kind.
fn described(mut crd: CustomResourceDefinition, description: &str) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|it| it.open_api_v3_schema.as_mut()) {
            schema.description = Some(description.to_owned());
        }
    }
    crd
}
