//! What identifies a plan, and what is left of one that was broken off.

use std::collections::BTreeSet;

use super::Action;
use super::LedgerStep;
use super::LiveId;
use super::Manifest;
use super::Plan;
use super::Step;
use crate::model::digest::Digest;

/// Digits of the digest of one part: to find two parts with the same takes 2^80 tries.
const DIGITS: usize = 40;

impl Plan {
    /// What identifies what this plan would do to which very objects. A new revision that asks for the
    /// same has the same digest; a status write to an object changes nothing either.
    pub fn digest(&self) -> Digest {
        self.digest_over(&self.parts())
    }

    /// The digest that a plan of this sync has if its parts are these.
    pub fn digest_over(&self, parts: &[String]) -> Digest {
        let mut text = format!("{}\n{}\n{}\n", self.namespace, self.sync, self.home);
        for part in parts {
            text.extend([part, "\n"]);
        }
        Digest::of(text)
    }

    /// What the plan would do, in its order: a digest of each step and each change of a record.
    pub fn parts(&self) -> Vec<String> {
        let steps = self.steps.iter().flat_map(Step::parts);
        let records = self.ledger.iter().filter_map(LedgerStep::part);
        steps.chain(records).collect()
    }

    /// Whether all that the plan would do is among the `parts` of another one.
    pub fn is_rest_of(&self, parts: &[String]) -> bool {
        let parts: BTreeSet<&str> = parts.iter().map(String::as_str).collect();
        let has = |part: String| parts.contains(part.as_str());
        let has_step = |step: &Step| match &step.action {
            Action::Create { manifest, again } => {
                // Who lets it run again lets it run for the first time.
                has(step.create(manifest, true)) || (!again && has(step.create(manifest, false)))
            }
            Action::Update { .. } | Action::Replace { .. } | Action::Delete { .. } => {
                step.part().is_some_and(has)
            }
            // They write nothing.
            Action::Keep { .. }
            | Action::Unchanged
            | Action::AlreadyRan { .. }
            | Action::Blocked { .. } => true,
        };
        let mut records = self.ledger.iter().filter_map(LedgerStep::part);
        self.steps.iter().all(has_step) && records.all(has)
    }
}

impl Step {
    fn parts(&self) -> impl Iterator<Item = String> {
        // A Task that is replaced is gone before it is created again.
        let second = match &self.action {
            Action::Replace { manifest, .. } => Some(self.create(manifest, true)),
            Action::Create { .. }
            | Action::Update { .. }
            | Action::Delete { .. }
            | Action::Keep { .. }
            | Action::Unchanged
            | Action::AlreadyRan { .. }
            | Action::Blocked { .. } => None,
        };
        self.part().into_iter().chain(second)
    }

    fn part(&self) -> Option<String> {
        Some(match &self.action {
            Action::Create { manifest, again } => self.create(manifest, *again),
            Action::Update { manifest, live, .. } => {
                self.part_of("update", Some(live), Some(manifest))
            }
            Action::Replace { manifest, live, .. } => {
                self.part_of("replace", Some(live), Some(manifest))
            }
            Action::Delete { live, .. } => self.part_of("delete", Some(live), None),
            Action::Blocked { .. } => self.part_of("blocked", None, None),
            Action::Keep { .. } | Action::Unchanged | Action::AlreadyRan { .. } => return None,
        })
    }

    fn create(&self, manifest: &Manifest, again: bool) -> String {
        let what = if again { "create again" } else { "create" };
        self.part_of(what, None, Some(manifest))
    }

    fn part_of(&self, what: &str, live: Option<&LiveId>, manifest: Option<&Manifest>) -> String {
        let live = live.map(|it| format!("{}@{}", it.uid, it.generation));
        let manifest = manifest.map(|it| Digest::of_json(it.as_value()).to_string());
        let (live, manifest) = (live.unwrap_or_default(), manifest.unwrap_or_default());
        short(&format!("{} {what} {live} {manifest}", self.key))
    }
}

impl LedgerStep {
    fn part(&self) -> Option<String> {
        match self {
            Self::Move { from, to } => Some(short(&format!("move {from} {to}"))),
            Self::Return { record } => Some(short(&format!("return {record}"))),
            Self::Leave { .. } | Self::Cancel { .. } => None,
        }
    }
}

fn short(text: &str) -> String {
    Digest::of(text).short(DIGITS)
}
