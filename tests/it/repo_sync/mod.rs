//! RepoSync: a commit comes into force, or it is said why not; on both servers.

mod broken_off;
mod commit_status;
mod credentials;
mod guards;
mod moved;
mod rights;
mod rivals;
mod secrets;
mod stage;
mod told;

use axon::api::RepoSync;
use axon::api::Workspace;
use axon::api::repo_sync::ObjectCounts;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::api::PostParams;
use serde_json::json;

use crate::server::Context;
use crate::server::eventually;
use stage::Requests;
use stage::Running;
use stage::Stage;
use stage::config;
use stage::message;
use stage::ready;
use stage::stuck_after;

crate::on_both_servers!(
    a_commit_comes_into_force_and_the_next_one_too,
    a_bad_file_changes_nothing_until_it_is_mended,
    a_forced_push_is_followed,
    a_branch_that_goes_takes_nothing_with_it,
    what_others_change_is_taken_back,
    drift_is_left_alone_where_that_is_asked_for,
    nothing_happens_while_it_is_suspended,
    what_cannot_be_used_is_said,
    a_secret_that_is_put_right_is_enough,
    a_sync_with_nothing_to_do_asks_for_nothing,
    an_apply_lists_its_own_once,
    many_calls_are_one_look,
    several_syncs_of_one_repository_ask_once,
    a_crash_in_the_middle_is_taken_up_again,
    the_next_leader_goes_on,
    objects_stay_or_go_with_their_sync,
    what_left_stays_without_prune,
);

async fn a_commit_comes_into_force_and_the_next_one_too(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main"), ("b", "main")]);
    let controller = Running::start(&context);
    let created = stage.create("app", json!({})).await;
    // A new object does not look as if it had been looked at.
    assert_eq!(created.status.unwrap().observed_generation, -1);
    let status = stage.applied("app", &first).await;
    stage.holds(&[("a", "main"), ("b", "main")]).await;
    assert_eq!(status.observed_generation, 1);
    assert_eq!(status.sync.as_deref(), Some("app"));
    assert_eq!(message(&status), format!("applied revision {first}"));
    assert_eq!(status.conditions.len(), 1);
    assert_eq!(status.objects.unwrap().created, 2);

    let second = stage.commit(&[("a", "next"), ("b", "main"), ("c", "main")]);
    stage.call("app").await;
    let status = stage.applied("app", &second).await;
    stage
        .holds(&[("a", "next"), ("b", "main"), ("c", "main")])
        .await;
    let counts = ObjectCounts {
        created: 1,
        updated: 1,
        deleted: 0,
        unchanged: 1,
    };
    assert_eq!(status.objects, Some(counts));
    let history: Vec<&str> = status
        .history
        .iter()
        .map(|it| it.revision.as_str())
        .collect();
    assert_eq!(history, [second.as_str(), first.as_str()]);

    // Back to the first commit by another: what is not in it goes.
    stage.repo.git(&["revert", "--no-edit", "HEAD"]);
    let third = stage.repo.git(&["rev-parse", "HEAD"]);
    stage.call("app").await;
    stage.applied("app", &third).await;
    stage.holds(&[("a", "main"), ("b", "main")]).await;

    // A commit that changes none of the files moves the revision and nothing else.
    let before = stage.status("app").await;
    let fourth = stage.repo.commit(&[("README.md", "x")]);
    stage.call("app").await;
    let after = stage.applied("app", &fourth).await;
    assert_eq!(after.last_attempted_revision, Some(fourth));
    assert_eq!(
        (after.history, after.objects),
        (before.history, before.objects)
    );
    let events = stage.events("app").await;
    assert_eq!(
        events.iter().filter(|it| *it == "Synced").count(),
        3,
        "{events:?}"
    );
    controller.stop().await;
}

