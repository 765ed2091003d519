//! YAML text to trees.
//!
//! The documents of a file are parsed one by one, so that a broken one does not hide the problems
//! of the others. What can be told without giving up on a document (duplicate keys, tags, unknown
//! aliases) is reported and parsing goes on.

use std::collections::HashMap;

use granit_parser::ErrorKind;
use granit_parser::Event;
use granit_parser::Marker;
use granit_parser::Parser;
use granit_parser::ScalarStyle;
use granit_parser::ScanError;
use granit_parser::Span;
use granit_parser::Tag;

use crate::model::Code;

use super::node::Entry;
use super::node::Mark;
use super::node::NODE_WEIGHT;
use super::node::Node;
use super::node::Value;
use super::report::Report;
use super::scalar;
use super::words::brief;
use super::words::complaint;

/// Deepest nesting: more than any manifest has, and little enough for recursion.
pub(super) const MAX_DEPTH: usize = 64;
/// What aliases may add to a document, in bytes of memory, about.
pub(super) const ALIAS_BUDGET: usize = 4 << 20;

/// The documents of `file`. Those that cannot be parsed are reported and left out, as are empty ones.
pub(super) fn documents(file: usize, report: &mut Report<'_>) -> Vec<Node> {
    let text = report.text(file);
    let mut documents = Vec::new();
    for (line, part) in parts(text) {
        let builder = Builder {
            file,
            lines_before: line,
            report,
            stack: Vec::new(),
            anchors: HashMap::new(),
            budget: ALIAS_BUDGET,
            done: Vec::new(),
        };
        documents.extend(builder.build(part));
    }
    documents.retain(|document| !matches!(document.value, Value::Null));
    documents
}

/// The text cut before each `---` line, with the number of lines before each part. Nothing in YAML
/// may hold such a line, so a part has whole documents.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker && at > start {
            parts.push((first_line, &text[start..at]));
            (start, first_line) = (at, number);
        }
        at += line.len();
    }
    parts.push((first_line, &text[start..]));
    parts
}

/// A collection that is not complete yet.
struct Open {
    mark: Mark,
    anchor: usize,
    weight: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Where each key stands.
        seen: HashMap<String, Mark>,
        /// The key whose value comes next; `None` in it: a key that was reported.
        key: Option<(Option<String>, Mark)>,
    },
}

struct Builder<'b, 'a> {
    file: usize,
    lines_before: usize,
    report: &'b mut Report<'a>,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    budget: usize,
    done: Vec<Node>,
}

/// The document cannot be read further; why was reported.
struct GiveUp;

impl Builder<'_, '_> {
    fn build(mut self, text: &str) -> Vec<Node> {
        let mut options = granit_parser::options! {
            disallow_directives: true,
            emit_unresolved_aliases: true,
            // One more than is allowed: our own words tell of it.
            flow_nesting_limit: MAX_DEPTH + 1,
            block_nesting_limit: MAX_DEPTH + 1,
        };
        options.set_emit_comments(false);
        for event in Parser::new_from_str_with_options(text, options) {
            let step = match event {
                Ok((event, span)) => self.event(event, span),
                Err(error) => Err(self.scan_error(&error, text)),
            };
            if step.is_err() {
                break;
            }
        }
        self.done
    }

