//! Who leads, given the Lease: pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

/// What a candidate does next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Move {
    /// Another leads.
    Follow,
    /// There is no Lease: create this one.
    Create(Box<Lease>),
    /// It is ours, or free: write this.
    Take(Box<Lease>),
}

/// What the candidate `identity` does, given the Lease as it is now and how long it has stood like
/// that. The time of the last renewal is not compared: clocks of two machines differ.
pub(super) fn decide(
    held: Option<&Lease>,
    identity: &str,
    name: &str,
    term: Duration,
    silence: Duration,
    now: Timestamp,
) -> Move {
    let Some(held) = held else {
        return Move::Create(Box::new(Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(taken(LeaseSpec::default(), identity, term, now)),
        }));
    };
    let spec = held.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if !holder.is_empty() && holder != identity && silence < term_of(&spec, term) {
        return Move::Follow;
    }
    Move::Take(Box::new(Lease {
        spec: Some(taken(spec, identity, term, now)),
        ..held.clone()
    }))
}

/// The Lease given back; nothing if it is not `identity`'s.
pub(super) fn released(held: &Lease, identity: &str) -> Option<Lease> {
    let spec = held.spec.clone()?;
    (spec.holder_identity.as_deref() == Some(identity)).then(|| Lease {
        spec: Some(LeaseSpec {
            holder_identity: None,
            ..spec
        }),
        ..held.clone()
    })
}

/// The term that the holder asked for, within reason.
fn term_of(spec: &LeaseSpec, ours: Duration) -> Duration {
    let asked = spec
        .lease_duration_seconds
        .and_then(|it| u64::try_from(it).ok());
    asked.map_or(ours, Duration::from_secs).min(ours * 4)
}

fn taken(spec: LeaseSpec, identity: &str, term: Duration, now: Timestamp) -> LeaseSpec {
    let is_new = spec.holder_identity.as_deref() != Some(identity);
    let since = spec.acquire_time.clone().filter(|_| !is_new);
    let changes = spec.lease_transitions.unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        acquire_time: since.or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_duration_seconds: i32::try_from(term.as_secs()).ok(),
        lease_transitions: Some(changes.saturating_add(i32::from(is_new))),
        ..spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(15);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// The Lease that `who` took at second 0.
    fn lease_of(who: &str) -> Lease {
        match decide(None, who, "lease", TERM, Duration::ZERO, at(0)) {
            Move::Create(lease) => *lease,
            other => panic!("{other:?}"),
        }
    }

    /// Who holds the Lease after `who` has tried when it had stood unchanged for `seconds`; since
    /// when, and the changes so far.
    fn check(held: &Lease, who: &str, seconds: u32) -> Option<(String, i64, i32)> {
        let silence = Duration::from_secs(seconds.into());
        let seconds = seconds.into();
        match decide(Some(held), who, "lease", TERM, silence, at(seconds)) {
            Move::Follow => None,
            Move::Take(lease) => {
                let spec = lease.spec.unwrap();
                assert_eq!(spec.renew_time.unwrap().0, at(seconds));
                let since = spec.acquire_time.unwrap().0.as_second() - at(0).as_second();
                Some((
                    spec.holder_identity.unwrap(),
                    since,
                    spec.lease_transitions.unwrap(),
                ))
            }
            other @ Move::Create(_) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_holder_renews_and_the_others_wait() {
        let held = lease_of("a");
        assert_eq!(check(&held, "a", 10), Some(("a".into(), 0, 1)));
        assert_eq!(check(&held, "b", 10), None);
        assert_eq!(check(&held, "b", 14), None);
    }

    #[test]
    fn a_holder_may_ask_for_another_term_within_reason() {
        let mut held = lease_of("a");
        held.spec.as_mut().unwrap().lease_duration_seconds = Some(30);
        assert_eq!(check(&held, "b", 29), None);
        assert!(check(&held, "b", 30).is_some());
        held.spec.as_mut().unwrap().lease_duration_seconds = Some(i32::MAX);
        assert!(check(&held, "b", 60).is_some());
        held.spec.as_mut().unwrap().lease_duration_seconds = Some(-1);
        assert_eq!(check(&held, "b", 14), None);
    }

    #[test]
    fn a_silent_holder_is_followed_by_another() {
        let held = lease_of("a");
        assert_eq!(check(&held, "b", 15), Some(("b".into(), 15, 2)));
        // Who comes back after that is not leader any more by having been it.
        assert_eq!(check(&held, "a", 1000), Some(("a".into(), 0, 1)));
    }

    #[test]
    fn a_lease_given_back_is_free_at_once() {
        let free = released(&lease_of("a"), "a").unwrap();
        assert_eq!(check(&free, "b", 1), Some(("b".into(), 1, 2)));
        assert_eq!(released(&lease_of("a"), "b"), None);
    }

    #[test]
    fn an_odd_lease_stops_nobody() {
        for spec in [
            None,
            Some(LeaseSpec::default()),
            Some(LeaseSpec {
                holder_identity: Some("x".into()),
                ..LeaseSpec::default()
            }),
        ] {
            let odd = Lease {
                spec,
                ..lease_of("a")
            };
            assert_eq!(check(&odd, "b", 15).map(|it| it.0), Some("b".into()));
        }
    }
}
