//! The settings of an agent's clone. They hold no credential, only the path of the helper that reads
//! one from mounted files each time git asks.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use axon_helper::credential;
use axon_helper::ssh;
use gix::bstr::BString;
use gix::config::File;
use gix::config::Source;

use crate::model::RepoUrl;
use crate::model::repo_url::Scheme;

/// Who commits, if the Workspace does not say.
const NAME: &str = "Axon";
const EMAIL: &str = "axon@users.noreply.github.com";

/// Author and committer of the agent's commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) email: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            name: NAME.to_owned(),
            email: EMAIL.to_owned(),
        }
    }
}

/// Whom git asks for a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Helper {
    /// The helper's program, where the agent finds it.
    pub(super) program: PathBuf,
    /// The mounted Secret, there too.
    pub(super) credentials_dir: PathBuf,
    /// The repository that the credential is for: no other host is ever shown it.
    pub(super) url: RepoUrl,
}

/// Why the settings cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the path \"{0}\" is no text")]
    Path(String),
    #[error(transparent)]
    Git(gix::Error),
}

impl From<gix::Error> for Error {
    fn from(error: gix::Error) -> Self {
        Self::Git(error)
    }
}

/// What the settings say.
pub(super) struct Settings<'a> {
    pub(super) origin: &'a RepoUrl,
    /// The branch that HEAD is on.
    pub(super) branch: Option<&'a str>,
    pub(super) identity: &'a Identity,
    pub(super) helper: Option<&'a Helper>,
}

impl Settings<'_> {
    /// Adds to the settings at `path`: `origin`, the branch's upstream, identity and helper.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let mut config = File::from_path_no_includes(path.to_owned(), Source::Local)?;
        let url = self.origin.to_string();
        let fetch = "+refs/heads/*:refs/remotes/origin/*";
        add(
            &mut config,
            ("remote", Some("origin")),
            &[("url", &url), ("fetch", fetch)],
        )?;
        if let Some(branch) = self.branch {
            let merge = format!("refs/heads/{branch}");
            let values = [("remote", "origin"), ("merge", &merge)];
            add(&mut config, ("branch", Some(branch)), &values)?;
        }
        let Identity { name, email } = self.identity;
        add(
            &mut config,
            ("user", None),
            &[("name", name), ("email", email)],
        )?;
        if let Some(helper) = self.helper {
            helper.add_to(&mut config)?;
        }
        save(&config, path)
    }
}

/// Says in the settings at `path` that a submodule is in use.
pub(super) fn add_submodule(path: &Path, name: &str, url: &RepoUrl) -> Result<(), Error> {
    let mut config = File::from_path_no_includes(path.to_owned(), Source::Local)?;
    let url = url.to_string();
    add(
        &mut config,
        ("submodule", Some(name)),
        &[("active", "true"), ("url", &url)],
    )?;
    save(&config, path)
}

fn save(config: &File, path: &Path) -> Result<(), Error> {
    let mut bytes = Vec::new();
    config
        .write_to(&mut bytes)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|error| Error::Git(gix::Error::from_error(error)))
}

fn add(
    config: &mut File,
    (name, sub): (&str, Option<&str>),
    values: &[(&str, &str)],
) -> Result<(), Error> {
    let mut section = config.new_section(name, sub.map(BString::from))?;
    for (key, value) in values {
        section.push(key, *value)?;
    }
    Ok(())
}

impl Helper {
    fn add_to(&self, config: &mut File) -> Result<(), Error> {
        match self.url.scheme() {
            Scheme::Https => self.add_credential("https", config),
            // In the clear only to this very machine.
            Scheme::Http if self.url.is_loopback() => self.add_credential("http", config),
            Scheme::Ssh | Scheme::Scp => {
                let mut words = self.words(ssh::WORD)?;
                words.extend(["--host".to_owned(), shell_quoted(self.host())]);
                if let Some(port) = self.url.port() {
                    words.extend(["--port".to_owned(), port.to_string()]);
                }
                words.push("--".to_owned());
                add(config, ("core", None), &[("sshCommand", &words.join(" "))])?;
                // Else git would find out by calling the program.
                add(config, ("ssh", None), &[("variant", "ssh")])
            }
            Scheme::Http | Scheme::Git | Scheme::File => Ok(()),
        }
    }

    fn add_credential(&self, protocol: &str, config: &mut File) -> Result<(), Error> {
        let host = self.url.authority();
        let mut words = self.words(credential::WORD)?;
        words.extend(["--protocol".to_owned(), protocol.to_owned()]);
        words.extend(["--host".to_owned(), shell_quoted(&host)]);
        let command = format!("!{}", words.join(" "));
        let scope = format!("{protocol}://{host}");
        // The empty one drops helpers that are set elsewhere, for this host only.
        let values = [("helper", ""), ("helper", command.as_str())];
        add(config, ("credential", Some(&scope)), &values)
    }

    fn words(&self, word: &str) -> Result<Vec<String>, Error> {
        let text = |path: &Path| {
            let text = path.to_str().map(shell_quoted);
            text.ok_or_else(|| Error::Path(path.display().to_string()))
        };
        Ok(vec![
            text(&self.program)?,
            word.to_owned(),
            "--credentials-dir".to_owned(),
            text(&self.credentials_dir)?,
        ])
    }

    fn host(&self) -> &str {
        self.url
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
    }
}

/// A word of the shell that git gives such a setting to.
fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(url: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, "").unwrap();
        let url = RepoUrl::parse(url).unwrap();
        let helper = Helper {
            program: "/it's/axon-helper".into(),
            credentials_dir: "/run/axon git".into(),
            url: url.clone(),
        };
        let settings = Settings {
            origin: &url,
            branch: None,
            identity: &Identity::default(),
            helper: Some(&helper),
        };
        settings.write(&path).unwrap();
        // As git understands it: without what is only quoting.
        let config = File::from_path_no_includes(path, Source::Local).unwrap();
        let value = |key: &str| config.strings(key).unwrap_or_default();
        let all = [
            value("core.sshCommand"),
            value("credential.https://h:8443.helper"),
            value("credential.http://127.0.0.1:80.helper"),
            value("credential.http://127.0.0.1.helper"),
        ];
        let lines: Vec<String> = all.concat().iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn who_is_asked_for_a_credential() {
        assert_eq!(
            written("https://h:8443/a/b"),
            "\n!'/it'\\''s/axon-helper' credential --credentials-dir '/run/axon git' --protocol https --host 'h:8443'"
        );
        assert_eq!(
            written("http://127.0.0.1/a/b"),
            "\n!'/it'\\''s/axon-helper' credential --credentials-dir '/run/axon git' --protocol http --host '127.0.0.1'"
        );
        assert_eq!(
            written("ssh://git@[::1]:2222/a"),
            "'/it'\\''s/axon-helper' ssh --credentials-dir '/run/axon git' --host '::1' --port 2222 --"
        );
        assert_eq!(
            written("git@h:a"),
            "'/it'\\''s/axon-helper' ssh --credentials-dir '/run/axon git' --host 'h' --"
        );
        for other in ["http://h/a", "git://h/a", "file:///a"] {
            assert_eq!(written(other), "", "{other}");
        }
    }
}
