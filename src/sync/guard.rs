//! Refuses plans that destroy or run more than a person is likely to mean. Pure.

use crate::model::Plan;

/// Plans that delete no more objects than this are not refused.
const FEW_DELETES: usize = 2;
/// Nor those that delete no larger a part of the sync's objects, in per cent.
const SMALL_PART: usize = 30;
/// Nor those that run no more Tasks anew than this: one edited line in `defaults` can rerun them all,
/// and each run costs money.
const FEW_RERUNS: usize = 3;

/// What a person has allowed beyond that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allow {
    /// Exactly so many deletions.
    pub deletes: Option<usize>,
    /// Up to so many Tasks that run anew.
    pub runs: Option<usize>,
}

/// Why a plan is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the configuration declares nothing, and {} would be deleted", objects(*.deletes))]
    Empty { deletes: usize },
    #[error("{deletes} of {members} objects would be deleted")]
    Prune { deletes: usize, members: usize },
    #[error("{reruns} Tasks would run again")]
    Rerun { reruns: usize },
}

fn objects(count: usize) -> String {
    match count {
        1 => "1 object".into(),
        several => format!("{several} objects"),
    }
}

/// A plan that the guards let pass: what `apply` takes.
#[derive(Clone, Copy, Debug)]
pub struct Cleared<'a>(&'a Plan);

impl<'a> Cleared<'a> {
    pub fn plan(&self) -> &'a Plan {
        self.0
    }
}

/// Lets `plan` pass, or tells all that speaks against it.
pub fn clear(plan: &Plan, allow: Allow) -> Result<Cleared<'_>, Vec<Refusal>> {
    let sum = plan.summary();
    let (deletes, members, reruns) = (sum.delete, plan.members, sum.reruns);
    let mut refused = Vec::new();
    if deletes > 0 && allow.deletes != Some(deletes) {
        if plan.declared == 0 {
            refused.push(Refusal::Empty { deletes });
        } else if deletes > FEW_DELETES && deletes * 100 > members * SMALL_PART {
            refused.push(Refusal::Prune { deletes, members });
        }
    }
    if reruns > allow.runs.unwrap_or(0).max(FEW_RERUNS) {
        refused.push(Refusal::Rerun { reruns });
    }
    if refused.is_empty() {
        Ok(Cleared(plan))
    } else {
        Err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Home;
    use crate::model::Key;
    use crate::model::Kind;
    use crate::model::Namespace;
    use crate::model::ObjectName;
    use crate::model::RepoPath;
    use crate::model::Revision;
    use crate::model::SyncId;
    use crate::model::plan::Action;
    use crate::model::plan::LiveId;
    use crate::model::plan::Manifest;
    use crate::model::plan::Step;
    use crate::model::snapshot::Source;

    fn live() -> LiveId {
        LiveId {
            uid: "u".into(),
            generation: 1,
            resource_version: "1".into(),
            marks: crate::model::plan::Marks::default(),
        }
    }

    fn plan(members: usize, deletes: usize, again: usize) -> Plan {
        let source = Source {
            canonical: "x".into(),
            url: None,
        };
        let delete = Action::Delete {
            live: live(),
            running: 0,
        };
        let create = Action::Create {
            manifest: Manifest::new(serde_json::Value::Null),
            again: true,
        };
        let steps = std::iter::repeat_n(create, again).chain(std::iter::repeat_n(delete, deletes));
        Plan {
            namespace: Namespace::parse("agents").unwrap(),
            sync: SyncId::parse("app").unwrap(),
            takes_over: None,
            ledger: Vec::new(),
            home: Home::new(&source, &RepoPath::parse("axon.yaml").unwrap()),
            revision: Revision::Commit("0".repeat(40)),
            declared: members - deletes + again,
            members,
            runs: std::collections::BTreeMap::new(),
            steps: steps
                .map(|action| Step {
                    key: Key {
                        kind: Kind::Task,
                        name: ObjectName::parse("a").unwrap(),
                    },
                    action,
                })
                .collect(),
        }
    }

    fn check(plan: &Plan, deletes: Option<usize>, runs: Option<usize>, expected: &[Refusal]) {
        let refused = clear(plan, Allow { deletes, runs }).err();
        assert_eq!(refused.unwrap_or_default(), expected);
    }

    #[test]
    fn many_deletions_need_their_exact_number() {
        let refused = |deletes, members| [Refusal::Prune { deletes, members }];
        check(&plan(10, 2, 0), None, None, &[]);
        check(&plan(3, 2, 0), None, None, &[]);
        check(&plan(10, 3, 0), None, None, &[]);
        check(&plan(10, 4, 0), None, None, &refused(4, 10));
        check(&plan(10, 4, 0), Some(3), None, &refused(4, 10));
        check(&plan(10, 4, 0), Some(5), None, &refused(4, 10));
        check(&plan(10, 4, 0), Some(4), None, &[]);
    }

    #[test]
    fn an_empty_configuration_deletes_nothing_by_itself() {
        check(&plan(0, 0, 0), None, None, &[]);
        check(&plan(1, 1, 0), None, None, &[Refusal::Empty { deletes: 1 }]);
        check(&plan(1, 1, 0), Some(1), None, &[]);
    }

    #[test]
    fn many_reruns_need_to_be_allowed() {
        check(&plan(0, 0, 3), None, None, &[]);
        check(&plan(0, 0, 4), None, None, &[Refusal::Rerun { reruns: 4 }]);
        check(
            &plan(0, 0, 5),
            None,
            Some(4),
            &[Refusal::Rerun { reruns: 5 }],
        );
        check(&plan(0, 0, 5), None, Some(5), &[]);
        check(
            &plan(10, 4, 4),
            None,
            None,
            &[
                Refusal::Prune {
                    deletes: 4,
                    members: 10,
                },
                Refusal::Rerun { reruns: 4 },
            ],
        );
    }
}
