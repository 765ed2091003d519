//! Counting answers of a model whose stream does not tell them apart.

/// Counts answers by what an answer may hold: texts, then calls, whose results end it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    count: u32,
    answering: bool,
    spoke: bool,
}

impl Turns {
    /// A whole text came; one answer holds one.
    pub(super) fn said(&mut self) {
        if self.spoke {
            self.answering = false;
        }
        self.answer();
        self.spoke = true;
    }

    /// A call, or a piece of a text, came.
    pub(super) fn answer(&mut self) {
        if !self.answering {
            self.count = self.count.saturating_add(1);
            self.answering = true;
            self.spoke = false;
        }
    }

    /// The result of a call came: what the model says next is another answer.
    pub(super) fn result(&mut self) {
        self.answering = false;
        self.spoke = false;
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}
