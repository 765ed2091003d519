//! What the tests of sync are written with.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use axon::cluster::Cluster;
use axon::cluster::Object;
use axon::model::Kind;
use axon::model::Namespace;
use axon::model::Plan;
use axon::model::RepoPath;
use axon::model::Revision;
use axon::model::Snapshot;
use axon::model::plan::Action;
use axon::model::plan::Applied;
use axon::model::plan::Blocked;
use axon::model::plan::FieldChange;
use axon::model::plan::Kept;
use axon::model::run::Outcome;
use axon::model::snapshot::InputFile;
use axon::model::snapshot::Source;
use axon::sync::Allow;
use axon::sync::Input;
use axon::sync::Options;
use axon::sync::Pipeline;
use axon::sync::View;
use axon::sync::guard;
use axon::sync::load::Loaded;
use axon::sync::load::load;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::api::ApiResource;
use kube::api::DeleteParams;
use kube::api::DynamicObject;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::core::GroupVersionKind;
use serde_json::Value;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use crate::server::Context;

pub(super) const CONFIG: &str = r#"
apiVersion: axon.io/v1alpha1
kind: Config
sync: app
defaults:
  type: claude-code
  credentials: {type: api-key, secretRef: {name: key}}
  workspace: app
workspaces:
  app: {repo: "https://example.com/acme/app.git", ref: main}
spawners:
  nightly:
    when: {cron: {schedule: "0 3 * * *"}}
    prompt: Look around.
tasks:
  port: {prompt: "Port it.\nAll of it."}
"#;
/// The part of it that declares a Task.
pub(super) const TASK: &str = "tasks:\n  port: {prompt: \"Port it.\\nAll of it.\"}\n";

/// One sync of the test's namespace.
pub(super) struct Sync {
    pub(super) pipeline: Pipeline,
    client: Client,
    namespace: Namespace,
    options: Options,
}

impl Sync {
    pub(super) fn new(context: &Context) -> Self {
        Self::of(context.client.clone(), context)
    }

    pub(super) fn of(client: Client, context: &Context) -> Self {
        let namespace = Namespace::parse(&context.namespace).unwrap();
        Self::assemble(client, namespace, Options::default())
    }

    pub(super) fn with(&self, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = self.options.clone();
        change(&mut options);
        Self::assemble(self.client.clone(), self.namespace.clone(), options)
    }

    pub(super) fn assemble(client: Client, namespace: Namespace, options: Options) -> Self {
        let cluster = Cluster::new(client.clone(), namespace.clone());
        Self {
            pipeline: Pipeline::new(cluster, options.clone()),
            client,
            namespace,
            options,
        }
    }

    pub(super) async fn plan(&self, config: &str) -> Plan {
        self.plan_of(&load_text(config)).await
    }

    pub(super) async fn plan_of(&self, loaded: &Loaded) -> Plan {
        self.pipeline.plan(input(loaded)).await.unwrap()
    }

    pub(super) async fn apply(&self, plan: &Plan) -> Applied {
        let allow = Allow {
            deletes: Some(plan.summary().delete),
            runs: Some(plan.summary().reruns),
        };
        let cleared = guard::clear(plan, allow).unwrap();
        self.pipeline
            .apply(cleared, &CancellationToken::new())
            .await
    }

    /// Plans and applies, and sees that nothing is left to do.
    pub(super) async fn converge(&self, config: &str) -> Plan {
        let plan = self.plan(config).await;
        let applied = self.apply(&plan).await;
        assert!(applied.is_complete(), "{applied:?}");
        let after = self.plan(config).await;
        assert!(!after.summary().has_changes(), "{:?}", lines(&after));
        plan
    }
}

pub(super) fn load_text(config: &str) -> Loaded {
    let root = RepoPath::parse("axon.yaml").unwrap();
    let snapshot = Snapshot {
        source: source(),
        revision: Revision::Commit("0".repeat(40)),
        root: root.clone(),
        files: vec![InputFile {
            path: root,
            bytes: config.into(),
        }],
        unmatched: Vec::new(),
    };
    load(&snapshot).unwrap_or_else(|problems| panic!("{problems:?}\n{config}"))
}

pub(super) fn loaded_with(config: &str, change: impl FnOnce(&mut Loaded)) -> Loaded {
    let mut loaded = load_text(config);
    change(&mut loaded);
    loaded
}

pub(super) fn source() -> Source {
    Source {
        canonical: "example.com/acme/app".into(),
        url: None,
    }
}

pub(super) fn input(loaded: &Loaded) -> Input<'_> {
    use std::sync::LazyLock;
    static SOURCE: LazyLock<Source> = LazyLock::new(source);
    static REVISION: LazyLock<Revision> = LazyLock::new(|| Revision::Commit("0".repeat(40)));
    static ROOT: LazyLock<RepoPath> = LazyLock::new(|| RepoPath::parse("axon.yaml").unwrap());
    Input {
        set: &loaded.set,
        source: &SOURCE,
        revision: &REVISION,
        root: &ROOT,
    }
}

pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let line = |action: &Action| match action {
        Action::Create { again: false, .. } => "create".to_owned(),
        Action::Create { again: true, .. } => "create again".to_owned(),
        Action::Update { .. } => "update".to_owned(),
        Action::Replace { .. } => "replace".to_owned(),
        Action::Delete { running, .. } => format!("delete {running}"),
        Action::Keep { why: Kept::Asked } => "keep".to_owned(),
        Action::Keep {
            why: Kept::Unproven,
        } => "unproven".to_owned(),
        Action::Unchanged => "unchanged".to_owned(),
        Action::AlreadyRan { outcome, finished } => {
            format!(
                "ran {} {}",
                outcome.as_str(),
                finished.as_deref().unwrap_or("-")
            )
        }
        Action::Blocked {
            reason: Blocked::Foreign,
        } => "Foreign".to_owned(),
        Action::Blocked { reason } => format!("{reason:?}"),
    };
    plan.steps
        .iter()
        .map(|step| format!("{} {}", step.key, line(&step.action)))
        .collect()
}

pub(super) fn changes(plan: &Plan, key: &str) -> Vec<String> {
    let step = plan.steps.iter().find(|step| step.key.to_string() == key);
    let changes: &[FieldChange] = match &step.unwrap().action {
        Action::Update { changes, .. } | Action::Replace { changes, .. } => changes,
        _ => &[],
    };
    changes
        .iter()
        .map(|it| {
            format!(
                "{}: {:?} -> {:?} by {:?}",
                it.path, it.before, it.after, it.changed_by
            )
        })
        .collect()
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The field managers of an object's main part, and how they write.
pub(super) fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let mut all: Vec<String> = entries
        .iter()
        .map(|it| {
            let word = |key: &str| it[key].as_str().unwrap().to_owned();
            format!("{} {}", word("manager"), word("operation"))
        })
        .collect();
    all.sort();
    all
}

pub(super) fn workspace(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "spec": spec,
    })
}

pub(super) fn workspace_task(name: &str, spawner: &str) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1",
        "kind": "Task",
        "metadata": {"name": name, "labels": {"axon.io/taskspawner": spawner}},
        "spec": {"type": "claude-code", "prompt": "x", "credentials": {"type": "none"}},
    })
}

/// Requests as they pass, methods and paths.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    pub(super) fn count(&self, inner: &Client) -> Client {
        let (inner, seen) = (inner.clone(), Arc::clone(&self.0));
        let service = service_fn(move |request: http::Request<kube::client::Body>| {
            let line = format!("{} {}", request.method(), request.uri().path());
            seen.lock().unwrap().push(line);
            let inner = inner.clone();
            async move { inner.send(request).await }
        });
        Client::new(service, "default")
    }

    /// What came since the last call.
    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A server that is gone from one writing request on, before or after that one was carried out.
#[derive(Clone)]
pub(super) struct Breaking {
    at: usize,
    relayed: bool,
    seen: Arc<AtomicUsize>,
}

impl Breaking {
    pub(super) fn at(at: usize, relayed: bool) -> Self {
        let seen = Arc::default();
        Self { at, relayed, seen }
    }

    pub(super) fn client(&self, inner: &Client) -> Client {
        let (inner, breaking) = (inner.clone(), self.clone());
        let service = service_fn(move |request: http::Request<kube::client::Body>| {
            let writes = request.method() != http::Method::GET;
            let turn = writes.then(|| breaking.seen.fetch_add(1, Ordering::SeqCst));
            let is_last = turn == Some(breaking.at);
            let is_gone = !is_last && breaking.has_broken();
            let (relayed, inner) = (breaking.relayed, inner.clone());
            async move {
                let gone = || tower::BoxError::from("connection reset");
                if is_gone || (is_last && !relayed) {
                    return Err(gone());
                }
                let answer = inner.send(request).await.map_err(tower::BoxError::from)?;
                if is_last {
                    return Err(gone());
                }
                Ok(answer)
            }
        });
        Client::new(service, "default")
    }

    pub(super) fn has_broken(&self) -> bool {
        self.seen.load(Ordering::SeqCst) > self.at
    }
}

/// A client whose server is gone after so many requests.
pub(super) fn cut_after(requests: usize, inner: &Client) -> Client {
    let left = Arc::new(Mutex::new(requests));
    let inner = inner.clone();
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let served = {
            let mut left = left.lock().unwrap();
            let served = *left > 0;
            *left = left.saturating_sub(1);
            served
        };
        let inner = inner.clone();
        async move {
            if served {
                inner.send(request).await.map_err(tower::BoxError::from)
            } else {
                Err("connection refused".into())
            }
        }
    });
    Client::new(service, "default")
}

