//! What an agent is given, and what it is not; and that what it is given shows up nowhere.

use serde_json::Value;
use serde_json::json;

use crate::audit;
use crate::node;
use crate::node::eventually;

const CANARY: &str = "canary-9a41-of-the-agent";
const TOKEN: &str = "canary-77b0-of-the-workspace";
const FILE: &str = "canary-c3d2-of-a-mounted-file";

/// The agent shows its secrets wherever it can.
const LEAKY: &str = r#"
echo "key $AXON_API_KEY token $GITHUB_TOKEN"
echo "err $AXON_API_KEY" >&2
printf %s "${AXON_API_KEY%-agent}"; sleep 0.2; echo "-agent"
echo ---AXON_OUTPUTS_START---; echo "leak: $AXON_API_KEY"; echo ---AXON_OUTPUTS_END---
echo "leak: $GITHUB_TOKEN" >>"$AXON_RESULTS_FILE"
[ ! -e /var/run/secrets/kubernetes.io ] && echo "token: none" >>"$AXON_RESULTS_FILE"
cat /workspace/home/.npmrc
echo "user: $(id -u) $(id -g)" >>"$AXON_RESULTS_FILE"
"#;

/// Asks the API server for Secrets, by the only means of this image that speaks TLS.
const ASKS: &str = r#"
url="https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$AXON_NAMESPACE/secrets"
answer=$(GIT_SSL_NO_VERIFY=1 GIT_TERMINAL_PROMPT=0 git ls-remote "$url" 2>&1) && answer="let in: $answer"
echo "answer: $answer" >>"$AXON_RESULTS_FILE"
"#;

#[test]
fn an_agent_is_nobody_to_the_api_server() {
    node::run(|place| {
        place.create(&json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "asks"},
            "spec": {
                "type": "custom", "image": "localhost/agent:1", "prompt": ASKS,
                "credentials": {"type": "none"},
            },
        }));
        let task = place.succeeded("asks");
        let answer = task["status"]["results"]["answer"].as_str().unwrap();
        assert!(answer.starts_with("fatal: "), "{answer}");
        assert!(answer.contains("403") || answer.contains("401"), "{answer}");
        // What the API server saw of it.
        let asked = eventually("the request in the audit log", || {
            let mut all = audit::requests(place.node);
            all.retain(|it| {
                let of = &it["objectRef"];
                of["resource"] == "secrets"
                    && of["namespace"] == place.namespace.as_str()
                    && it["userAgent"]
                        .as_str()
                        .is_some_and(|it| it.starts_with("git/"))
            });
            (!all.is_empty()).then_some(all)
        });
        for it in asked {
            assert_eq!(it["user"]["username"], "system:anonymous", "{it:#}");
            assert_eq!(it["responseStatus"]["code"], 403, "{it:#}");
        }
    });
}

#[test]
fn a_secret_shows_up_nowhere_and_no_right_is_given() {
    node::run(|place| {
        let namespace = place.namespace.as_str();
        let level = "pod-security.kubernetes.io/enforce=restricted";
        place
            .node
            .kubectl(&["label", "namespace", namespace, level]);
        let (repo, url) = place.repo("app.git");
        repo.commit(&[("README.md", "hello\n")]);
        for (name, key, value) in [
            ("agent-key", "AXON_API_KEY", CANARY),
            ("git-token", "GITHUB_TOKEN", TOKEN),
            ("npm", ".npmrc", FILE),
        ] {
            let literal = format!("--from-literal={key}={value}");
            place.kubectl(&["create", "secret", "generic", name, &literal]);
        }
        place.create(&json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "app"},
            "spec": {"repo": url, "ref": "main"},
        }));
        place.create(&leaky());
        let task = place.succeeded("leaky");
        let results = &task["status"]["results"];
        assert_eq!(results["token"], "none", "{results:#}");
        assert_eq!(results["user"], "61100 61100", "{results:#}");
        let logs = place.kubectl(&["logs", "-l", "axon.io/task=leaky", "--all-containers"]);
        assert!(logs.contains("key *** token ***"), "{logs}");
        let objects = place.kubectl(&["get", "tasks,workspaces,jobs,pods,events", "-o", "yaml"]);
        let controllers = place.node.told_by_controllers();
        for (place, text) in [
            ("log", logs),
            ("object", objects),
            ("controller's answer or log", controllers),
        ] {
            for canary in [CANARY, TOKEN, FILE] {
                assert!(!text.contains(canary), "{canary} in a {place}:\n{text}");
            }
        }
        // What a Pod without a token may do is nothing.
        let user = format!("--as=system:serviceaccount:{namespace}:default");
        let may = ["auth", "can-i", "get", "secrets", "-n", namespace, &user];
        // kubectl's exit code says no, too.
        assert!(place.node.try_kubectl(&may, "").is_err());
    });
}

fn leaky() -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "leaky"},
        "spec": {
            "type": "custom", "image": "localhost/agent:1", "prompt": LEAKY,
            "credentials": {"type": "api-key", "secretRef": {"name": "agent-key"}},
            "workspaceRef": {"name": "app"},
            "podOverrides": {
                "env": [{"name": "GITHUB_TOKEN", "valueFrom":
                    {"secretKeyRef": {"name": "git-token", "key": "GITHUB_TOKEN"}}}],
                "volumes": [{"name": "npm", "secret": {"secretName": "npm"}}],
                "volumeMounts": [{"name": "npm", "mountPath": "/workspace/home/.npmrc",
                    "subPath": ".npmrc"}],
            },
        },
    })
}
