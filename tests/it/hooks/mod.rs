//! The webhook receiver as its senders and its attackers see it: over a socket, byte by byte.

mod action;
mod client;
mod commit_status;
mod flood;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use axon::api::RepoSync;
use axon::controller;
use axon::model::Namespace;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::api::WatchEvent;
use kube::api::WatchParams;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::client::Answer;
use self::client::Delivery;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    a_push_asks_for_a_look,
    what_says_nothing_asks_for_nothing,
    all_refusals_are_one,
    duplicates_cost_one_write,
    what_comes_later_is_not_lost,
    a_changed_secret_counts,
    two_replicas_serve,
    bodies_are_bounded,
    slow_clients_keep_nobody_out,
    a_thousand_at_once,
    it_ends_when_told,
);

const SECRET: &str = "correct horse battery staple";
const ANNOTATION: &str = "axon.io/reconcileAt";

/// A replica's HTTP side.
struct Replica {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Replica {
    /// One that is ready, and knows the RepoSyncs there are.
    async fn start(context: &Context) -> Self {
        let listener = controller::http::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let options = controller::Options {
            namespace: Some(Namespace::parse(&context.namespace).unwrap()),
            ..controller::Options::default()
        };
        let stop = CancellationToken::new();
        let (client, stopped) = (context.client.clone(), stop.clone());
        let serving = tokio::spawn(async move {
            controller::http::serve(client, &options, listener, stopped).await;
        });
        let replica = Self {
            address,
            stop,
            serving,
        };
        eventually("a replica that is ready", || async {
            let answer = client::get(address, "/readyz").await?;
            (answer.status == 200).then_some(())
        })
        .await;
        replica
    }

    async fn send(&self, delivery: &Delivery) -> Answer {
        client::send(self.address, delivery).await.unwrap()
    }
}

/// RepoSync `app`, which follows `main` and takes deliveries signed with [`SECRET`].
async fn app(context: &Context) {
    secret(context, SECRET).await;
    sync(
        context,
        "app",
        json!({"webhook": {"secretRef": {"name": "hook"}}}),
    )
    .await;
}

async fn sync(context: &Context, name: &str, changes: Value) {
    let mut spec = json!({"repo": "https://github.com/acme/app.git", "ref": "main"});
    json_patch::merge(&mut spec, &changes);
    let sync: RepoSync = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "RepoSync",
        "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap();
    let syncs: Api<RepoSync> = context.api();
    syncs.create(&PostParams::default(), &sync).await.unwrap();
}

async fn secret(context: &Context, value: &str) {
    let patch = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"},
        "data": {"secret": STANDARD.encode(value)},
    });
    let secrets: Api<Secret> = context.api();
    let parameters = PatchParams::apply("test").force();
    secrets
        .patch("hook", &parameters, &Patch::Apply(&patch))
        .await
        .unwrap();
}

fn push(context: &Context, after: &str) -> Delivery {
    push_of(context, "app", "refs/heads/main", after)
}

fn push_of(context: &Context, name: &str, reference: &str, after: &str) -> Delivery {
    let body = json!({
        "ref": reference, "before": "0", "after": after,
        "repository": {"default_branch": "main", "full_name": "acme/app"},
    });
    Delivery::new(&path(context, name), body.to_string())
        .header("X-GitHub-Event", "push")
        .signed(SECRET)
}

fn path(context: &Context, name: &str) -> String {
    format!("/hook/{}/{name}", context.namespace)
}

/// What the annotation says.
async fn asked(context: &Context) -> Option<String> {
    let sync = context.api::<RepoSync>().get("app").await.unwrap();
    sync.annotations().get(ANNOTATION).cloned()
}

/// All values that the annotation takes from here on, until `last` of them were seen and then a
/// sign that was sent after everything else.
struct Values(JoinHandle<BTreeSet<String>>);

impl Values {
    async fn watch(context: &Context) -> Self {
        let syncs: Api<RepoSync> = context.api();
        let listed = syncs.list(&ListParams::default()).await.unwrap();
        let version = listed.metadata.resource_version.unwrap();
        let mut events = Box::pin(
            syncs
                .watch(&WatchParams::default().timeout(120), &version)
                .await
                .unwrap(),
        );
        Self(tokio::spawn(async move {
            let mut values = BTreeSet::new();
            while let Some(event) = events.next().await {
                let WatchEvent::Modified(sync) = event.unwrap() else {
                    continue;
                };
                if sync.annotations().contains_key("end") {
                    break;
                }
                values.extend(sync.annotations().get(ANNOTATION).cloned());
            }
            values
        }))
    }

