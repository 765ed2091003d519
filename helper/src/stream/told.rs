//! Where readers put what they read: the summary, and events for people.

use std::time::Duration;

use crate::plain::plain;
use crate::report::Usage;
use crate::stream::Ended;
use crate::stream::Event;
use crate::stream::Failure;
use crate::stream::FailureClass;
use crate::stream::Summary;
use crate::stream::price;

/// Takes what one line told.
pub(super) struct Told<'t> {
    pub(super) summary: &'t mut Summary,
    pub(super) only_own: bool,
    pub(super) asked: Option<&'t str>,
    /// Whether a run has begun whose end was not told.
    pub(super) open: &'t mut bool,
    pub(super) sink: &'t mut dyn FnMut(Event),
}

impl Told<'_> {
    pub(super) fn event(&mut self, event: Event) {
        (self.sink)(event);
    }

    /// A line of somebody else.
    pub(super) fn plain(&mut self, line: &[u8]) {
        if !self.only_own {
            self.event(Event::Plain(plain(&String::from_utf8_lossy(line))));
        }
    }

    /// The session has begun. Until its last event comes it counts as interrupted.
    pub(super) fn begin(&mut self, session: Option<String>, model: Option<String>) {
        self.summary.session = session;
        self.summary.model.clone_from(&model);
        self.summary.ended = Some(Ended::Interrupted);
        *self.open = true;
        self.event(Event::Begun { model });
    }

    /// Something came that no ended run does.
    pub(super) fn goes_on(&mut self) {
        if self.summary.ended.is_some() {
            self.summary.ended = Some(Ended::Interrupted);
            *self.open = true;
        }
    }

    /// The agent says something; what it says last is the result.
    pub(super) fn say(&mut self, text: String) {
        self.summary.text = Some(text.clone());
        self.event(Event::Text(text));
    }

    pub(super) fn retry(
        &mut self,
        reason: String,
        attempt: Option<u32>,
        of: Option<u32>,
        after: Option<Duration>,
    ) {
        self.event(Event::Retry {
            reason,
            attempt,
            of,
            after,
        });
    }

    pub(super) fn usage(&mut self, usage: Usage) {
        let model = self.summary.model.as_deref().or(self.asked);
        let usage = price::with_estimate(usage, model);
        if self.summary.usage != Some(usage) {
            self.summary.usage = Some(usage);
            self.event(Event::Usage(usage));
        }
    }

    pub(super) fn fail(&mut self, class: FailureClass, text: String) {
        self.end(Ended::Error(Failure { class, text }));
    }

    pub(super) fn end(&mut self, ended: Ended) {
        self.summary.ended = Some(ended);
        *self.open = false;
        self.event(Event::Ended(Box::new(self.summary.clone())));
    }
}
