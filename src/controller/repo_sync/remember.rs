//! Writes into the memory of a RepoSync what a look at it gave, and reads out what to report. Pure.

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::attempt::End;
use super::decide::Asked;
use super::decide::Due;
use super::decide::later;
use super::memory::Attempt;
use super::memory::Config;
use super::memory::Memory;
use super::outcome::Outcome;
use super::read::Unread;
use super::reason::Class;
use super::reason::Reason;
use super::reason::Trouble;
use super::retry;
use super::settings::Settings;
use super::status::Pending;
use super::status::Report;
use super::summary;
use super::tell::Ended;
use super::tell::Verdict;
use crate::api::RepoSync;
use crate::api::labels;
use crate::api::repo_sync::InForce;
use crate::model::Digest;
use crate::repo::Tip;

/// What makes waits differ from one RepoSync and one time to the next.
pub(super) fn seed(sync: &RepoSync, now: Timestamp) -> Digest {
    let uid = sync.uid().unwrap_or_default();
    Digest::of_fields([uid.as_bytes(), &now.as_nanosecond().to_be_bytes()[..]])
}

/// Whether there is a configuration that was never tried.
pub(super) fn is_new(memory: &Memory) -> bool {
    memory.config.as_ref().is_some_and(|config| {
        let tried = memory.attempt.as_ref().map(|it| it.input);
        tried != Some(config.input)
    })
}

/// The repository answered, with a new configuration where there is one.
pub(super) fn polled(
    memory: &mut Memory,
    new: Option<Config>,
    settings: &Settings,
    seed: &Digest,
    now: Timestamp,
) {
    let poll = &mut memory.poll;
    poll.failures = 0;
    poll.trouble = None;
    poll.unreadable = None;
    poll.next = later(now, retry::jittered(settings.interval, seed));
    if let Some(config) = new {
        memory.verdict = known(memory, &config).or_else(|| memory.verdict.take());
        memory.config = Some(config);
    }
}

/// What is to be said of a new commit whose files were tried already, as those of another.
fn known(memory: &Memory, config: &Config) -> Option<Verdict> {
    let attempt = memory.attempt.as_ref()?;
    let revision = config.snapshot.revision.to_string();
    let before = memory.config.as_ref()?.snapshot.revision.to_string();
    (attempt.input == config.input && revision != before).then(|| {
        let done = summary::done(None);
        Verdict::new(revision, attempt.outcome.trouble(), done)
    })
}

/// There is no configuration to be had. The last one stays in force.
pub(super) fn unread(
    memory: &mut Memory,
    unread: Unread,
    settings: &Settings,
    seed: &Digest,
    now: Timestamp,
) {
    let Unread { trouble, tip } = unread;
    let poll = &mut memory.poll;
    let interval = retry::jittered(settings.interval, seed);
    let recheck = retry::recheck(settings.interval, seed);
    let wait = match trouble.class() {
        Class::Transient => {
            poll.failures = poll.failures.saturating_add(1);
            retry::backoff(poll.failures, seed)
        }
        // Another commit may be better; this one is left at that for some time.
        Class::Stalled | Class::Waiting | Class::Done if tip.is_some() => interval,
        Class::Stalled | Class::Waiting | Class::Done => recheck,
    };
    poll.next = later(now, wait);
    let known = poll.unreadable.take();
    let stalls = trouble.class() != Class::Transient;
    let revision = tip.as_ref().map(text_of);
    poll.unreadable = tip.filter(|_| stalls).map(|tip| match known {
        Some((same, until)) if same == tip && now < until => (tip, until),
        Some(_) | None => (tip, later(now, recheck)),
    });
    if let Some(revision) = &revision {
        let verdict = Verdict::new(revision.clone(), Some(&trouble), String::new());
        memory.verdict = Some(verdict);
    }
    memory.ends(ended(revision, &trouble));
    memory.poll.trouble = Some(trouble);
}

