//! Server-side apply, on both servers.

use kube::ResourceExt as _;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::json;

use super::status;
use super::widgets::Widgets;
use crate::server::Context;

crate::on_both_servers!(
    apply_creates_shares_conflicts_and_removes,
    an_apply_to_an_object_that_went_does_not_make_another,
);

#[expect(clippy::too_many_lines, reason = "one story of two managers")]
async fn apply_creates_shares_conflicts_and_removes(it: Context) {
    let kind = Widgets::serve(&it).await;
    let widgets = &kind.api;
    let by = PatchParams::apply;
    let made = widgets
        .patch(
            "a",
            &by("one"),
            &kind.applied("a", json!({"size": 1, "tags": ["x"], "name": "n"})),
        )
        .await
        .unwrap();
    let entries = made.managed_fields();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].manager.as_deref(), Some("one"));
    assert_eq!(entries[0].operation.as_deref(), Some("Apply"));

    let again = widgets
        .patch(
            "a",
            &by("one"),
            &kind.applied("a", json!({"size": 1, "tags": ["x"], "name": "n"})),
        )
        .await
        .unwrap();
    assert_eq!(
        again.resource_version(),
        made.resource_version(),
        "nothing changed"
    );

    let refused = widgets
        .patch(
            "a",
            &by("two"),
            &kind.applied("a", json!({"size": 2, "tags": ["y"]})),
        )
        .await;
    let refused = status(refused.unwrap_err());
    assert_eq!((refused.code, &*refused.reason), (409, "Conflict"));
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"one\": .spec.size"
    );
    let cause = &refused.details.unwrap().causes[0];
    assert_eq!(
        (&*cause.reason, &*cause.field),
        ("FieldManagerConflict", ".spec.size")
    );

    let forced = widgets
        .patch(
            "a",
            &by("two").force(),
            &kind.applied("a", json!({"size": 2, "tags": ["y"]})),
        )
        .await
        .unwrap();
    assert_eq!(forced.data["spec"]["tags"], json!(["x", "y"]));
    assert_eq!(forced.data["spec"]["size"], 2);
    let less = widgets
        .patch("a", &by("one"), &kind.applied("a", json!({"tags": ["x"]})))
        .await
        .unwrap();
    assert_eq!(
        less.data["spec"],
        json!({"color": "red", "size": 2, "tags": ["x", "y"]})
    );

    widgets
        .patch_status(
            "a",
            &PatchParams::apply("ctrl"),
            &Patch::Apply(json!({
                "apiVersion": kind.api_version(), "kind": "Widget", "status": {"ready": true},
            })),
        )
        .await
        .unwrap();
    let edited = widgets
        .patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"size": 3}})),
        )
        .await
        .unwrap();
    let entry = |name: &str| {
        let entries = edited.managed_fields().iter();
        let mut found = entries.filter(|it| it.manager.as_deref() == Some(name));
        found
            .next()
            .map(|it| (it.operation.clone().unwrap(), it.subresource.clone()))
    };
    assert_eq!(entry("ctrl"), Some(("Apply".into(), Some("status".into()))));
    assert_eq!(entry("unknown"), Some(("Update".into(), None)));
    let late = widgets
        .patch(
            "a",
            &by("two"),
            &kind.applied("a", json!({"size": 2, "tags": ["y"]})),
        )
        .await;
    let late = status(late.unwrap_err());
    assert_eq!(
        late.message,
        format!(
            "Apply failed with 1 conflict: conflict with \"unknown\" using {}: .spec.size",
            kind.api_version()
        )
    );
}

async fn an_apply_to_an_object_that_went_does_not_make_another(it: Context) {
    let kind = Widgets::serve(&it).await;
    let widgets = &kind.api;
    let patch = Patch::Apply(json!({
        "apiVersion": kind.api_version(), "kind": "Widget",
        "metadata": {"name": "a", "uid": "11111111-1111-1111-1111-111111111111"}, "spec": {"size": 1},
    }));
    let refused = widgets.patch("a", &PatchParams::apply("one"), &patch).await;
    assert_eq!(status(refused.unwrap_err()).code, 409);
    let dry = PatchParams::apply("one").dry_run();
    widgets
        .patch("b", &dry, &kind.applied("b", json!({"size": 1})))
        .await
        .unwrap();
    assert!(widgets.get_opt("b").await.unwrap().is_none());
}
