//! Laws of the pipeline, for configurations that follow one another at random.

use std::fmt::Write as _;

use axon::cluster::Cluster;
use axon::model::Namespace;
use axon::model::Plan;
use axon::sync::Options;
use axon::sync::Pipeline;
use axon::sync::Probe;
use axon::sync::View;
use kube::Client;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::Config;
use proptest::test_runner::TestRng;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tower::service_fn;

use super::fixture::Sync;
use super::fixture::input;
use super::fixture::lines;
use super::fixture::load_text;
use super::fixture::workspace;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(planning_after_applying_is_empty);

/// Histories that are tried; each is a few dozen requests.
const HISTORIES: usize = 8;

/// Whatever follows whatever: applying makes the cluster what is declared, touches nothing else, and
/// leaves nothing to do.
async fn planning_after_applying_is_empty(context: Context) {
    let foreign = workspace("foreign", &json!({"repo": "https://example.com/foreign"}));
    context.create("Workspace", &foreign).await;
    let foreign = context.get("Workspace", "foreign").await;
    let rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let sync = Sync::new(&context);
    for _ in 0..HISTORIES {
        let history = prop::collection::vec(config(), 3)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        for config in history {
            let plan = sync.plan(&config).await;
            let unasked = sync.with(|options| options.probe = Probe::Nothing);
            // What is seen makes the same plan as what is asked for, in whatever order it is seen.
            let mut view = context.view().await;
            let asked = unasked.plan(&config).await.digest();
            assert_eq!(
                unseen(&context).plan(&config, &view).digest(),
                asked,
                "{config}"
            );
            view.objects.reverse();
            view.records.reverse();
            assert_eq!(
                unseen(&context).plan(&config, &view).digest(),
                asked,
                "{config}"
            );
            let applied = sync.apply(&plan).await;
            assert!(applied.is_complete(), "{applied:?}\n{config}");
            for (key, _) in &applied.done {
                let declared = load_text(&config);
                if !declared.set.objects.iter().any(|it| it.key == *key) {
                    context
                        .await_gone(key.kind.as_str(), key.name.as_str())
                        .await;
                }
            }
            let after = sync.plan(&config).await;
            assert!(
                !after.summary().has_changes(),
                "{:?}\n{config}",
                lines(&after)
            );
            assert_eq!(after.members, after.declared, "{config}");
            // To apply twice is to apply once.
            let before = context.view().await.objects;
            assert!(sync.apply(&after).await.done.is_empty(), "{config}");
            assert_eq!(context.view().await.objects, before, "{config}");
        }
    }
    assert_eq!(context.get("Workspace", "foreign").await, foreign);
}

/// A pipeline that cannot ask anybody.
struct Unseen(Pipeline);

fn unseen(context: &Context) -> Unseen {
    let nobody = service_fn(async |_: http::Request<kube::client::Body>| {
        Err::<http::Response<kube::client::Body>, _>(tower::BoxError::from(
            "a plan of what is seen asks",
        ))
    });
    let namespace = Namespace::parse(&context.namespace).unwrap();
    let cluster = Cluster::new(Client::new(nobody, "default"), namespace);
    Unseen(Pipeline::new(cluster, Options::default()))
}

impl Unseen {
    fn plan(&self, config: &str, view: &View) -> Plan {
        self.0.plan_seen(input(&load_text(config)), view).unwrap()
    }
}

/// A configuration of a few objects, all of whose fields come and go.
fn config() -> impl Strategy<Value = String> {
    let reference = prop::option::of("[xyz]");
    let workspaces = prop::collection::btree_map("w[0-2]", reference, 0..3);
    let spawner = (
        prop::option::of(1..3u8),
        prop::collection::vec("[ab]", 0..3),
        any::<bool>(),
        // Of the fields that have a default, that value and another.
        prop::option::of("[57]m"),
        prop::option::of(prop_oneof!["open", "all"]),
    );
    let spawners = prop::collection::btree_map("s[0-1]", spawner, 0..2);
    let task = (
        "[pq]",
        prop::option::of(0..2u8),
        prop::collection::vec("[ab]", 0..3),
    );
    let tasks = prop::collection::btree_map("t[0-2]", task, 0..3);
    (workspaces, spawners, tasks).prop_map(|(workspaces, spawners, tasks)| {
        let mut text = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: law\n\
            defaults: {type: claude-code, credentials: {type: none}}\n\
            workspaces:\n  always: {repo: \"https://example.com/always\"}\n"
            .to_owned();
        for (name, reference) in workspaces {
            let reference = reference.map(|it| format!(", ref: {it}")).unwrap_or_default();
            writeln!(text, "  {name}: {{repo: \"https://example.com/{name}\"{reference}}}").unwrap();
        }
        text.push_str("spawners:\n");
        for (name, (limit, labels, metadata, interval, state)) in spawners {
            let limit = limit.map(|it| format!(", maxConcurrency: {it}")).unwrap_or_default();
            let metadata = if metadata { ", metadata: {labels: {team: a}}" } else { "" };
            let interval = interval.map(|it| format!(", pollInterval: {it}")).unwrap_or_default();
            let state = state.map(|it| format!(", state: {it}")).unwrap_or_default();
            writeln!(
                text,
                "  {name}: {{when: {{githubIssues: {{labels: {labels:?}{state}}}}}, workspace: always{limit}{interval}{metadata}}}"
            )
            .unwrap();
        }
        text.push_str("tasks:\n");
        for (name, (prompt, ttl, env)) in tasks {
            let ttl = ttl.map(|it| format!(", ttlSecondsAfterFinished: {it}")).unwrap_or_default();
            let env: Vec<String> = env
                .iter()
                .enumerate()
                .map(|(at, value)| format!("{{name: E{at}, value: {value}}}"))
                .collect();
            let env = env.join(", ");
            writeln!(text, "  {name}: {{prompt: {prompt}, podOverrides: {{env: [{env}]}}{ttl}}}").unwrap();
        }
        text.replace("spawners:\ntasks:", "tasks:")
            .trim_end_matches("tasks:\n")
            .to_owned()
    })
}
