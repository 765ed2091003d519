//! `$(NAME)` in a container's command, arguments and environment, by the kubelet's rules.
//!
//! `$$` is a dollar that starts no reference; a reference to an unknown name stays as written.

use std::collections::BTreeMap;

/// Replaces every reference that `known` can answer.
pub(super) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = reference(rest) {
            if let Some(value) = known.get(name) {
                out.push_str(value);
            } else {
                out.push_str("$(");
                out.push_str(name);
                out.push(')');
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// `(NAME)tail` → `NAME`, `tail`.
fn reference(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('(')?.split_once(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let known = BTreeMap::from([
            ("A".to_owned(), "one".to_owned()),
            ("B".to_owned(), "$(A)".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]);
        assert_eq!(expand(text, &known), expected, "{text}");
    }

    #[test]
    fn references_are_replaced_once() {
        check("$(A)", "one");
        check("<$(A)$(A)>", "<oneone>");
        check("$(B)", "$(A)");
        check("[$(EMPTY)]", "[]");
    }

    #[test]
    fn doubled_dollars_are_dollars() {
        check("$$(A)", "$(A)");
        check("$$$(A)", "$one");
        check("$$$$(A)", "$$(A)");
        check("a$$b", "a$b");
    }

    #[test]
    fn what_is_no_reference_stays() {
        check("$(NOPE)", "$(NOPE)");
        check("$()", "$()");
        check("$A ${A}", "$A ${A}");
        check("$(A", "$(A");
        check("tail$", "tail$");
        check("$(é)$(A)", "$(é)one");
    }
}
