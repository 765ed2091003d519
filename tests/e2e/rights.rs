//! The rights that deploy/axon.yaml gives the controllers, held against what they asked for.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::audit;
use crate::node::Node;
use crate::node::SYSTEM;

/// A verb on a resource: `patch tasks.axon.io/status`.
type Right = String;

/// Fails if the API server refused the controllers anything so far.
pub(crate) fn suffice(node: &Node) {
    // That they may not impersonate is for a namespace to say.
    let is_refusal = |event: &&Value| {
        let told = event["responseStatus"]["message"]
            .as_str()
            .unwrap_or_default();
        event["responseStatus"]["code"] == 403 && !told.contains("cannot impersonate")
    };
    let refused: BTreeSet<Right> = requests(node)
        .iter()
        .filter(is_refusal)
        .map(asked)
        .collect();
    assert!(
        refused.is_empty(),
        "refused to the controllers: {refused:?}"
    );
}

/// All that was asked in the controllers' own name.
fn requests(node: &Node) -> Vec<Value> {
    let user = format!("system:serviceaccount:{SYSTEM}:axon-controller");
    let is_theirs = |event: &Value| {
        event["user"]["username"] == user.as_str() && event["impersonatedUser"].is_null()
    };
    let mut all = audit::requests(node);
    all.retain(is_theirs);
    all
}

fn asked(event: &Value) -> Right {
    let of = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, part) = (text(&of["apiGroup"]), text(&of["subresource"]));
    right(
        &text(&event["verb"]),
        &group,
        &match part.as_str() {
            "" => text(&of["resource"]),
            part => format!("{}/{part}", text(&of["resource"])),
        },
    )
}

fn right(verb: &str, group: &str, resource: &str) -> Right {
    let (name, part) = resource.split_once('/').unwrap_or((resource, ""));
    let dot = if group.is_empty() { "" } else { "." };
    let slash = if part.is_empty() { "" } else { "/" };
    format!("{verb} {name}{dot}{group}{slash}{part}")
}
