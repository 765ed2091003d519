//! What the killed servers told, and whether it can be true.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::host;

/// What is known of one object.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The number and the revision of its last write.
    last: Option<(u64, u64)>,
    there: bool,
    /// The number of the write that may be under way.
    next: u64,
}

/// All that was told.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) acknowledged: u64,
    pub(super) events: u64,
    /// Watches that went on from the last event of the server before.
    pub(super) resumed: u64,
    /// Watches that had to start anew.
    pub(super) gone: u64,
    objects: BTreeMap<String, Known>,
    round: u64,
    /// What this server has listed so far: number and revision.
    found: BTreeMap<String, (u64, u64)>,
    /// The revisions that this server acknowledged, and those of its events.
    wrote: BTreeSet<u64>,
    showed: BTreeSet<u64>,
    /// The newest revision that was told, and that of the newest event.
    newest: u64,
    seen: u64,
}

impl Record {
    pub(super) fn begin(&mut self, round: u64) {
        self.round = round;
        self.found.clear();
        self.wrote.clear();
        self.showed.clear();
    }

    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes down one line.
    pub(super) fn told(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let number = |word: &str| word.parse::<u64>().unwrap();
        match words[..] {
            ["have", name, revision, at] => {
                let found = (number(at), number(revision));
                self.found.insert(name.to_owned(), found);
            }
            ["list", revision] => self.listed(number(revision)),
            ["write", name, revision, at] => self.put(name, number(revision), number(at)),
            ["delete", name, at] => self.deleted(name, number(at)),
            ["event", revision] => self.event(number(revision)),
            ["resumed"] => self.resumed += 1,
            ["gone"] => self.gone += 1,
            _ => panic!("{line}"),
        }
    }

    /// The server is dead: its watch has shown every write up to its last event.
    pub(super) fn end(&self) {
        let missed = self.wrote.difference(&self.showed);
        let missed: Vec<_> = missed.filter(|&&it| it < self.seen).collect();
        assert!(
            missed.is_empty(),
            "round {}: no events {missed:?}",
            self.round
        );
    }

    /// The server shows what is there: all that was acknowledged, or the one write after it.
    fn listed(&mut self, revision: u64) {
        let newest = self.newest;
        assert!(revision >= newest, "revision {revision} after {newest}");
        self.newest = revision;
        for writer in 0..host::WRITERS {
            let name = host::name(writer);
            let known = self.objects.get(&name).copied().unwrap_or_default();
            let found = self.found.get(&name).copied();
            self.check(&name, known, found);
            let now = Known {
                last: found.or(known.last),
                there: found.is_some(),
                next: host::first(self.round),
            };
            self.objects.insert(name, now);
        }
    }

    fn check(&self, name: &str, known: Known, found: Option<(u64, u64)>) {
        let told = format!("{name}: {found:?} after {known:?} in round {}", self.round);
        let deletes = known.there && host::deletes(known.next);
        match found {
            None => assert!(!known.there || deletes, "{told}"),
            // The last write stands.
            Some(_) if known.there && found == known.last => {}
            // The one after it has come to its end unheard.
            Some((number, revision)) => {
                assert!(number == known.next && !deletes, "{told}");
                assert!(known.last.is_none_or(|(_, last)| revision > last), "{told}");
            }
        }
    }

    fn put(&mut self, name: &str, revision: u64, number: u64) {
        let last = self.objects[name].last;
        assert!(
            last.is_none_or(|(_, last)| revision > last),
            "{name}: {revision} after {last:?}"
        );
        assert!(
            self.wrote.insert(revision),
            "revision {revision} was given twice"
        );
        self.acknowledged += 1;
        self.newest = self.newest.max(revision);
        let now = Known {
            last: Some((number, revision)),
            there: true,
            next: number + 1,
        };
        self.objects.insert(name.to_owned(), now);
    }

    fn deleted(&mut self, name: &str, number: u64) {
        self.acknowledged += 1;
        let now = Known {
            there: false,
            next: number + 1,
            ..self.objects[name]
        };
        self.objects.insert(name.to_owned(), now);
    }

    fn event(&mut self, revision: u64) {
        let seen = self.seen;
        assert!(revision > seen, "event {revision} after {seen}");
        self.events += 1;
        self.newest = self.newest.max(revision);
        self.seen = revision;
        self.showed.insert(revision);
    }
}