/// Trying came to an end.
pub(super) fn tried(
    memory: &mut Memory,
    end: End,
    asked: &Asked,
    due: Due,
    settings: &Settings,
    seed: &Digest,
    now: Timestamp,
) {
    let Some(config) = &memory.config else {
        return;
    };
    let before = memory
        .attempt
        .as_ref()
        .filter(|it| it.input == config.input);
    let class = end.outcome.class();
    let failures = match class {
        Class::Transient => before.map_or(0, |it| it.failures).saturating_add(1),
        Class::Done | Class::Waiting | Class::Stalled => 0,
    };
    let wait = match class {
        Class::Done | Class::Waiting => None,
        Class::Stalled => Some(retry::recheck(settings.interval, seed)),
        Class::Transient => Some(retry::backoff(failures, seed)),
    };
    if due.drift && end.counts.is_some() {
        memory.drift = memory.drift.with_one_more(now);
    }
    let (input, revision) = (config.input, config.snapshot.revision.to_string());
    let (trouble, done) = (end.outcome.trouble(), summary::done(end.counts));
    let ended = match trouble {
        Some(trouble) => Ended {
            counts: end.counts,
            ..ended(Some(revision.clone()), trouble)
        },
        None => Ended {
            revision: Some(revision.clone()),
            reason: Reason::Synced,
            class: Class::Done,
            summary: done.clone(),
            counts: end.counts,
        },
    };
    memory.verdict = Some(Verdict::new(revision, trouble, done));
    memory.ends(ended);
    memory.attempt = Some(Attempt {
        input,
        outcome: end.outcome,
        sync: end.sync,
        unproven: end.unproven,
        answers: asked.answers.clone(),
        failures,
        retry: wait.map(|wait| later(now, wait)),
    });
}

/// The end that a trouble was.
fn ended(revision: Option<String>, trouble: &Trouble) -> Ended {
    Ended {
        revision,
        reason: trouble.reason,
        class: trouble.class(),
        summary: trouble.message.clone(),
        counts: None,
    }
}

/// What is to be said; nothing, as long as nothing is known.
pub(super) fn report(memory: &Memory) -> Option<Report> {
    let attempt = memory.attempt.as_ref();
    let trouble = memory.trouble().cloned();
    if attempt.is_none() && trouble.is_none() {
        return None;
    }
    let config = memory.config.as_ref();
    let revision = config.map(|it| it.snapshot.revision.to_string());
    let of_unreadable = || memory.poll.unreadable.as_ref().map(|(tip, _)| text_of(tip));
    let is_read = memory.poll.trouble.is_none();
    let plan = match attempt.map(|it| &it.outcome) {
        _ if !is_read => Pending::Same,
        Some(Outcome::Held(_, plan)) => Pending::Is(plan.clone()),
        Some(Outcome::Synced | Outcome::Troubled(_)) | None => Pending::Gone,
    };
    Some(Report {
        attempted: if is_read {
            revision.clone()
        } else {
            of_unreadable()
        },
        applied: revision.filter(|_| trouble.is_none()),
        trouble,
        handled: memory.handled.clone(),
        sync: attempt
            .and_then(|it| it.sync.as_ref())
            .map(ToString::to_string),
        remains: memory.remains.clone(),
        unproven: attempt.map(|it| it.unproven.clone()).unwrap_or_default(),
        in_force: config.and_then(|it| in_force(it, attempt?)),
        plan,
        ended: memory.ended.clone(),
    })
}

/// Whose objects the namespace holds, where it was made equal to `config`.
fn in_force(config: &Config, attempt: &Attempt) -> Option<InForce> {
    let is_done = attempt.input == config.input && attempt.outcome.class() == Class::Done;
    let sync = attempt.sync.as_ref().filter(|_| is_done)?;
    Some(InForce {
        sync: sync.to_string(),
        source: config.snapshot.source.canonical.clone(),
        path: config.snapshot.root.to_string(),
    })
}

/// What is to be said of a RepoSync that is not looked at.
pub(super) fn refused(sync: &RepoSync, memory: &mut Memory, trouble: Trouble) -> Report {
    memory.handled = sync.annotations().get(labels::RECONCILE_AT).cloned();
    memory.ends(ended(None, &trouble));
    Report {
        trouble: Some(trouble),
        handled: memory.handled.clone(),
        ..Report::default()
    }
}

fn text_of(tip: &Tip) -> String {
    match tip {
        Tip::Commit(id) => id.to_string(),
        Tip::Directory => "directory".into(),
    }
}
