//! What agents print about their own doing. Pure: bytes in, values out.
//!
//! How each agent's events look was learned from real runs; nothing in them is trusted. Memory is
//! bounded whatever is printed, and what is no event passes by.

mod calls;
mod claude;
mod codex;
mod event;
pub(crate) mod failure;
mod gemini;
mod kind;
mod lines;
mod opencode;
pub(crate) mod price;
mod told;
mod turns;
mod value;

pub use event::Ended;
pub use event::Event;
pub use event::Failure;
pub use event::FailureClass;
pub use event::Summary;
pub use kind::AgentKind;

pub(crate) use codex::tokens_of as codex_tokens;

use serde_json::Value;

use claude::Claude;
use codex::Codex;
use gemini::Gemini;
use lines::Line;
use lines::Lines;
use opencode::OpenCode;
use told::Told;

/// Reads what one agent prints, as it comes.
#[derive(Debug)]
pub struct Stream {
    lines: Lines,
    reader: Reader,
    summary: Summary,
    /// Whether lines of others are passed over.
    only_own: bool,
    /// The model that was asked for.
    asked: Option<String>,
    /// Whether a run has begun whose end was not told.
    open: bool,
}

#[derive(Debug)]
enum Reader {
    Claude(Claude),
    Codex(Codex),
    Gemini(Gemini),
    OpenCode(OpenCode),
    /// All it prints is plain.
    None,
}

impl Stream {
    pub fn new(kind: AgentKind) -> Self {
        let reader = match kind {
            AgentKind::ClaudeCode => Reader::Claude(Claude::default()),
            AgentKind::Codex => Reader::Codex(Codex::default()),
            AgentKind::Gemini => Reader::Gemini(Gemini::default()),
            AgentKind::OpenCode => Reader::OpenCode(OpenCode::default()),
            AgentKind::Cursor | AgentKind::Custom => Reader::None,
        };
        Self {
            lines: Lines::default(),
            reader,
            summary: Summary::default(),
            only_own: false,
            asked: None,
            open: false,
        }
    }

    /// The model that the agent was asked to use: by its price the cost is estimated where the
    /// stream tells neither cost nor model.
    #[must_use]
    pub fn for_model(mut self, model: Option<&str>) -> Self {
        self.asked = model.map(str::to_owned);
        self
    }

    /// Gives no [`Event::Plain`]: they cost time where much is printed.
    #[must_use]
    pub fn only_own(self) -> Self {
        Self {
            only_own: true,
            ..self
        }
    }

    /// Takes the next bytes, cut anywhere, and gives what they tell.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(Event)) {
        if self.only_own && matches!(self.reader, Reader::None) {
            return;
        }
        let Self {
            lines,
            reader,
            summary,
            only_own,
            asked,
            open,
        } = self;
        let mut told = Told {
            summary,
            only_own: *only_own,
            asked: asked.as_deref(),
            open,
            sink,
        };
        lines.push(bytes, |line| reader.read(&line, &mut told));
    }

    /// Nothing more comes. A run without a last event is told to be interrupted.
    pub fn finish(&mut self, sink: &mut impl FnMut(Event)) {
        let Self {
            lines,
            reader,
            summary,
            only_own,
            asked,
            open,
        } = self;
        let mut told = Told {
            summary,
            only_own: *only_own,
            asked: asked.as_deref(),
            open,
            sink,
        };
        lines.finish(|line| reader.read(&line, &mut told));
        if let Reader::Gemini(gemini) = reader {
            gemini.finish(&mut told);
        }
        if *told.open {
            told.end(Ended::Interrupted);
        }
    }

    /// Answers of the model so far, where the stream tells its usage only at the end.
    pub(crate) fn turns(&self) -> u32 {
        match &self.reader {
            Reader::Codex(codex) => codex.turns(),
            Reader::Claude(_) | Reader::Gemini(_) | Reader::OpenCode(_) | Reader::None => {
                self.summary.usage.map_or(0, |usage| usage.turns)
            }
        }
    }

    /// What was told so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

impl Reader {
    fn read(&mut self, line: &Line<'_>, told: &mut Told<'_>) {
        let bytes = match (line, &*self) {
            (Line::Json(bytes), Self::None) | (Line::Plain(bytes), _) => {
                return told.plain(bytes);
            }
            (Line::Json(bytes), _) => bytes,
        };
        let text = String::from_utf8_lossy(bytes);
        let known = match serde_json::from_str::<Value>(&text) {
            Ok(value) => match self {
                Self::Claude(claude) => claude.read(&value, told),
                Self::Codex(codex) => codex.read(&value, told),
                Self::Gemini(gemini) => gemini.read(&value, told),
                Self::OpenCode(opencode) => opencode.read(&value, told),
                Self::None => false,
            },
            Err(_) => false,
        };
        if !known {
            told.plain(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
