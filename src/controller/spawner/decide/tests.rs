//! Each test is a situation and what is decided, in words.

use super::*;
use crate::model::item::ItemKind;
use crate::model::item::WorkItem;

const NOW: i64 = 1_000_000;
/// Seconds ago at which a run has been over for long enough.
const LONG: i64 = 3_600;

/// A situation of the spawner `triage` on `github.com/acme/web`, which looks at all items.
struct World {
    found: Vec<Found>,
    absence: Absence,
    tasks: Vec<KnownTask>,
    records: Vec<KnownRecord>,
    limit: Option<usize>,
}

fn world() -> World {
    World {
        found: Vec::new(),
        absence: Absence::Of("github.com/acme/web#".into()),
        tasks: Vec::new(),
        records: Vec::new(),
        limit: None,
    }
}

fn web(number: u64) -> ItemKey {
    ItemKey::new(format!("github.com/acme/web#{number}"))
}

fn found(key: ItemKey, id: &str) -> Found {
    let item = WorkItem {
        key,
        id: id.into(),
        number: 0,
        title: String::new(),
        body: String::new(),
        url: String::new(),
        labels: vec![],
        comments: vec![],
        kind: ItemKind::Issue,
        time: String::new(),
        schedule: String::new(),
    };
    Found { item, comments: 0 }
}

fn object(name: &str) -> Object {
    Object {
        name: name.into(),
        uid: format!("uid-of-{name}"),
        version: "1".into(),
    }
}

impl World {
    fn matching(mut self, numbers: &[u64]) -> Self {
        let items = numbers.iter().map(|it| found(web(*it), &it.to_string()));
        self.found.extend(items);
        self
    }

    fn tick(mut self, tick: &str) -> Self {
        self.found
            .push(found(ItemKey::new(format!("cron/{tick}")), tick));
        self
    }

    fn cursor(mut self, tick: &str) -> Self {
        self.absence = Absence::UpTo(ItemKey::new(format!("cron/{tick}")));
        self
    }

    fn incomplete(mut self) -> Self {
        self.absence = Absence::Unknown;
        self
    }

    fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    fn task(mut self, name: &str, item: Option<ItemKey>, state: TaskState) -> Self {
        self.tasks.push(KnownTask {
            object: object(name),
            item,
            state,
        });
        self
    }

    fn running(self, number: u64) -> Self {
        let name = format!("triage-{number}");
        self.task(&name, Some(web(number)), TaskState::Unfinished)
    }

    fn finished(self, number: u64) -> Self {
        let name = format!("triage-{number}");
        self.task(&name, Some(web(number)), TaskState::Finished)
    }

    fn left(self, number: u64) -> Self {
        let name = format!("triage-{number}");
        self.task(&name, Some(web(number)), TaskState::Left)
    }

    /// A record of a run that ended so many seconds ago, claimed by the Task of the usual name.
    fn record(mut self, item: ItemKey, task: &str, ago: i64) -> Self {
        let scope = RunScope::Spawner {
            spawner: "triage".into(),
        };
        let name = record_name(&scope, &run_of(&item));
        self.records.push(KnownRecord {
            object: Object {
                name: format!("record of {item}"),
                ..object(&name)
            },
            item: Some(item),
            task_uid: object(task).uid,
            since: Timestamp::from_second(NOW - ago).ok(),
        });
        self
    }

    fn ran(self, number: u64, ago: i64) -> Self {
        self.record(web(number), &format!("triage-{number}"), ago)
    }

    fn decide(&self) -> Decision {
        decide(&Situation {
            spawner: "triage",
            found: &self.found,
            absence: &self.absence,
            tasks: &self.tasks,
            records: &self.records,
            left: None,
            limit: self.limit,
            now: Timestamp::from_second(NOW).unwrap(),
        })
    }
}

#[track_caller]
fn check(world: &World, expected: &[&str]) {
    let Decision {
        create,
        clear,
        waiting,
        gone,
        active: _,
    } = world.decide();
    let names = |remains: &Remains| {
        let all = remains.tasks.iter().chain(&remains.records);
        all.map(|it| it.name.clone()).collect::<Vec<_>>().join(", ")
    };
    let mut got = Vec::new();
    got.extend(create.iter().map(|(_, name)| format!("create {name}")));
    got.extend(clear.iter().map(|it| format!("clear {}", names(it))));
    got.extend(
        waiting
            .iter()
            .map(|it| format!("wait {}", world.found[*it].item.id)),
    );
    got.extend(
        gone.iter()
            .map(|(key, it)| format!("gone {key}: {}", names(it))),
    );
    assert_eq!(got, expected);
}

#[test]
fn a_new_item_becomes_a_task() {
    check(&world(), &[]);
    check(
        &world().matching(&[7, 9]),
        &["create triage-7", "create triage-9"],
    );
}

#[test]
fn an_item_listed_twice_is_one_item() {
    check(&world().matching(&[7, 7]), &["create triage-7"]);
}

#[test]
fn an_item_with_a_task_is_left_alone() {
    check(&world().matching(&[7]).running(7), &[]);
    check(&world().matching(&[7]).finished(7), &[]);
    check(&world().matching(&[7]).finished(7).ran(7, LONG), &[]);
}

#[test]
fn an_item_does_not_run_again_after_its_task_is_gone() {
    check(&world().matching(&[7]).ran(7, LONG), &[]);
    check(&world().matching(&[7]).ran(7, 0), &[]);
}

