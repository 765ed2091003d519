//! Refusals, races and lost servers.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axon::cluster::Cluster;
use axon::model::Namespace;
use axon::model::plan::Refusal;
use axon::model::plan::Skipped;
use axon::sync::Allow;
use axon::sync::Options;
use axon::sync::Pipeline;
use axon::sync::Probe;
use axon::sync::guard;
use kube::Client;
use serde_json::Value;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use super::fixture::CONFIG;
use super::fixture::Sync;
use super::fixture::chain;
use super::fixture::cut_after;
use super::fixture::edit_as;
use super::fixture::input;
use super::fixture::lines;
use super::fixture::load_text;
use super::fixture::loaded_with;
use super::fixture::workspace;
use crate::counts;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(
    what_the_server_refuses_is_in_the_plan,
    an_object_that_is_gone_is_not_made_anew,
    dependants_of_what_failed_are_skipped,
    an_interrupted_apply_is_taken_up_again,
    a_lost_server_ends_the_apply,
    one_object_that_is_not_answered_stops_no_other,
    what_does_not_go_keeps_nobody_waiting,
    what_may_pass_is_no_refusal,
    a_write_that_is_refused_stops_no_other_and_runs_nothing_twice,
    a_missing_workspace_is_an_error_with_its_place,
    errors_name_what_is_missing,
);

async fn what_the_server_refuses_is_in_the_plan(context: Context) {
    let sync = Sync::new(&context).with(|options| options.probe = Probe::All);
    let spoilt = loaded_with(CONFIG, |loaded| {
        loaded.set.objects[2].manifest["spec"]["type"] = "custom".into();
        loaded.set.objects[1].manifest["spec"]["unknown"] = 1.into();
    });
    let plan = sync.plan_of(&spoilt).await;
    let lines = lines(&plan);
    assert_eq!(lines[0], "Workspace/app create");
    assert!(
        lines[1].starts_with("TaskSpawner/nightly Refused"),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("Task/port Refused"), "{lines:?}");
    assert_eq!(plan.summary().refused, 2);

    // Without having asked, it shows when it is applied; siblings go on.
    let plan = Sync::new(&context).plan_of(&spoilt).await;
    let applied = sync.apply(&plan).await;
    assert_eq!(
        (applied.done.len(), applied.failed.len()),
        (1, 2),
        "{applied:?}"
    );
}

async fn an_object_that_is_gone_is_not_made_anew(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let edited = CONFIG.replace("ref: main", "ref: x");
    let plan = sync.plan(&edited).await;
    context.delete("Workspace", "app").await;
    let applied = sync.apply(&plan).await;
    assert_eq!(applied.failed.len(), 1, "{applied:?}");
    assert!(applied.failed[0].is_conflict, "{applied:?}");
    assert!(context.get("Workspace", "app").await.is_none());
}

async fn dependants_of_what_failed_are_skipped(context: Context) {
    let sync = Sync::new(&context);
    let foreign = workspace("app", &json!({"repo": "https://example.com/other.git"}));
    context.create("Workspace", &foreign).await;
    let plan = sync.plan(&with_another()).await;
    let applied = sync.apply(&plan).await;
    let skipped: Vec<String> = applied
        .skipped
        .iter()
        .map(|(key, why)| format!("{key} {why:?}"))
        .collect();
    assert_eq!(
        skipped,
        [
            "TaskSpawner/nightly Workspace { name: \"app\" }",
            "Task/port Workspace { name: \"app\" }"
        ]
    );
    let done: Vec<String> = applied
        .done
        .iter()
        .map(|(key, _)| key.to_string())
        .collect();
    assert_eq!(done, ["Workspace/b", "Task/free"]);
}

/// The configuration, and one Workspace and Task more.
fn with_another() -> String {
    format!("{CONFIG}  free: {{prompt: x, workspace: b}}\n").replace(
        "workspaces:",
        "workspaces:\n  b: {repo: \"https://example.com/b\"}",
    )
}

async fn an_interrupted_apply_is_taken_up_again(context: Context) {
    let sync = Sync::new(&context);
    let plan = sync.plan(CONFIG).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let cleared = guard::clear(&plan, Allow::default()).unwrap();
    let applied = sync.pipeline.apply(cleared, &stop).await;
    assert!(
        applied
            .skipped
            .iter()
            .all(|(_, why)| *why == Skipped::Interrupted)
    );
    assert_eq!(applied.skipped.len(), 3);
    assert!(context.get("Workspace", "app").await.is_none());
    sync.converge(CONFIG).await;
}