async fn a_bad_file_changes_nothing_until_it_is_mended(context: Context) {
    let stage = Stage::new(&context);
    let good = stage.commit(&[("a", "main")]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.applied("app", &good).await;
    let bad = config(&[("a", "next")]).replace("workspaces:", "workspces:");
    let bad = stage.repo.commit(&[("axon.yaml", &bad)]);
    stage.call("app").await;
    let status = stage.reason("app", "InvalidConfig").await;
    let told = message(&status);
    assert!(told.contains("axon.yaml:4:1: "), "{told}");
    assert_eq!(status.conditions[1].type_, "Stalled");
    assert_eq!(status.last_attempted_revision, Some(bad));
    assert_eq!(status.last_applied_revision, Some(good));
    stage.holds(&[("a", "main")]).await;
    let mended = stage.commit(&[("a", "next")]);
    stage.call("app").await;
    stage.applied("app", &mended).await;
    stage.holds(&[("a", "next")]).await;
    // A file that is not there is no other thing.
    stage.repo.git(&["rm", "--quiet", "axon.yaml"]);
    stage.repo.commit(&[]);
    stage.call("app").await;
    let status = stage.reason("app", "PathNotFound").await;
    assert!(
        message(&status).contains("axon.yaml"),
        "{}",
        message(&status)
    );
    stage.holds(&[("a", "next")]).await;
    controller.stop().await;
}

async fn a_forced_push_is_followed(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "one")]);
    let second = stage.commit(&[("a", "two")]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.applied("app", &second).await;
    stage.repo.git(&["reset", "--hard", "--quiet", &first]);
    let other = stage.commit(&[("a", "three")]);
    stage.call("app").await;
    stage.applied("app", &other).await;
    stage.holds(&[("a", "three")]).await;
    controller.stop().await;
}

async fn a_branch_that_goes_takes_nothing_with_it(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "one")]);
    stage.repo.git(&["branch", "release"]);
    let controller = Running::start(&context);
    stage.create("app", json!({"ref": "release"})).await;
    stage.applied("app", &first).await;
    stage.repo.git(&["branch", "-D", "release"]);
    let status = stage.call("app").await;
    assert_eq!(ready(&status).unwrap().reason, "FetchFailed");
    assert!(message(&status).contains("release"), "{}", message(&status));
    assert_eq!(status.last_applied_revision, Some(first.clone()));
    assert_eq!(status.conditions[1].type_, "Reconciling");
    stage.holds(&[("a", "one")]).await;
    stage.repo.git(&["branch", "release"]);
    // Nobody calls: what fails in passing is tried again soon.
    let status = stage.applied("app", &first).await;
    assert_eq!(status.history.len(), 1, "{:?}", status.history);
    controller.stop().await;
}

async fn what_others_change_is_taken_back(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main"), ("b", "main")]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    stage.drift("a", "mine").await;
    stage.holds(&[("a", "main"), ("b", "main")]).await;
    let workspaces: Api<Workspace> = context.api();
    let params = DeleteParams::default();
    workspaces.delete("b", &params).await.unwrap();
    stage.holds(&[("a", "main"), ("b", "main")]).await;
    let status = stage.reason("app", "Synced").await;
    assert_eq!(status.last_applied_revision, Some(first));
    controller.stop().await;
}

async fn drift_is_left_alone_where_that_is_asked_for(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let controller = Running::start(&context);
    stage.create("app", json!({"driftCorrection": false})).await;
    stage.applied("app", &first).await;
    stage.drift("a", "mine").await;
    // More than one look and a restart go by.
    stage.call("app").await;
    controller.stop().await;
    let controller = Running::start(&context);
    stage.call("app").await;
    stage.call("app").await;
    stage.holds(&[("a", "mine")]).await;
    let second = stage.commit(&[("a", "main"), ("b", "main")]);
    stage.call("app").await;
    stage.applied("app", &second).await;
    stage.holds(&[("a", "main"), ("b", "main")]).await;
    controller.stop().await;
}

async fn nothing_happens_while_it_is_suspended(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    stage.edit("app", json!({"spec": {"suspend": true}})).await;
    stage.reason("app", "Suspended").await;
    stage.server.served();
    let second = stage.commit(&[("a", "next")]);
    stage.drift("a", "mine").await;
    let status = stage.call("app").await;
    assert_eq!(ready(&status).unwrap().reason, "Suspended");
    assert_eq!(status.last_applied_revision, Some(first));
    assert!(stage.server.served().is_empty());
    stage.holds(&[("a", "mine")]).await;
    stage.edit("app", json!({"spec": {"suspend": false}})).await;
    stage.applied("app", &second).await;
    stage.holds(&[("a", "next")]).await;
    controller.stop().await;
}

