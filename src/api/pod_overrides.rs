//! `podOverrides`: what a Task may change in its Pod.
//!
//! What is not here cannot be changed: host paths, privileges and the containers themselves stay as
//! Axon makes them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Affinity;
use k8s_openapi::api::core::v1::ConfigMapVolumeSource;
use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::api::core::v1::PersistentVolumeClaimVolumeSource;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::core::v1::SecretVolumeSource;
use k8s_openapi::api::core::v1::Toleration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::pattern;
use super::schema;
use super::task::LocalRef;

/// What to change in the Pod of a Task.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
    "message": "each of volumeMounts names one of volumes",
}]))]
pub struct PodOverrides {
    /// Requests and limits of the agent's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::resources")]
    pub resources: Option<ResourceRequirements>,
    /// Seconds after which the run is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// More environment variables of the agent. Built-in names win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::env")]
    pub env: Vec<EnvVar>,
    /// Labels of the nodes that the Pod may run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 64),
        extend("additionalProperties" = {"type": "string", "maxLength": 63})
    )]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the Pod may run on all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::tolerations")]
    pub tolerations: Vec<Toleration>,
    /// Which nodes, and which other Pods, the Pod is to be near or far from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::affinity")]
    pub affinity: Option<Affinity>,
    /// Service account of the Pod. Its token is mounted, unless the account itself says otherwise;
    /// without this field no token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = pattern::NAME), length(max = 253))]
    pub service_account_name: Option<String>,
    /// Priority class of the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = pattern::NAME), length(max = 253))]
    pub priority_class_name: Option<String>,
    /// Runtime class of the Pod, for example one that isolates it in a virtual machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = pattern::NAME), length(max = 253))]
    pub runtime_class_name: Option<String>,
    /// Secrets to pull images with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub image_pull_secrets: Vec<LocalRef>,
    /// Labels of the Pod. Those under `axon.io/`, `app.kubernetes.io/` and `batch.kubernetes.io/` are
    /// not for users.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 64),
        extend("additionalProperties" = {"type": "string", "maxLength": 63, "pattern": pattern::LABEL_VALUE}),
        extend("x-kubernetes-validations" = [{
            "rule": "self.all(k, !k.startsWith('axon.io/') && !k.startsWith('app.kubernetes.io/') && !k.startsWith('batch.kubernetes.io/'))",
            "message": "labels under axon.io/, app.kubernetes.io/ and batch.kubernetes.io/ are not for users",
        }])
    )]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Pod. Those under `axon.io/` are not for users.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 64),
        extend("additionalProperties" = {"type": "string", "maxLength": 4096}),
        extend("x-kubernetes-validations" = [{
            "rule": "self.all(k, !k.startsWith('axon.io/'))",
            "message": "annotations under axon.io/ are not for users",
        }])
    )]
    pub annotations: BTreeMap<String, String>,
    /// Volumes of the Pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub volumes: Vec<PodVolume>,
    /// Where the agent's container sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"])
    )]
    pub volume_mounts: Vec<PodMount>,
}

/// A volume of one of four kinds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.emptyDir), has(self.configMap), has(self.secret), has(self.persistentVolumeClaim)].filter(it, it).size() == 1",
    "message": "a volume is one of emptyDir, configMap, secret and persistentVolumeClaim",
}]))]
pub struct PodVolume {
    /// Its name.
    #[schemars(
        regex(pattern = pattern::LABEL_NAME),
        length(max = 63),
        extend("x-kubernetes-validations" = [{
            "rule": "self != 'workspace' && self != 'axon' && !self.startsWith('axon-')",
            "message": "volumes named workspace, axon and axon-… are Axon's own",
        }])
    )]
    pub name: String,
    /// A directory that lives as long as the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bounded::<EmptyDirVolumeSource>")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// The keys of a ConfigMap as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bounded::<ConfigMapVolumeSource>")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// The keys of a Secret as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bounded::<SecretVolumeSource>")]
    pub secret: Option<SecretVolumeSource>,
    /// Storage that outlives the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bounded::<PersistentVolumeClaimVolumeSource>")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
}

/// Where the agent's container sees a volume.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodMount {
    /// One of `volumes`.
    #[schemars(regex(pattern = pattern::LABEL_NAME), length(max = 63))]
    pub name: String,
    /// An absolute path.
    #[schemars(
        regex(pattern = pattern::MOUNT_PATH),
        length(max = 512),
        extend("x-kubernetes-validations" = [{
            "rule": "!(self in ['/dev', '/dev/termination-log', '/run', '/axon', '/run/axon', '/workspace', '/workspace/repo', '/workspace/home', '/workspace/results']) && !self.startsWith('/axon/') && !self.startsWith('/run/axon/')",
            "message": "Axon's own files are there",
        }])
    )]
    pub mount_path: String,
    /// The part of the volume to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub sub_path: Option<String>,
    /// Whether the agent may only read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}
