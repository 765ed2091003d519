//! What random requests to both servers have brought to light: each difference, once it was mended. On both servers.

use http::Request;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;
use serde_json::json;

use crate::server::Context;

crate::on_both_servers!(
    more_follows_whether_or_not_it_matches,
    a_pod_is_marked_before_it_goes,
    whoever_takes_the_last_finalizer_sees_the_object_without_it,
    a_generated_name_is_forgotten_by_an_update_that_does_not_say_it,
    who_owns_what_is_forgotten_where_the_type_allows_it,
    unknown_fields_are_told_in_their_order,
    a_job_without_labels_has_those_of_its_pods,
    jobs_that_cannot_be_are_refused,
    the_pods_of_a_suspended_job_may_go_elsewhere,
    pods_change_in_few_fields,
    an_apply_is_brought_into_its_form_before_its_name_is_looked_at,
);

struct Answer {
    code: u16,
    warnings: Vec<String>,
    body: Value,
}

impl Answer {
    fn meta(&self, field: &str) -> &Value {
        &self.body["metadata"][field]
    }

    /// `field: message` of each cause.
    fn causes(&self) -> Vec<String> {
        let causes = self.body["details"]["causes"].as_array();
        let text = |it: &Value| {
            let [field, message] = ["field", "message"].map(|key| it[key].as_str().unwrap());
            format!("{field}: {message}")
        };
        let mut causes: Vec<_> = causes.into_iter().flatten().map(text).collect();
        causes.sort();
        causes
    }
}

/// Sends a request; `path` begins below the namespace, or at the root of a group with `GROUP|`.
async fn ask(it: &Context, method: &str, path: &str, media: &str, body: Value) -> Answer {
    let (group, path) = path.split_once('|').unwrap_or(("/api/v1", path));
    let request = Request::builder()
        .method(method)
        .uri(format!("{group}/namespaces/{}/{path}", it.namespace))
        .header("content-type", media)
        .body(Body::from(body.to_string().into_bytes()))
        .unwrap();
    let response = it.client.send(request).await.unwrap();
    let code = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings.map(|it| it.to_str().unwrap().to_owned()).collect();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer {
        code,
        warnings,
        body: serde_json::from_slice(&bytes).unwrap(),
    }
}

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const JOBS: &str = "/apis/batch/v1|jobs";

async fn make(it: &Context, path: &str, object: Value) -> Answer {
    let made = ask(it, "POST", path, JSON, object).await;
    assert_eq!(made.code, 201, "{}", made.body);
    made
}

fn map(name: &str, metadata: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    object["metadata"]["name"] = name.into();
    object
}

fn pod(spec: Value) -> Value {
    let mut object =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec});
    object["spec"]["automountServiceAccountToken"] = false.into();
    object
}

fn job(spec: Value) -> Value {
    let mut object = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "labels": {"of": "job"}}, "spec": spec});
    let containers = json!([{"name": "c", "image": "i:1"}]);
    object["spec"]["managedBy"] = "test.io/nobody".into();
    object["spec"]["template"]["spec"] =
        json!({"restartPolicy": "Never", "containers": containers});
    object
}

async fn more_follows_whether_or_not_it_matches(it: Context) {
    for name in ["a", "b"] {
        make(
            &it,
            "configmaps",
            map(name, json!({"labels": {"app": name}})),
        )
        .await;
    }
    let goes_on = async |query: &str| {
        let list = ask(
            &it,
            "GET",
            &format!("configmaps?{query}"),
            JSON,
            Value::Null,
        )
        .await;
        list.meta("continue")
            .as_str()
            .is_some_and(|it| !it.is_empty())
    };
    assert!(goes_on("labelSelector=app%3Da&limit=1").await);
    assert!(!goes_on("fieldSelector=metadata.name%3Da&limit=1").await);
    assert!(!goes_on("resourceVersion=0&limit=1").await, "all at once");
}

async fn a_pod_is_marked_before_it_goes(it: Context) {
    let made = make(
        &it,
        "pods",
        pod(json!({"containers": [{"name": "c", "image": "i"}]})),
    )
    .await;
    let gone = ask(&it, "DELETE", "pods/a", JSON, json!({})).await;
    assert_eq!(gone.meta("deletionGracePeriodSeconds"), 0);
    assert_eq!(gone.meta("generation"), 2);
    let from = made.meta("resourceVersion").as_str().unwrap();
    let path = format!(
        "/api/v1/namespaces/{}/pods?watch=1&timeoutSeconds=1&resourceVersion={from}",
        it.namespace
    );
    let request = Request::get(path).body(Vec::new()).unwrap();
    let seen = it.client.request_text(request).await.unwrap();
    let seen: Vec<Value> = seen
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let kinds: Vec<_> = seen.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["MODIFIED", "DELETED"]);
    assert_eq!(
        seen[1]["object"]["metadata"]["resourceVersion"],
        *gone.meta("resourceVersion")
    );
}

