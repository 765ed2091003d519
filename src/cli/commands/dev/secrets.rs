//! `--secret NAME=KEY[:ENV]`: Secrets from the environment.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Client;
use kube::api::ObjectMeta;
use kube::api::Patch;
use kube::api::PatchParams;

use crate::cli::ui::Failure;
use crate::model;
use crate::model::Namespace;
use crate::model::ObjectName;

/// Manager of the Secrets that a person makes on the command line.
const MANAGER: &str = "axon-cli";

/// Secrets by name, with their keys and values.
#[derive(Default)]
pub(super) struct Secrets(BTreeMap<ObjectName, BTreeMap<String, model::Secret>>);

impl Secrets {
    /// Reads the flags and the environment variables that they name.
    pub(super) fn read(flags: &[String]) -> Result<Self, Failure> {
        let mut secrets = Self::default();
        for flag in flags {
            // The value is not repeated: it may be a secret that was typed in the wrong place.
            let wrong = || {
                Failure::usage("a --secret has the wrong form")
                    .hint("write NAME=KEY or NAME=KEY:ENV, for example claude-oauth=CLAUDE_CODE_OAUTH_TOKEN")
            };
            let (name, rest) = flag.split_once('=').ok_or_else(wrong)?;
            let (key, variable) = rest.split_once(':').unwrap_or((rest, rest));
            let name = ObjectName::parse(name).map_err(|_| wrong())?;
            let valid = |text: &str| {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
            };
            if !valid(key) || !valid(variable) {
                return Err(wrong());
            }
            secrets
                .0
                .entry(name)
                .or_default()
                .insert(key.to_owned(), variable_value(variable)?);
        }
        Ok(secrets)
    }

    /// Writes them into a namespace.
    pub(super) async fn apply(
        &self,
        client: &Client,
        namespace: &Namespace,
    ) -> Result<(), Failure> {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace.as_str());
        for (name, values) in &self.0 {
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(name.to_string()),
                    ..ObjectMeta::default()
                },
                string_data: Some(
                    values
                        .iter()
                        .map(|(key, value)| (key.clone(), value.expose().to_owned()))
                        .collect(),
                ),
                ..Secret::default()
            };
            api.patch(
                name.as_str(),
                &PatchParams::apply(MANAGER).force(),
                &Patch::Apply(&secret),
            )
            .await
            .map_err(|error| {
                Failure::new(
                    format!("cannot write Secret \"{namespace}/{name}\""),
                    &error,
                )
            })?;
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the user names the variable on the command line"
)]
fn variable_value(name: &str) -> Result<model::Secret, Failure> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(model::Secret::new(value)),
        _ => Err(Failure::usage(format!(
            "the environment variable \"{name}\" of a --secret is empty or not set"
        ))),
    }
}
