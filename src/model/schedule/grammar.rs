//! The grammar of schedules: robfig/cron's five fields, its `@` names and its `CRON_TZ=` prefix.
//!
//! Only reads; when a schedule fires is told in the module above.

use std::time::Duration;

use super::Error;
use crate::model::duration::GoDuration;

/// Longest schedule, as in the schema.
const MAX_TEXT: usize = 256;

/// Ticks are named by the minute, so two of them must not share one.
const SHORTEST_EVERY: Duration = Duration::from_mins(1);

/// What a schedule says, without its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Fields(Fields),
    /// `@every`: this long after the last tick.
    Every(Duration),
}

/// The five fields. Bit `n` of a field stands for the value `n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) minutes: u64,
    pub(super) hours: u64,
    pub(super) days: u64,
    pub(super) months: u64,
    pub(super) weekdays: u64,
    /// Neither day of month nor day of week is `*`: a day fires when either of them matches.
    pub(super) either_day: bool,
}

/// `text` without its zone, and the zone of a `CRON_TZ=` or `TZ=` prefix.
pub(super) fn split_zone(text: &str) -> Result<(Option<&str>, &str), Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::TooLong { max: MAX_TEXT });
    }
    let text = text.trim();
    let Some(rest) = text
        .strip_prefix("CRON_TZ=")
        .or_else(|| text.strip_prefix("TZ="))
    else {
        return Ok((None, text));
    };
    let (zone, rest) = rest.split_once(' ').ok_or(Error::Fields { got: 0 })?;
    Ok((Some(zone), rest.trim()))
}

pub(super) fn rule(text: &str) -> Result<Rule, Error> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        name if name.starts_with('@') => return every(name),
        fields => fields,
    };
    let parts: Vec<&str> = fields.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = parts[..] else {
        return Err(Error::Fields { got: parts.len() });
    };
    let (minutes, _) = field(minute, &MINUTE)?;
    let (hours, _) = field(hour, &HOUR)?;
    let (days, any_day) = field(day, &DAY)?;
    let (months, _) = field(month, &MONTH)?;
    let (weekdays, any_weekday) = field(weekday, &WEEKDAY)?;
    let fields = Fields {
        minutes,
        hours,
        days,
        months,
        weekdays,
        either_day: !any_day && !any_weekday,
    };
    if fields.never_fires() {
        return Err(Error::NeverFires);
    }
    Ok(Rule::Fields(fields))
}

fn every(name: &str) -> Result<Rule, Error> {
    let Some(text) = name.strip_prefix("@every ") else {
        return Err(Error::Name { name: name.into() });
    };
    let period = GoDuration::parse(text.trim()).map_err(Error::Every)?.get();
    if period < SHORTEST_EVERY {
        return Err(Error::TooOften);
    }
    Ok(Rule::Every(Duration::from_secs(period.as_secs())))
}

impl Fields {
    /// Whether no month of these has a day of these. The 29th of February comes.
    fn never_fires(&self) -> bool {
        let days_of = |month: u32| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let first = self.days.trailing_zeros();
        !self.either_day && !(1..=12).any(|it| self.months & 1 << it != 0 && first <= days_of(it))
    }
}

/// One of the five fields: what its values may be.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MINUTE: Field = Field {
    name: "minute",
    min: 0,
    max: 59,
    names: &[],
};
const HOUR: Field = Field {
    name: "hour",
    min: 0,
    max: 23,
    names: &[],
};
const DAY: Field = Field {
    name: "day of month",
    min: 1,
    max: 31,
    names: &[],
};
const MONTH: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
const WEEKDAY: Field = Field {
    name: "day of week",
    min: 0,
    max: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// The values of a field, and whether one of its items is a plain `*`.
fn field(text: &str, field: &Field) -> Result<(u64, bool), Error> {
    let (mut bits, mut any) = (0, false);
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let (more, star) = values(item, field).ok_or_else(|| field.error(item))?;
        bits |= more;
        any |= star;
    }
    if bits == 0 {
        return Err(field.error(text));
    }
    Ok((bits, any))
}

/// `*`, `5`, `1-5`, each with `/step`; as in robfig/cron, `5/15` is `5-59/15` and `?` is `*`.
fn values(item: &str, field: &Field) -> Option<(u64, bool)> {
    let (range, step) = match item.split_once('/') {
        None => (item, None),
        Some((range, step)) => (range, Some(number(step).filter(|&it| it > 0)?)),
    };
    let star = matches!(range, "*" | "?");
    let (low, high) = if star {
        (field.min, field.max)
    } else if let Some((low, high)) = range.split_once('-') {
        (field.value(low)?, field.value(high)?)
    } else {
        let low = field.value(range)?;
        (low, if step.is_some() { field.max } else { low })
    };
    if low > high {
        return None;
    }
    let step = step.unwrap_or(1);
    let bits = (low..=high)
        .step_by(step as usize)
        .fold(0, |bits, value| bits | 1_u64 << value);
    Some((bits, star && step == 1))
}

impl Field {
    fn value(&self, text: &str) -> Option<u32> {
        let named = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text))
            .and_then(|at| u32::try_from(at).ok())
            .map(|at| at + self.min);
        named
            .or_else(|| number(text))
            .filter(|value| (self.min..=self.max).contains(value))
    }

    fn error(&self, text: &str) -> Error {
        let names = match self.names {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        Error::Value {
            field: self.name,
            text: text.into(),
            expected: format!("{} to {}{names}", self.min, self.max),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|c| c.is_ascii_digit())
        .then(|| text.parse().ok())?
}
