//! What an admission policy forbids may be allowed later: no run is given up for it.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;

use super::*;

// The embedded server knows no admission policies.
crate::on_the_real_server!(a_policy_is_waited_for);

async fn a_policy_is_waited_for(context: Context) {
    create_secret(&context).await;
    let jobs: Api<Job> = context.api();
    let probe: Job = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}],
        }}},
    }))
    .unwrap();
    jobs.create(&PostParams::default(), &probe).await.unwrap();
    let (no_new, no_release) = (
        Policy::create(&context, "CREATE").await,
        Policy::create(&context, "UPDATE").await,
    );
    let denied = |error: kube::Error| {
        let kube::Error::Api(status) = error else {
            return None;
        };
        status.message.contains("not now").then_some(())
    };
    eventually("policies in force", || async {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let mut other = probe.clone();
        other.metadata.name = Some("other".into());
        denied(jobs.create(&params, &other).await.err()?)?;
        let params = PatchParams::default().dry_run();
        let change = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
        denied(jobs.patch("probe", &params, &change).await.err()?)
    })
    .await;

    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let refused = once(&context, "fix", "no Job", shows("JobRefused")).await;
    assert!(
        said(&refused).contains("not now: CREATE"),
        "{}",
        said(&refused)
    );
    assert!(jobs.get_opt("fix").await.unwrap().is_none());
    no_new.delete().await;
    let held = |status: &TaskStatus| shows("JobRefused")(status) && status.attempts == Some(1);
    let refused = once(&context, "fix", "no release", held).await;
    assert!(
        said(&refused).contains("not now: UPDATE"),
        "{}",
        said(&refused)
    );
    no_release.delete().await;
    agent_ends(&context, "fix", 0, DONE).await;
    let done = ended(&context, "fix").await;
    assert!(shows("Succeeded")(&status_of(&done)), "{}", said(&done));
    controller.stop().await;
}

/// A policy that denies an operation on the Jobs of the test's namespace.
struct Policy {
    name: String,
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
}

impl Policy {
    async fn create(context: &Context, operation: &str) -> Self {
        let it = Self {
            name: format!("{}-{}", context.namespace, operation.to_lowercase()),
            policies: Api::all(context.client.clone()),
            bindings: Api::all(context.client.clone()),
        };
        let policy = json!({"metadata": {"name": it.name}, "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["batch"], "apiVersions": ["*"], "operations": [operation],
                "resources": ["jobs"],
            }]},
            "validations": [{"expression": "false", "message": format!("not now: {operation}")}],
        }});
        let binding = json!({"metadata": {"name": it.name}, "spec": {
            "policyName": it.name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {
                "kubernetes.io/metadata.name": context.namespace,
            }}},
        }});
        let params = PostParams::default();
        let policy = serde_json::from_value(policy).unwrap();
        it.policies.create(&params, &policy).await.unwrap();
        let binding = serde_json::from_value(binding).unwrap();
        it.bindings.create(&params, &binding).await.unwrap();
        it
    }

    async fn delete(self) {
        let params = DeleteParams::default();
        self.bindings.delete(&self.name, &params).await.unwrap();
        self.policies.delete(&self.name, &params).await.unwrap();
    }
}
