//! One path: how it is written, and what it finds.

use std::cmp::Ordering;

use serde_json::Value;

use super::Error;

/// A way from a value to others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path {
    /// Whether it begins at the whole, and not where a range stands.
    from_root: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// All of a list, or all values of an object.
    All,
    /// From, and up to. Below zero counts from the end.
    Slice(Option<i64>, Option<i64>),
    Index(i64),
    Filter(Path, Option<(Test, Value)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// The longest first: each begins like a shorter one.
const TESTS: [(&str, Test); 6] = [
    ("==", Test::Equal),
    ("!=", Test::NotEqual),
    ("<=", Test::LessOrEqual),
    (">=", Test::MoreOrEqual),
    ("<", Test::Less),
    (">", Test::More),
];

impl Path {
    pub(super) fn find<'v>(&self, root: &'v Value, here: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![if self.from_root { root } else { here }];
        for step in &self.steps {
            found = found
                .into_iter()
                .flat_map(|it| step.from(root, it))
                .collect();
        }
        found
    }
}

impl Step {
    fn from<'v>(&self, root: &'v Value, value: &'v Value) -> Vec<&'v Value> {
        let list = value.as_array().map_or(&[][..], Vec::as_slice);
        let place = |at: i64| {
            let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
            if at < 0 {
                length.saturating_add(at)
            } else {
                at
            }
        };
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::All => match value {
                Value::Object(fields) => fields.values().collect(),
                _ => list.iter().collect(),
            },
            Self::Index(at) => {
                let at = usize::try_from(place(*at)).ok();
                at.and_then(|at| list.get(at)).into_iter().collect()
            }
            Self::Slice(from, to) => {
                let bound = |at: i64| usize::try_from(place(at).max(0)).unwrap_or(usize::MAX);
                let from = from.map_or(0, bound);
                let to = to.map_or(list.len(), bound).min(list.len());
                list.get(from..to).unwrap_or_default().iter().collect()
            }
            Self::Filter(path, test) => {
                let holds = |each: &&Value| {
                    let found = path.find(root, each);
                    match test {
                        None => !found.is_empty(),
                        Some((test, value)) => {
                            found.first().is_some_and(|it| test.holds(it, value))
                        }
                    }
                };
                list.iter().filter(holds).collect()
            }
        }
    }
}

impl Test {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = match (left, right) {
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            (Value::Number(left), Value::Number(right)) => {
                let (left, right) = (left.as_f64(), right.as_f64());
                left.zip(right)
                    .and_then(|(left, right)| left.partial_cmp(&right))
            }
            (left, right) => (left == right).then_some(Ordering::Equal),
        };
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::More => order == Some(Ordering::Greater),
            Self::MoreOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

/// Reads a path: `.a.b`, `$.a`, `@.a`, `['a']`, `.a[0]`.
pub(super) fn parse(text: &str) -> Result<Path, Error> {
    let wrong = |why| Error::Expression(text.to_owned(), why);
    let (from_root, mut rest) = match text.split_at_checked(1) {
        Some(("$", rest)) => (true, rest),
        Some(("@", rest)) => (false, rest),
        Some(("." | "[", _)) => (false, text),
        _ => return Err(wrong("a path begins with \".\"")),
    };
    let mut steps = Vec::new();
    // `{.}` is the value itself.
    if rest == "." {
        rest = "";
    }
    while !rest.is_empty() {
        if rest.starts_with("..") {
            return Err(wrong("\"..\" is not supported: name each field"));
        }
        if let Some(after) = rest.strip_prefix('.') {
            let (name, after) = field(after);
            if name.is_empty() {
                return Err(wrong("a field has no name"));
            }
            steps.push(if name == "*" {
                Step::All
            } else {
                Step::Field(name)
            });
            rest = after;
        } else if rest.starts_with('[') {
            let end = bracket(rest).ok_or_else(|| wrong("a \"[\" has no \"]\""))?;
            steps.push(subscript(rest[1..end].trim()).map_err(wrong)?);
            rest = &rest[end + 1..];
        } else {
            return Err(wrong("expected \".\" or \"[\""));
        }
    }
    Ok(Path { from_root, steps })
}

/// The name that `text` begins with, and the rest. A backslash takes the next character as it is.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            // What no name holds unless it is escaped; the caller says that it is not understood.
            '.' | '[' | '=' | '<' | '>' | '!' | '~' | '"' | '\'' | '(' | ')' | ',' | '@' => {
                return (name, &text[at..]);
            }
            c if c.is_whitespace() => return (name, &text[at..]),
            c => name.push(c),
        }
    }
    (name, "")
}

/// Where the bracket that `text` begins with is closed.
fn bracket(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 1 => return Some(at),
            (None, ']') => depth -= 1,
            (Some(_) | None, _) => {}
        }
    }
    None
}

fn subscript(inner: &str) -> Result<Step, &'static str> {
    if inner == "*" {
        return Ok(Step::All);
    }
    if let Some(name) = quoted(inner) {
        return Ok(Step::Field(name.to_owned()));
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|it| it.strip_suffix(')')) {
        return condition(filter.trim());
    }
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        digits => digits
            .parse()
            .map(Some)
            .map_err(|_| "a place in a list is a number"),
    };
    match inner.split_once(':') {
        Some((_, more)) if more.contains(':') => Err("a step in a slice is not supported"),
        Some((from, to)) => Ok(Step::Slice(number(from)?, number(to)?)),
        None if inner.contains(',') => Err("several places at once are not supported"),
        None => match number(inner)? {
            Some(at) => Ok(Step::Index(at)),
            None => Err("\"[]\" is empty"),
        },
    }
}

fn quoted(text: &str) -> Option<&str> {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"'))
}

fn condition(text: &str) -> Result<Step, &'static str> {
    let read = |path: &str| {
        let path = path.trim();
        if !path.starts_with('@') {
            return Err("a condition begins with \"@\"");
        }
        parse(path).map_err(|_| "the path of a condition is not understood")
    };
    let quotes = text.find(['"', '\'']).unwrap_or(text.len());
    let found = TESTS
        .iter()
        .filter_map(|(sign, test)| Some((text[..quotes].find(sign)?, sign, *test)))
        .min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())));
    let Some((at, sign, compare)) = found else {
        return Ok(Step::Filter(read(text)?, None));
    };
    let right = text[at + sign.len()..].trim();
    let value = match quoted(right) {
        Some(text) => Value::String(text.to_owned()),
        None => serde_json::from_str(right)
            .map_err(|_| "a condition compares with a number, a text in quotes, true or false")?,
    };
    Ok(Step::Filter(read(&text[..at])?, Some((compare, value))))
}
