//! Which repository a directory is a clone of.

use std::path::Path;
use std::path::PathBuf;

use super::remote;
use crate::model::RepoUrl;
use crate::model::snapshot::Source;

/// The top of the clone that holds `dir`, and the path of `dir` below it (empty at the top). A
/// directory that no clone holds is its own top.
pub fn top_of(dir: &Path) -> std::io::Result<(PathBuf, PathBuf)> {
    let dir = dir.canonicalize()?;
    let top = dir
        .ancestors()
        .find(|it| it.join(".git").exists())
        .unwrap_or(&dir);
    let below = dir.strip_prefix(top).unwrap_or(Path::new(""));
    Ok((top.to_path_buf(), below.to_path_buf()))
}

/// The source of a directory: its `origin`, else its name.
pub(super) fn of_directory(dir: &Path) -> Source {
    let name = || {
        dir.file_name().map_or_else(
            || "root".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    };
    match origin(dir) {
        Some(url) => Source {
            canonical: url.canonical(),
            url: Some(url.https_form()),
        },
        None => Source {
            canonical: name(),
            url: None,
        },
    }
}

fn origin(dir: &Path) -> Option<RepoUrl> {
    let git_dir = dir.join(".git");
    if !git_dir.exists() {
        return None;
    }
    let repo = gix::open_opts(git_dir, remote::options()).ok()?;
    let url = repo
        .config_snapshot()
        .string("remote.origin.url")?
        .to_string();
    if url.starts_with('/') {
        return RepoUrl::parse(&format!("file://{url}")).ok();
    }
    RepoUrl::parse(&without_user_info(&url)).ok()
}

/// A user's own clone may have a credential in its URL. It is dropped here.
fn without_user_info(url: &str) -> String {
    let Some((scheme, rest)) = url
        .split_once("://")
        .filter(|(scheme, _)| scheme.starts_with("http"))
    else {
        return url.to_owned();
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_dropped() {
        let check = |url: &str, expected: &str| assert_eq!(without_user_info(url), expected);
        check(
            "https://bob:tok@github.com/a/b.git",
            "https://github.com/a/b.git",
        );
        check("https://github.com/a/b@c", "https://github.com/a/b@c");
        check("git@github.com:a/b", "git@github.com:a/b");
    }
}
