//! One `NetworkPolicy` in each namespace that runs Tasks: agents reach all Pods, and everything outside
//! but link-local addresses (a cloud's metadata) and the API server; nobody reaches them.
//!
//! Best effort: a network plugin decides whether it holds, and a policy that cannot be written is
//! told by an Event of each Task that starts, not a reason to stop. One of this name that is not ours is its owner's wish.

mod keep;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::IPBlock;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::networking::v1::NetworkPolicyEgressRule;
use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use kube::api::Patch;
use kube::api::PatchParams;
use tokio::time::Instant;

use super::FIELD_MANAGER;
use super::events::Level;
use super::events::Notice;
use crate::api::labels;

pub(super) use keep::keep;

/// Its name in every namespace.
const NAME: &str = "axon-tasks";
/// Where a cluster's API server is a Service, and the name of that.
const API_SERVER: (&str, &str) = ("default", "kubernetes");
/// How long a namespace is taken to be in order: one look serves many starts.
const CHECK_EVERY: Duration = Duration::from_mins(1);
/// Longest time that a start waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses of a cloud's metadata, and of the node: by IPv4, and by IPv6.
const LINK_LOCAL_4: [&str; 1] = ["169.254.0.0/16"];
const LINK_LOCAL_6: [&str; 2] = ["fd00:ec2::254/128", "fe80::/10"];

/// Keeps the policies of all namespaces.
pub(super) struct Policies {
    client: Client,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    checked: HashMap<String, Checked>,
    /// One look at a time at a namespace: who waits here finds it done.
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
    /// Namespaces about which something was said.
    told: HashSet<String>,
}

/// A look at a namespace.
#[derive(Clone)]
struct Checked {
    at: Instant,
    wrong: Option<String>,
}

