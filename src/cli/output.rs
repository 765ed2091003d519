//! `-o`: objects for people and for programs.

use std::fmt::Write as _;
use std::str::FromStr;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::inspect::Item;
use crate::cli::jsonpath::Template;
use crate::cli::text_diff::visible;
use crate::sync::render;

/// How to print.
#[derive(Clone, Debug, Args)]
pub(super) struct Output {
    /// Output format: table, wide, yaml, json, name or jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

/// A way to print.
#[derive(Clone, Debug, PartialEq)]
enum Format {
    /// For people.
    Table,
    /// For people with room for more.
    Wide,
    Yaml,
    Json,
    /// `kind.group/name`, one a line.
    Name,
    JsonPath(Template),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("jsonpath", template)) => Template::parse(template)
                .map(Self::JsonPath)
                .map_err(|error| error.to_string()),
            _ => match text {
                "table" => Ok(Self::Table),
                "wide" => Ok(Self::Wide),
                "yaml" => Ok(Self::Yaml),
                "json" => Ok(Self::Json),
                "name" => Ok(Self::Name),
                _ => Err("known are table, wide, yaml, json, name and jsonpath=TEMPLATE".into()),
            },
        }
    }
}

/// For whom.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Audience {
    People { wide: bool },
    Programs(Machine),
}

/// A form that programs read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Machine {
    Yaml,
    Json,
    Name,
    JsonPath(Template),
}

impl Output {
    pub(super) fn audience(&self) -> Audience {
        match &self.output {
            Format::Table => Audience::People { wide: false },
            Format::Wide => Audience::People { wide: true },
            Format::Yaml => Audience::Programs(Machine::Yaml),
            Format::Json => Audience::Programs(Machine::Json),
            Format::Name => Audience::Programs(Machine::Name),
            Format::JsonPath(it) => Audience::Programs(Machine::JsonPath(it.clone())),
        }
    }
}

impl Machine {
    /// Objects, as `kubectl get` prints several.
    pub(super) fn objects<'a>(&self, items: impl IntoIterator<Item = &'a Item>) -> String {
        let items = items.into_iter();
        match self {
            Self::Yaml | Self::Json | Self::JsonPath(_) => {
                let all: Vec<Value> = items.map(Item::json).collect();
                self.value(&json!({"apiVersion": "v1", "kind": "List", "items": all}))
            }
            Self::Name => lines(items.map(|it| format!("{}/{}", it.kind.qualified(), it.name()))),
        }
    }

    /// One object, as `kubectl get` prints the one that was named.
    pub(super) fn object(&self, item: &Item) -> String {
        match self {
            Self::Yaml | Self::Json | Self::JsonPath(_) => self.value(&item.json()),
            Self::Name => self.objects([item]),
        }
    }

    /// Any value. As a name it has none.
    pub(super) fn value(&self, value: &Value) -> String {
        match self {
            Self::JsonPath(template) => {
                // Line breaks are the template's, or asked for by it.
                let text = template.render(value);
                let lines: Vec<String> = text.split('\n').map(visible).collect();
                lines.join("\n")
            }
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
