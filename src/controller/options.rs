//! What the controllers are told when they start.

use k8s_openapi::NamespaceResourceScope;
use kube::Api;
use kube::Client;
use kube::Resource;

use super::github_api::GitHubApi;
use super::images::Images;
use crate::model::Namespace;

/// What the controllers are told when they start.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent permission"
)]
pub struct Options {
    /// The one namespace to work in; all of them if there is none.
    pub namespace: Option<Namespace>,
    /// The images that Pods run.
    pub images: Images,
    /// Whether a Workspace may name a `file://` repository.
    pub allow_file_urls: bool,
    /// Whether a RepoSync may name only repositories of this machine: whoever runs these controllers has not
    /// accepted what agents of others could do here.
    pub only_own_repositories: bool,
    /// Whether a Workspace's repository may be at an address of this machine or its link.
    pub local_addresses: bool,
    /// Name of the Deployment that runs these controllers, as spawners report it.
    pub deployment_name: String,
    /// Base URL of the GitHub API in place of the one that a repository's host implies.
    pub github_api: Option<String>,
    /// Look for work once: cron spawners only tell their next time.
    pub once: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: None,
            images: Images::default(),
            allow_file_urls: false,
            only_own_repositories: false,
            local_addresses: false,
            deployment_name: "axon-controller".into(),
            github_api: None,
            once: false,
        }
    }
}

impl Options {
    /// Where GitHub's API is.
    pub(super) fn github(&self) -> GitHubApi<'_> {
        GitHubApi {
            root: self.github_api.as_deref(),
            local_addresses: self.local_addresses,
        }
    }

    /// Objects of one kind in the namespaces that these controllers look after.
    pub fn scope<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace.as_str()),
            None => Api::all(client.clone()),
        }
    }
}