async fn what_cannot_be_used_is_said(context: Context) {
    let stage = Stage::new(&context);
    let elsewhere = config(&[("a", "main")]).replace("sync: app", "namespace: elsewhere");
    stage.repo.commit(&[("axon.yaml", &elsewhere)]);
    let controller = Running::start(&context);
    stage.create("outside", json!({})).await;
    stage
        .create("file", json!({"repo": stage.repo.file_url()}))
        .await;
    stage.create("hasty", json!({"interval": "3s"})).await;
    let check = async |name: &str, words: &str| {
        let status = stage.reason(name, "InvalidConfig").await;
        let told = message(&status);
        assert!(told.contains(words), "{told}");
        assert_eq!(status.conditions[1].type_, "Stalled");
    };
    check("outside", "a RepoSync writes to its own namespace only").await;
    check("file", "\"file://\" can be used with \"axon dev\" only").await;
    check("hasty", "must be at least 10s").await;
    // A Workspace that is missing is waited for.
    let named = "apiVersion: axon.io/v1alpha1\nkind: Config\ntasks:\n  t: {prompt: x, type: codex, credentials: {type: none}, workspace: later}\n";
    let revision = stage.repo.commit(&[("axon.yaml", named)]);
    stage.call("outside").await;
    check(
        "outside",
        "Workspace \"later\" is neither declared nor in the cluster",
    )
    .await;
    let later: Workspace = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "later"},
        "spec": {"repo": "https://example.com/later.git"},
    }))
    .unwrap();
    let workspaces: Api<Workspace> = context.api();
    let params = PostParams::default();
    workspaces.create(&params, &later).await.unwrap();
    stage.applied("outside", &revision).await;
    controller.stop().await;
}

async fn a_secret_that_is_put_right_is_enough(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    stage.server.require_token("CANARY");
    let controller = Running::start(&context);
    stage
        .create("app", json!({"secretRef": {"name": "token"}}))
        .await;
    let status = stage.reason("app", "AuthenticationFailed").await;
    let told = message(&status);
    assert!(
        told.contains("Secret \"token\" is not in this namespace"),
        "{told}"
    );
    let secrets: Api<Secret> = context.api();
    let secret = |token: &str| -> Secret {
        serde_json::from_value(json!({
            "metadata": {"name": "token"}, "stringData": {"GITHUB_TOKEN": token},
        }))
        .unwrap()
    };
    let params = PostParams::default();
    secrets
        .create(&params, &secret("CANARYwrong"))
        .await
        .unwrap();
    let status = stage.call("app").await;
    assert_eq!(ready(&status).unwrap().reason, "AuthenticationFailed");
    assert!(
        message(&status).contains("check Secret \"token\""),
        "{}",
        message(&status)
    );
    secrets
        .delete("token", &DeleteParams::default())
        .await
        .unwrap();
    secrets.create(&params, &secret("CANARY")).await.unwrap();
    stage.call("app").await;
    let status = stage.applied("app", &first).await;
    let told = serde_json::to_string(&status).unwrap();
    assert!(!told.contains("CANARY"), "{told}");
    // The token changes on both sides, and nobody tells.
    stage.server.require_token("CANARYnext");
    secrets
        .delete("token", &DeleteParams::default())
        .await
        .unwrap();
    secrets
        .create(&params, &secret("CANARYnext"))
        .await
        .unwrap();
    let second = stage.commit(&[("a", "next")]);
    let status = stage.call("app").await;
    assert_eq!(ready(&status).unwrap().reason, "Synced");
    stage.applied("app", &second).await;
    controller.stop().await;
}

