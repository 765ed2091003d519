//! The built-in resources, one row each.

use serde_json::Value;

use super::defaults;

/// Name under which definitions are stored.
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// One built-in resource.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a row of a table: independent properties"
)]
pub(crate) struct Builtin {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) storage: &'static str,
    pub(crate) short_names: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    pub(crate) namespaced: bool,
    pub(crate) status: bool,
    pub(crate) generation: bool,
    /// Whether `kubectl delete` gets the object back rather than a `Status`.
    pub(crate) returns_deleted: bool,
    /// Whether names follow the rules of paths rather than those of DNS.
    pub(crate) path_names: bool,
    /// Whether dependents stay when a deletion does not say what to do with them.
    pub(crate) orphans: bool,
    /// Fills in what belongs to the object as its writer meant it, and to that writer.
    pub(crate) defaults: fn(&mut Value),
    /// Fills in what the server itself decides, and is told whether the object is new. It runs after the
    /// object has a UID.
    pub(crate) prepare: fn(&mut Value, bool),
}

impl Builtin {
    const fn new(
        group: &'static str,
        plural: &'static str,
        kind: &'static str,
        storage: &'static str,
    ) -> Self {
        Self {
            group,
            version: "v1",
            plural,
            kind,
            storage,
            short_names: &[],
            categories: &[],
            namespaced: true,
            status: false,
            generation: false,
            returns_deleted: false,
            path_names: false,
            orphans: false,
            defaults: defaults::none,
            prepare: |_, _| {},
        }
    }

    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn status(mut self) -> Self {
        self.status = true;
        self
    }

    const fn generation(mut self) -> Self {
        self.generation = true;
        self
    }

    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    const fn all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    const fn path_names(mut self) -> Self {
        self.path_names = true;
        self
    }

    const fn returns_deleted(mut self) -> Self {
        self.returns_deleted = true;
        self
    }

    const fn orphans(mut self) -> Self {
        self.orphans = true;
        self
    }

    const fn with(mut self, defaults: fn(&mut Value)) -> Self {
        self.defaults = defaults;
        self
    }

    const fn prepare(mut self, prepare: fn(&mut Value, bool)) -> Self {
        self.prepare = prepare;
        self
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// Every built-in resource.
pub(crate) const TABLE: &[Builtin] = &[
    Builtin::new("", "namespaces", "Namespace", "namespaces")
        .cluster()
        .status()
        .short(&["ns"])
        .returns_deleted()
        .with(defaults::namespace)
        .prepare(defaults::prepare_namespace),
    Builtin::new("", "secrets", "Secret", "secrets").with(defaults::secret),
    Builtin::new("", "configmaps", "ConfigMap", "configmaps").short(&["cm"]),
    Builtin::new("", "serviceaccounts", "ServiceAccount", "serviceaccounts")
        .short(&["sa"])
        .returns_deleted(),
    Builtin::new("", "services", "Service", "services")
        .status()
        .short(&["svc"])
        .all()
        .returns_deleted(),
    Builtin::new("", "events", "Event", "events").short(&["ev"]),
    Builtin::new("", "pods", "Pod", "pods")
        .status()
        .generation()
        .short(&["po"])
        .all()
        .returns_deleted()
        .with(defaults::pod)
        .prepare(defaults::prepare_pod),
    Builtin::new("batch", "jobs", "Job", "jobs.batch")
        .status()
        .generation()
        .all()
        .orphans()
        .with(defaults::job)
        .prepare(defaults::prepare_job),
    Builtin::new("apps", "deployments", "Deployment", "deployments.apps")
        .status()
        .generation()
        .short(&["deploy"])
        .all()
        .with(defaults::deployment)
        .prepare(defaults::prepare_status),
    Builtin::new(
        "coordination.k8s.io",
        "leases",
        "Lease",
        "leases.coordination.k8s.io",
    ),
    Builtin::new(RBAC, "roles", "Role", "roles.rbac.authorization.k8s.io").path_names(),
    Builtin::new(
        RBAC,
        "rolebindings",
        "RoleBinding",
        "rolebindings.rbac.authorization.k8s.io",
    )
    .path_names()
    .with(defaults::binding),
    Builtin::new(
        RBAC,
        "clusterroles",
        "ClusterRole",
        "clusterroles.rbac.authorization.k8s.io",
    )
    .cluster()
    .path_names(),
    Builtin::new(
        RBAC,
        "clusterrolebindings",
        "ClusterRoleBinding",
        "clusterrolebindings.rbac.authorization.k8s.io",
    )
    .cluster()
    .path_names()
    .with(defaults::binding),
    Builtin::new(
        "networking.k8s.io",
        "networkpolicies",
        "NetworkPolicy",
        "networkpolicies.networking.k8s.io",
    )
    .generation()
    .short(&["netpol"]),
    Builtin::new(
        "policy",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        "poddisruptionbudgets.policy",
    )
    .status()
    .generation()
    .short(&["pdb"]),
    Builtin::new(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        CRDS,
    )
    .cluster()
    .status()
    .generation()
    .short(&["crd", "crds"])
    .with(defaults::crd),
];
