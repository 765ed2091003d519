//! What a run of a template may still spend, and strings that grow within it.

use super::error::Fault;
use super::limits::Limit;
use super::limits::MAX_OUTPUT;
use super::limits::MAX_WORK;

/// Units of work that are left.
#[derive(Debug)]
pub(super) struct Work(usize);

impl Work {
    pub(super) fn new() -> Self {
        Self(MAX_WORK)
    }

    pub(super) fn spend(&mut self, units: usize) -> Result<(), Fault> {
        self.0 = self.0.checked_sub(units).ok_or(Fault::Limit(Limit::Work))?;
        Ok(())
    }
}

/// A string with a greatest length. Every byte is paid for.
#[derive(Debug)]
pub(super) struct Text<'a> {
    written: String,
    max: usize,
    work: &'a mut Work,
}

impl<'a> Text<'a> {
    pub(super) fn new(work: &'a mut Work) -> Self {
        Self {
            written: String::new(),
            max: MAX_OUTPUT,
            work,
        }
    }

    pub(super) fn push_str(&mut self, text: &str) -> Result<(), Fault> {
        append(&mut self.written, text, self.max, self.work)
    }

    pub(super) fn push(&mut self, c: char) -> Result<(), Fault> {
        self.push_str(c.encode_utf8(&mut [0; 4]))
    }

    pub(super) fn fill(&mut self, c: char, count: usize) -> Result<(), Fault> {
        (0..count).try_for_each(|_| self.push(c))
    }

    /// A text to be put into this one.
    pub(super) fn another(&mut self) -> Text<'_> {
        Text::new(self.work)
    }

    pub(super) fn spend(&mut self, units: usize) -> Result<(), Fault> {
        self.work.spend(units)
    }

    pub(super) fn done(self) -> String {
        self.written
    }
}

/// Appends `text` unless `to` would get longer than `max`.
pub(super) fn append(
    to: &mut String,
    text: &str,
    max: usize,
    work: &mut Work,
) -> Result<(), Fault> {
    work.spend(text.len())?;
    if text.len() > max - to.len() {
        return Err(Fault::Limit(Limit::Output(max)));
    }
    to.push_str(text);
    Ok(())
}
