//! With `serviceAccountName` git can do what that ServiceAccount may do, and nothing else.

use serde_json::json;

use crate::node;
use crate::node::Place;
use crate::node::SYSTEM;
use crate::node::eventually;
use crate::pushed;
use crate::pushed::Laptop;
use crate::pushed::config;
use crate::pushed::repo_sync;
use crate::pushed::synced;

#[test]
fn git_has_the_rights_of_a_service_account() {
    node::run(|place| {
        let (laptop, url) = Laptop::new(place);
        let commit = laptop.push(&config(&[pushed::task("first", 0)], ""));
        place.kubectl(&["create", "serviceaccount", "agents-sync"]);
        place.apply(&repo_sync(
            &url,
            &json!({"serviceAccountName": "agents-sync"}),
        ));
        // The controllers may not be it.
        refused(place, "impersonate");
        let role = "axon-as-agents-sync";
        place.kubectl(&[
            "create",
            "role",
            role,
            "--verb=impersonate",
            "--resource=serviceaccounts",
            "--resource-name=agents-sync",
        ]);
        bind(
            place,
            role,
            &format!("--role={role}"),
            &format!("{SYSTEM}:axon-controller"),
        );
        // They may, but it has no rights.
        let own = format!("{}:agents-sync", place.namespace);
        look_again(place, 1);
        refused(place, &format!("system:serviceaccount:{own}"));
        bind(place, "agents-sync", "--clusterrole=axon-sync", &own);
        look_again(place, 2);
        synced(place, &commit);
        place.succeeded("first");
    });
}

fn bind(place: &Place, name: &str, role: &str, account: &str) {
    let account = format!("--serviceaccount={account}");
    place.kubectl(&["create", "rolebinding", name, role, &account]);
}

fn look_again(place: &Place, time: usize) {
    let note = format!("axon.io/reconcileAt={time}");
    place.kubectl(&["annotate", "--overwrite", "reposync", "app", &note]);
}

/// Awaits that the RepoSync says so; nothing was made.
fn refused(place: &Place, what: &str) {
    eventually(&format!("a refusal that names {what}"), || {
        let sync = place.get("reposync", "app")?;
        let ready = pushed::ready(&sync)?;
        let message = ready["message"].as_str()?;
        (ready["status"] == "False" && message.contains(what)).then_some(())
    });
    assert_eq!(place.get("task.axon.io", "first"), None);
}
