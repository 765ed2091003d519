//! Secrets and ConfigMaps that a Task's `podOverrides` name: without them its Pod would hang, and
//! only events of the node would say why. Pure.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::needs;
use super::needs::SecretState;
use super::reason::Waiting;
use crate::api::pod_overrides::PodOverrides;

/// What kind of object is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Secret,
    ConfigMap,
}

/// Objects by kind and name, with the keys that they must have.
pub(super) type Named = BTreeMap<(Kind, String), BTreeSet<String>>;

/// What was found of them.
pub(super) type Found = BTreeMap<(Kind, String), SecretState>;

/// What must be there for a Pod to start, whose variables of the names `ignored` are not set. What is
/// optional need not be.
pub(super) fn of(overrides: &PodOverrides, ignored: &[String]) -> Named {
    let mut named = Named::new();
    let mut add = |kind: Kind, name: &str, optional: Option<bool>, keys: Vec<&str>| {
        if optional != Some(true) {
            let all = named.entry((kind, name.to_owned())).or_default();
            all.extend(keys.into_iter().map(str::to_owned));
        }
    };
    let set = overrides
        .env
        .iter()
        .filter(|it| !ignored.contains(&it.name));
    for source in set.filter_map(|it| it.value_from.as_ref()) {
        if let Some(it) = &source.secret_key_ref {
            add(Kind::Secret, &it.name, it.optional, vec![&it.key]);
        }
        if let Some(it) = &source.config_map_key_ref {
            add(Kind::ConfigMap, &it.name, it.optional, vec![&it.key]);
        }
    }
    for volume in &overrides.volumes {
        if let Some(it) = &volume.secret {
            let items = it.items.iter().flatten();
            let keys = items.map(|it| it.key.as_str()).collect();
            let name = it.secret_name.as_deref().unwrap_or_default();
            add(Kind::Secret, name, it.optional, keys);
        }
        if let Some(it) = &volume.config_map {
            let items = it.items.iter().flatten();
            let keys = items.map(|it| it.key.as_str()).collect();
            add(Kind::ConfigMap, &it.name, it.optional, keys);
        }
    }
    named
}

/// Whether all that is `wanted` was `found`.
pub(super) fn check(
    wanted: &Named,
    found: &Found,
    namespace: &str,
) -> Result<(), (Waiting, String)> {
    for (object, keys) in wanted {
        if let Some(state) = found.get(object) {
            check_one(object, keys, state, namespace)?;
        }
    }
    Ok(())
}

/// Whether an object is there, with all of the keys that it must have.
fn check_one(
    (kind, name): &(Kind, String),
    keys: &BTreeSet<String>,
    state: &SecretState,
    namespace: &str,
) -> Result<(), (Waiting, String)> {
    let (word, missing, lacking) = match kind {
        Kind::Secret => ("Secret", Waiting::SecretNotFound, Waiting::SecretKeyMissing),
        Kind::ConfigMap => (
            "ConfigMap",
            Waiting::ConfigMapNotFound,
            Waiting::ConfigMapKeyMissing,
        ),
    };
    match state {
        SecretState::Missing => {
            let message =
                format!("{word} \"{name}\" of podOverrides is not in namespace \"{namespace}\"");
            Err((missing, message))
        }
        // The node reads it, not the controller.
        SecretState::Forbidden => Ok(()),
        SecretState::Keys(there) => match keys.difference(there).next() {
            None => Ok(()),
            Some(key) => {
                let there: Vec<String> = there.iter().cloned().collect();
                let hint = needs::listed("its keys", &there);
                let message =
                    format!("{word} \"{name}\" of podOverrides has no key \"{key}\"; {hint}");
                Err((lacking, message))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn check(overrides: &Value, expected: &[&str]) {
        let overrides = serde_json::from_value(overrides.clone()).unwrap();
        let ignored = ["IGNORED".to_owned()];
        let named = of(&overrides, &ignored)
            .into_iter()
            .map(|((kind, name), keys)| {
                let keys: Vec<String> = keys.into_iter().collect();
                format!("{kind:?} {name} [{}]", keys.join(" "))
            });
        assert_eq!(named.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_a_pod_cannot_start_without() {
        let from = |kind: &str, name: &str, key: &str, optional: bool| json!({"name": key, "valueFrom": {kind: {"name": name, "key": key, "optional": optional}}});
        check(
            &json!({
                "env": [
                    {"name": "PLAIN", "value": "x"},
                    from("secretKeyRef", "s", "one", false),
                    from("secretKeyRef", "s", "two", false),
                    from("secretKeyRef", "not", "x", true),
                    from("configMapKeyRef", "c", "x", false),
                    from("secretKeyRef", "not", "IGNORED", false),
                ],
                "volumes": [
                    {"name": "a", "emptyDir": {}},
                    {"name": "b", "secret": {"secretName": "whole"}},
                    {"name": "c", "secret": {"secretName": "s", "items": [{"key": "three", "path": "p"}]}},
                    {"name": "d", "configMap": {"name": "c", "items": [{"key": "y", "path": "p"}]}},
                    {"name": "e", "configMap": {"name": "not", "optional": true}},
                ],
            }),
            &[
                "Secret s [one three two]",
                "Secret whole []",
                "ConfigMap c [x y]",
            ],
        );
        check(&json!({}), &[]);
    }

    #[test]
    fn what_is_said() {
        let says = |kind: Kind, state: SecretState, expected: &str| {
            let object = (kind, "x".to_owned());
            let wanted = Named::from([(object.clone(), BTreeSet::from(["a".to_owned()]))]);
            let said = super::check(&wanted, &Found::from([(object, state)]), "team").err();
            let said = said.map(|(reason, message)| format!("{} {message}", reason.as_str()));
            assert_eq!(said.unwrap_or_default(), expected);
        };
        let keys = |key: &str| SecretState::Keys(BTreeSet::from([key.to_owned()]));
        says(Kind::Secret, keys("a"), "");
        says(Kind::Secret, SecretState::Forbidden, "");
        says(
            Kind::Secret,
            SecretState::Missing,
            "SecretNotFound Secret \"x\" of podOverrides is not in namespace \"team\"",
        );
        says(
            Kind::Secret,
            keys("b"),
            "SecretKeyMissing Secret \"x\" of podOverrides has no key \"a\"; its keys: \"b\"",
        );
        says(
            Kind::ConfigMap,
            SecretState::Missing,
            "ConfigMapNotFound ConfigMap \"x\" of podOverrides is not in namespace \"team\"",
        );
        says(
            Kind::ConfigMap,
            keys("b"),
            "ConfigMapKeyMissing ConfigMap \"x\" of podOverrides has no key \"a\"; its keys: \"b\"",
        );
    }
}
