//! `-o`: objects for people and for programs.

use std::fmt::Write as _;

use clap::Args;
use clap::ValueEnum;
use serde_json::Value;
use serde_json::json;

use crate::cli::inspect::Item;
use crate::sync::render;

/// How to print.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Output {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

/// A way to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For people with room for more.
    Wide,
    Yaml,
    Json,
    /// `kind.group/name`, one a line.
    Name,
}

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    People { wide: bool },
    Programs(Machine),
}

/// A form that programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    Yaml,
    Json,
    Name,
}

impl Output {
    pub(super) fn audience(self) -> Audience {
        match self.output {
            Format::Table => Audience::People { wide: false },
            Format::Wide => Audience::People { wide: true },
            Format::Yaml => Audience::Programs(Machine::Yaml),
            Format::Json => Audience::Programs(Machine::Json),
            Format::Name => Audience::Programs(Machine::Name),
        }
    }
}

impl Machine {
    /// Objects, as `kubectl get` prints several.
    pub(super) fn objects<'a>(self, items: impl IntoIterator<Item = &'a Item>) -> String {
        let items = items.into_iter();
        match self {
            Self::Yaml | Self::Json => {
                let all: Vec<Value> = items.map(Item::json).collect();
                self.value(&json!({"apiVersion": "v1", "kind": "List", "items": all}))
            }
            Self::Name => lines(items.map(|it| format!("{}/{}", it.kind.qualified(), it.name()))),
        }
    }

    /// Any value. As a name it has none.
    pub(super) fn value(self, value: &Value) -> String {
        match self {
            Self::Yaml => render::document(value),
            Self::Json => {
                let text = format!("{value:#}\n");
                // JSON escapes what ASCII calls control characters; terminals know more of them.
                let mut clean = String::with_capacity(text.len());
                for c in text.chars() {
                    let steers = c != '\n'
                        && (c.is_control()
                            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
                    if steers {
                        // Writing to a String cannot fail.
                        write!(clean, "\\u{:04x}", u32::from(c)).ok();
                    } else {
                        clean.push(c);
                    }
                }
                clean
            }
            Self::Name => String::new(),
        }
    }
}

/// One line for each.
pub(super) fn lines(each: impl IntoIterator<Item = String>) -> String {
    each.into_iter().fold(String::new(), |mut text, line| {
        text.push_str(&line);
        text.push('\n');
        text
    })
}

#[cfg(test)]
mod tests {
    use crate::cli::inspect::Kind;
    use crate::cli::inspect::standing::tests::item;

    use super::*;

    #[test]
    fn objects_are_printed_as_kubectl_does() {
        let fields = json!({
            "metadata": {"managedFields": [{"manager": "m", "operation": "Apply"}]},
            "status": {"message": "a\u{9b}31m\u{1b}"},
        });
        let items = [
            item(Kind::Task, "a", &fields),
            item(Kind::Pod, "b", &json!({})),
        ];
        assert_eq!(Machine::Name.objects(&items), "task.axon.io/a\npod/b\n");
        let text = Machine::Json.objects(&items);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["kind"], "List");
        assert_eq!(read["items"][0]["kind"], "Task");
        assert_eq!(read["items"][0]["status"]["message"], "a\u{9b}31m\u{1b}");
        assert!(read["items"][0]["metadata"].get("managedFields").is_none());
        assert!(!text.contains(['\u{9b}', '\u{1b}']), "{text}");
        let yaml = Machine::Yaml.objects(&items);
        assert!(yaml.starts_with("apiVersion: v1\nkind: List\n"), "{yaml}");
        assert!(!yaml.contains(['\u{9b}', '\u{1b}']), "{yaml}");
    }
}
