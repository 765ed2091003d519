//! The environment of a container, by the kubelet's rules: `envFrom` first, then `env` in order,
//! each value expanded with what stands before it.
//!
//! Pure: the Secrets and ConfigMaps are read before. Nothing of this machine's own environment
//! is here but the `base` that the caller gives.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::EnvFromSource;
use k8s_openapi::api::core::v1::EnvVarSource;
use k8s_openapi::api::core::v1::Pod;
use thiserror::Error;

use super::expand::expand;
use super::fields;
use super::sources::Sources;

/// Why a container cannot be configured. It may be put right by someone, so it is tried again.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Error {
    #[error("{kind} \"{name}\" not found")]
    NoObject { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        kind: &'static str,
        namespace: String,
        name: String,
        key: String,
    },
    #[error("key {key} of {kind} {name} is not text")]
    NotText {
        kind: &'static str,
        name: String,
        key: String,
    },
    #[error("variable {name} asks for what this node does not offer")]
    Unsupported { name: String },
}

/// All variables of the container. Holds secret values: not to be printed.
pub(super) fn environment(
    container: &Container,
    pod: &Pod,
    sources: &Sources,
    base: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut known = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        take_all(from, sources, &mut known)?;
    }
    for var in container.env.iter().flatten() {
        let value = match (&var.value, &var.value_from) {
            (Some(text), _) if !text.is_empty() => Some(expand(text, &known)),
            (_, Some(from)) => value_from(&var.name, from, container, pod, sources)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            known.insert(var.name.clone(), value);
        }
    }
    for (name, value) in base {
        known.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Ok(known)
}

fn take_all(
    from: &EnvFromSource,
    sources: &Sources,
    known: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    let found = if let Some(it) = &from.secret_ref {
        ("secret", &it.name, it.optional, sources.secret(&it.name))
    } else if let Some(it) = &from.config_map_ref {
        (
            "configmap",
            &it.name,
            it.optional,
            sources.config_map(&it.name),
        )
    } else {
        return Ok(());
    };
    let (kind, name, optional, content) = found;
    let Some(content) = content else {
        return missing(kind, name, optional).map(|_: Option<String>| ());
    };
    let prefix = from.prefix.as_deref().unwrap_or_default();
    for (key, value) in content {
        let variable = format!("{prefix}{key}");
        if is_variable_name(&variable) {
            known.insert(variable, text(kind, name, key, value)?);
        }
    }
    Ok(())
}

fn value_from(
    variable: &str,
    from: &EnvVarSource,
    container: &Container,
    pod: &Pod,
    sources: &Sources,
) -> Result<Option<String>, Error> {
    let unsupported = || Error::Unsupported {
        name: variable.to_owned(),
    };
    if let Some(it) = &from.field_ref {
        let value = fields::field(pod, &it.field_path).ok_or_else(unsupported)?;
        return Ok(Some(value));
    }
    if let Some(it) = &from.resource_field_ref {
        let value = fields::resource(pod, Some(container), it).ok_or_else(unsupported)?;
        return Ok(Some(value));
    }
    let (kind, shown, name, key, optional, content) = if let Some(it) = &from.secret_key_ref {
        let content = sources.secret(&it.name);
        ("secret", "Secret", &it.name, &it.key, it.optional, content)
    } else if let Some(it) = &from.config_map_key_ref {
        let content = sources.config_map(&it.name);
        (
            "configmap",
            "ConfigMap",
            &it.name,
            &it.key,
            it.optional,
            content,
        )
    } else {
        return Err(unsupported());
    };
    let Some(content) = content else {
        return missing(kind, name, optional);
    };
    match content.get(key) {
        Some(value) => text(kind, name, key, value).map(Some),
        None if optional == Some(true) => Ok(None),
        None => Err(Error::NoKey {
            kind: shown,
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: name.clone(),
            key: key.clone(),
        }),
    }
}

fn missing<T>(kind: &'static str, name: &str, optional: Option<bool>) -> Result<Option<T>, Error> {
    if optional == Some(true) {
        return Ok(None);
    }
    Err(Error::NoObject {
        kind,
        name: name.to_owned(),
    })
}

fn text(kind: &'static str, name: &str, key: &str, value: &[u8]) -> Result<String, Error> {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(Error::NotText {
            kind,
            name: name.to_owned(),
            key: key.to_owned(),
        }),
    }
}

/// Whether the kubelet would take a key for a variable.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_graphic() && c != '=')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn resolve(container: Value) -> Result<Vec<(String, String)>, String> {
        let mut container = container;
        container["name"] = json!("c");
        let container: Container = serde_json::from_value(container).unwrap();
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}})).unwrap();
        let mut sources = Sources::default();
        let secret = json!({"data": {"token": "czNjcmV0", "bad key": "eA==", "bytes": "/w=="}});
        sources.add_secret("s", serde_json::from_value(secret).unwrap());
        let map = json!({"data": {"A": "from-map", "B": "$(A)"}});
        sources.add_config_map("m", serde_json::from_value(map).unwrap());
        let base = BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]);
        environment(&container, &pod, &sources, &base)
            .map(|all| all.into_iter().filter(|(name, _)| name != "PATH").collect())
            .map_err(|error| error.to_string())
    }

    fn check(container: Value, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(resolve(container), Ok(expected));
    }

    fn check_error(container: Value, expected: &str) {
        assert_eq!(resolve(container), Err(expected.to_owned()));
    }

    #[test]
    fn values_see_what_stands_before_them() {
        check(
            json!({"env": [
                {"name": "X", "value": "$(Y)"}, {"name": "Y", "value": "1"},
                {"name": "Z", "value": "$(Y)$$(Y)"}, {"name": "E"}]}),
            &[("E", ""), ("X", "$(Y)"), ("Y", "1"), ("Z", "1$(Y)")],
        );
    }

    #[test]
    fn env_wins_over_env_from_and_nothing_expands_there() {
        check(
            json!({
                "envFrom": [{"configMapRef": {"name": "m"}}, {"prefix": "P_", "configMapRef": {"name": "m"}}],
                "env": [{"name": "A", "value": "<$(A)>"}]}),
            &[
                ("A", "<from-map>"),
                ("B", "$(A)"),
                ("P_A", "from-map"),
                ("P_B", "$(A)"),
            ],
        );
    }

    #[test]
    fn references_are_read() {
        check(
            json!({"env": [
                {"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
                {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "O", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k", "optional": true}}},
                {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "A"}}}]}),
            &[("C", "from-map"), ("N", "p"), ("T", "s3cret")],
        );
    }

    #[test]
    fn a_base_value_gives_way() {
        let all = resolve(json!({"env": [{"name": "HOME", "value": "/h"}]})).unwrap();
        assert_eq!(all, [("HOME".to_owned(), "/h".to_owned())]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let key = |name, key| json!({"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}]});
        check_error(key("no", "token"), "secret \"no\" not found");
        check_error(key("s", "no"), "couldn't find key no in Secret n/s");
        check_error(key("s", "bytes"), "key bytes of secret s is not text");
        check_error(
            json!({"envFrom": [{"configMapRef": {"name": "no"}}]}),
            "configmap \"no\" not found",
        );
        check_error(
            json!({"env": [{"name": "T", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]}),
            "variable T asks for what this node does not offer",
        );
    }
}
