//! The URL of a git repository. One that carries a password cannot exist here.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

/// Longest URL, as in the Workspace's schema.
const MAX: usize = 2048;

/// URL of a git repository, without any credential (the user name of ssh apart).
///
/// Shown as it was written, lower-cased where case means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepoUrl {
    scheme: Scheme,
    /// Only with ssh.
    user: Option<String>,
    /// Lower case; empty only for `file`.
    host: String,
    port: Option<u16>,
    /// As written: with the leading `/`, except in the form `git@host:path`.
    path: String,
}

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Https,
    Http,
    Git,
    /// `ssh://user@host/path`.
    Ssh,
    /// `user@host:path`.
    Scp,
    File,
}

/// Why a text is not the URL of a repository. No variant holds more of the text than what cannot
/// be a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    #[error("a repository URL must have 1 to {MAX} characters and no spaces or control characters")]
    Characters,
    #[error(
        "a repository URL must begin with \"https://\", \"http://\", \"git://\", \"ssh://\", \"file://\" or \"git@host:\""
    )]
    Scheme,
    #[error(
        "a repository URL must not carry a user name or password before \"@\": put the credential into a Secret"
    )]
    UserInfo,
    #[error("a repository URL must not carry a query or a fragment")]
    Query,
    #[error("the host of a repository URL must be a name or an address")]
    Host,
    #[error("the port of a repository URL must be a number from 1 to 65535")]
    Port,
    #[error("the path of a repository URL must name a repository, without \".\" and \"..\" parts")]
    Path,
}

impl RepoUrl {
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if text.is_empty() || text.len() > MAX || text.contains(odd) {
            return Err(InvalidUrl::Characters);
        }
        let url = match text.split_once("://") {
            Some((scheme, rest)) => Self::parse_rest(Scheme::parse(scheme)?, rest)?,
            None => Self::parse_scp(text)?,
        };
        if url.scheme != Scheme::File && url.path.contains(['?', '#']) {
            return Err(InvalidUrl::Query);
        }
        let mut parts = url.path.trim_matches('/').split('/');
        let named = !url.repository().trim_matches('/').is_empty();
        if !named || parts.any(|part| matches!(part, "." | ".." | "")) {
            return Err(InvalidUrl::Path);
        }
        Ok(url)
    }

    fn parse_rest(scheme: Scheme, rest: &str) -> Result<Self, InvalidUrl> {
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if scheme == Scheme::File {
            // A host other than this one cannot be reached by a file system path.
            if !matches!(authority, "" | "localhost") {
                return Err(InvalidUrl::Host);
            }
            return Ok(Self {
                scheme,
                user: None,
                host: String::new(),
                port: None,
                path: path.to_owned(),
            });
        }
        // The last "@": a password may hold one.
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(ssh_user(scheme, user)?), host),
            None => (None, authority),
        };
        let (host, port) = split_port(host)?;
        Ok(Self {
            scheme,
            user,
            host: checked_host(host)?,
            port,
            path: path.to_owned(),
        })
    }

    fn parse_scp(text: &str) -> Result<Self, InvalidUrl> {
        let (user, rest) = text.split_once('@').ok_or(InvalidUrl::Scheme)?;
        let user = ssh_user(Scheme::Scp, user)?;
        let (host, path) = rest.split_once(':').ok_or(InvalidUrl::Scheme)?;
        // `user:token@host:path` is caught by `ssh_user`; a "@" further right has no meaning.
        if host.contains('@') {
            return Err(InvalidUrl::UserInfo);
        }
        if path.starts_with('-') {
            return Err(InvalidUrl::Path);
        }
        Ok(Self {
            scheme: Scheme::Scp,
            user: Some(user),
            host: checked_host(host)?,
            port: None,
            path: path.to_owned(),
        })
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case, without port; empty for `file`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The user name of ssh.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// As written: with the leading `/`, except in the form `git@host:path`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Host, and the port where it is not the scheme's own.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) if Some(port) != self.scheme.default_port() => {
                format!("{}:{port}", self.host)
            }
            Some(_) | None => self.host.clone(),
        }
    }

    /// The same for every way to reach the repository: `host/path`, without scheme, user and `.git`.
    pub fn canonical(&self) -> String {
        let path = self.repository();
        match self.scheme {
            Scheme::File => format!("/{path}"),
            Scheme::Https | Scheme::Http => format!("{}/{path}", self.authority()),
            // The port of another protocol says nothing about which server it is.
            Scheme::Git | Scheme::Ssh | Scheme::Scp => format!("{}/{path}", self.host),
        }
    }

    /// Owner and name, where the path has exactly these two parts.
    pub fn github_repo(&self) -> Option<(&str, &str)> {
        if self.is_file() {
            return None;
        }
        let (owner, name) = self.repository().split_once('/')?;
        (!name.contains('/')).then_some((owner, name))
    }

    /// The URL in https form, where it is not one of http or of a file.
    pub fn https_form(&self) -> String {
        match self.scheme {
            Scheme::Https | Scheme::Http | Scheme::File => self.to_string(),
            // The port of another protocol says nothing about that of https.
            Scheme::Git | Scheme::Ssh | Scheme::Scp => {
                format!(
                    "https://{}/{}",
                    self.host,
                    self.path.trim_start_matches('/')
                )
            }
        }
    }

    pub fn is_file(&self) -> bool {
        self.scheme == Scheme::File
    }

    /// The path of a `file` URL.
    pub fn file_path(&self) -> Option<&Path> {
        self.is_file().then(|| Path::new(&self.path))
    }

    /// Whether the host is this very machine.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || address.parse().is_ok_and(|it: IpAddr| it.is_loopback())
    }

    /// Whether `other` is reached by the same protocol at the same port of the same host.
    pub fn same_server(&self, other: &Self) -> bool {
        let port = |url: &Self| url.port.or(url.scheme.default_port());
        self.scheme.as_str() == other.scheme.as_str()
            && self.host == other.host
            && port(self) == port(other)
    }

    /// Path without slashes around it and without `.git`.
    fn repository(&self) -> &str {
        let path = self.path.trim_matches('/');
        path.strip_suffix(".git")
            .unwrap_or(path)
            .trim_end_matches('/')
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self
            .user
            .as_deref()
            .map(|user| format!("{user}@"))
            .unwrap_or_default();
        if self.scheme == Scheme::Scp {
            return write!(out, "{user}{}:{}", self.host, self.path);
        }
        write!(out, "{}://{user}{}", self.scheme.as_str(), self.host)?;
        if let Some(port) = self.port {
            write!(out, ":{port}")?;
        }
        out.write_str(&self.path)
    }
}