    /// Those that were seen by now.
    async fn seen(self, context: &Context) -> BTreeSet<String> {
        let patch = json!({"metadata": {"annotations": {"end": "yes"}}});
        let syncs: Api<RepoSync> = context.api();
        syncs
            .patch("app", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        self.0.await.unwrap()
    }
}

async fn a_push_asks_for_a_look(context: Context) {
    app(&context).await;
    let replica = Replica::start(&context).await;
    let answer = replica.send(&push(&context, "1")).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, "accepted\n"));
    let time = asked(&context).await.unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    // As GitHub sends it when a hook's content type is left as it was.
    let body = String::from_utf8(push(&context, "2").body).unwrap();
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &body)
        .finish();
    let form = Delivery::new(&path(&context, "app"), form)
        .header("X-GitHub-Event", "push")
        .signed(SECRET);
    assert_eq!(replica.send(&form).await.status, 202);
}

async fn what_says_nothing_asks_for_nothing(context: Context) {
    app(&context).await;
    let replica = Replica::start(&context).await;
    let ping = Delivery::new(
        &path(&context, "app"),
        "{\"zen\": \"Keep it logically awesome.\"}",
    )
    .header("X-GitHub-Event", "ping")
    .signed(SECRET);
    for delivery in [ping, push_of(&context, "app", "refs/heads/feature", "1")] {
        let answer = replica.send(&delivery).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "nothing to do\n")
        );
    }
    assert_eq!(asked(&context).await, None);
}

async fn all_refusals_are_one(context: Context) {
    app(&context).await;
    sync(&context, "plain", json!({})).await;
    let lost = json!({"webhook": {"secretRef": {"name": "nowhere"}}});
    sync(&context, "lost", lost).await;
    let replica = Replica::start(&context).await;
    let good = || push(&context, "1");
    let to = |name: &str| push_of(&context, name, "refs/heads/main", "1");
    let path = path(&context, "app");
    let mut refused = vec![
        ("no such path", good().path("/")),
        ("no such namespace", good().path("/hook/nowhere/app")),
        ("no such RepoSync", to("nothing")),
        ("no webhook", to("plain")),
        ("no Secret", to("lost")),
        (
            "a name that is none",
            good().path(&format!("{path}/../app")),
        ),
        (
            "an encoded name",
            good().path(&path.replace("app", "%61pp")),
        ),
        ("another method", good().method("PUT")),
        ("no signature", good().without("X-Hub-Signature-256")),
        ("another secret", good().signed("guess")),
        ("the empty secret", good().signed("")),
        (
            "SHA-1",
            good().header(
                "X-Hub-Signature-256",
                "sha1=0123456789012345678901234567890123456789",
            ),
        ),
        ("garbage", good().header("X-Hub-Signature-256", "\u{ff}")),
    ];
    let mut other_body = good();
    other_body.body.push(b' ');
    refused.push(("a body that was changed", other_body));
    let whole = |answer: Answer| (answer.status, answer.headers, answer.body);
    let expected = whole(replica.send(&good().signed("wrong")).await);
    assert_eq!((expected.0, expected.2.as_str()), (404, "not found\n"));
    for (why, delivery) in refused {
        assert_eq!(whole(replica.send(&delivery).await), expected, "{why}");
    }
    assert_eq!(asked(&context).await, None);
    // And it was not the delivery itself.
    assert_eq!(replica.send(&good()).await.status, 202);
}

async fn duplicates_cost_one_write(context: Context) {
    app(&context).await;
    let replica = Replica::start(&context).await;
    let values = Values::watch(&context).await;
    // The same again, and what another hook of the same repository tells.
    let mut other = push(&context, "1");
    other.body.push(b'\n');
    let other = other.signed(SECRET);
    let one = push(&context, "1");
    let sent = (0..100).map(|number| {
        let delivery = if number % 2 == 0 { &one } else { &other };
        replica.send(delivery)
    });
    for answer in join_all(sent).await {
        assert_eq!(answer.status, 202);
    }
    // Longer than a look that is put off waits.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(values.seen(&context).await.len(), 1);
}

async fn what_comes_later_is_not_lost(context: Context) {
    app(&context).await;
    let replica = Replica::start(&context).await;
    let values = Values::watch(&context).await;
    for number in 0..50 {
        let answer = replica.send(&push(&context, &number.to_string())).await;
        assert_eq!(answer.status, 202);
    }
    let last = jiff_now();
    // The look that all but the first share begins after the last of them.
    let time = eventually("a look after the last push", || async {
        let time: jiff::Timestamp = asked(&context).await?.parse().unwrap();
        (time > last).then_some(time)
    })
    .await;
    let values = values.seen(&context).await;
    assert!(
        values.contains(&time.to_string()) && values.len() <= 3,
        "{values:?}"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test compares with what the controller's clock said"
)]
fn jiff_now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

