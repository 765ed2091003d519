//! The part of `JSONPath` that printer columns use.

use serde_json::Value;

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    All,
    /// Items whose field has a value: `[?(@.type=="Ready")]`.
    Where(Vec<Step>, Value),
}

/// What a path finds, in order. None: the path is not understood.
pub(super) fn find<'a>(object: &'a Value, path: &str) -> Option<Vec<&'a Value>> {
    Some(walk(vec![object], &parse(path)?))
}

fn walk<'a>(mut found: Vec<&'a Value>, steps: &[Step]) -> Vec<&'a Value> {
    for step in steps {
        found = found.into_iter().flat_map(|it| take(it, step)).collect();
    }
    found
}

fn take<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let place = |index: i64| {
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let index = if index < 0 { index + length } else { index };
        usize::try_from(index.clamp(0, length)).unwrap_or(items.len())
    };
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => items.get(place(*index)).into_iter().collect(),
        Step::Slice(from, to) => {
            let from = from.map_or(0, place);
            let to = to.map_or(items.len(), place);
            items.get(from..to).into_iter().flatten().collect()
        }
        Step::All => match value {
            Value::Object(fields) => fields.values().collect(),
            _ => items.iter().collect(),
        },
        Step::Where(path, wanted) => items
            .iter()
            .filter(|item| walk(vec![*item], path).first() == Some(&wanted))
            .collect(),
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let path = path.trim();
    let path = path
        .strip_prefix('{')
        .map_or(Some(path), |it| it.strip_suffix('}'))?;
    let mut steps = Vec::new();
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        rest = match rest.strip_prefix('.') {
            Some(after) => field(after, &mut steps)?,
            None => bracket(rest.strip_prefix('[')?, &mut steps)?,
        };
    }
    Some(steps)
}

/// A name; `\.` is a dot in it.
fn field<'a>(text: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            '.' | '[' => {
                push_name(name, steps);
                return Some(&text[at..]);
            }
            _ => name.push(c),
        }
    }
    push_name(name, steps);
    Some("")
}

fn push_name(name: String, steps: &mut Vec<Step>) {
    match name.as_str() {
        "" => {}
        "*" => steps.push(Step::All),
        _ => steps.push(Step::Field(name)),
    }
}

fn bracket<'a>(text: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    if let Some(filter) = text.strip_prefix("?(@") {
        let (condition, rest) = filter.split_once(")]")?;
        let (path, wanted) = condition.split_once("==")?;
        let wanted = wanted.trim().replace('\'', "\"");
        let wanted = serde_json::from_str(&wanted).ok()?;
        steps.push(Step::Where(parse(path.trim())?, wanted));
        return Some(rest);
    }
    let (inside, rest) = text.split_once(']')?;
    let inside = inside.trim();
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        text => text.parse().ok().map(Some),
    };
    let quoted = |quote: char| inside.strip_prefix(quote)?.strip_suffix(quote);
    let step = if inside == "*" {
        Step::All
    } else if let Some(name) = quoted('\'').or_else(|| quoted('"')) {
        Step::Field(name.into())
    } else if let Some((from, to)) = inside.split_once(':') {
        Step::Slice(number(from)?, number(to)?)
    } else {
        Step::Index(inside.parse().ok()?)
    };
    steps.push(step);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    #[test]
    fn printer_columns_find_their_values() {
        let object = json!({
            "metadata": {"labels": {"a.b/c": "l"}},
            "status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "False"}]},
        });
        let check = |path: &str, expected: Option<Value>| {
            let found = super::find(&object, path);
            let found = found.map(|it| it.into_iter().cloned().collect::<Value>());
            assert_eq!(found, expected, "{path}");
        };
        check(".status.conditions[-1:].type", Some(json!(["B"])));
        check(".status.conditions[0].type", Some(json!(["A"])));
        check(".status.conditions[*].type", Some(json!(["A", "B"])));
        check(
            r#".status.conditions[?(@.type=="B")].status"#,
            Some(json!(["False"])),
        );
        check(r".metadata.labels.a\.b/c", Some(json!(["l"])));
        check(".metadata.labels['a.b/c']", Some(json!(["l"])));
        check(".status.nothing[-1:].here", Some(json!([])));
        check(".status[", None);
    }
}
