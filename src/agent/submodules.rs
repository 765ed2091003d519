//! Submodules of a clone: those of the workspace's own host, each a clone of its own.
//!
//! What `.gitmodules` says comes from whoever can write to the repository. So nothing of it is taken
//! but paths and URLs; a submodule that is anywhere else stays an empty directory, and that is told.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;

use gix::bstr::BString;
use gix::index::entry::Mode;

use super::clone;
use super::clone::Error;
use super::clone::Manner;
use super::clone::Wanted;
use super::git_config;
use super::worktree;
use super::worktree::Link;
use crate::model::RepoUrl;
use crate::model::repo_url::InvalidUrl;
use crate::model::repo_url::Scheme;
use crate::repo::Reference;

/// The file that tells where submodules come from.
const MODULES: &str = ".gitmodules";
/// Its largest size: thousands of submodules.
const MAX_MODULES: u64 = 1 << 20;
/// Submodules within submodules: those of real projects are two or three deep, a hostile one endless.
const MAX_LEVEL: u32 = 8;
/// Submodules of one checkout, all levels together: a large project has dozens.
const MAX_COUNT: usize = 256;

/// A submodule that was left empty.
#[derive(Debug, thiserror::Error)]
#[error("left the submodule \"{path}\" empty: {why}")]
pub(super) struct Skipped {
    path: String,
    why: Why,
}

/// Why a submodule is left empty.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("\"{MODULES}\" cannot be read")]
    Modules,
    #[error("\"{MODULES}\" does not say where it comes from")]
    Unlisted,
    #[error("{0}")]
    Url(InvalidUrl),
    #[error("its relative URL leads out of the host's repositories")]
    Outside,
    #[error("it is on another host than the workspace")]
    OtherHost,
    #[error("submodules are checked out to a depth of {MAX_LEVEL}")]
    TooDeep,
    #[error("no more than {MAX_COUNT} submodules are checked out")]
    TooMany,
}

/// A clone whose submodules are to be cloned.
struct Parent {
    repo: gix::Repository,
    url: RepoUrl,
    dir: PathBuf,
    /// Its own path, as messages show it.
    shown: PathBuf,
    level: u32,
}

/// Clones all submodules of `repo`, which is the clone of `url` at `dir`, and theirs.
pub(super) fn clone(
    repo: &gix::Repository,
    url: &RepoUrl,
    manner: &Manner,
    dir: &Path,
) -> Result<Vec<Skipped>, Error> {
    let mut waiting = vec![Parent {
        repo: repo.clone(),
        url: url.clone(),
        dir: dir.to_owned(),
        shown: PathBuf::new(),
        level: 1,
    }];
    let (mut skipped, mut count) = (Vec::new(), 0);
    while let Some(parent) = waiting.pop() {
        let index = parent.repo.open_index();
        let index = index.map_err(Error::git("read the index of the repository"))?;
        let modules = Modules::of(&parent.repo, &index);
        for link in worktree::links(&index) {
            let shown = parent.shown.join(&link.path);
            let wanted = modules.find(&link).and_then(|(name, text)| {
                let from = resolve(&parent.url, text)?;
                let from = at_host_of(url, &from)?;
                match (parent.level <= MAX_LEVEL, count < MAX_COUNT) {
                    (true, true) => Ok((name, from)),
                    (false, _) => Err(Why::TooDeep),
                    (true, false) => Err(Why::TooMany),
                }
            });
            match wanted {
                Ok((name, from)) => {
                    count += 1;
                    waiting.push(clone_one(&parent, name, from, &link, manner)?);
                }
                Err(why) => {
                    let path = shown.display().to_string();
                    skipped.push(Skipped { path, why });
                }
            }
        }
    }
    Ok(skipped)
}

fn clone_one(
    parent: &Parent,
    name: &str,
    url: RepoUrl,
    link: &Link,
    manner: &Manner,
) -> Result<Parent, Error> {
    let shown = parent.shown.join(&link.path);
    let dir = parent.dir.join(&link.path);
    let wanted = Wanted {
        url: url.clone(),
        reference: Reference::Commit(link.commit),
        branch: None,
    };
    let cloned = clone::clone_one(&wanted, manner, &dir);
    let (repo, _) = cloned.map_err(|source| Error::Submodule {
        path: shown.display().to_string(),
        source: Box::new(source),
    })?;
    git_config::add_submodule(&parent.repo.git_dir().join("config"), name, &url)?;
    Ok(Parent {
        repo,
        url,
        dir,
        shown,
        level: parent.level + 1,
    })
}

/// Where submodules come from: name and URL by path. Nothing if that cannot be read.
struct Modules(Option<HashMap<PathBuf, (String, String)>>);

impl Modules {
    fn of(repo: &gix::Repository, index: &gix::index::State) -> Self {
        let Some(entry) = index.entry_by_path(MODULES.into()) else {
            return Self(Some(HashMap::new()));
        };
        // Not by way of a symbolic link.
        let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
        let size = repo.find_header(entry.id).map(|it| it.size()).ok();
        if !is_file || size.is_none_or(|size| size > MAX_MODULES) {
            return Self(None);
        }
        let parsed = repo.find_object(entry.id).ok().and_then(|object| {
            let own = gix::config::File::default();
            gix::submodule::File::from_bytes(&object.data, None, &own).ok()
        });
        Self(parsed.map(|file| by_path(&file)))
    }

