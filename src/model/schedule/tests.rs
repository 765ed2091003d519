use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next ticks after `from`, in local time with offset.
fn ticks(schedule: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(schedule, Some(zone)).unwrap();
    let mut now = at(from);
    let mut found = Vec::new();
    for _ in 0..count {
        now = schedule.next_after(now).unwrap();
        let local = now.to_zoned(schedule.zone.clone());
        found.push(local.strftime("%Y-%m-%d %H:%M %:z").to_string());
    }
    found
}

fn check(schedule: &str, from: &str, expected: &str) {
    let schedule = Schedule::parse(schedule, None).unwrap();
    assert_eq!(
        schedule.next_after(at(from)),
        Some(at(expected)),
        "{schedule:?} from {from}"
    );
}

fn refused(schedule: &str, expected: &str) {
    let error = Schedule::parse(schedule, None).unwrap_err().to_string();
    assert!(error.contains(expected), "{schedule:?}: {error}");
}

#[test]
fn fields_as_robfig_reads_them() {
    let from = "2026-11-22T17:50:30Z"; // a Sunday
    check("* * * * *", from, "2026-11-22T17:51:00Z");
    check("*/15 * * * *", from, "2026-11-22T18:00:00Z");
    check("7/20 * * * *", from, "2026-11-22T18:07:00Z");
    check("0-10/100 * * * *", from, "2026-11-22T18:00:00Z");
    check("0 9 * * MON-fri", from, "2026-11-23T09:00:00Z");
    check("0 3 ? * ?", from, "2026-11-23T03:00:00Z");
    check("0 3 1,,15 * *", from, "2026-12-01T03:00:00Z");
    check("0 0 29 feb *", from, "2028-02-29T00:00:00Z");
    check("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z");
    check("* * 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z");
    check("  @hourly ", from, "2026-11-22T18:00:00Z");
    check("@midnight", from, "2026-11-23T00:00:00Z");
    check("@weekly", from, "2026-11-29T00:00:00Z");
    check("@monthly", from, "2026-12-01T00:00:00Z");
    check("@annually", from, "2027-01-01T00:00:00Z");
    check("@every 1h30m", from, "2026-11-22T19:20:30Z");
    check("CRON_TZ=Asia/Tokyo 0 9 * * *", from, "2026-11-23T00:00:00Z");
}

#[test]
fn a_tick_is_later_than_the_moment_it_follows() {
    check("0 3 * * *", "2026-11-22T03:00:00Z", "2026-11-23T03:00:00Z");
    check(
        "0 3 * * *",
        "2026-11-22T02:59:59.999Z",
        "2026-11-22T03:00:00Z",
    );
    check("0 * * * *", "2026-11-22T03:00:00Z", "2026-11-22T04:00:00Z");
}

#[test]
fn day_of_month_or_day_of_week() {
    let from = "2026-11-22T12:00:00Z";
    check("0 0 13 * 5", from, "2026-11-27T00:00:00Z"); // the Friday before the 13th
    check("0 0 13 * *", from, "2026-12-13T00:00:00Z");
    check("0 0 * * 5", from, "2026-11-27T00:00:00Z");
    check("0 0 31 2 1", from, "2027-02-01T00:00:00Z"); // Mondays in February
}

