//! Prompts that fit into one argument of a process.

use super::Error;
use super::Fault;
use super::Limit;
use super::Template;
use crate::model::item::WorkItem;

/// Longest prompt in bytes: what one argument of a process can hold.
pub const MAX_PROMPT: usize = 128 * 1024;

/// Why there is no prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    #[error("cannot render the prompt")]
    Template(#[source] Error),
    #[error("prompt is longer than {limit} bytes, even without comments")]
    TooLong { limit: usize },
    #[error("prompt is empty")]
    Empty,
    #[error("prompt has a NUL character, which no process takes as an argument")]
    Nul,
}

/// The prompt of `item`: at most `limit` bytes. If need be it loses comments, the oldest first,
/// and says so in their place.
pub fn prompt(template: &Template, item: &WorkItem, limit: usize) -> Result<String, PromptError> {
    let text = match fitting(template, item, limit).map_err(PromptError::Template)? {
        Some(text) => text,
        None => with_newest_comments(template, item, limit)?,
    };
    match text {
        text if text.contains('\0') => Err(PromptError::Nul),
        text if text.is_empty() => Err(PromptError::Empty),
        text => Ok(text),
    }
}

/// With as many of the newest comments as fit.
fn with_newest_comments(
    template: &Template,
    item: &WorkItem,
    limit: usize,
) -> Result<String, PromptError> {
    let total = item.comments.len();
    let without = |lost: usize| {
        let mut shorter = item.clone();
        shorter.comments.drain(..lost);
        shorter.comments.insert(0, notice(lost));
        fitting(template, &shorter, limit).map_err(PromptError::Template)
    };
    let too_long = PromptError::TooLong { limit };
    if total == 0 || !template.uses_comments() {
        return Err(too_long);
    }
    let mut best = without(total)?.ok_or(too_long)?;
    // `few` comments lost are too few; `many` are enough.
    let (mut few, mut many) = (0, total);
    while many - few > 1 {
        let middle = few + (many - few) / 2;
        match without(middle)? {
            Some(text) => (best, many) = (text, middle),
            None => few = middle,
        }
    }
    Ok(best)
}

fn notice(lost: usize) -> String {
    let comments = if lost == 1 { "comment" } else { "comments" };
    format!("[{lost} older {comments} left out: the prompt would be too long]")
}

/// What the template writes, unless it is longer than `limit`.
fn fitting(template: &Template, item: &WorkItem, limit: usize) -> Result<Option<String>, Error> {
    match template.render_within(item, limit) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.fault, Fault::Limit(Limit::Output(_) | Limit::Work)) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
