//! Prompts from work items by Go text/template, and the texts of fleets by Tera: pure, bounded.
//!
//! The text of an item is data: it is never read as a template.

pub mod fleet;
mod item;
mod prompt;
mod text;

pub use self::prompt::MAX_PROMPT;
pub use self::prompt::PromptError;
pub use self::prompt::prompt;
pub use self::text::Error;
pub use self::text::Fault;
pub use self::text::Limit;

use self::text::Data;
use self::text::Program;
use self::text::Uses;
use self::text::Value;
use self::text::limits::MAX_OUTPUT;
use crate::model::item::WorkItem;

/// What an absent `promptTemplate` means.
const DEFAULT_PROMPT: &str = "\
{{.Kind}} #{{.Number}}: {{.Title}}

{{.Body}}
{{- if .Comments}}

Comments:
{{.Comments}}
{{- end}}";

/// What a template writes for data of any shape: at most 1 MiB.
pub fn render_value(text: &str, data: &serde_json::Value) -> Result<String, Error> {
    let program = Program::parse(text)?;
    let data = Value::from_json(data).map_err(Error::of_data)?;
    program.render(&data, MAX_OUTPUT)
}

/// Checks a template over what the Tasks named `tasks` left: `.Deps.<task>.Results.<key>` and
/// `.Deps.<task>.Outputs`.
pub fn check_dependencies(text: &str, tasks: &[&str]) -> Result<(), Error> {
    let program = Program::parse(text)?;
    program.check(Data::Dependencies(tasks)).map(drop)
}

/// A template over a work item. All its fields are known to exist.
#[derive(Clone, Debug)]
pub struct Template {
    program: Program,
    uses: Uses,
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let program = Program::parse(text)?;
        let uses = program.check(Data::Item(item::FIELDS))?;
        Ok(Self { program, uses })
    }

    /// The template of a prompt: `text`, or if it is absent one of title, body and comments.
    pub fn of_prompt(text: Option<&str>) -> Result<Self, Error> {
        Self::parse(text.unwrap_or(DEFAULT_PROMPT))
    }

    /// What the template writes for `item`: at most 1 MiB.
    pub fn render(&self, item: &WorkItem) -> Result<String, Error> {
        self.render_within(item, MAX_OUTPUT)
    }

    /// Whether what it writes may depend on the comments: else nobody need fetch them.
    pub fn uses_comments(&self) -> bool {
        self.uses.field(item::COMMENTS)
    }

    fn render_within(&self, item: &WorkItem, max: usize) -> Result<String, Error> {
        self.program.render(&item::value(item), max)
    }
}

#[cfg(test)]
mod tests;