async fn a_lost_server_ends_the_apply(context: Context) {
    let mut config =
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces:\n".to_owned();
    for n in 0..40 {
        writeln!(config, "  w{n}: {{repo: \"https://example.com/{n}\"}}").unwrap();
    }
    let whole = Sync::new(&context);
    let plan = whole.plan(&config).await;
    let cut = Sync::of(cut_after(10, &context.client), &context);
    let applied = cut.apply(&plan).await;
    assert_eq!(applied.done.len(), 10, "{applied:?}");
    // Those in flight failed; the rest was not even tried.
    assert!((1..=8).contains(&applied.failed.len()), "{applied:?}");
    assert_eq!(applied.failed[0].causes[0], "cannot reach the API server");
    assert!(
        applied
            .skipped
            .iter()
            .all(|(_, why)| *why == Skipped::Unreachable)
    );
    assert_eq!(applied.failed.len() + applied.skipped.len(), 30);
    assert_eq!(whole.plan(&config).await.summary().create, 30);
    whole.converge(&config).await;
}

async fn one_object_that_is_not_answered_stops_no_other(context: Context) {
    let mut config =
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces:\n".to_owned();
    for n in 0..40 {
        writeln!(config, "  w{n}: {{repo: \"https://example.com/{n}\"}}").unwrap();
    }
    let whole = Sync::new(&context);
    let plan = whole.plan(&config).await;
    let busy = |what: &'static str| Sync::of(too_busy_for(what, &context.client), &context);
    let applied = busy("/w0").apply(&plan).await;
    assert_eq!(
        (applied.done.len(), applied.failed.len()),
        (39, 1),
        "{applied:?}"
    );
    // Who is too busy for each is too busy for the rest.
    let plan = whole
        .plan(&config.replace("example.com", "example.org"))
        .await;
    let applied = busy("").apply(&plan).await;
    assert_eq!(applied.done.len(), 0, "{applied:?}");
    assert!((3..=12).contains(&applied.failed.len()), "{applied:?}");
    let lost = |(_, why): &(_, Skipped)| *why == Skipped::Unreachable;
    assert!(applied.skipped.iter().all(lost), "{applied:?}");
}

/// A client whose server is too busy, for an hour, for writes to paths that end so; to all if it is empty.
fn too_busy_for(what: &'static str, inner: &Client) -> Client {
    let inner = inner.clone();
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let inner = inner.clone();
        async move {
            let is_read = request.method() == http::Method::GET;
            if is_read || !request.uri().path().ends_with(what) {
                return inner.send(request).await.map_err(tower::BoxError::from);
            }
            let answer = http::Response::builder()
                .status(429)
                .header("retry-after", "3600");
            let status = json!({"kind": "Status", "code": 429, "message": "busy", "details": {"retryAfterSeconds": 3600}});
            let body = kube::client::Body::from(status.to_string().into_bytes());
            Ok(answer.body(body)?)
        }
    });
    Client::new(service, "default")
}

async fn what_does_not_go_keeps_nobody_waiting(context: Context) {
    let sync = Sync::new(&context).with(|options| options.gone = Duration::from_secs(5));
    let config = |prompt: &str, last: usize| {
        let mut config = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\ndefaults: {type: codex, credentials: {type: none}}\ntasks:\n".to_owned();
        for n in 0..last {
            writeln!(config, "  t{n:02}: {{prompt: {prompt}}}").unwrap();
        }
        config
    };
    sync.converge(&config("before", 30)).await;
    let hold = |finalizers: &[&str]| json!({"metadata": {"finalizers": finalizers}});
    edit_as(
        "node",
        &context,
        "Task",
        "t00",
        &hold(&["example.com/node"]),
    )
    .await;

    let after = config("after", 29);
    let plan = sync.plan(&after).await;
    let applied = sync.apply(&plan).await;
    assert_eq!(applied.done.len(), 28, "{applied:?}");
    let failed: Vec<String> = applied.failed.iter().map(|it| it.key.to_string()).collect();
    assert_eq!(failed, ["Task/t00"], "{applied:?}");
    let told = &applied.failed[0].causes[0];
    assert!(told.starts_with("it is still there 5 s after"), "{told}");
    let skipped: Vec<_> = applied
        .skipped
        .iter()
        .map(|(key, why)| (key.to_string(), why))
        .collect();
    assert_eq!(
        skipped,
        [("Task/t29".to_owned(), &Skipped::PruneAfterFailure)]
    );
    // In the order of the plan, whatever came first.
    assert!(
        applied
            .done
            .is_sorted_by_key(|(key, _)| key.name.to_string()),
        "{applied:?}"
    );

    edit_as("node", &context, "Task", "t00", &hold(&[])).await;
    context.await_gone("Task", "t00").await;
    sync.converge(&after).await;
}

async fn what_may_pass_is_no_refusal(context: Context) {
    Sync::new(&context).converge(CONFIG).await;
    let edited = load_text(&CONFIG.replace("ref: main", "ref: x"));
    let webhook = "Internal error occurred: failed calling webhook";
    let schema = "failed to create typed patch object (x/app; axon.io/v1alpha1, Kind=Workspace): .spec.ref: field not declared in schema";
    let passing = Sync::of(answering(webhook, &context.client), &context);
    let plan = passing.plan_of(&edited).await;
    let one = lines(&plan)
        .into_iter()
        .find(|it| it.starts_with("Workspace/app Refused { why: None"))
        .unwrap();
    assert!(
        one.contains("the API server answers 500: Internal error"),
        "{one}"
    );
    let lasting = Sync::of(answering(schema, &context.client), &context);
    let lines = lines(&lasting.plan_of(&edited).await);
    let expected = lines
        .iter()
        .any(|it| it.starts_with("Workspace/app Refused { why: Some(Invalid)"));
    assert!(expected, "{lines:?}");
}

