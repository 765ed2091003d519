//! Where work comes from. Each source yields work items.

pub mod cron;
pub mod github;

use crate::model::item::WorkItem;

/// A work item as a source found it: without its comments, which cost a request each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub item: WorkItem,
    /// How many comments it has.
    pub comments: u64,
}
