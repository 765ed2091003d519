//! Plans for the tests of pure decisions.

use crate::model::Home;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::Plan;
use crate::model::RepoPath;
use crate::model::Revision;
use crate::model::SyncId;
use crate::model::plan::Action;
use crate::model::plan::LiveId;
use crate::model::plan::Step;
use crate::model::snapshot::Source;

pub(super) fn key(kind: Kind, name: &str) -> Key {
    Key {
        kind,
        name: ObjectName::parse(name).unwrap(),
    }
}

pub(super) fn live() -> LiveId {
    LiveId {
        uid: "u".into(),
        generation: 1,
        resource_version: "1".into(),
        marks: crate::model::plan::Marks::default(),
    }
}

pub(super) fn plan(steps: impl IntoIterator<Item = (Key, Action)>) -> Plan {
    let source = Source {
        canonical: "github.com/acme/app".into(),
        url: None,
    };
    let steps: Vec<Step> = steps
        .into_iter()
        .map(|(key, action)| Step { key, action })
        .collect();
    Plan {
        namespace: Namespace::parse("agents").unwrap(),
        sync: SyncId::parse("app").unwrap(),
        takes_over: None,
        home: Home::new(&source, &RepoPath::parse("axon.yaml").unwrap()),
        revision: Revision::Commit("0".repeat(40)),
        declared: steps.len(),
        members: steps.len(),
        runs: std::collections::BTreeMap::new(),
        steps,
        ledger: Vec::new(),
    }
}
