//! `Workspace`: a git repository that agents work in.
#![expect(
    clippy::duplicated_attributes,
    reason = "print columns repeat their type, each in a list of its own"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::task::LocalRef;

/// A git repository that agents work in.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "Workspace",
    namespaced,
    category = "axon",
    shortname = "ws",
    status = "WorkspaceStatus",
    derive = "PartialEq",
    printcolumn(name = "Repo", type_ = "string", json_path = ".spec.repo"),
    printcolumn(name = "Ref", type_ = "string", json_path = ".spec.ref"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.commit"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceSpec {
    /// URL of the repository: `https://`, `http://`, `git://`, `ssh://` or `git@host:path`.
    /// `file://` only where the controller allows it, as `axon dev` does.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = r"^(https?://|git://|ssh://|file://|git@).+$")
    )]
    pub repo: String,
    /// Branch, tag, or commit. Absent: the repository's default branch.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 244))]
    pub reference: Option<String>,
    /// Secret with the credentials for `repo`: the key `GITHUB_TOKEN`; or `username` and `password`;
    /// or `ssh-privatekey` and `known_hosts`; or `appID`, `installationID` and `privateKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// How many commits of history agents see. 0: all. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub depth: Option<i32>,
    /// Whether submodules of the same host are checked out too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub submodules: bool,
    /// Whom agents commit as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_identity: Option<GitIdentity>,
}

/// Author and committer of commits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct GitIdentity {
    /// Name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Email address.
    #[schemars(length(min = 1, max = 320))]
    pub email: String,
}

/// Whether a workspace can be reached.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceStatus {
    /// The commit that `ref` stood at when it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