async fn a_sync_with_nothing_to_do_asks_for_nothing(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main"), ("b", "main")]);
    let requests = Requests::default();
    let controller = Running::with(requests.count(&context.client), &context);
    stage.create("app", json!({"interval": "10s"})).await;
    stage.applied("app", &first).await;
    stage.looked_at(&["a", "b"]).await;
    // Two whole polls: when the second begins, the first and all that it causes are over.
    let polls = async |count: usize| {
        let mut seen = 0;
        eventually("polls", || {
            let served = stage.server.served();
            seen += served
                .iter()
                .filter(|it| it.what.starts_with("GET "))
                .count();
            std::future::ready((seen >= count).then_some(()))
        })
        .await;
    };
    // The first poll has been served already.
    stage.server.served();
    polls(1).await;
    requests.taken();
    let before = stage.get("app").await.resource_version();
    stage.server.served();
    polls(2).await;
    assert_eq!(requests.taken(), Vec::<String>::new());
    assert_eq!(stage.get("app").await.resource_version(), before);
    controller.stop().await;

    // A restart with nothing to do lists once, and writes nothing.
    let controller = Running::with(requests.count(&context.client), &context);
    stage.server.served();
    polls(1).await;
    stage.call("app").await;
    let writes: Vec<String> = requests
        .taken()
        .into_iter()
        .filter(|it| !it.starts_with("GET "))
        .collect();
    let status = format!(
        "PATCH /apis/axon.io/v1alpha1/namespaces/{}/reposyncs/app/status",
        context.namespace
    );
    assert_eq!(writes, [status], "the answer to the call alone");
    controller.stop().await;
}

async fn an_apply_lists_its_own_once(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let requests = Requests::default();
    let controller = Running::with(requests.count(&context.client), &context);
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    stage.looked_at(&["a"]).await;
    requests.taken();
    // Names that the watches know to be free are not looked for in a list of all.
    let all = ["a", "b", "c", "d", "e"];
    let second = stage.commit(&all.map(|name| (name, "main")));
    stage.call("app").await;
    stage.applied("app", &second).await;
    let reads = requests.taken().into_iter();
    let mut reads: Vec<String> = reads.filter(|it| it.starts_with("GET ")).collect();
    reads.sort();
    let namespace = &context.namespace;
    let ours = |plural| format!("GET /apis/axon.io/v1alpha1/namespaces/{namespace}/{plural}");
    let expected = [
        format!("GET /api/v1/namespaces/{namespace}/configmaps"),
        ours("tasks"),
        ours("taskspawners"),
        ours("workspaces"),
    ];
    assert_eq!(reads, expected);
    controller.stop().await;
}

async fn many_calls_are_one_look(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    stage.create("app", json!({})).await;
    for number in 0..100 {
        stage
            .annotate("app", "axon.io/reconcileAt", &number.to_string())
            .await;
    }
    let controller = Running::start(&context);
    let status = stage.applied("app", &first).await;
    assert_eq!(status.last_handled_reconcile_at.as_deref(), Some("99"));
    let served = stage.server.served();
    let looks = served
        .iter()
        .filter(|it| it.what.starts_with("GET "))
        .count();
    assert!(looks <= 2, "a poll and a fetch: {looks}");
    controller.stop().await;
}

async fn several_syncs_of_one_repository_ask_once(context: Context) {
    const SYNCS: usize = 8;
    let stage = Stage::new(&context);
    let file = |number: usize| {
        config(&[(&format!("w{number}"), "main")]).replace("sync: app", &format!("sync: s{number}"))
    };
    let files: Vec<(String, String)> = (0..SYNCS)
        .map(|it| (format!("{it}/axon.yaml"), file(it)))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let first = stage.repo.commit(&files);
    for number in 0..SYNCS {
        let path = json!({"path": format!("{number}/axon.yaml")});
        stage.create(&format!("s{number}"), path).await;
    }
    let controller = Running::start(&context);
    for number in 0..SYNCS {
        stage.applied(&format!("s{number}"), &first).await;
    }
    let served = stage.server.served();
    let asked = |what: &str| {
        let with =
            |it: &&crate::git_server::Served| String::from_utf8_lossy(&it.request).contains(what);
        served.iter().filter(with).count()
    };
    assert_eq!(asked("command=fetch"), 1, "one fetch for all");
    assert!(
        asked("command=ls-refs") <= 3,
        "{}",
        asked("command=ls-refs")
    );
    controller.stop().await;
}