    fn find(&self, link: &Link) -> Result<(&str, &str), Why> {
        let modules = self.0.as_ref().ok_or(Why::Modules)?;
        let (name, url) = modules.get(&link.path).ok_or(Why::Unlisted)?;
        Ok((name, url))
    }
}

fn by_path(file: &gix::submodule::File) -> HashMap<PathBuf, (String, String)> {
    let names: Vec<BString> = file.names().map(ToOwned::to_owned).collect();
    let modules = names.iter().filter_map(|name| {
        let path = file.path(name.as_ref()).ok()?;
        let url = file.config().string_by("submodule", name, "url")?;
        let path = gix::path::from_bstring(path).ok()?;
        Some((path, (name.to_string(), url.to_string())))
    });
    modules.collect()
}

/// The URL that `text` means in a clone of `parent`: a relative one goes on from there.
fn resolve(parent: &RepoUrl, text: &str) -> Result<RepoUrl, Why> {
    if !text.starts_with("./") && !text.starts_with("../") {
        return RepoUrl::parse(text).map_err(Why::Url);
    }
    let whole = parent.to_string();
    let server = whole.strip_suffix(parent.path()).unwrap_or_default();
    let root = if parent.path().starts_with('/') {
        "/"
    } else {
        ""
    };
    let mut parts: Vec<&str> = parent.path().trim_matches('/').split('/').collect();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(Why::Outside)?;
            }
            other => parts.push(other),
        }
    }
    RepoUrl::parse(&format!("{server}{root}{}", parts.join("/"))).map_err(Why::Url)
}

/// The URL by which a submodule of the workspace's host is cloned. One that is written for ssh is
/// reached as the workspace is, if that is by https: the credential opens no other way.
fn at_host_of(workspace: &RepoUrl, url: &RepoUrl) -> Result<RepoUrl, Why> {
    if url.host() != workspace.host() {
        return Err(Why::OtherHost);
    }
    let is_web = |url: &RepoUrl| matches!(url.scheme(), Scheme::Https | Scheme::Http);
    let is_ssh = |url: &RepoUrl| matches!(url.scheme(), Scheme::Ssh | Scheme::Scp);
    if !(is_web(workspace) && is_ssh(url)) {
        return Ok(url.clone());
    }
    let whole = workspace.to_string();
    let server = whole.strip_suffix(workspace.path()).unwrap_or_default();
    let path = url.path().trim_start_matches('/');
    RepoUrl::parse(&format!("{server}/{path}")).map_err(Why::Url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(workspace: &str, text: &str) -> Result<String, Why> {
        let workspace = RepoUrl::parse(workspace).unwrap();
        let url = resolve(&workspace, text)?;
        at_host_of(&workspace, &url).map(|it| it.to_string())
    }

    #[test]
    fn submodules_of_the_same_host() {
        let check = |workspace: &str, text: &str, expected: &str| {
            let found = found(workspace, text);
            assert_eq!(found.as_deref(), Ok(expected), "{text}");
        };
        let https = "https://h:8443/acme/app.git";
        check(https, "../lib.git", "https://h:8443/acme/lib.git");
        check(https, "../../other/lib", "https://h:8443/other/lib");
        check(https, "./sub", "https://h:8443/acme/app.git/sub");
        check(https, "https://h:8443/x/y", "https://h:8443/x/y");
        check(https, "git@h:acme/lib.git", "https://h:8443/acme/lib.git");
        check(https, "ssh://git@h:22/acme/lib", "https://h:8443/acme/lib");
        check("git@h:acme/app.git", "../lib.git", "git@h:acme/lib.git");
        check("git@h:/srv/app.git", "../lib.git", "git@h:/srv/lib.git");
        check("git@h:acme/app", "https://h/acme/lib", "https://h/acme/lib");
        check("file:///srv/app.git", "../lib", "file:///srv/lib");
    }

    #[test]
    fn what_is_left_alone() {
        let check = |text: &str, expected: Why| {
            assert_eq!(found("https://h/acme/app", text), Err(expected), "{text}");
        };
        check("https://evil/acme/lib", Why::OtherHost);
        check("https://h.evil/acme/lib", Why::OtherHost);
        check("git@evil:acme/lib", Why::OtherHost);
        check("file:///etc", Why::OtherHost);
        check("../../../x", Why::Outside);
        check("../..", Why::Url(InvalidUrl::Path));
        check("--upload-pack=touch x", Why::Url(InvalidUrl::Characters));
        check("-u", Why::Url(InvalidUrl::Scheme));
        check("ext::sh", Why::Url(InvalidUrl::Scheme));
        check("/etc", Why::Url(InvalidUrl::Scheme));
        check("https://bob:hunter2@h/x", Why::Url(InvalidUrl::UserInfo));
        check("ssh://-oProxyCommand=x/y", Why::Url(InvalidUrl::Host));
        check("../lib?x=y", Why::Url(InvalidUrl::Query));
    }
}