#[test]
fn what_is_not_a_schedule_is_told() {
    refused("", "five fields");
    refused("* * * *", "got 4 fields");
    refused("0 * * * * *", "got 6 fields");
    refused("60 * * * *", r#"minute "60": expected *, numbers 0 to 59"#);
    refused("0 24 * * *", "hour");
    refused("0 0 0 * *", "day of month");
    refused("0 0 * 13 *", "1 to 12 or jan to dec");
    refused("0 0 * * 7", "0 to 6 or sun to sat");
    for bad in [
        "L", "15W", "5#2", "1-2-3", "5-1", "1/0", "1/2/3", "-1", "+1", "*-5", ",", "a",
    ] {
        refused(&format!("0 0 {bad} * *"), "day of month");
    }
    refused(&format!("{} 0 * * *", "9".repeat(100)), "minute");
    refused(&"*".repeat(300), "longer than 256");
    refused("@Hourly", "unknown name \"@Hourly\"");
    refused("@reboot", "unknown name");
    refused("@every 5s", "at least 1m");
    refused("@every x", "cannot read the period");
    refused("CRON_TZ=Mars/X 0 * * * *", "unknown time zone \"Mars/X\"");
    refused("TZ=UTC", "five fields");
}

#[test]
fn what_never_fires_is_refused() {
    for never in [
        "0 0 31 2 *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 2 ?",
    ] {
        refused(never, "never fires");
    }
}

#[test]
fn a_zone_is_suggested() {
    let error = |zone| {
        Schedule::parse("@daily", Some(zone))
            .unwrap_err()
            .to_string()
    };
    assert!(error("Europe/Berln").ends_with(r#"did you mean "Europe/Berlin"?"#));
    assert!(error("berlin").ends_with(r#"did you mean "Europe/Berlin"?"#));
    assert_eq!(error("xyzzy"), r#"unknown time zone "xyzzy""#);
    assert!(error("").contains("unknown"));
    assert!(
        Schedule::parse("TZ=UTC @daily", Some("Asia/Tokyo"))
            .unwrap_err()
            .to_string()
            .contains("name it once")
    );
}

#[test]
fn a_time_that_the_clock_skips_fires_once_when_the_skip_is_over() {
    // New York, 2026-03-08: 02:00 -05:00 is 03:00 -04:00.
    assert_eq!(
        ticks("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 3),
        [
            "2026-03-08 03:00 -04:00",
            "2026-03-09 02:30 -04:00",
            "2026-03-10 02:30 -04:00"
        ]
    );
    // Both times of the skip, and the tick at its end, are one moment.
    assert_eq!(
        ticks(
            "15,45 2,3 * * *",
            "America/New_York",
            "2026-03-08T05:00:00Z",
            3
        ),
        [
            "2026-03-08 03:00 -04:00",
            "2026-03-08 03:15 -04:00",
            "2026-03-08 03:45 -04:00"
        ]
    );
    // Samoa had no 30th of December 2011.
    assert_eq!(
        ticks("0 3 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", 1),
        ["2011-12-31 00:00 +14:00"]
    );
}

#[test]
fn a_time_that_the_clock_shows_twice_fires_at_the_first() {
    // New York, 2026-11-01: 02:00 -04:00 is 01:00 -05:00.
    assert_eq!(
        ticks("30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z", 2),
        ["2026-11-01 01:30 -04:00", "2026-11-02 01:30 -05:00"]
    );
    // Asked between the two.
    assert_eq!(
        ticks("30 1 * * *", "America/New_York", "2026-11-01T05:45:00Z", 1),
        ["2026-11-02 01:30 -05:00"]
    );
}

#[test]
fn every_hour_follows_real_time() {
    assert_eq!(
        ticks("5 * * * *", "America/New_York", "2026-03-08T06:00:00Z", 2),
        ["2026-03-08 01:05 -05:00", "2026-03-08 03:05 -04:00"]
    );
    assert_eq!(
        ticks("5 * * * *", "America/New_York", "2026-11-01T05:00:00Z", 3),
        [
            "2026-11-01 01:05 -04:00",
            "2026-11-01 01:05 -05:00",
            "2026-11-01 02:05 -05:00"
        ]
    );
    // Lord Howe Island moves by half an hour.
    assert_eq!(
        ticks(
            "0,30 * * * *",
            "Australia/Lord_Howe",
            "2026-10-03T15:00:00Z",
            3
        ),
        [
            "2026-10-04 02:30 +11:00",
            "2026-10-04 03:00 +11:00",
            "2026-10-04 03:30 +11:00"
        ]
    );
}

#[test]
fn the_latest_missed_tick() {
    let latest = |schedule: &str, after: &str, now: &str| {
        Schedule::parse(schedule, None)
            .unwrap()
            .latest_between(at(after), at(now))
            .map(|tick| tick.to_string())
    };
    let check = |schedule, after, now, expected: Option<&str>| {
        assert_eq!(
            latest(schedule, after, now).as_deref(),
            expected,
            "{schedule} {after} {now}"
        );
    };
    let (start, now) = ("2020-01-01T00:00:00Z", "2026-11-22T17:50:30.5Z");
    check("* * * * *", start, now, Some("2026-11-22T17:50:00Z"));
    check("* * 1 1 *", start, now, Some("2026-01-01T23:59:00Z"));
    check("0 0 29 2 *", start, now, Some("2024-02-29T00:00:00Z"));
    check("@every 1h", start, now, Some("2026-11-22T17:00:00Z"));
    check("0 3 * * *", "2026-11-22T03:00:00Z", now, None);
    check(
        "0 3 * * *",
        "2026-11-22T02:59:59Z",
        "2026-11-22T03:00:00Z",
        Some("2026-11-22T03:00:00Z"),
    );
    check(
        "0 3 * * *",
        "2026-11-22T02:59:59Z",
        "2026-11-22T02:59:59.9Z",
        None,
    );
    check("0 3 * * *", now, start, None);
}

#[test]
fn the_end_of_the_calendar() {
    let end = Timestamp::MAX;
    for text in ["* * * * *", "0 3 * * *", "0 0 29 2 *", "@every 1h"] {
        let schedule = Schedule::parse(text, Some("Asia/Tokyo")).unwrap();
        assert_eq!(schedule.next_after(end), None, "{text}");
        assert!(schedule.next_after(Timestamp::MIN).is_some(), "{text}");
        assert!(
            schedule.latest_between(Timestamp::MIN, end).is_some(),
            "{text}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text in "([0-9*?/,LW#a-z@-]{0,6} ){0,6}") {
        let _ = Schedule::parse(&text, None);
    }

    /// What can be parsed fires, in order, and the latest tick is the one that stepping finds.
    #[test]
    fn stepping_and_the_latest_agree(
        minute in 0..60, step in 1..40, hour in 0..24, day in 1..29, month in 1..13,
        shape in 0..5, start in 1_700_000_000_i64..1_900_000_000, zone in 0..4_usize,
    ) {
        let text = match shape {
            0 => format!("{minute}/{step} * * * *"),
            1 => format!("{minute} {hour}/{step} * * *"),
            2 => format!("*/{step} {hour} {day} * *"),
            3 => format!("{minute} {hour} {day} {month} 1"),
            _ => format!("{minute} * {day} {month} *"),
        };
        let zone = ["America/New_York", "Australia/Lord_Howe", "America/Havana", "UTC"][zone];
        let schedule = Schedule::parse(&text, Some(zone)).unwrap();
        let start = Timestamp::from_second(start).unwrap();
        let mut tick = start;
        for _ in 0..20 {
            let next = schedule.next_after(tick).unwrap();
            assert!(next > tick, "{text}");
            tick = next;
        }
        assert_eq!(schedule.latest_between(start, tick), Some(tick), "{text}");
        let before = tick - SignedDuration::from_secs(1);
        assert!(schedule.latest_between(start, before).is_some_and(|it| it < tick), "{text}");
    }
}