async fn whoever_takes_the_last_finalizer_sees_the_object_without_it(it: Context) {
    make(
        &it,
        "configmaps",
        map("a", json!({"finalizers": ["test.io/hold"]})),
    )
    .await;
    ask(&it, "DELETE", "configmaps/a", JSON, json!({})).await;
    let again = ask(&it, "POST", "configmaps", JSON, map("a", json!({}))).await;
    assert_eq!(
        again.body["message"],
        "object is being deleted: configmaps \"a\" already exists"
    );
    let freed = json!({"metadata": {"finalizers": []}});
    let freed = ask(&it, "PATCH", "configmaps/a", MERGE, freed).await;
    assert_eq!((freed.code, freed.meta("finalizers")), (200, &Value::Null));
    let gone = ask(&it, "GET", "configmaps/a", JSON, Value::Null).await;
    assert_eq!(gone.code, 404);
}

async fn a_generated_name_is_forgotten_by_an_update_that_does_not_say_it(it: Context) {
    make(
        &it,
        "configmaps",
        map("a", json!({"generateName": "other-"})),
    )
    .await;
    let updated = ask(&it, "PUT", "configmaps/a", JSON, map("a", json!({}))).await;
    assert_eq!(
        (updated.code, updated.meta("generateName")),
        (200, &Value::Null)
    );
}

async fn who_owns_what_is_forgotten_where_the_type_allows_it(it: Context) {
    let labels = json!({"labels": {"app": "a"}});
    make(&it, "configmaps", map("a", labels.clone())).await;
    let task = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "a", "labels": {"app": "a"}},
        "spec": {"type": "codex", "prompt": "p", "credentials": {"type": "none"}},
    });
    make(&it, "/apis/axon.io/v1alpha1|tasks", task).await;
    let nobody = json!({"metadata": {"managedFields": []}});
    let map = ask(&it, "PATCH", "configmaps/a", MERGE, nobody.clone()).await;
    assert_eq!(map.meta("managedFields"), &Value::Null);
    let task = ask(
        &it,
        "PATCH",
        "/apis/axon.io/v1alpha1|tasks/a",
        MERGE,
        nobody,
    )
    .await;
    assert!(task.meta("managedFields").is_array(), "{}", task.body);
}

async fn unknown_fields_are_told_in_their_order(it: Context) {
    let mut object = map("a", json!({"nope": 1}));
    object["nope"] = 1.into();
    let made = make(&it, "configmaps", object).await;
    let unknown = |field: &str| format!("299 - \"unknown field \\\"{field}\\\"\"");
    assert_eq!(made.warnings, [unknown("metadata.nope"), unknown("nope")]);
}

