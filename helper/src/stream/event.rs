//! What a stream tells, for people and for the outcome of a run.

use std::time::Duration;

use crate::report::Usage;

/// Something that the agent did. Texts are clean and bounded; secrets in them are as the stream has
/// them.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The session has begun.
    Begun {
        model: Option<String>,
    },
    /// The agent says something.
    Text(String),
    ToolCall {
        tool: String,
        /// The heart of its input, on one line.
        input: String,
    },
    ToolResult {
        /// Empty if the stream does not tell.
        tool: String,
        ok: bool,
        /// The beginning of what came back.
        output: String,
    },
    /// The model did not answer; the agent asks again.
    Retry {
        reason: String,
        attempt: Option<u32>,
        /// Most attempts.
        of: Option<u32>,
        after: Option<Duration>,
    },
    Warning(String),
    /// What was used so far.
    Usage(Usage),
    /// The run has ended, or its stream broke off.
    Ended(Box<Summary>),
    /// A line that is not of the agent's stream.
    Plain(String),
}

/// What a stream has told so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub model: Option<String>,
    /// The agent's own name of its session.
    pub session: Option<String>,
    /// Absent if the agent tells nothing of it.
    pub usage: Option<Usage>,
    /// What the agent said last.
    pub text: Option<String>,
    /// Absent if no stream has begun.
    pub ended: Option<Ended>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Success,
    Error(Failure),
    /// No last event came, or one that says so.
    Interrupted,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub class: FailureClass,
    /// In the agent's words.
    pub text: String,
}

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The model's API refused the credentials, or there were none.
    Unauthorized,
    /// Too many requests, or a quota is used up.
    RateLimited,
    /// The model's API is overloaded or at fault.
    Overloaded,
    /// The agent used all turns that it may take.
    TurnLimit,
    /// The agent used all money that it may spend.
    BudgetLimit,
    Other,
}
