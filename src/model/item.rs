//! Work items: what a source finds and a spawner turns into a Task.

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkItem {
    /// Unique over all sources: `github.com/acme/web#42`, `cron/20261122-0300`.
    pub key: ItemKey,
    /// `42`; for cron `YYYYMMDD-HHMM` in UTC.
    pub id: String,
    /// 0 for cron.
    pub number: u64,
    /// For cron the tick in RFC 3339.
    pub title: String,
    pub body: String,
    /// Where a person finds it.
    pub url: String,
    pub labels: Vec<String>,
    /// Texts of the comments, oldest first.
    pub comments: Vec<String>,
    pub kind: ItemKind,
    /// RFC 3339; empty for GitHub.
    pub time: String,
    /// The schedule as written; empty for GitHub.
    pub schedule: String,
}

/// Identity of a work item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey(String);

impl ItemKey {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ItemKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// What kind of item; `.Kind` in templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// Cron ticks too, as in the Go Axon.
    Issue,
    PullRequest,
}

impl ItemKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issue => "Issue",
            Self::PullRequest => "PR",
        }
    }
}
