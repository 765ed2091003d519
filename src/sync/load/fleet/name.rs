//! Names of a fleet's objects. They are identities of runs, so each depends on the fleet's name and
//! the object's own values alone: no other value, and no order, ever changes one.

use crate::model::Digest;
use crate::model::names::MAX_LABEL;

/// Digits of the hash in a name that does not show its values in full.
const HASH: usize = 8;

/// `<fleet>-<values>`: letters in lower case, everything else one `-`. Where that leaves something
/// out (other than case and single separators), or is too long, it ends with a hash of the whole.
pub(super) fn of(fleet: &str, values: &[String]) -> String {
    let slugs: Vec<String> = values.iter().map(|value| slug(value)).collect();
    let name = format!("{fleet}-{}", slugs.join("-"));
    if name.len() <= MAX_LABEL && values.iter().all(|value| is_readable(value)) {
        return name;
    }
    let fields = std::iter::once(fleet).chain(values.iter().map(String::as_str));
    let hash = Digest::of_fields(fields.map(str::as_bytes)).short(HASH);
    // A fleet's name may hold dots, and all is ASCII.
    let stem = &name[..name.len().min(MAX_LABEL - HASH - 1)];
    format!("{}-{hash}", stem.trim_end_matches(['-', '.']))
}

fn slug(value: &str) -> String {
    let parts = value.split(|c: char| !c.is_ascii_alphanumeric());
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("-").to_ascii_lowercase()
}

/// Whether a slug still tells the value to a reader: words with one common separator between each.
fn is_readable(value: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric());
    value
        .split(['-', '/', '.', '_', ':', '@', ' '])
        .all(is_word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::model::ObjectName;

    use super::*;

    #[test]
    fn names() {
        let check = |values: &[&str], expected: &str| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(of("bump", &values), expected);
        };
        check(&["acme/a"], "bump-acme-a");
        check(&["Acme/Web.js"], "bump-acme-web-js");
        check(&["acme/a", "2024"], "bump-acme-a-2024");
        check(&["c++"], "bump-c-321d0eea");
        check(&["c#"], "bump-c-0f04ba8d");
        check(&["a--b"], "bump-a-b-3aebbf44");
        check(&["-5"], "bump-5-d603f564");
        check(&[""], "bump-f8f29cbb");
        check(&["ä"], "bump-4be8e15a");
        let long = "x".repeat(80);
        check(
            &[&long],
            "bump-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-d047c33d",
        );
    }

    proptest! {
        /// Any values give a name that an object can have.
        #[test]
        fn every_name_is_valid(
            fleet in "[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?(\\.[a-z]{1,20})?",
            values in prop::collection::vec(".{0,80}", 1..4),
        ) {
            let name = of(&fleet, &values);
            prop_assert!(name.len() <= MAX_LABEL);
            prop_assert!(ObjectName::parse(&name).is_ok(), "{}", name);
        }
    }
}
