//! A RepoSync's spec, validated once.

use std::time::Duration;

use kube::ResourceExt as _;

use super::reason::Reason;
use super::reason::Trouble;
use crate::api::RepoSync;
use crate::controller::Options;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::RepoPath;
use crate::model::RepoUrl;
use crate::model::Revision;
use crate::model::duration::GoDuration;
use crate::model::snapshot::Source;
use crate::repo::Reference;

/// Polls that come closer together than this are no use to anybody: there are webhooks.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// What a RepoSync asks for, known to be usable.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) namespace: Namespace,
    pub(super) url: RepoUrl,
    pub(super) reference: Reference,
    /// Path of `axon.yaml`.
    pub(super) root: RepoPath,
    pub(super) interval: Duration,
    /// The user that writes are made as, where it is not the controller itself.
    pub(super) writer: Option<String>,
}

impl Settings {
    /// Reads the spec, or says all that is wrong with it.
    pub(super) fn accept(sync: &RepoSync, options: &Options) -> Result<Self, Trouble> {
        let spec = &sync.spec;
        let mut problems = Vec::new();
        let mut wrong = |field: &str, message: String| {
            problems.push(format!("\"spec.{field}\": {message}"));
        };
        let namespace = sync.namespace().unwrap_or_default();
        let namespace = Namespace::parse(&namespace)
            .map_err(|error| wrong("namespace", error.to_string()))
            .ok();
        let url = url(&spec.repo, options)
            .map_err(|message| wrong("repo", message))
            .ok();
        let reference = spec.reference.as_deref().map(Reference::parse).transpose();
        let reference = reference
            .map_err(|error| wrong("ref", error.to_string()))
            .ok();
        let root = RepoPath::parse(&spec.path)
            .map_err(|error| wrong("path", error.to_string()))
            .ok();
        let interval = interval(&spec.interval)
            .map_err(|message| wrong("interval", message))
            .ok();
        let account = spec.service_account_name.as_deref();
        let account = account.map(ObjectName::parse).transpose();
        let account = account
            .map_err(|error| wrong("serviceAccountName", error.to_string()))
            .ok();
        match (namespace, url, reference, root, interval, account) {
            (
                Some(namespace),
                Some(url),
                Some(reference),
                Some(root),
                Some(interval),
                Some(account),
            ) => Ok(Self {
                writer: account.map(|name| format!("system:serviceaccount:{namespace}:{name}")),
                namespace,
                url,
                reference: reference.unwrap_or_default(),
                root,
                interval,
            }),
            (None, ..)
            | (_, None, ..)
            | (_, _, None, ..)
            | (_, _, _, None, ..)
            | (_, _, _, _, None, _)
            | (.., None) => Err(Trouble::new(Reason::InvalidConfig, problems.join("; "))),
        }
    }

    /// Where the configuration comes from.
    pub(super) fn source(&self) -> Source {
        Source {
            canonical: self.url.canonical(),
            url: Some(self.url.to_string()),
        }
    }

    /// The revision of a configuration that was never read.
    pub(super) fn no_revision() -> Revision {
        Revision::Commit("0".repeat(40))
    }
}

fn url(text: &str, options: &Options) -> Result<RepoUrl, String> {
    let url = RepoUrl::parse(text).map_err(|error| error.to_string())?;
    if url.is_file() && !options.allow_file_urls {
        return Err("\"file://\" can be used with \"axon dev\" only; name a server".into());
    }
    if !url.is_file() && options.only_own_repositories {
        return Err(
            "its agents would run on this machine without isolation, which \"axon dev --unconfined\" accepts".into(),
        );
    }
    Ok(url)
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = GoDuration::parse(text)
        .map_err(|error| error.to_string())?
        .get();
    if interval < MIN_INTERVAL {
        let shortest = MIN_INTERVAL.as_secs();
        return Err(format!("must be at least {shortest}s, got \"{text}\""));
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn read(changes: &Value, allow_file_urls: bool) -> Result<Settings, Trouble> {
        let mut sync = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "RepoSync",
            "metadata": {"name": "app", "namespace": "agents"},
            "spec": {"repo": "https://github.com/acme/app.git"},
        });
        json_patch::merge(&mut sync["spec"], changes);
        let options = Options {
            allow_file_urls,
            ..Options::default()
        };
        Settings::accept(&serde_json::from_value(sync).unwrap(), &options)
    }

    #[test]
    fn defaults() {
        let settings = read(&json!({}), false).unwrap();
        assert_eq!(settings.reference, Reference::Head);
        assert_eq!(settings.root.as_str(), "axon.yaml");
        assert_eq!(settings.interval, Duration::from_mins(1));
        assert_eq!(settings.writer, None);
        let settings = read(&json!({"serviceAccountName": "sync"}), false).unwrap();
        let writer = settings.writer.unwrap();
        assert_eq!(writer, "system:serviceaccount:agents:sync");
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let check = |changes: &Value, expected: &str| {
            assert_eq!(read(changes, false).unwrap_err().message, expected);
        };
        check(
            &json!({"interval": "5s", "path": "../x", "ref": "a..b"}),
            "\"spec.ref\": \"a..b\" is not the name of a branch or tag, nor a commit; \
             \"spec.path\": \"../x\" is not a path inside the repository; \
             \"spec.interval\": must be at least 10s, got \"5s\"",
        );
        check(
            &json!({"repo": "file:///srv/app.git"}),
            "\"spec.repo\": \"file://\" can be used with \"axon dev\" only; name a server",
        );
        assert!(read(&json!({"repo": "file:///srv/app.git"}), true).is_ok());
        let told = read(&json!({"repo": "https://bob:hunter2@host/x"}), false);
        assert!(!told.unwrap_err().message.contains("hunter2"));
    }
}