async fn a_job_without_labels_has_those_of_its_pods(it: Context) {
    let mut bare = job(json!({}));
    bare["metadata"]["labels"] = Value::Null;
    let made = make(&it, JOBS, bare).await;
    let labels = &made.body["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["job-name"], "a");
    assert_eq!(made.meta("labels"), labels);
    let deleted = ask(&it, "DELETE", &format!("{JOBS}/a"), JSON, json!({})).await;
    let warning = deleted.warnings.concat();
    assert!(
        warning.contains("child pods are preserved by default"),
        "{warning}"
    );
}

async fn jobs_that_cannot_be_are_refused(it: Context) {
    let check = async |spec: Value, causes: &[&str]| {
        let refused = ask(&it, "POST", JOBS, JSON, job(spec)).await;
        assert_eq!(
            (refused.code, refused.causes()),
            (422, causes.iter().map(ToString::to_string).collect())
        );
    };
    let policy = |rule: Value| json!({"podFailurePolicy": {"rules": [rule]}});
    check(
        json!({"podReplacementPolicy": "Odd"}),
        &["spec.podReplacementPolicy: Unsupported value: \"Odd\": supported values: \"Failed\", \"TerminatingOrFailed\""],
    )
    .await;
    check(
        json!({"template": {"metadata": {"labels": {"a": "not good"}}}}),
        &["spec.template.labels: Invalid value: \"not good\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"],
    )
    .await;
    check(
        policy(json!({"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3, 0, 3]}})),
        &[
            "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set",
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,0,3]: must be ordered",
            "spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
            "spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 3",
        ],
    )
    .await;
    check(
        policy(json!({"action": "Ignore", "onPodConditions": [{"type": "not good", "status": "Odd"}]})),
        &[
            "spec.podFailurePolicy.rules[0].onPodConditions[0].status: Unsupported value: \"Odd\": supported values: \"False\", \"True\", \"Unknown\"",
            "spec.podFailurePolicy.rules[0].onPodConditions[0].type: Invalid value: \"not good\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    )
    .await;
    check(
        policy(json!({"action": "Ignore"})),
        &["spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"],
    )
    .await;
    let foreign = ask(
        &it,
        "POST",
        JOBS,
        JSON,
        job(json!({"selector": {"matchLabels": {"a": "b"}}})),
    )
    .await;
    let causes = foreign.causes().join("\n");
    assert!(causes.contains("`selector` not auto-generated"), "{causes}");
    assert!(
        causes.contains("`selector` does not match template `labels`"),
        "{causes}"
    );
}

async fn the_pods_of_a_suspended_job_may_go_elsewhere(it: Context) {
    make(&it, JOBS, job(json!({"suspend": true}))).await;
    let path = format!("{JOBS}/a?dryRun=All");
    let check = async |spec: Value, cause: &str| {
        let changed = json!({"spec": {"template": {"spec": spec}}});
        let patched = ask(&it, "PATCH", &path, MERGE, changed).await;
        let causes = patched.causes().concat();
        assert!(
            causes.starts_with(cause) && causes.is_empty() == cause.is_empty(),
            "{causes}"
        );
    };
    check(json!({"nodeSelector": {"a": "b"}}), "").await;
    let image = json!({"containers": [{"name": "c", "image": "i:2"}]});
    check(image, "spec.template.spec: Invalid value").await;
}

async fn pods_change_in_few_fields(it: Context) {
    let spec = json!({
        "containers": [{"name": "c", "image": "i:1"}],
        "activeDeadlineSeconds": 10,
        "tolerations": [{"key": "a", "operator": "Exists"}],
    });
    let made = make(&it, "pods", pod(spec)).await;
    let check = async |spec: Value, cause: &str| {
        let patched = ask(
            &it,
            "PATCH",
            "pods/a?dryRun=All",
            MERGE,
            json!({"spec": spec}),
        )
        .await;
        let causes = patched.causes();
        let first = causes
            .first()
            .map_or("", |it| it.split('\n').next().unwrap());
        assert!(
            first.starts_with(cause) && first.is_empty() == cause.is_empty(),
            "{causes:?}"
        );
    };
    check(json!({"activeDeadlineSeconds": 5}), "").await;
    check(
        json!({"activeDeadlineSeconds": 20}),
        "spec.activeDeadlineSeconds: Invalid value: 20: must be less than or equal to previous value",
    )
    .await;
    check(
        json!({"terminationGracePeriodSeconds": 1}),
        "spec: Forbidden: pod updates",
    )
    .await;
    check(
        json!({"tolerations": []}),
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
    )
    .await;
    let mut more = made.body["spec"]["tolerations"].as_array().unwrap().clone();
    more.push(json!({"key": "b", "operator": "Exists"}));
    check(json!({"tolerations": more}), "").await;
    check(
        json!({"hostname": "Not Good"}),
        "spec.hostname: Invalid value",
    )
    .await;
    let twice = json!({"initContainers": [{"name": "c", "image": "i"}], "containers": [{"name": "c", "image": "i"}]});
    let refused = ask(&it, "POST", "pods", JSON, pod(twice)).await;
    assert_eq!(
        refused.causes(),
        ["spec.initContainers[0].name: Duplicate value: \"c\""]
    );
}

async fn an_apply_is_brought_into_its_form_before_its_name_is_looked_at(it: Context) {
    let apply = async |data: &str| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "data": {"k": data},
            "metadata": {"name": "other", "namespace": it.namespace},
        });
        ask(&it, "PATCH", "secrets/a?fieldManager=one", APPLY, secret).await
    };
    let unread = apply("!").await;
    let message = unread.body["message"].as_str().unwrap();
    assert_eq!(unread.code, 500, "{message}");
    assert!(
        message.starts_with("failed to convert new object ("),
        "{message}"
    );
    assert!(
        message.ends_with("illegal base64 data at input byte 0"),
        "{message}"
    );
    assert_eq!(apply("dg==").await.code, 400, "another name");
}
