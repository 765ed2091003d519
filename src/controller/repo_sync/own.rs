//! Whose an id is: of the RepoSyncs of one namespace that would use the same, the oldest has it.
//! Pure, and the same for whoever asks: so two of them never take turns.

use std::cmp::Ordering;

use jiff::Timestamp;

use crate::model::SyncId;

/// A RepoSync, as far as its claim to an id goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claimant {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) created: Option<Timestamp>,
    /// The id that its configuration asks for, if that was ever read.
    pub(super) wants: Option<SyncId>,
    /// Whether it was looked at, with whatever result.
    pub(super) looked_at: bool,
}

/// Whether a RepoSync may use an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Owner,
    /// An older one of this name has it.
    Taken(String),
    /// An older one of this name has not been looked at: it may want the same.
    Unclear(String),
}

/// Whether `me` may use the id `wanted`, given the others of the namespace.
pub(super) fn standing(me: &Claimant, wanted: &SyncId, others: &[Claimant]) -> Standing {
    let mut older: Vec<&Claimant> = others
        .iter()
        .filter(|other| other.uid != me.uid && by_age(other, me).is_lt())
        .collect();
    older.sort_by(|a, b| by_age(a, b));
    if let Some(owner) = older.iter().find(|it| it.wants.as_ref() == Some(wanted)) {
        return Standing::Taken(owner.name.clone());
    }
    match older.iter().find(|it| !it.looked_at) {
        Some(unknown) => Standing::Unclear(unknown.name.clone()),
        None => Standing::Owner,
    }
}

/// Who else would use the id of `me`: the objects are its, too.
pub(super) fn heir<'a>(me: &Claimant, others: &'a [Claimant]) -> Option<&'a str> {
    let wants = me.wants.as_ref()?;
    let mut others = others.iter().filter(|other| other.uid != me.uid);
    let heir = others.find(|other| other.wants.as_ref() == Some(wants))?;
    Some(&heir.name)
}

/// Creation times have whole seconds: the UID breaks ties.
fn by_age(a: &Claimant, b: &Claimant) -> Ordering {
    (a.created, &a.uid).cmp(&(b.created, &b.uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant(name: &str, created: i64, wants: Option<&str>) -> Claimant {
        Claimant {
            name: name.into(),
            uid: format!("uid-{name}"),
            created: Timestamp::from_second(created).ok(),
            wants: wants.map(|id| SyncId::parse(id).unwrap()),
            looked_at: true,
        }
    }

    fn check(me: &Claimant, others: &[Claimant], expected: &Standing) {
        let wanted = SyncId::parse("app").unwrap();
        assert_eq!(standing(me, &wanted, others), *expected);
    }

    #[test]
    fn the_oldest_has_the_id() {
        let old = claimant("old", 1, Some("app"));
        let new = claimant("new", 2, Some("app"));
        let newest = claimant("newest", 3, Some("app"));
        let all = [newest.clone(), new.clone(), old.clone()];
        check(&old, &all, &Standing::Owner);
        check(&new, &all, &Standing::Taken("old".into()));
        check(&newest, &all, &Standing::Taken("old".into()));
    }

    #[test]
    fn of_two_of_one_second_the_uid_decides() {
        let (a, b) = (claimant("a", 1, Some("app")), claimant("b", 1, Some("app")));
        check(&a, &[a.clone(), b.clone()], &Standing::Owner);
        check(&b, &[a.clone(), b.clone()], &Standing::Taken("a".into()));
    }

    #[test]
    fn an_older_one_that_nobody_looked_at_is_waited_for() {
        let mut old = claimant("old", 1, None);
        let new = claimant("new", 2, None);
        check(&new, &[old.clone()], &Standing::Owner);
        old.looked_at = false;
        check(&new, &[old.clone()], &Standing::Unclear("old".into()));
        let owner = claimant("owner", 1, Some("app"));
        check(
            &new,
            &[old.clone(), owner],
            &Standing::Taken("owner".into()),
        );
        old.created = Timestamp::from_second(3).ok();
        check(&new, &[old], &Standing::Owner);
    }

    #[test]
    fn an_heir_wants_the_same() {
        let me = claimant("me", 1, Some("app"));
        let all = [
            me.clone(),
            claimant("a", 2, Some("web")),
            claimant("b", 2, Some("app")),
        ];
        assert_eq!(heir(&me, &all), Some("b"));
        assert_eq!(heir(&me, &all[..2]), None);
        let unread = claimant("me", 1, None);
        assert_eq!(heir(&unread, &all[1..]), None);
    }

    #[test]
    fn other_ids_do_not_matter() {
        let other = claimant("other", 1, Some("web"));
        check(&claimant("new", 2, None), &[other], &Standing::Owner);
    }
}