    fn mark(&self, marker: Marker) -> Mark {
        Mark {
            file: self.file,
            line: self.lines_before + marker.line().max(1),
            column: marker.col() + 1,
            width: 0,
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), GiveUp> {
        let mut mark = self.mark(span.start);
        if span.start.line() == span.end.line() {
            mark.width = span.end.col().saturating_sub(span.start.col());
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if self.awaits_key() {
                    self.no_tag(mark, tag.as_deref());
                    self.key(mark, &text, style);
                    return Ok(());
                }
                let value = match (style, tag.as_deref()) {
                    (_, Some(tag)) if tag.is_yaml_core_schema_tag("str") => {
                        Value::Text(text.into_owned())
                    }
                    (ScalarStyle::Plain, tag) => {
                        self.no_tag(mark, tag);
                        scalar::plain(&text)
                    }
                    (_, tag) => {
                        self.no_tag(mark, tag);
                        Value::Text(text.into_owned())
                    }
                };
                let node = Node { mark, value };
                let weight = node.weight();
                self.complete(node, anchor, weight)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.no_tag(mark, tag.as_deref());
                self.open(mark, anchor, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.no_tag(mark, tag.as_deref());
                let kind = OpenKind::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                };
                self.open(mark, anchor, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(mark, id),
            Event::UnresolvedAlias(name) => {
                let message = format!("alias \"*{name}\" has no anchor \"&{name}\" before it");
                self.report.error(Code::UnsupportedYaml, mark, message);
                self.complete(Node::broken(mark), 0, NODE_WEIGHT)
            }
            // The rest carries no content.
            _ => Ok(()),
        }
    }

    fn no_tag(&mut self, mark: Mark, tag: Option<&Tag>) {
        if let Some(tag) = tag {
            let message = format!("the tag \"{}\" means nothing here", tag.original());
            let hint = "remove it; to make a value text, put it in quotes".to_owned();
            self.report
                .error_with(Code::UnsupportedYaml, mark, message, Some(hint));
        }
    }

    fn awaits_key(&self) -> bool {
        let innermost = self.stack.last().map(|open| &open.kind);
        matches!(innermost, Some(OpenKind::Map { key: None, .. }))
    }

    fn key(&mut self, mark: Mark, text: &str, style: ScalarStyle) {
        let is_merge = text == "<<" && style == ScalarStyle::Plain;
        let Some(Open {
            kind: OpenKind::Map { seen, key, .. },
            ..
        }) = self.stack.last_mut()
        else {
            return;
        };
        *key = Some((None, mark));
        if is_merge {
            let hint = "write the keys out, or put what entries share under \"defaults\"";
            self.report.error_with(
                Code::UnsupportedYaml,
                mark,
                "merge keys (\"<<\") are not supported",
                Some(hint.into()),
            );
        } else if let Some(first) = seen.get(text) {
            let first = self.report.place(*first);
            let message = format!("the key \"{}\" stands here a second time", brief(text));
            self.report.error_with(
                Code::DuplicateKey,
                mark,
                message,
                Some(format!("the first is at {first}")),
            );
        } else {
            seen.insert(text.to_owned(), mark);
            *key = Some((Some(text.to_owned()), mark));
        }
    }

    fn open(&mut self, mark: Mark, anchor: usize, kind: OpenKind) -> Result<(), GiveUp> {
        if self.stack.len() == MAX_DEPTH {
            return Err(self.too_deep(mark));
        }
        self.stack.push(Open {
            mark,
            anchor,
            weight: NODE_WEIGHT,
            kind,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), GiveUp> {
        let Some(open) = self.stack.pop() else {
            return Ok(());
        };
        let value = match open.kind {
            OpenKind::List(items) => Value::List(items),
            OpenKind::Map { entries, .. } => Value::Map(entries),
        };
        let mark = open.mark;
        self.complete(Node { mark, value }, open.anchor, open.weight)
    }

    fn alias(&mut self, mark: Mark, id: usize) -> Result<(), GiveUp> {
        let Some((node, weight)) = self.anchors.get(&id) else {
            self.report.error(
                Code::UnsupportedYaml,
                mark,
                "an alias cannot stand inside its own anchor",
            );
            return self.complete(Node::broken(mark), 0, NODE_WEIGHT);
        };
        let (weight, deep) = (*weight, self.stack.len() + depth(node) > MAX_DEPTH);
        if deep {
            return Err(self.too_deep(mark));
        }
        if weight > self.budget {
            return Err(self.too_many_aliases(mark));
        }
        self.budget -= weight;
        let node = node.clone();
        self.complete(node, 0, weight)
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize, weight: usize) -> Result<(), GiveUp> {
        if anchor > 0 {
            if weight > self.budget {
                return Err(self.too_many_aliases(node.mark));
            }
            self.budget -= weight;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let Some(parent) = self.stack.last_mut() else {
            self.done.push(node);
            return Ok(());
        };
        parent.weight += weight;
        match &mut parent.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { entries, key, .. } => match key.take() {
                Some((Some(key), mark)) => {
                    parent.weight += key.len();
                    entries.push(Entry {
                        key,
                        mark,
                        value: node,
                    });
                }
                Some((None, _)) => {}
                None => {
                    *key = Some((None, node.mark));
                    self.report
                        .error(Code::UnsupportedYaml, node.mark, "a key must be text");
                }
            },
        }
        Ok(())
    }

    fn too_deep(&mut self, mark: Mark) -> GiveUp {
        let message = format!("nested more than {MAX_DEPTH} levels deep");
        self.report.error(Code::TooLarge, mark, message);
        GiveUp
    }

    fn too_many_aliases(&mut self, mark: Mark) -> GiveUp {
        let message = format!(
            "anchors and aliases make this document more than {} MiB larger",
            ALIAS_BUDGET >> 20
        );
        self.report.error(Code::TooLarge, mark, message);
        GiveUp
    }

    fn scan_error(&mut self, error: &ScanError, text: &str) -> GiveUp {
        let mut mark = self.mark(*error.marker());
        // The parser reads ahead, so its own limit may come before ours.
        if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
            return self.too_deep(mark);
        }
        let line = text.lines().nth(error.marker().line().max(1) - 1);
        let indent = line.map_or("", |line| &line[..line.len() - line.trim_start().len()]);
        if let Some(column) = indent.find('\t') {
            mark.column = indent[..column].chars().count() + 1;
            let hint = "indent with spaces".to_owned();
            self.report.error_with(
                Code::InvalidYaml,
                mark,
                "a tab cannot indent YAML",
                Some(hint),
            );
            return GiveUp;
        }
        let (message, hint) = complaint(error.kind());
        self.report
            .error_with(Code::InvalidYaml, mark, message, hint.map(str::to_owned));
        GiveUp
    }
}

fn depth(node: &Node) -> usize {
    let deepest = match &node.value {
        Value::List(items) => items.iter().map(depth).max(),
        Value::Map(entries) => entries.iter().map(|entry| depth(&entry.value)).max(),
        _ => return 0,
    };
    1 + deepest.unwrap_or(0)
}
