//! `ssh://` and `git@host:path`, by the program `ssh`.
//!
//! It is given one key, the keys that hosts must have, and none of the settings of whoever runs this.
//! The key stands in a file that goes with the connection: not in an argument, nor in the environment.

use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;

use super::address;
use super::line::Failure;
use super::line::Guard;
use super::line::Line;
use super::line::TICK;
use super::remote_path;
use crate::model::RepoUrl;
use crate::model::Secret;
use crate::repo::Access;
use crate::repo::Credentials;
use crate::repo::scratch::Scratch;

/// What is kept of what the program says. The reason of a failure is a line or two.
const MAX_TOLD: u64 = 16 << 10;
/// Port of ssh.
const PORT: u16 = 22;
/// How long the program may take to end after it has closed its output.
const END: Duration = Duration::from_secs(5);

pub(super) fn open(
    url: &RepoUrl,
    access: &Access,
    line: &Line,
) -> io::Result<Connection<Guard<Program>, BufWriter<UnixStream>>> {
    let Some(Credentials::Ssh { key, known_hosts }) = &access.credentials else {
        return Err(line.fail(Failure::Unfit("there is no private key")));
    };
    let path = remote_path(url).ok_or_else(|| {
        line.fail(Failure::NoRepository(
            "its path has characters that no path has".into(),
        ))
    })?;
    let files = Files::new(key, known_hosts)?;
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(TICK))?;
    ours.set_write_timeout(Some(line.silence()))?;
    // A request is many small writes and one flush: it goes out whole.
    let write = BufWriter::new(ours.try_clone()?);
    let at = place(url, access, line)?;
    let mut command = command(url, &path, &files, at.as_ref(), line.silence());
    command
        .stdin(OwnedFd::from(theirs.try_clone()?))
        .stdout(OwnedFd::from(theirs));
    let program = Program::start(command, files, ours, line)?;
    Ok(Connection::new(
        Guard::new(program, line),
        write,
        Protocol::V2,
        path,
        None::<(&str, _)>,
        ConnectMode::Process,
        false,
    ))
}

/// The files that the program reads.
struct Files {
    scratch: Scratch,
    key: PathBuf,
    known_hosts: PathBuf,
}

impl Files {
    fn new(key: &Secret, known_hosts: &str) -> io::Result<Self> {
        let scratch = Scratch::new()?;
        Ok(Self {
            key: scratch.write("key", key.expose())?,
            known_hosts: scratch.write("known_hosts", known_hosts)?,
            scratch,
        })
    }
}

/// The running program; reading is reading what it writes. It ends when this goes.
pub(super) struct Program {
    stream: UnixStream,
    child: Child,
    /// What it said, once it has ended.
    told: Receiver<String>,
    line: Line,
    /// Where its files are.
    _files: Scratch,
}

impl Program {
    fn start(
        mut command: Command,
        files: Files,
        stream: UnixStream,
        line: &Line,
    ) -> io::Result<Self> {
        command.stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            line.fail(match error.kind() {
                io::ErrorKind::NotFound => {
                    Failure::Unreachable("the program \"ssh\" is missing".into())
                }
                _ => Failure::Unreachable(format!("cannot start \"ssh\": {error}")),
            })
        })?;
        let told = listen(child.stderr.take());
        Ok(Self {
            stream,
            child,
            told,
            line: line.clone(),
            _files: files.scratch,
        })
    }

    /// Notes why the program ended, unless all was well.
    fn explain(&mut self) {
        // It says all it has to say before it ends.
        let told = self.told.recv_timeout(END).unwrap_or_default();
        let good = matches!(self.child.try_wait(), Ok(Some(status)) if status.success());
        if !good {
            self.line.fail(reason(&told));
        }
    }
}