async fn a_crash_in_the_middle_is_taken_up_again(context: Context) {
    let stage = Stage::new(&context);
    let names: Vec<String> = (0..40).map(|it| format!("w{it:02}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|it| (it.as_str(), "main")).collect();
    let revision = stage.commit(&all);
    let (client, left) = stuck_after(10, &context.client);
    let crashing = Running::with(client, &context);
    stage.create("app", json!({})).await;
    eventually("some are applied", || {
        let stuck = *left.lock().unwrap() == 0;
        std::future::ready(stuck.then_some(()))
    })
    .await;
    // No farewell.
    crashing.task.abort();
    assert!(crashing.task.await.unwrap_err().is_cancelled());
    let controller = Running::start(&context);
    let status = stage.applied("app", &revision).await;
    stage.holds(&all).await;
    let counts = status.objects.unwrap();
    assert!(counts.created < 40 && counts.created >= 22, "{counts:?}");
    controller.stop().await;
}

async fn the_next_leader_goes_on(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let one = Running::candidate(&context, "one");
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    let two = Running::candidate(&context, "two");
    let second = stage.commit(&[("a", "next")]);
    one.stop().await;
    stage.applied("app", &second).await;
    stage.holds(&[("a", "next")]).await;
    stage.drift("a", "mine").await;
    stage.holds(&[("a", "next")]).await;
    two.stop().await;
}

async fn objects_stay_or_go_with_their_sync(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main"), ("b", "main"), ("c", "main")]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    stage.delete("app").await;
    gone(&stage, "app").await;
    stage
        .holds(&[("a", "main"), ("b", "main"), ("c", "main")])
        .await;

    // Another one takes up what the first has left.
    stage
        .create("again", json!({"deletionPolicy": "Delete"}))
        .await;
    let status = stage.applied("again", &first).await;
    assert_eq!(status.objects, None, "there was nothing to do");
    stage.delete("again").await;
    gone(&stage, "again").await;
    stage.holds(&[]).await;

    // A policy that was taken back holds nothing up.
    stage
        .create("once", json!({"deletionPolicy": "Delete"}))
        .await;
    stage.applied("once", &first).await;
    stage
        .edit("once", json!({"spec": {"deletionPolicy": "Orphan"}}))
        .await;
    eventually("the finalizer goes", || async {
        stage
            .get("once")
            .await
            .finalizers()
            .is_empty()
            .then_some(())
    })
    .await;
    controller.stop().await;
    stage.delete("once").await;
    gone(&stage, "once").await;
}

async fn what_left_stays_without_prune(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main"), ("b", "main")]);
    let controller = Running::start(&context);
    stage.create("app", json!({"prune": false})).await;
    stage.applied("app", &first).await;
    let second = stage.commit(&[("a", "main")]);
    stage.call("app").await;
    stage.applied("app", &second).await;
    stage.holds(&[("a", "main"), ("b", "main")]).await;
    stage.edit("app", json!({"spec": {"prune": true}})).await;
    stage.holds(&[("a", "main")]).await;
    controller.stop().await;
}

async fn gone(stage: &Stage<'_>, name: &str) {
    eventually("the RepoSync is gone", || async {
        let syncs: Api<RepoSync> = stage.syncs();
        syncs.get_opt(name).await.unwrap().is_none().then_some(())
    })
    .await;
}

/// The example is one that the API server takes.
#[test]
fn the_example_fits_its_definition() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/examples/repo-sync.yaml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
    let crds = axon::api::crds();
    let crd = crds
        .iter()
        .find(|it| it.spec.names.kind == "RepoSync")
        .unwrap();
    let schema = &crd.spec.versions[0]
        .schema
        .as_ref()
        .unwrap()
        .open_api_v3_schema;
    let schema = serde_json::to_value(schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let syncs: Vec<_> = documents
        .iter()
        .filter(|it| it["kind"] == "RepoSync")
        .collect();
    assert!(!syncs.is_empty());
    for sync in syncs {
        let problems: Vec<String> = schema.iter_errors(sync).map(|it| it.to_string()).collect();
        assert!(problems.is_empty(), "{problems:#?}");
        let typed: RepoSync = serde_json::from_value(sync.clone()).unwrap();
        assert!(typed.spec.interval.ends_with('m'));
    }
}