impl Policies {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
        }
    }

    /// Sees to it that `namespace` has its policy, before a Pod starts there. Gives why it may not have it.
    pub(super) async fn ensure(&self, namespace: &str) -> Option<Notice> {
        if let Some(fresh) = self.fresh(namespace) {
            return fresh.notice();
        }
        let turn = self.turn(namespace);
        let _turn = turn.lock().await;
        if let Some(fresh) = self.fresh(namespace) {
            return fresh.notice();
        }
        self.look_in_turn(namespace).await.notice()
    }

    /// Sees to it whatever the last look found.
    async fn look(&self, namespace: &str) {
        let turn = self.turn(namespace);
        let _turn = turn.lock().await;
        self.look_in_turn(namespace).await;
    }

    fn turn(&self, namespace: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut known = self.known();
        known.turns.entry(namespace.to_owned()).or_default().clone()
    }

    async fn look_in_turn(&self, namespace: &str) -> Checked {
        let wrong = match tokio::time::timeout(PATIENCE, self.check(namespace)).await {
            Ok(Ok(State::InOrder)) => {
                self.known().told.remove(namespace);
                None
            }
            Ok(Ok(State::Foreign)) => {
                if self.is_news(namespace) {
                    tracing::info!(
                        namespace,
                        name = NAME,
                        "left a NetworkPolicy alone that is not ours"
                    );
                }
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the API server did not answer in time".to_owned()),
        };
        if let Some(error) = &wrong
            && self.is_news(namespace)
        {
            tracing::warn!(namespace, %error, "cannot keep the NetworkPolicy of Tasks");
        }
        let checked = Checked {
            at: Instant::now(),
            wrong,
        };
        let mut known = self.known();
        known.checked.retain(|_, it| it.at.elapsed() < CHECK_EVERY);
        known.turns.remove(namespace);
        known.checked.insert(namespace.to_owned(), checked.clone());
        checked
    }

    async fn check(&self, namespace: &str) -> Result<State, kube::Error> {
        let policies: Api<NetworkPolicy> = Api::namespaced(self.client.clone(), namespace);
        let wanted = policy(&self.api_server().await?);
        if let Some(existing) = policies.get_opt(NAME).await? {
            let (key, value) = MANAGED_BY;
            if existing.labels().get(key).is_none_or(|it| it != value) {
                return Ok(State::Foreign);
            }
            if existing.spec == wanted.spec {
                return Ok(State::InOrder);
            }
        }
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        policies.patch(NAME, &ours, &Patch::Apply(&wanted)).await?;
        Ok(State::InOrder)
    }

    /// The addresses of the API server, as far as the cluster tells them.
    async fn api_server(&self) -> Result<BTreeSet<IpAddr>, kube::Error> {
        let (namespace, name) = API_SERVER;
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let service = told(services.get_opt(name).await)?.and_then(|it| it.spec);
        let (one, all) = service
            .map(|it| (it.cluster_ip, it.cluster_ips.unwrap_or_default()))
            .unwrap_or_default();
        let endpoints = told(slices.get_opt(name).await)?.map(|it| it.endpoints);
        let behind = endpoints.into_iter().flatten().flat_map(|it| it.addresses);
        let addresses = one.into_iter().chain(all).chain(behind);
        Ok(addresses.filter_map(|it| it.parse().ok()).collect())
    }

    /// The last look at `namespace`, if that was lately.
    fn fresh(&self, namespace: &str) -> Option<Checked> {
        let checked = self.known().checked.get(namespace).cloned();
        checked.filter(|it| it.at.elapsed() < CHECK_EVERY)
    }

    fn is_news(&self, namespace: &str) -> bool {
        self.known().told.insert(namespace.to_owned())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The label that says that a policy is ours.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "axon-controller");

impl Checked {
    /// What whoever looks at a Task of that namespace should know.
    fn notice(&self) -> Option<Notice> {
        let wrong = self.wrong.as_deref()?;
        Some(Notice {
            level: Level::Warning,
            reason: "NetworkPolicyFailed".into(),
            message: format!("NetworkPolicy \"{NAME}\" could not be kept: {wrong}"),
        })
    }
}

/// How a namespace was left.
enum State {
    InOrder,
    Foreign,
}

/// What a controller of one namespace may not read is not known.
fn told<T>(answer: Result<Option<T>, kube::Error>) -> Result<Option<T>, kube::Error> {
    match answer {
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
        other => other,
    }
}

/// The policy of a namespace, given the addresses of the API server.
fn policy(api_server: &BTreeSet<IpAddr>) -> NetworkPolicy {
    let app: BTreeMap<String, String> = labels::APP
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let (own, others): (Vec<&IpAddr>, Vec<&IpAddr>) =
        api_server.iter().partition(|it| it.is_ipv4());
    let anywhere = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    let outside_4 = outside(
        "0.0.0.0/0",
        &LINK_LOCAL_4,
        own.iter().map(|it| format!("{it}/32")),
    );
    let outside_6 = outside(
        "::/0",
        &LINK_LOCAL_6,
        others.iter().map(|it| format!("{it}/128")),
    );
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            labels: Some(app.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            egress: Some(vec![NetworkPolicyEgressRule {
                to: Some(vec![anywhere, outside_4, outside_6]),
                ports: None,
            }]),
            // Of the type, and with no rule: nobody.
            ingress: None,
            pod_selector: Some(LabelSelector {
                match_labels: Some(app),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
        }),
    }
}

fn outside(
    cidr: &str,
    link_local: &[&str],
    api_server: impl Iterator<Item = String>,
) -> NetworkPolicyPeer {
    let except = link_local.iter().map(|it| (*it).to_owned());
    NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: Some(except.chain(api_server).collect()),
        }),
        ..NetworkPolicyPeer::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_policy() {
        let addresses = ["10.96.0.1", "192.168.1.7", "fd00::1", "192.168.1.6"];
        let addresses = addresses.iter().map(|it| it.parse().unwrap()).collect();
        let policy = serde_json::to_value(policy(&addresses)).unwrap();
        let ours = json!({
            "app.kubernetes.io/name": "axon", "app.kubernetes.io/component": "task",
            "app.kubernetes.io/managed-by": "axon-controller",
        });
        assert_eq!(
            policy["metadata"],
            json!({"name": "axon-tasks", "labels": ours})
        );
        assert_eq!(
            policy["spec"],
            json!({
                "podSelector": {"matchLabels": ours},
                "policyTypes": ["Ingress", "Egress"],
                "egress": [{"to": [
                    {"namespaceSelector": {}},
                    {"ipBlock": {"cidr": "0.0.0.0/0", "except": [
                        "169.254.0.0/16", "10.96.0.1/32", "192.168.1.6/32", "192.168.1.7/32",
                    ]}},
                    {"ipBlock": {"cidr": "::/0", "except": [
                        "fd00:ec2::254/128", "fe80::/10", "fd00::1/128",
                    ]}},
                ]}],
            })
        );
    }
}
