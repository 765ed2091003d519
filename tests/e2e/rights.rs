//! The rights that deploy/axon.yaml gives the controllers, held against what they asked for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::audit;
use crate::node::Node;
use crate::node::SYSTEM;

/// A verb on a resource: `patch tasks.axon.io/status`.
type Right = String;

/// Rights that are seldom used.
const SELDOM: [&str; 5] = [
    // Asked for by the admission plugin OwnerReferencesPermissionEnforcement alone.
    "update tasks.axon.io/finalizers",
    // A record goes when its work item is to run anew, or long after its name left git.
    "delete configmaps",
    // A Task is cancelled between the making of its Job and the release of it.
    "delete jobs.batch",
    // A Job has had no Pod for seconds: the cluster refuses the Pod, or is slow.
    "list events",
    // Where the cache does not have the Job that a record speaks of.
    "get jobs.batch",
];

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

/// Fails if the controllers have a right that they have not used so far.
pub(crate) fn are_used(node: &Node) {
    let requests = requests(node);
    let mut used: BTreeSet<Right> = requests.iter().map(asked).collect();
    // An apply that creates is asked for both rights.
    let creations = requests
        .iter()
        .filter(|it| it["verb"] == "patch" && it["responseStatus"]["code"] == 201);
    used.extend(creations.map(|it| asked(it).replacen("patch", "create", 1)));
    let mut spare = granted();
    spare.retain(|right| !used.contains(right) && !SELDOM.contains(&right.as_str()));
    assert!(spare.is_empty(), "rights without use: {spare:?}");
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

/// What the roles named `axon-controller` allow.
fn granted() -> BTreeSet<Right> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/axon.yaml");
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&fs::read_to_string(file).unwrap()).unwrap();
    let words = |rule: &Value, key: &str| -> Vec<String> {
        serde_json::from_value(rule[key].clone()).unwrap()
    };
    let mut all = BTreeSet::new();
    for role in documents {
        let is_role = role["kind"] == "ClusterRole" || role["kind"] == "Role";
        if !is_role || role["metadata"]["name"] != "axon-controller" {
            continue;
        }
        for rule in role["rules"].as_array().unwrap() {
            for group in words(rule, "apiGroups") {
                for resource in words(rule, "resources") {
                    let verbs = words(rule, "verbs");
                    all.extend(verbs.iter().map(|verb| right(verb, &group, &resource)));
                }
            }
        }
    }
    all
}
