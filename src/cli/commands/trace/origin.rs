//! The annotation `axon.io/origin`, taken apart. Pure.

use crate::api::labels;
use crate::cli::inspect::Item;

/// Where an object is declared, without revision and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    /// The canonical source: `github.com/acme/app`, or the name of a directory.
    pub(super) source: String,
    /// Path of `axon.yaml`.
    pub(super) path: String,
}

/// What the origin of an object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing: nobody declared it.
    None,
    /// It is that of another object: this one is a copy.
    CopyOf(String),
    Declared(Declared),
}

pub(super) fn of(item: &Item) -> Origin {
    let Some(text) = item.annotation(labels::ORIGIN) else {
        return Origin::None;
    };
    // From the right: a path or a directory may hold a "#", a kind and a name cannot.
    let mut parts = text.rsplitn(3, '#');
    let (Some(key), Some(path), Some(source)) = (parts.next(), parts.next(), parts.next()) else {
        return Origin::CopyOf(text.to_owned());
    };
    if key != item.key() {
        return Origin::CopyOf(key.to_owned());
    }
    Origin::Declared(Declared {
        source: source.to_owned(),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::inspect::Kind;
    use crate::cli::inspect::standing::tests::item;

    #[test]
    fn origins() {
        let check = |text: &str, expected: Origin| {
            let fields = json!({"metadata": {"annotations": {"axon.io/origin": text}}});
            assert_eq!(of(&item(Kind::Task, "a", &fields)), expected, "{text}");
        };
        let declared = |source: &str, path: &str| {
            Origin::Declared(Declared {
                source: source.into(),
                path: path.into(),
            })
        };
        check(
            "github.com/acme/app#axon.yaml#Task/a",
            declared("github.com/acme/app", "axon.yaml"),
        );
        check("my#dir#axon.yaml#Task/a", declared("my#dir", "axon.yaml"));
        check(
            "github.com/acme/app#axon.yaml#Task/b",
            Origin::CopyOf("Task/b".into()),
        );
        check("nonsense", Origin::CopyOf("nonsense".into()));
        assert_eq!(of(&item(Kind::Task, "a", &json!({}))), Origin::None);
    }
}