async fn a_changed_secret_counts(context: Context) {
    app(&context).await;
    let replica = Replica::start(&context).await;
    assert_eq!(replica.send(&push(&context, "1")).await.status, 202);
    secret(&context, "another\n").await;
    eventually("the new secret to count", || async {
        let delivery = push(&context, "2").signed("another");
        (replica.send(&delivery).await.status == 202).then_some(())
    })
    .await;
    assert_eq!(replica.send(&push(&context, "3")).await.status, 404);
}

async fn two_replicas_serve(context: Context) {
    app(&context).await;
    let (one, two) = (
        Replica::start(&context).await,
        Replica::start(&context).await,
    );
    assert_eq!(one.send(&push(&context, "1")).await.status, 202);
    let first = asked(&context).await.unwrap();
    assert_eq!(two.send(&push(&context, "2")).await.status, 202);
    assert_ne!(asked(&context).await.unwrap(), first);
}

async fn bodies_are_bounded(context: Context) {
    const MAX: usize = 1 << 20;
    app(&context).await;
    let replica = Replica::start(&context).await;
    let of =
        |length: usize| Delivery::new(&path(&context, "app"), vec![b' '; length]).signed(SECRET);
    assert_eq!(replica.send(&of(MAX)).await.status, 202);
    assert_eq!(replica.send(&of(MAX).chunked()).await.status, 202);
    for delivery in [of(MAX + 1), of(MAX + 1).chunked(), of(8 * MAX).chunked()] {
        let answer = client::send(replica.address, &delivery).await;
        // A client that goes on sending may find the connection closed before it reads the answer.
        assert!(answer.is_none_or(|it| it.status == 413));
    }
    // One that only announces too much is not waited for; nor is one that lies about its length.
    let announced = of(0)
        .without("Content-Length")
        .header("Content-Length", "99999999999999");
    assert_eq!(replica.send(&announced).await.status, 413);
    for lie in ["-1", "1e3", "18446744073709551616", "5, 6"] {
        let delivery = push(&context, "1")
            .without("Content-Length")
            .header("Content-Length", lie);
        assert_eq!(replica.send(&delivery).await.status, 400, "{lie}");
    }
    let many = (0..100).fold(push(&context, "1"), |all, number| {
        all.header(&format!("X-{number}"), "x")
    });
    assert_eq!(replica.send(&many).await.status, 431);
    let long = push(&context, "1").header("X-Long", &"x".repeat(100_000));
    assert_eq!(
        client::send(replica.address, &long)
            .await
            .map_or(431, |it| it.status),
        431
    );
    assert_eq!(replica.send(&push(&context, "1")).await.status, 202);
}

/// More connections than are served, all of them stuck in the head or the body of a request.
async fn slow_clients_keep_nobody_out(context: Context) {
    app(&context).await;
    let replica = Replica::start(&context).await;
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\n", path(&context, "app"));
    let mut stuck = Vec::new();
    for number in 0..600 {
        let begun = match number % 3 {
            0 => String::new(),
            1 => head.clone(),
            _ => format!("{head}Content-Length: 1000\r\n\r\n{{"),
        };
        stuck.push(client::open(replica.address, &begun).await);
    }
    let asked_for = client::get(replica.address, "/healthz");
    let answer = tokio::time::timeout(Duration::from_secs(8), asked_for)
        .await
        .unwrap();
    assert_eq!(answer.unwrap().status, 200);
    assert_eq!(replica.send(&push(&context, "1")).await.status, 202);
    // All of them are let go of, though none of them moves.
    let closed = join_all(stuck.into_iter().map(client::closed));
    tokio::time::timeout(Duration::from_secs(30), closed)
        .await
        .unwrap();
}

async fn a_thousand_at_once(context: Context) {
    app(&context).await;
    let replica = Replica::start(&context).await;
    let values = Values::watch(&context).await;
    let delivery = push(&context, "1");
    let begun = Instant::now();
    let sent = (0..1000).map(|_| client::send(replica.address, &delivery));
    let answers = join_all(sent).await;
    let accepted = answers
        .iter()
        .flatten()
        .filter(|it| it.status == 202)
        .count();
    assert_eq!(accepted, 1000);
    // After ten seconds the same delivery may be meant: on a busy machine this takes longer.
    let most = 1 + begun.elapsed().as_secs() / 10;
    let writes = values.seen(&context).await.len();
    assert!((1..=most).contains(&(writes as u64)), "{writes}");
}

async fn it_ends_when_told(context: Context) {
    app(&context).await;
    let replica = Replica::start(&context).await;
    let open = client::open(replica.address, "").await;
    replica.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), replica.serving)
        .await
        .unwrap()
        .unwrap();
    client::closed(open).await;
    assert!(client::get(replica.address, "/healthz").await.is_none());
}
