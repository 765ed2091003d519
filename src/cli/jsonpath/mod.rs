//! `-o jsonpath=…`: the part of kubectl's templates that everyday scripts use. Pure.
//!
//! `{.a.b}`, `{.a['b']}`, `{.a[0]}`, `{.a[-1]}`, `{.a[*]}`, `{.a[1:3]}`, `{.a[?(@.type=="Ready")].b}`,
//! `{range .items[*]}…{end}`, `{"\n"}` and literal text. What is not there is nothing, as with `kubectl get`.

mod parse;
mod path;

use serde_json::Value;
use thiserror::Error;

use path::Path;

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Error {
    #[error("a \"{{\" has no \"}}\"")]
    Unclosed,
    #[error("\"{{range}}\" has no \"{{end}}\"")]
    RangeWithoutEnd,
    #[error("\"{{end}}\" has no \"{{range}}\"")]
    EndWithoutRange,
    #[error("no expression: write {{.status.phase}}, with braces")]
    NoBraces,
    #[error("more than {0} ranges within each other")]
    TooDeep(usize),
    #[error("{0:?} is not understood: {1}")]
    Expression(String, &'static str),
}

/// A template, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Path(Path),
    Range(Path, Vec<Part>),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        parse::template(text).map(Self)
    }

    /// The text for `root`; where a terminal reads it, nothing in it steers it.
    pub(super) fn render(&self, root: &Value) -> String {
        let mut text = String::new();
        render(&self.0, root, root, &mut text);
        text
    }
}

fn render(parts: &[Part], root: &Value, here: &Value, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Path(path) => {
                let found: Vec<String> = path.find(root, here).into_iter().map(plain).collect();
                text.push_str(&found.join(" "));
            }
            Part::Range(path, inner) => {
                for each in path.find(root, here) {
                    render(inner, root, each, text);
                }
            }
        }
    }
}

/// A value as people write it: text without quotes, the rest as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(template: &str, expected: &str) {
        let root = json!({
            "metadata": {"name": "a", "annotations": {"axon.io/origin": "o", "x y": "z"}},
            "status": {"phase": "Running", "attempts": 2, "ok": true, "none": null, "conditions": [
                {"type": "Started", "status": "True", "n": 1},
                {"type": "Ready", "status": "False", "n": 3},
            ]},
            "items": [{"metadata": {"name": "b"}, "outputs": ["p", "q"]}, {"metadata": {"name": "c"}}],
        });
        let told = match Template::parse(template) {
            Ok(read) => read.render(&root),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(told, expected, "{template}");
    }

    #[test]
    fn fields_and_text() {
        check("{.status.phase}", "Running");
        check("{$.status.phase}{\"\\n\"}", "Running\n");
        check(
            "{ .status.phase } and {'\\t'}{.status.attempts}",
            "Running and \t2",
        );
        check("{.metadata.annotations.axon\\.io/origin}", "o");
        check("{.metadata.annotations['axon.io/origin']}", "o");
        check("{.metadata.annotations['x y']}", "z");
        check("{.status.ok}{.status.none}{.status.missing.more}", "true");
        check("{.items[0].metadata}", "{\"name\":\"b\"}");
        check("{['status']['phase']}", "Running");
        check("{.metadata.annotations.*}", "o z");
    }

    #[test]
    fn lists() {
        check("{.items[*].metadata.name}", "b c");
        check("{.items[-1].metadata.name}", "c");
        check("{.items[7].metadata.name}{.items[-7]}", "");
        check("{.items[0:1].metadata.name}", "b");
        check("{.items[1:].metadata.name}", "c");
        check("{.items[:-1].metadata.name}", "b");
        check("{.items[0].outputs[*]}", "p q");
    }

    #[test]
    fn filters() {
        check("{.status.conditions[?(@.type==\"Ready\")].status}", "False");
        check("{.status.conditions[?(@.type=='Ready')].status}", "False");
        check(
            "{.status.conditions[?(@.type != \"Ready\")].status}",
            "True",
        );
        check("{.status.conditions[?(@.n>=2)].type}", "Ready");
        check("{.status.conditions[?(@.n<2)].type}", "Started");
        check("{.items[?(@.outputs)].metadata.name}", "b");
        check("{.status.conditions[?(@.type==\"a]b)\")].type}", "");
    }

    #[test]
    fn ranges() {
        check(
            "{range .items[*]}{.metadata.name}={.outputs[*]}{\"\\n\"}{end}",
            "b=p q\nc=\n",
        );
        check(
            "{range .items[*]}{range .outputs[*]}<{@}>{end}{end}!",
            "<p><q>!",
        );
        check("{range .nothing[*]}x{end}", "");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        check("{.a", "error: a \"{\" has no \"}\"");
        check("{range .a[*]}", "error: \"{range}\" has no \"{end}\"");
        check("{end}", "error: \"{end}\" has no \"{range}\"");
        check(
            ".status.phase",
            "error: no expression: write {.status.phase}, with braces",
        );
        check(
            "",
            "error: no expression: write {.status.phase}, with braces",
        );
        let bad = |template: &str| {
            let error = Template::parse(template).unwrap_err();
            assert!(
                matches!(error, Error::Expression(..)),
                "{template}: {error}"
            );
        };
        for template in [
            "{..name}",
            "{.a[}",
            "{.a[x]}",
            "{.a[?(@.b~=1)]}",
            "{.a[0,1]}",
            "{name}",
            "{.a b}",
            "{range}",
            "{}",
            "{\"open}",
            "{.a[0:4:2]}",
            "{.a..b}",
            "{.}x{.a.}",
        ] {
            bad(template);
        }
        let deep = "{range .a[*]}".repeat(100);
        assert!(matches!(Template::parse(&deep), Err(Error::TooDeep(_))));
    }
}