impl Scheme {
    fn parse(text: &str) -> Result<Self, InvalidUrl> {
        match text.to_ascii_lowercase().as_str() {
            "https" => Ok(Self::Https),
            "http" => Ok(Self::Http),
            "git" => Ok(Self::Git),
            "ssh" => Ok(Self::Ssh),
            "file" => Ok(Self::File),
            _ => Err(InvalidUrl::Scheme),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Git => "git",
            Self::Ssh | Self::Scp => "ssh",
            Self::File => "file",
        }
    }

    fn default_port(self) -> Option<u16> {
        match self {
            Self::Https => Some(443),
            Self::Http => Some(80),
            Self::Git => Some(9418),
            Self::Ssh | Self::Scp => Some(22),
            Self::File => None,
        }
    }
}

/// The user name of an ssh URL; anything else before "@" is refused.
fn ssh_user(scheme: Scheme, user: &str) -> Result<String, InvalidUrl> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = !user.is_empty() && user.chars().all(plain) && !user.starts_with('-');
    match scheme {
        Scheme::Ssh | Scheme::Scp if named => Ok(user.to_owned()),
        Scheme::Ssh | Scheme::Scp | Scheme::Https | Scheme::Http | Scheme::Git | Scheme::File => {
            Err(InvalidUrl::UserInfo)
        }
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), InvalidUrl> {
    match text.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => match port.parse() {
            Ok(port) if port > 0 => Ok((host, Some(port))),
            Ok(_) | Err(_) => Err(InvalidUrl::Port),
        },
        Some(_) | None => Ok((text, None)),
    }
}

