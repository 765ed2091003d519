//! The settings of an agent's clone. They hold no credential: git asks a helper, which reads the
//! token from the environment each time.

use std::fs;
use std::path::Path;

use gix::bstr::BString;
use gix::config::File;
use gix::config::Source;

use super::clone::Wanted;
use crate::model::RepoUrl;
use crate::model::repo_url::Scheme;

/// Who commits, if the agent's image does not say.
const NAME: &str = "Axon";
const EMAIL: &str = "axon@users.noreply.github.com";
/// Answers git's question for a credential. Runs in the agent's container, by its shell.
const CREDENTIAL_HELPER: &str = r#"!f() { test "$1" = get && test -n "$GITHUB_TOKEN" && printf 'username=x-access-token\npassword=%s\n' "$GITHUB_TOKEN"; :; }; f"#;

/// Adds to the settings at `path`: `origin`, the branch's upstream, identity and credentials.
pub(super) fn write(path: &Path, wanted: &Wanted, branch: Option<&str>) -> Result<(), gix::Error> {
    let mut config = File::from_path_no_includes(path.to_owned(), Source::Local)?;
    let mut section =
        |name: &str, sub: Option<&str>, values: &[(&str, &str)]| -> Result<(), gix::Error> {
            let mut section = config.new_section(name, sub.map(BString::from))?;
            for (key, value) in values {
                section.push(key, *value)?;
            }
            Ok(())
        };
    let url = wanted.url.to_string();
    section(
        "remote",
        Some("origin"),
        &[
            ("url", &url),
            ("fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ],
    )?;
    if let Some(branch) = branch {
        let merge = format!("refs/heads/{branch}");
        section(
            "branch",
            Some(branch),
            &[("remote", "origin"), ("merge", &merge)],
        )?;
    }
    section("user", None, &[("name", NAME), ("email", EMAIL)])?;
    if let Some(scope) = credential_scope(&wanted.url) {
        // The empty one drops helpers that are set elsewhere, for this host only.
        section(
            "credential",
            Some(&scope),
            &[("helper", ""), ("helper", CREDENTIAL_HELPER)],
        )?;
    }
    let mut bytes = Vec::new();
    let written = config
        .write_to(&mut bytes)
        .and_then(|()| fs::write(path, bytes));
    written.map_err(gix::Error::from_error)
}

/// The host that the token is for; no other is ever given it.
fn credential_scope(url: &RepoUrl) -> Option<String> {
    match url.scheme() {
        Scheme::Https => Some(format!("https://{}", url.authority())),
        Scheme::Http if url.is_loopback() => Some(format!("http://{}", url.authority())),
        Scheme::Http | Scheme::Git | Scheme::Ssh | Scheme::Scp | Scheme::File => None,
    }
}
