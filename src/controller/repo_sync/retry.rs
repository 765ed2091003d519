//! How long to wait before looking again: the one place that decides it. Pure: what should differ
//! from one RepoSync to the next comes from a seed.

use std::time::Duration;

use crate::model::Digest;

/// First and longest pause after a failure that may pass.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// What an edit alone can mend is tried again no sooner than this: nobody tells when a Secret changes.
const RECHECK: Duration = Duration::from_mins(5);
/// Edits of one hand come close together, and our own writes come back as events: looking waits
/// until they have come.
const QUIET: Duration = Duration::from_millis(250);
/// Corrections of drift that are made without a pause. More of them are a fight with somebody.
const FREE_CORRECTIONS: u32 = 5;
/// By how much an interval varies, in per cent.
const SPREAD: u32 = 5;

/// After `failures` failures in a row: anything up to a bound that doubles, so that many who failed
/// together do not come back together.
pub(super) fn backoff(failures: u32, seed: &Digest) -> Duration {
    let bound = doubled(failures.saturating_sub(1));
    bound.mul_f64(fraction(seed)).max(QUIET)
}

/// The time to the next poll.
pub(super) fn jittered(interval: Duration, seed: &Digest) -> Duration {
    let spread = f64::from(SPREAD) / 100.0;
    interval.mul_f64(1.0 - spread + 2.0 * spread * fraction(seed))
}

/// The time until what has stalled is tried again though nothing is known to have changed.
pub(super) fn recheck(interval: Duration, seed: &Digest) -> Duration {
    jittered(interval.max(RECHECK), seed)
}

/// The pause for something that has been tried for so long: as long again, within bounds.
pub(super) fn as_long(tried: Duration) -> Duration {
    let (first, longest) = BACKOFF;
    tried.clamp(first, longest)
}

/// How long drift is left alone, given how often it was corrected of late.
pub(super) fn quiet(corrections: u32) -> Duration {
    match corrections.checked_sub(FREE_CORRECTIONS) {
        None => QUIET,
        Some(more) => doubled(more),
    }
}

fn doubled(times: u32) -> Duration {
    let (first, longest) = BACKOFF;
    first.saturating_mul(1 << times.min(16)).min(longest)
}

/// A number from 0 to 1 that the seed decides.
fn fraction(seed: &Digest) -> f64 {
    let digits = u32::from_str_radix(&seed.short(8), 16).expect("a digest is hexadecimal");
    f64::from(digits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds() -> impl Iterator<Item = Digest> {
        (0..1000_u32).map(|number| Digest::of(number.to_be_bytes()))
    }

    #[test]
    fn failures_spread_over_a_bound_that_doubles() {
        let check = |failures: u32, bound: Duration| {
            let longest = seeds().map(|seed| backoff(failures, &seed)).max().unwrap();
            let shortest = seeds().map(|seed| backoff(failures, &seed)).min().unwrap();
            assert!(
                longest <= bound && longest > bound.mul_f64(0.9),
                "{longest:?}"
            );
            assert!(
                shortest >= QUIET && shortest < bound.mul_f64(0.3),
                "{shortest:?}"
            );
        };
        check(1, Duration::from_secs(1));
        check(2, Duration::from_secs(2));
        check(5, Duration::from_secs(16));
        check(9, Duration::from_secs(256));
        check(u32::MAX, Duration::from_mins(5));
    }

    #[test]
    fn polls_vary_by_a_twentieth() {
        let minute = Duration::from_mins(1);
        let all: Vec<Duration> = seeds().map(|seed| jittered(minute, &seed)).collect();
        let (low, high) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(*low >= Duration::from_secs(57) && *low < Duration::from_millis(57_200));
        assert!(*high <= Duration::from_secs(63) && *high > Duration::from_millis(62_800));
    }

    #[test]
    fn a_fight_slows_down() {
        assert_eq!(quiet(0), quiet(4));
        assert_eq!(quiet(5), Duration::from_secs(1));
        assert_eq!(quiet(8), Duration::from_secs(8));
        assert_eq!(quiet(u32::MAX), Duration::from_mins(5));
    }
}