#[test]
fn a_record_is_known_by_its_name_alone() {
    let mut world = world().matching(&[7]);
    let scope = RunScope::Spawner {
        spawner: "triage".into(),
    };
    world.records.push(KnownRecord {
        object: object(&record_name(&scope, &run_of(&web(7)))),
        item: None,
        task_uid: "any".into(),
        since: None,
    });
    check(&world, &[]);
}

#[test]
fn a_task_of_the_go_axon_is_known_by_its_name() {
    let old = |name: &str| world().matching(&[7]).task(name, None, TaskState::Finished);
    check(&old("triage-7"), &[]);
    check(&old("triage-8"), &["create triage-7"]);
}

#[test]
fn the_limit_counts_what_is_not_finished() {
    let busy = || world().matching(&[1, 2, 3]).running(1).limit(2);
    check(&busy(), &["create triage-2", "wait 3"]);
    check(&busy().running(9), &["wait 2", "wait 3"]);
    check(&busy().running(9).running(10), &["wait 2", "wait 3"]);
    check(
        &world().matching(&[1, 2, 3]).finished(1).limit(2),
        &["create triage-2", "create triage-3"],
    );
    assert_eq!(busy().decide().active, 1);
}

#[test]
fn the_same_number_of_another_repository_gets_another_name() {
    let other = ItemKey::new("github.com/acme/old#7");
    let world = world()
        .matching(&[7])
        .task("triage-7", Some(other), TaskState::Finished);
    let name = world.decide().create.remove(0).1;
    assert!(
        name.starts_with("triage-7-") && name != "triage-7-",
        "{name}"
    );
}

#[test]
fn what_stopped_matching_gives_up_its_run() {
    check(
        &world().finished(7).ran(7, LONG),
        &["gone github.com/acme/web#7: triage-7, record of github.com/acme/web#7"],
    );
    check(
        &world().ran(7, LONG),
        &["gone github.com/acme/web#7: record of github.com/acme/web#7"],
    );
    check(
        &world().finished(7),
        &["gone github.com/acme/web#7: triage-7"],
    );
}

#[test]
fn nothing_stops_matching_in_an_incomplete_poll() {
    check(&world().incomplete().finished(7).ran(7, LONG), &[]);
}

#[test]
fn a_run_that_is_not_over_is_not_forgotten() {
    check(&world().running(7).ran(7, LONG), &[]);
    check(&world().finished(7).ran(7, 1), &[]);
    check(&world().ran(7, 1), &[]);
}

#[test]
fn of_another_repository_nothing_is_known() {
    let other = ItemKey::new("github.com/acme/website#7");
    check(&world().record(other, "triage-7", LONG), &[]);
}

#[test]
fn an_item_that_left_and_returns_runs_anew() {
    // The steps of `decide`'s comment, with a crash after each of them.
    let back = || world().matching(&[7]);
    check(
        &back().left(7).ran(7, LONG),
        &["clear triage-7, record of github.com/acme/web#7", "wait 7"],
    );
    check(&back().left(7), &["clear triage-7", "wait 7"]);
    let leaving = back().task("triage-7", Some(web(7)), TaskState::Leaving);
    check(&leaving, &["wait 7"]);
    check(&back(), &["create triage-7"]);
}

#[test]
fn what_left_and_stays_away_only_loses_its_record() {
    check(&world().left(7), &[]);
    check(
        &world().left(7).ran(7, LONG),
        &["gone github.com/acme/web#7: record of github.com/acme/web#7"],
    );
}

#[test]
fn a_task_that_left_is_not_removed_before_there_is_a_slot() {
    check(
        &world().matching(&[7]).left(7).running(1).limit(1),
        &["wait 7"],
    );
}

#[test]
fn a_run_by_another_task_stands_beside_one_that_left() {
    let world = world().matching(&[7]).left(7).record(web(7), "other", LONG);
    check(&world, &[]);
}

#[test]
fn a_tick_runs_once() {
    let due = || world().tick("20261122-0300").cursor("20261121-0300");
    let tick = ItemKey::new("cron/20261122-0300");
    check(&due(), &["create triage-20261122-0300"]);
    check(&due().record(tick.clone(), "any", 0), &[]);
    check(&due().task("any", Some(tick), TaskState::Finished), &[]);
}

#[test]
fn records_of_ticks_are_forgotten_behind_the_cursor() {
    let ran = |tick: &str, ago| {
        let key = ItemKey::new(format!("cron/{tick}"));
        world().cursor("20261122-0300").record(key, "any", ago)
    };
    check(
        &ran("20261122-0300", LONG),
        &["gone cron/20261122-0300: record of cron/20261122-0300"],
    );
    check(&ran("20261122-0300", 1), &[]);
    check(&ran("20261122-0301", LONG), &[]);
    let tick = Some(ItemKey::new("cron/20261122-0300"));
    check(
        &ran("20261122-0300", LONG).task("any", tick, TaskState::Finished),
        &[],
    );
    check(&world().cursor("20261122-0300").ran(7, LONG), &[]);
}

#[test]
fn a_long_spawner_and_id_still_give_a_name() {
    let spawner = "s".repeat(63);
    let items = [found(web(7), "7"), found(web(8), "8")];
    let decision = decide(&Situation {
        spawner: &spawner,
        found: &items,
        absence: &Absence::Unknown,
        tasks: &[],
        records: &[],
        left: None,
        limit: None,
        now: Timestamp::UNIX_EPOCH,
    });
    let names: BTreeSet<_> = decision.create.iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
}
