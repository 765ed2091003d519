//! `axon apply`, killed.

use std::fs;

use axon::api::Task;
use axon::api::Workspace;
use axon::model::run::RunDigest;
use axon::model::run::RunScope;
use axon::model::run::record_name;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::ResourceExt;
use kube::api::PostParams;
use serde_json::json;

use super::Fault;
use super::Place;
use super::everywhere;
use super::note;
use super::snapshot;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(an_apply_may_be_killed_anywhere);

const BEFORE: &str = r#"
apiVersion: axon.io/v1alpha1
kind: Config
sync: app
defaults: {type: claude-code, credentials: {type: none}}
workspaces:
  changed: {repo: "https://example.com/a", ref: main}
  shorter: {repo: "https://example.com/b", ref: main}
  dropped: {repo: "https://example.com/c"}
spawners:
  nightly: {when: {cron: {schedule: "0 3 1 1 *"}}, prompt: Look around.}
tasks:
  kept: {prompt: a}
  edited: {prompt: b}
  left: {prompt: c}
"#;
const AFTER: &str = r#"
apiVersion: axon.io/v1alpha1
kind: Config
sync: app
defaults: {type: claude-code, credentials: {type: none}}
workspaces:
  changed: {repo: "https://example.com/a", ref: other}
  shorter: {repo: "https://example.com/b"}
  foreign: {repo: "https://example.com/d"}
  new: {repo: "https://example.com/e"}
spawners:
  nightly: {when: {cron: {schedule: "0 4 1 1 *"}}, prompt: Look around.}
tasks:
  kept: {prompt: a}
  edited: {prompt: other}
  new: {prompt: d}
"#;

/// What is applied, over what.
#[derive(Clone, Copy, Debug)]
enum Case {
    /// Into an empty namespace.
    Create,
    /// Over what another revision declared: updates, a replacement, deletions, an adoption.
    Change,
    /// The sync gets another id.
    Rename,
}

impl Case {
    const ALL: [Self; 3] = [Self::Create, Self::Change, Self::Rename];

    fn config(self) -> String {
        match self {
            Self::Create => BEFORE.to_owned(),
            Self::Change => AFTER.to_owned(),
            Self::Rename => BEFORE.replace("sync: app", "sync: new"),
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Create => &["apply", "--yes"],
            Self::Change => &["apply", "--yes", "--adopt", "--take-ownership"],
            Self::Rename => &["apply", "--yes", "--take-over-sync", "app"],
        }
    }

    async fn prepare(self, context: &Context) {
        match self {
            Self::Create => {}
            Self::Change => {
                applied(context, None, BEFORE, &["apply", "--yes"]).await;
                claim(context).await;
                let foreign: Workspace = serde_json::from_value(json!({
                    "apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
                    "metadata": {"name": "foreign"},
                    "spec": {"repo": "https://example.com/d", "ref": "x"},
                }))
                .unwrap();
                let by_kubectl = PostParams {
                    field_manager: Some("kubectl-create".into()),
                    ..PostParams::default()
                };
                let workspaces: Api<Workspace> = context.api();
                workspaces.create(&by_kubectl, &foreign).await.unwrap();
            }
            Self::Rename => {
                applied(context, None, BEFORE, &["apply", "--yes"]).await;
                claim(context).await;
                let tasks: Api<Task> = context.api();
                tasks
                    .delete("left", &kube::api::DeleteParams::default())
                    .await
                    .unwrap();
            }
        }
    }
}

/// Claims the runs of all Tasks, as the Task controller does.
async fn claim(context: &Context) {
    let tasks: Api<Task> = context.api();
    let records: Api<ConfigMap> = context.api();
    for task in tasks.list(&kube::api::ListParams::default()).await.unwrap() {
        let run = RunDigest::from_annotation(&task.annotations()["axon.io/run"]);
        let scope = RunScope::Sync {
            sync: "app".into(),
            task: task.name_any(),
        };
        let record: ConfigMap = serde_json::from_value(json!({
            "metadata": {
                "name": record_name(&scope, &run),
                "labels": {"axon.io/record": "run", "axon.io/sync": "app"},
            },
            "data": {"task": task.name_any(), "taskUID": task.uid(), "run": run.as_str()},
        }))
        .unwrap();
        let by_controller = PostParams {
            field_manager: Some("axon-controller".into()),
            ..PostParams::default()
        };
        records.create(&by_controller, &record).await.unwrap();
    }
}

/// Applies `config`. Gives the writes, and whether the line was cut.
async fn applied(
    context: &Context,
    fault: Option<Fault>,
    config: &str,
    arguments: &[&str],
) -> (usize, bool) {
    let place = Place::new(context, fault).await;
    let dir = place.dir.path().join("repository");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("axon.yaml"), config).unwrap();
    let cut = place.run(&[arguments, &["repository"]].concat()).await;
    (place.proxy.writes(), cut)
}

async fn an_apply_may_be_killed_anywhere(context: Context) {
    let mut points = 0;
    for case in Case::ALL {
        let undisturbed = context.sibling().await;
        case.prepare(&undisturbed).await;
        let (writes, _) = applied(&undisturbed, None, &case.config(), case.arguments()).await;
        assert!(writes > 5, "{case:?}: {writes}");
        let expected = snapshot::of(&undisturbed).await;
        points += everywhere(&context, writes, |context, fault| {
            let expected = &expected;
            async move {
                case.prepare(&context).await;
                let (_, cut) =
                    applied(&context, Some(fault), &case.config(), case.arguments()).await;
                applied(&context, None, &case.config(), case.arguments()).await;
                let found = snapshot::of(&context).await;
                assert_eq!(&found, expected, "{case:?} {fault:?}");
                cut
            }
        })
        .await;
    }
    note("axon apply", &context, points, 35);
}