pub(super) async fn edit_as(
    manager: &str,
    context: &Context,
    kind: &str,
    name: &str,
    patch: &Value,
) {
    let params = PatchParams {
        field_manager: Some(manager.into()),
        ..PatchParams::default()
    };
    context
        .objects(kind)
        .patch(name, &params, &Patch::Merge(patch))
        .await
        .unwrap();
}

impl Context {
    pub(super) fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("axon.io", "v1alpha1", kind);
        Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &ApiResource::from_gvk(&kind),
        )
    }

    pub(super) async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let object = self.objects(kind).get_opt(name).await.unwrap()?;
        Some(serde_json::to_value(object).unwrap())
    }

    pub(super) async fn create(&self, kind: &str, object: &Value) {
        let object = serde_json::from_value(object.clone()).unwrap();
        let params = PostParams::default();
        self.objects(kind).create(&params, &object).await.unwrap();
    }

    pub(super) async fn create_as(&self, manager: &str, kind: &str, object: &Value) {
        let object = serde_json::from_value(object.clone()).unwrap();
        let params = PostParams {
            field_manager: Some(manager.into()),
            ..PostParams::default()
        };
        self.objects(kind).create(&params, &object).await.unwrap();
    }

    pub(super) async fn delete(&self, kind: &str, name: &str) {
        let params = DeleteParams::background();
        self.objects(kind).delete(name, &params).await.unwrap();
        self.await_gone(kind, name).await;
    }

    pub(super) async fn await_gone(&self, kind: &str, name: &str) {
        crate::server::eventually("the object is gone", || async {
            self.get(kind, name).await.is_none().then_some(())
        })
        .await;
    }

    pub(super) async fn set_status(&self, kind: &str, name: &str, status: &Value) {
        let patch = json!({"status": status});
        self.objects(kind)
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// The record that the Task controller leaves.
    pub(super) async fn record(
        &self,
        sync: &str,
        name: &str,
        task: &Value,
        outcome: Option<Outcome>,
    ) {
        use axon::model::run::RunDigest;
        use axon::model::run::RunScope;
        use axon::model::run::record_name;
        let run = task["metadata"]["annotations"]["axon.io/run"]
            .as_str()
            .unwrap();
        let scope = RunScope::Sync {
            sync: sync.into(),
            task: name.into(),
        };
        let mut data = json!({"task": name, "taskUID": task["metadata"]["uid"], "run": run});
        if let Some(outcome) = outcome {
            data["outcome"] = outcome.as_str().into();
            data["finished"] = "2026-11-02T10:00:00Z".into();
        }
        let record: ConfigMap = serde_json::from_value(json!({
            "metadata": {
                "name": record_name(&scope, &RunDigest::from_annotation(run)),
                "labels": {"axon.io/record": "run", "axon.io/sync": sync},
            },
            "data": data,
        }))
        .unwrap();
        let api: Api<ConfigMap> = self.api();
        api.create(&PostParams::default(), &record).await.unwrap();
    }

    /// Runs and outcomes of the records of a sync.
    pub(super) async fn records(&self, sync: &str) -> Vec<(String, Option<String>)> {
        let records = self.labelled_records(sync).await;
        let mut all: Vec<_> = records
            .into_iter()
            .map(|record| {
                let mut data = record.data.unwrap();
                (data.remove("run").unwrap(), data.remove("outcome"))
            })
            .collect();
        all.sort();
        all
    }

    pub(super) async fn labelled_records(&self, sync: &str) -> Vec<ConfigMap> {
        let api: Api<ConfigMap> = self.api();
        let selector = ListParams::default().labels(&format!("axon.io/sync={sync}"));
        api.list(&selector).await.unwrap().items
    }

    /// All that the namespace holds, as a controller's caches would.
    pub(super) async fn view(&self) -> View {
        let mut view = View::default();
        for kind in Kind::ALL {
            let objects = self.objects(kind.as_str());
            for object in objects.list(&ListParams::default()).await.unwrap() {
                let value = serde_json::to_value(object).unwrap();
                view.objects.push((kind, Object::new(value)));
            }
        }
        let records: Api<ConfigMap> = self.api();
        let selector = ListParams::default().labels("axon.io/record=run");
        for record in records.list(&selector).await.unwrap() {
            let value = serde_json::to_value(record).unwrap();
            view.records.push(Object::new(value));
        }
        view
    }

    /// Whether the run of a Task is on record, under whatever id.
    pub(super) async fn record_of(&self, task: &str) -> bool {
        let api: Api<ConfigMap> = self.api();
        let selector = ListParams::default().labels("axon.io/record=run");
        let records = api.list(&selector).await.unwrap().items;
        records.iter().any(|it| {
            it.data
                .as_ref()
                .and_then(|it| it.get("task"))
                .map(String::as_str)
                == Some(task)
        })
    }
}