impl Read for Program {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.stream.read(buffer)?;
        if bytes == 0 && !buffer.is_empty() {
            self.explain();
        }
        Ok(bytes)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        // It may have ended by itself; either way it is waited for, so that it leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one address that is to be connected to, where not every one may be: it is found here, so that
/// the program does not look again and find another.
fn place(url: &RepoUrl, access: &Access, line: &Line) -> io::Result<Option<SocketAddr>> {
    if access.local_addresses {
        return Ok(None);
    }
    let port = url.port().unwrap_or(PORT);
    let found = address::resolve(url.host(), port, false, line)?;
    Ok(found.into_iter().next())
}

fn command(
    url: &RepoUrl,
    path: &str,
    files: &Files,
    at: Option<&SocketAddr>,
    silence: Duration,
) -> Command {
    let mut command = Command::new("ssh");
    command
        .args(["-T", "-x"])
        .args(axon_helper::ssh::arguments(&files.key, &files.known_hosts))
        .arg("-o")
        .arg(format!("ConnectTimeout={}", silence.as_secs().max(1)));
    if let Some(port) = url.port() {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = url.user() {
        command.args(["-l", user]);
    }
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    if let Some(at) = at {
        // Known by its name, as it would be had the program found it.
        let alias = match url.port() {
            Some(port) if port != PORT => format!("[{host}]:{port}"),
            Some(_) | None => host.to_owned(),
        };
        command
            .arg("-o")
            .arg(format!("HostName={}", at.ip()))
            .arg("-o")
            .arg(format!("HostKeyAlias={alias}"));
    }
    command.arg("--").arg(host);
    command.arg(format!("git-upload-pack {}", shell_quoted(path)));
    command
        .env("LC_ALL", "C")
        .env("GIT_PROTOCOL", "version=2")
        .env_remove("SSH_AUTH_SOCK")
        .env_remove("SSH_ASKPASS")
        .env_remove("DISPLAY");
    command
}

/// A word of the shell at the other end.
fn shell_quoted(word: &str) -> String {
    let mut quoted = String::from("'");
    for character in word.chars() {
        match character {
            // csh looks at "!" even within quotes.
            '\'' | '!' => quoted.extend(["'\\", character.encode_utf8(&mut [0; 4]), "'"]),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

/// Gathers what a program says, and gives it when the program has ended.
fn listen(stderr: Option<ChildStderr>) -> Receiver<String> {
    let (tell, told) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stderr) = stderr {
            // What cannot be read is not told; what is too long is read, so that nothing blocks.
            let _ = (&mut stderr).take(MAX_TOLD).read_to_end(&mut bytes);
            let _ = io::copy(&mut stderr, &mut io::sink());
        }
        // Nobody may want to know.
        let _ = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    told
}

/// What the program's words mean. It has one exit code for all.
fn reason(told: &str) -> Failure {
    let lines = || told.lines().map(str::trim).filter(|line| !line.is_empty());
    let with = |words: &[&str]| {
        lines()
            .find(|line| words.iter().any(|word| line.contains(word)))
            .map(shown)
    };
    if with(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]).is_some() {
        return Failure::HostKey("it shows another key than the known one".into());
    }
    if with(&["host key is known for", "Host key verification failed"]).is_some() {
        return Failure::HostKey("its key is not among the known ones".into());
    }
    if with(&["REVOKED HOST KEY"]).is_some() {
        return Failure::HostKey("its key is revoked".into());
    }
    if with(&["Load key", "passphrase"]).is_some() {
        return Failure::Unfit("the private key cannot be read, or wants a passphrase");
    }
    if let Some(line) = with(&["Permission denied"]) {
        return Failure::Refused(line);
    }
    let missing = [
        "not appear to be a git repository",
        "epository not found",
        "not exported",
    ];
    if let Some(line) = with(&missing) {
        return Failure::NoRepository(line);
    }
    let last = lines().next_back().map(shown);
    Failure::Unreachable(last.unwrap_or_else(|| "the connection ended".into()))
}

/// A line of a program or of a server, fit to be shown.
fn shown(line: &str) -> String {
    const MAX: usize = 200;
    line.chars()
        .filter(|it| !it.is_control())
        .take(MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        let check = |told: &str, expected: Failure| assert_eq!(reason(told), expected);
        check(
            "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking.\r\nHost key verification failed.\r\n",
            Failure::HostKey("its key is not among the known ones".into()),
        );
        check(
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
            Failure::HostKey("it shows another key than the known one".into()),
        );
        check(
            "git@host: Permission denied (publickey).\r\n",
            Failure::Refused("git@host: Permission denied (publickey).".into()),
        );
        check(
            "Load key \"/tmp/x\": error in libcrypto\ngit@host: Permission denied (publickey).\n",
            Failure::Unfit("the private key cannot be read, or wants a passphrase"),
        );
        check(
            "ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n",
            Failure::Unreachable(
                "ssh: connect to host 127.0.0.1 port 1: Connection refused".into(),
            ),
        );
        check(
            "fatal: '/x' does not appear to be a git repository\n",
            Failure::NoRepository("fatal: '/x' does not appear to be a git repository".into()),
        );
        check("", Failure::Unreachable("the connection ended".into()));
    }

    #[test]
    fn words_of_the_shell() {
        assert_eq!(shell_quoted("a b"), "'a b'");
        assert_eq!(shell_quoted("a'$(x)!"), r"'a'\''$(x)'\!''");
    }
}
