//! What each RepoSync has to do with objects of its namespace: its id, what stands in its way, and
//! whether any of that was touched since it last looked.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;

use super::view::Change;
use crate::api::RepoSync;
use crate::model::Key;
use crate::model::SyncId;

/// A RepoSync as the controller's store knows it.
pub(super) type Name = ObjectRef<DeserializeGuard<RepoSync>>;

/// The claims of all RepoSyncs.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<HashMap<Name, Claim>>);

#[derive(Debug, Default)]
struct Claim {
    wants: Option<SyncId>,
    in_the_way: BTreeSet<Key>,
    touched: Option<Timestamp>,
}

impl Claims {
    /// The id that the configuration of `name` asks for, if that was read.
    pub(super) fn wants(&self, name: &Name) -> Option<SyncId> {
        self.lock().get(name)?.wants.clone()
    }

    /// Notes which id the configuration of `name` asks for. Gives whether that is new.
    pub(super) fn want(&self, name: &Name, wants: &SyncId) -> bool {
        let mut claims = self.lock();
        let claim = claims.entry(name.clone()).or_default();
        let is_new = claim.wants.as_ref() != Some(wants);
        claim.wants = Some(wants.clone());
        is_new
    }

    /// Notes which objects keep `name` from being synced: it looks again when one of them changes.
    pub(super) fn wait_for(&self, name: &Name, objects: BTreeSet<Key>) {
        self.lock().entry(name.clone()).or_default().in_the_way = objects;
    }

    /// When the first change was seen that `name` has not looked at.
    pub(super) fn touched(&self, name: &Name) -> Option<Timestamp> {
        self.lock().get(name)?.touched
    }

    /// Forgets the changes of `name`: what comes from now on is new.
    pub(super) fn looks(&self, name: &Name) {
        if let Some(claim) = self.lock().get_mut(name) {
            claim.touched = None;
        }
    }

    /// Marks all whom `change` concerns; gives their names.
    pub(super) fn touch(&self, change: &Change, now: Timestamp) -> Vec<Name> {
        let mut touched = Vec::new();
        for (name, claim) in &mut *self.lock() {
            let ids = [&change.before, &change.after];
            let is_member = ids.iter().any(|id| id.as_deref() == id_of(claim));
            let concerns =
                (is_member && claim.wants.is_some()) || claim.in_the_way.contains(&change.key);
            if concerns && name.namespace.as_ref() == Some(&change.namespace) {
                claim.touched.get_or_insert(now);
                touched.push(name.clone());
            }
        }
        touched
    }

    /// Marks all others of the namespace of `name`: whose an id is may have changed.
    pub(super) fn touch_siblings(&self, name: &Name, now: Timestamp) -> Vec<Name> {
        let mut touched = Vec::new();
        for (other, claim) in &mut *self.lock() {
            if other.namespace == name.namespace && other != name {
                claim.touched.get_or_insert(now);
                touched.push(other.clone());
            }
        }
        touched
    }

    /// Forgets those that are gone; gives them.
    pub(super) fn retain(&self, exists: impl Fn(&Name) -> bool) -> Vec<Name> {
        let mut gone = Vec::new();
        self.lock().retain(|name, _| {
            let stays = exists(name);
            if !stays {
                gone.push(name.clone());
            }
            stays
        });
        gone
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Claim>> {
        // Each change is one assignment: whole at any moment, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id_of(claim: &Claim) -> Option<&str> {
    claim.wants.as_ref().map(SyncId::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use crate::model::ObjectName;

    fn name(name: &str) -> Name {
        Name::new(name).within("agents")
    }

    fn key(name: &str) -> Key {
        Key {
            kind: Kind::Workspace,
            name: ObjectName::parse(name).unwrap(),
        }
    }

    fn change(namespace: &str, object: &str, before: Option<&str>, after: Option<&str>) -> Change {
        Change {
            namespace: namespace.into(),
            key: key(object),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }
    }

    #[test]
    fn a_change_concerns_whose_it_was_is_or_whom_it_stops() {
        let claims = Claims::default();
        let app = SyncId::parse("app").unwrap();
        assert!(claims.want(&name("a"), &app));
        assert!(!claims.want(&name("a"), &app));
        claims.wait_for(&name("b"), BTreeSet::from([key("shared")]));
        let check = |change: &Change, expected: &[&str]| {
            let names = claims.touch(change, Timestamp::UNIX_EPOCH);
            let names: Vec<&str> = names.iter().map(|it| it.name.as_str()).collect();
            assert_eq!(names, expected);
        };
        check(&change("agents", "x", None, Some("app")), &["a"]);
        check(&change("agents", "x", Some("app"), None), &["a"]);
        check(&change("agents", "x", None, None), &[]);
        check(&change("agents", "x", None, Some("web")), &[]);
        check(&change("other", "x", None, Some("app")), &[]);
        check(&change("agents", "shared", None, Some("web")), &["b"]);
    }

    #[test]
    fn what_was_looked_at_is_done() {
        let claims = Claims::default();
        let (first, second) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        claims.want(&name("a"), &SyncId::parse("app").unwrap());
        claims.touch(&change("agents", "x", None, Some("app")), first);
        claims.touch(&change("agents", "x", None, Some("app")), second);
        assert_eq!(claims.touched(&name("a")), Some(first));
        claims.looks(&name("a"));
        assert_eq!(claims.touched(&name("a")), None);
    }

    #[test]
    fn who_is_gone_is_told() {
        let claims = Claims::default();
        for it in ["a", "b"] {
            claims.wait_for(&name(it), BTreeSet::new());
        }
        assert_eq!(claims.retain(|it| it.name == "a"), [name("b")]);
        assert_eq!(
            claims.touch_siblings(&name("b"), Timestamp::MAX),
            [name("a")]
        );
    }
}