/// A client whose server answers every write with 500 and these words.
fn answering(words: &str, inner: &Client) -> Client {
    let (inner, words) = (inner.clone(), words.to_owned());
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let (inner, words) = (inner.clone(), words.clone());
        async move {
            if request.method() == http::Method::GET {
                return inner.send(request).await.map_err(tower::BoxError::from);
            }
            let status = json!({"kind": "Status", "code": 500, "message": words}).to_string();
            let answer = http::Response::builder().status(500);
            Ok(answer.body(kube::client::Body::from(status.into_bytes()))?)
        }
    });
    Client::new(service, "default")
}

async fn a_missing_workspace_is_an_error_with_its_place(context: Context) {
    let sync = Sync::new(&context);
    let without = CONFIG.replace(
        "workspaces:\n  app: {repo: \"https://example.com/acme/app.git\", ref: main}\n",
        "",
    );
    let loaded = load_text(&without);
    let error = sync
        .pipeline
        .plan(input(&loaded))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Workspace \"app\" is neither declared nor in the cluster"),
        "{error}"
    );
    assert!(error.starts_with("axon.yaml:"), "{error}");
    let foreign = workspace("app", &json!({"repo": "https://example.com/acme/app.git"}));
    context.create("Workspace", &foreign).await;
    sync.converge(&without).await;
}

async fn errors_name_what_is_missing(context: Context) {
    let nowhere = Namespace::parse("no-such-namespace").unwrap();
    let cluster = Cluster::new(context.client.clone(), nowhere);
    let options = Options {
        probe: Probe::All,
        ..Options::default()
    };
    let loaded = load_text(CONFIG);
    let planned = Pipeline::new(cluster, options).plan(input(&loaded)).await;
    let error = chain(&planned.unwrap_err());
    assert!(
        error.contains("namespace \"no-such-namespace\" does not exist"),
        "{error}"
    );
}

/// 422 to each write in turn, as from an admission webhook that was there for a moment.
async fn a_write_that_is_refused_stops_no_other_and_runs_nothing_twice(context: Context) {
    let config = with_another();
    let mut points = 0;
    for at in 0.. {
        let context = context.sibling().await;
        let refused = Arc::default();
        let refusing = Sync::of(refusing(at, &refused, &context.client), &context);
        let plan = refusing.plan(&config).await;
        let applied = refusing.apply(&plan).await;
        let refused = refused.lock().unwrap().take();
        let Some(refused) = refused else {
            assert!(applied.is_complete(), "{applied:?}");
            break;
        };
        points += 1;
        let [failed] = &applied.failed[..] else {
            panic!("{refused}: {applied:?}");
        };
        assert_eq!(failed.refusal, Some(Refusal::Invalid), "{failed:?}");
        assert!(
            refused.ends_with(failed.key.name.as_str()),
            "{refused}: {failed:?}"
        );
        assert!(failed.causes.join(": ").contains("not today"), "{failed:?}");
        // What does not need it was made.
        let needed = ["b", "free"].contains(&failed.key.name.as_str());
        let made = context.get("Task", "free").await;
        assert_ne!(made.is_some(), needed, "{refused}");

        Sync::new(&context).converge(&config).await;
        let uid = |task: &Option<Value>| task.as_ref().map(|it| it["metadata"]["uid"].clone());
        if made.is_some() {
            assert_eq!(uid(&context.get("Task", "free").await), uid(&made));
        }
    }
    let what = format!("an apply of five objects ({:?})", context.server);
    counts::tell(
        &what,
        &format!("each of {points} writes refused in turn, the others made"),
    );
    assert!(points >= 5, "{points}");
}

/// A client whose server refuses the write number `at`; `refused` is its path.
fn refusing(at: usize, refused: &Arc<Mutex<Option<String>>>, inner: &Client) -> Client {
    let (inner, refused) = (inner.clone(), Arc::clone(refused));
    let seen = AtomicUsize::new(0);
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let dry = request
            .uri()
            .query()
            .is_some_and(|it| it.contains("dryRun"));
        let is_write = request.method() != http::Method::GET && !dry;
        let is_it = is_write && seen.fetch_add(1, Ordering::Relaxed) == at;
        if is_it {
            *refused.lock().unwrap() = Some(request.uri().path().to_owned());
        }
        let inner = inner.clone();
        async move {
            if !is_it {
                return inner.send(request).await.map_err(tower::BoxError::from);
            }
            let status = json!({
                "kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid",
                "message": "admission webhook \"x\" denied the request: not today",
            });
            let answer = http::Response::builder().status(422);
            Ok(answer.body(kube::client::Body::from(status.to_string().into_bytes()))?)
        }
    });
    Client::new(service, "default")
}
