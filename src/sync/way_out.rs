//! What a person can do about the conflicts of a plan. Pure.

use std::collections::BTreeSet;

use crate::api::labels;
use crate::model::Key;
use crate::model::Plan;
use crate::model::plan::Action;
use crate::model::plan::Blocked;
use crate::model::plan::OwnedField;
use crate::sync::decide::CLIENT_SIDE;

/// A way out of one sort of conflict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WayOut {
    /// What it is for: "if sync "old" is what this one was before".
    pub when: String,
    /// The flags of `axon plan` and `axon apply` that go it.
    pub flags: String,
    /// What else can be done.
    pub or: String,
}

/// The ways out of the conflicts of `plan`, each once.
pub fn ways_out(plan: &Plan) -> Vec<WayOut> {
    let blocked = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Blocked { reason } => Some((&step.key, reason)),
        Action::Create { .. }
        | Action::Update { .. }
        | Action::Replace { .. }
        | Action::Delete { .. }
        | Action::Keep { .. }
        | Action::Unchanged
        | Action::AlreadyRan { .. } => None,
    });
    let mut seen = BTreeSet::new();
    let ways = blocked.filter_map(|(key, reason)| {
        let way = way_out(plan, key, reason)?;
        // One object stands for all that have the same way out.
        seen.insert((way.when.clone(), way.flags.clone()))
            .then_some(way)
    });
    ways.collect()
}

fn way_out(plan: &Plan, key: &Key, reason: &Blocked) -> Option<WayOut> {
    let way = |when: String, flags: String, or: String| Some(WayOut { when, flags, or });
    match reason {
        Blocked::Foreign => {
            let kind = key.kind.as_str().to_lowercase();
            way(
                "to take objects that belong to no sync".into(),
                "--adopt".into(),
                format!(
                    "or give one away: kubectl -n {} annotate {kind} {} {}={}",
                    plan.namespace,
                    key.name,
                    labels::ADOPT_INTO,
                    plan.sync
                ),
            )
        }
        Blocked::OtherSource { .. } => way(
            format!(
                "if the configuration of sync \"{}\" was moved here",
                plan.sync
            ),
            "--adopt".into(),
            "else give this one another \"sync:\"".into(),
        ),
        Blocked::OtherSync { sync, is_elsewhere } => {
            let adopt = if *is_elsewhere { " --adopt" } else { "" };
            way(
                format!("if sync \"{sync}\" is what \"{}\" was before", plan.sync),
                format!("--take-over-sync {sync}{adopt}"),
                "else rename the object, or let the other sync delete it first".into(),
            )
        }
        Blocked::Conflict { fields } => {
            let is_client_side = |it: &OwnedField| CLIENT_SIDE.contains(&it.manager.as_str());
            let (whose, flag) = if fields.iter().all(is_client_side) {
                ("client-side kubectl left", "--take-ownership")
            } else {
                ("others own", "--force-conflicts")
            };
            way(
                format!("to take the fields that {whose}"),
                format!("--adopt {flag}"),
                "or leave them out of axon.yaml".into(),
            )
        }
        Blocked::Going | Blocked::Refused { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Home;
    use crate::model::Kind;
    use crate::model::Namespace;
    use crate::model::ObjectName;
    use crate::model::RepoPath;
    use crate::model::Revision;
    use crate::model::SyncId;
    use crate::model::plan::Step;
    use crate::model::snapshot::Source;

    fn plan(reasons: Vec<Blocked>) -> Plan {
        let source = Source {
            canonical: "github.com/acme/app".into(),
            url: None,
        };
        let step = |(at, reason): (usize, Blocked)| Step {
            key: Key {
                kind: Kind::Workspace,
                name: ObjectName::parse(&format!("w{at}")).unwrap(),
            },
            action: Action::Blocked { reason },
        };
        Plan {
            namespace: Namespace::parse("agents").unwrap(),
            sync: SyncId::parse("app").unwrap(),
            takes_over: None,
            home: Home::new(&source, &RepoPath::parse("axon.yaml").unwrap()),
            revision: Revision::Commit("0".repeat(40)),
            declared: 0,
            members: 0,
            runs: std::collections::BTreeMap::new(),
            ledger: Vec::new(),
            steps: reasons.into_iter().enumerate().map(step).collect(),
        }
    }

    #[track_caller]
    fn check(reasons: Vec<Blocked>, flags: &[&str]) {
        let ways = ways_out(&plan(reasons));
        let found: Vec<&str> = ways.iter().map(|it| it.flags.as_str()).collect();
        assert_eq!(found, flags);
    }

    fn conflict(manager: &str) -> Blocked {
        Blocked::Conflict {
            fields: vec![OwnedField {
                path: "spec.ref".into(),
                manager: manager.into(),
            }],
        }
    }

    #[test]
    fn each_reason_has_its_flags_and_is_told_once() {
        let other = |sync: &str, is_elsewhere| Blocked::OtherSync {
            sync: sync.into(),
            is_elsewhere,
        };
        check(vec![Blocked::Foreign, Blocked::Foreign], &["--adopt"]);
        let origin = String::new();
        check(vec![Blocked::OtherSource { origin }], &["--adopt"]);
        check(
            vec![other("old", false), other("d-1", true), other("old", false)],
            &["--take-over-sync old", "--take-over-sync d-1 --adopt"],
        );
        check(
            vec![conflict("helm"), conflict("kubectl-create")],
            &["--adopt --force-conflicts", "--adopt --take-ownership"],
        );
        check(vec![Blocked::Going], &[]);
        let ways = ways_out(&plan(vec![Blocked::Foreign]));
        assert_eq!(
            ways[0].or,
            "or give one away: kubectl -n agents annotate workspace w0 axon.io/adopt-into=app"
        );
    }
}