fn checked_host(host: &str) -> Result<String, InvalidUrl> {
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let good = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        // Not "-" first: a program that is given the host must not take it for an option.
        None => {
            !host.is_empty()
                && !host.starts_with(['-', '.'])
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        }
    };
    if good {
        Ok(host.to_ascii_lowercase())
    } else {
        Err(InvalidUrl::Host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> RepoUrl {
        RepoUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_way_to_a_repository_has_one_canonical_form() {
        for text in [
            "https://github.com/acme/app.git",
            "https://GitHub.com:443/acme/app",
            "http://github.com/acme/app.git/",
            "git://github.com/acme/app",
            "ssh://git@github.com/acme/app.git",
            "ssh://git@github.com:22/acme/app.git",
            "git@github.com:acme/app.git",
            "git@github.com:/acme/app",
        ] {
            let url = parsed(text);
            assert_eq!(url.canonical(), "github.com/acme/app", "{text}");
            assert_eq!(url.github_repo(), Some(("acme", "app")), "{text}");
        }
        assert_eq!(
            parsed("http://localhost:8080/a/b/c.git").canonical(),
            "localhost:8080/a/b/c"
        );
        assert_eq!(parsed("file:///srv/app.git").canonical(), "/srv/app");
    }

    #[test]
    fn one_server() {
        let check = |a: &str, b: &str, expected: bool| {
            assert_eq!(parsed(a).same_server(&parsed(b)), expected, "{a} {b}");
        };
        check("https://h/a", "https://H:443/b", true);
        check("git@h:a", "ssh://bob@h:22/b", true);
        check("https://h/a", "http://h/a", false);
        check("https://h/a", "https://h:8443/a", false);
        check("https://h/a", "https://h.evil/a", false);
        check("ssh://h/a", "https://h/a", false);
    }

    #[test]
    fn shown_as_written() {
        for text in [
            "https://github.com/acme/my.app.git",
            "http://127.0.0.1:8080/acme/app",
            "ssh://git@host.example:2222/acme/app.git",
            "git@github.com:acme/app.git",
            "file:///srv/git/a%20b",
            "http://[::1]:80/a/b",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
    }

    #[test]
    fn https_form() {
        let check = |text: &str, expected: &str| assert_eq!(parsed(text).https_form(), expected);
        check(
            "git@github.com:acme/app.git",
            "https://github.com/acme/app.git",
        );
        check("ssh://git@host:2222/acme/app", "https://host/acme/app");
        check("http://127.0.0.1:8080/a/b", "http://127.0.0.1:8080/a/b");
    }

    #[test]
    fn no_github_repository() {
        for text in ["https://host/app", "https://host/a/b/c", "file:///a/b"] {
            assert_eq!(parsed(text).github_repo(), None, "{text}");
        }
    }

    #[test]
    fn loopback() {
        for text in [
            "http://localhost/a",
            "http://127.0.0.9:1/a",
            "http://[::1]/a",
        ] {
            assert!(parsed(text).is_loopback(), "{text}");
        }
        assert!(!parsed("http://localhost.example/a").is_loopback());
    }

    #[test]
    fn refused() {
        let check = |text: &str, expected: InvalidUrl| {
            assert_eq!(RepoUrl::parse(text), Err(expected), "{text}");
        };
        check("", InvalidUrl::Characters);
        check("https://host/a b", InvalidUrl::Characters);
        check("ext::sh -c id", InvalidUrl::Characters);
        check("/srv/app", InvalidUrl::Scheme);
        check("ftp://host/a", InvalidUrl::Scheme);
        check("https://host", InvalidUrl::Path);
        check("https://host/.git", InvalidUrl::Path);
        check("https://host/a/../b", InvalidUrl::Path);
        check("https://host/a?token=x", InvalidUrl::Query);
        check("https:///a", InvalidUrl::Host);
        check("ssh://-oProxyCommand=x/a", InvalidUrl::Host);
        check("git@host:-x", InvalidUrl::Path);
        check("https://host:99999/a", InvalidUrl::Port);
        check("file://elsewhere/a", InvalidUrl::Host);
    }

    #[test]
    fn a_credential_is_refused_and_not_echoed() {
        for text in [
            "https://bob:hunter2@host/a",
            "https://hunter2@host/a",
            "https://bob:hunter2@x@host/a",
            "ssh://git:hunter2@host/a",
            "git:hunter2@host:a",
            "http://hunter2:x@host/a",
            "git@hunter2@host:a",
        ] {
            let error = RepoUrl::parse(text).unwrap_err();
            assert_eq!(error, InvalidUrl::UserInfo, "{text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
