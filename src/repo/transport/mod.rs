//! Ways to a server. Each reads through a guard that bounds time and bytes.
//!
//! Nothing is taken from the user's or the system's settings, and nobody is asked for a credential.

mod address;
mod daemon;
mod http;
mod line;
mod ssh;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::blocking_io::file;
use percent_encoding::percent_decode_str;

use super::Access;
use super::Error;
use super::store;
use crate::model::RepoUrl;
use crate::model::repo_url::Scheme;

pub use line::Stop;

pub(super) use line::Failure;
pub(super) use line::Line;

/// Opens the way to a repository; some are connected to at once, some at the first request.
pub(super) fn open(
    url: &RepoUrl,
    access: &Access,
    line: &Line,
) -> Result<Box<dyn Transport + Send>, Error> {
    let ended = |error: std::io::Error| Error::of_line(url, line, &error);
    Ok(match url.scheme() {
        Scheme::Https | Scheme::Http => Box::new(http::open(url, access, line).map_err(ended)?),
        Scheme::Git => Box::new(daemon::open(url, access, line).map_err(ended)?),
        Scheme::Ssh | Scheme::Scp => Box::new(ssh::open(url, access, line).map_err(ended)?),
        Scheme::File => {
            let path = url.file_path().unwrap_or(std::path::Path::new("/"));
            let repo = store::open_local(url, path)?;
            let git_dir = repo.git_dir().to_string_lossy().into_owned();
            match file::connect(git_dir, Protocol::V2, false) {
                Ok(transport) => Box::new(transport),
                Err(never) => match never {},
            }
        }
    })
}

/// The path of a repository as a server of git or ssh is told it: percent signs resolved, and a home
/// directory without the slash before it. Nothing if no path can be that.
fn remote_path(url: &RepoUrl) -> Option<String> {
    let path = match url.scheme() {
        Scheme::Git | Scheme::Ssh => percent_decode_str(url.path())
            .decode_utf8()
            .ok()?
            .into_owned(),
        Scheme::Scp | Scheme::Https | Scheme::Http | Scheme::File => url.path().to_owned(),
    };
    if path.contains(char::is_control) || path.starts_with('-') {
        return None;
    }
    match path.strip_prefix('/') {
        Some(home) if home.starts_with('~') => Some(home.to_owned()),
        Some(_) | None => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_servers_are_told_them() {
        let check = |url: &str, expected: Option<&str>| {
            let url = RepoUrl::parse(url).unwrap();
            assert_eq!(remote_path(&url).as_deref(), expected, "{url}");
        };
        check("ssh://git@host/a/b.git", Some("/a/b.git"));
        check("ssh://git@host/~bob/b.git", Some("~bob/b.git"));
        check("ssh://git@host/a%20b", Some("/a b"));
        check("ssh://git@host/a%00b", None);
        check("git://host/a%0Ab", None);
        check("git@host:a/b.git", Some("a/b.git"));
        check("git@host:/srv/a%20b", Some("/srv/a%20b"));
    }
}
