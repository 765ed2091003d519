//! Which tool a result is of.

use std::collections::VecDeque;

/// Calls that may wait for their results at the same time; the oldest beyond are forgotten.
const MAX_CALLS: usize = 64;

/// Names of tools by the ids of their calls.
#[derive(Debug, Default)]
pub(super) struct Calls(VecDeque<(String, String)>);

impl Calls {
    pub(super) fn began(&mut self, id: String, tool: String) {
        if self.0.len() == MAX_CALLS {
            self.0.pop_front();
        }
        self.0.push_back((id, tool));
    }

    pub(super) fn ended(&mut self, id: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == id)?;
        self.0.remove(at).map(|(_, tool)| tool)
    }
}
