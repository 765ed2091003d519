//! Ticks of a schedule as work items. Pure: the clock and the cursor are the caller's.

use jiff::Timestamp;

use crate::model::item::ItemKey;
use crate::model::item::ItemKind;
use crate::model::item::WorkItem;
use crate::model::schedule::Schedule;

/// The tick that is due, and its item: the last one later than `cursor` and not later than `now`.
///
/// Ticks missed before it are left out: after a time down comes one run, not a burst. `cursor` is
/// the last tick that was handled, or when the spawner was created.
pub fn due(
    schedule: &Schedule,
    cursor: Timestamp,
    now: Timestamp,
) -> Option<(Timestamp, WorkItem)> {
    let tick = schedule.latest_between(cursor, now)?;
    Some((tick, item(schedule, tick)))
}

/// The key of a tick's item. Keys are ordered as their ticks are.
pub fn key(tick: Timestamp) -> ItemKey {
    ItemKey::new(format!("cron/{}", id(tick)))
}

fn item(schedule: &Schedule, tick: Timestamp) -> WorkItem {
    WorkItem {
        key: key(tick),
        id: id(tick),
        number: 0,
        title: tick.to_string(),
        body: String::new(),
        url: String::new(),
        labels: Vec::new(),
        comments: Vec::new(),
        kind: ItemKind::Issue,
        time: tick.to_string(),
        schedule: schedule.as_str().to_owned(),
    }
}

/// In UTC: it names one moment, also when a zone shows the same time twice.
fn id(tick: Timestamp) -> String {
    tick.strftime("%Y%m%d-%H%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn check(cursor: &str, now: &str, expected: Option<&str>) {
        let schedule = Schedule::parse("0 3 * * *", Some("Europe/Berlin")).unwrap();
        let due = due(&schedule, at(cursor), at(now));
        let key = due.map(|(_, item)| item.key.as_str().to_owned());
        assert_eq!(key.as_deref(), expected, "after {cursor} at {now}");
    }

    #[test]
    fn one_run_for_all_that_was_missed() {
        let cursor = "2026-11-20T02:00:00Z";
        check(cursor, "2026-11-20T12:00:00Z", None);
        check(cursor, "2026-11-21T01:59:59Z", None);
        check(cursor, "2026-11-21T02:00:00Z", Some("cron/20261121-0200"));
        check(cursor, "2027-08-01T12:00:00Z", Some("cron/20270801-0100"));
    }

    #[test]
    fn a_handled_tick_is_not_due_again() {
        let schedule = Schedule::parse("*/5 * * * *", None).unwrap();
        let now = at("2026-11-22T17:52:01Z");
        let (tick, _) = due(&schedule, at("2026-11-22T17:00:00Z"), now).unwrap();
        assert_eq!(tick, at("2026-11-22T17:50:00Z"));
        assert_eq!(due(&schedule, tick, now), None);
        // Nor when the clock steps back.
        assert_eq!(due(&schedule, tick, at("2026-11-22T17:40:00Z")), None);
    }

    #[test]
    fn the_item_of_a_tick() {
        let schedule = Schedule::parse("@hourly", Some("Asia/Kolkata")).unwrap();
        let now = at("2026-11-22T03:00:00.5Z");
        let (_, item) = due(&schedule, at("2026-11-22T00:00:00Z"), now).unwrap();
        let expected = WorkItem {
            key: ItemKey::new("cron/20261122-0230"),
            id: "20261122-0230".into(),
            number: 0,
            title: "2026-11-22T02:30:00Z".into(),
            body: String::new(),
            url: String::new(),
            labels: Vec::new(),
            comments: Vec::new(),
            kind: ItemKind::Issue,
            time: "2026-11-22T02:30:00Z".into(),
            schedule: "@hourly".into(),
        };
        assert_eq!(item, expected);
    }
}
