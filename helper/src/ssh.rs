//! `axon-helper ssh`: what git calls in place of `ssh`.
//!
//! To one host it goes with the workspace's key and the keys that the host must have, and with no
//! setting of anybody else. The program takes a key only from a file that nobody else may read, so it
//! gets a copy that goes when it ends. To any other host it goes as it would without us.

use std::env;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::thread;

use nix::sys::signal;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use crate::options::USAGE_EXIT;
use crate::options::complain;
use crate::secret_files;

/// The word that this is called by.
pub const WORD: &str = "ssh";
/// Keys of the Secret.
pub const KEY: &str = "ssh-privatekey";
pub const KNOWN_HOSTS: &str = "known_hosts";

/// The program.
const PROGRAM: &str = "ssh";
/// Exit code of the program when it cannot connect.
const FAILED_EXIT: i32 = 255;
const DEFAULT_PORT: u16 = 22;
/// In memory, and writable also where the root file system is not.
const MEMORY: &str = "/dev/shm";
/// Names that are tried for a directory of one's own: other Pods' processes may have the same number.
const TRIES: u32 = 100;
/// Permissions.
const DIR_OWNER_ONLY: u32 = 0o700;
const FILE_OWNER_ONLY: u32 = 0o600;
/// Settings that hold for every connection.
const SETTINGS: [&str; 14] = [
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "CheckHostIP=no",
    "VerifyHostKeyDNS=no",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "PreferredAuthentications=publickey",
    "BatchMode=yes",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "LogLevel=ERROR",
    "SendEnv=GIT_PROTOCOL",
];

/// Arguments of `ssh` for a connection with one key, to hosts of known keys, and with no settings of
/// the user or the system.
pub fn arguments(key: &Path, known_hosts: &Path) -> Vec<String> {
    let mut arguments = vec!["-F".to_owned(), "none".to_owned()];
    let mut set = |setting: String| arguments.extend(["-o".to_owned(), setting]);
    for setting in SETTINGS {
        set(setting.to_owned());
    }
    set(format!("IdentityFile={}", quoted(key)));
    set(format!("UserKnownHostsFile={}", quoted(known_hosts)));
    arguments
}

/// A path as the program's settings take it: spaces and percent signs have a meaning there.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

/// The command line after the word; gives the exit code.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> i32 {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(error) => {
            complain(&error);
            return USAGE_EXIT;
        }
    };
    let done = if options.is_for_own_host() {
        with_key(&options)
    } else {
        // Comes back only if it cannot be started.
        Err(told(&Command::new(PROGRAM).args(&options.words).exec()))
    };
    done.unwrap_or_else(|why| {
        complain(&why);
        FAILED_EXIT
    })
}

/// Which host the key is for, and what git says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    host: String,
    port: Option<u16>,
    credentials_dir: PathBuf,
    /// Arguments for the program.
    words: Vec<OsString>,
}

impl Options {
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut args = args;
        let mut options = Self::default();
        loop {
            let word = args.next().ok_or("\"--\" is missing")?;
            if word == "--" {
                options.words = args.collect();
                break;
            }
            let word = word.to_string_lossy().into_owned();
            let value = args
                .next()
                .ok_or_else(|| format!("\"{word}\" needs a value"))?;
            match word.as_str() {
                "--host" => options.host = value.to_string_lossy().into_owned(),
                "--port" => options.port = value.to_str().and_then(|it| it.parse().ok()),
                "--credentials-dir" => options.credentials_dir = PathBuf::from(&value),
                _ => return Err(format!("unknown flag \"{word}\"")),
            }
        }
        if options.host.is_empty() || options.credentials_dir.as_os_str().is_empty() {
            return Err("\"--host\" or \"--credentials-dir\" is missing".into());
        }
        Ok(options)
    }

    /// Whether git wants to go where the key is for.
    fn is_for_own_host(&self) -> bool {
        let (port, host) = destination(&self.words);
        host.is_some_and(|host| host.eq_ignore_ascii_case(&self.host))
            && port == self.port.unwrap_or(DEFAULT_PORT)
    }
}

/// Port and host in arguments as git writes them: flags, destination, command.
fn destination(words: &[OsString]) -> (u16, Option<String>) {
    let mut port = DEFAULT_PORT;
    let mut words = words.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match word.as_ref() {
            "-p" => {
                let value = words.next();
                // A port that is none is never our own.
                port = value.and_then(|it| it.parse().ok()).unwrap_or(0);
            }
            "-o" => {
                words.next();
            }
            "--" => {}
            flag if flag.starts_with('-') => {}
            destination => {
                let host = destination
                    .rsplit_once('@')
                    .map_or(destination, |(_, host)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                return (port, Some(host.to_owned()));
            }
        }
    }
    (port, None)
}

/// Runs the program with a copy of the key.
fn with_key(options: &Options) -> Result<i32, String> {
    let dir = &options.credentials_dir;
    let read = secret_files::read(dir, &[KEY, KNOWN_HOSTS]).map_err(|error| error.to_string())?;
    let [Some(key), Some(known_hosts)] = read.as_slice() else {
        return Err(format!(
            "there is no \"{KEY}\" and \"{KNOWN_HOSTS}\" in \"{}\"",
            dir.display()
        ));
    };
    // Asked for before there is anything to leave behind.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|error| told(&error))?;
    let own = Own::new().map_err(|error| format!("cannot keep a copy of the key: {error}"))?;
    let write = |name: &str, text: &str| {
        own.write(name, text)
            .map_err(|error| format!("cannot write a copy of \"{name}\": {error}"))
    };
    // The program insists on the last line's end.
    let key = write(KEY, &format!("{}\n", key.trim()))?;
    let known_hosts = write(KNOWN_HOSTS, known_hosts)?;
    let child = Command::new(PROGRAM)
        .args(arguments(&key, &known_hosts))
        .args(&options.words)
        .env_remove("SSH_AUTH_SOCK")
        .env_remove("SSH_ASKPASS")
        .spawn()
        .map_err(|error| told(&error))?;
    wait(child, signals).map_err(|error| told(&error))
}

/// Waits for the program's end, and passes on signals meanwhile.
fn wait(mut child: Child, mut signals: Signals) -> io::Result<i32> {
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let handle = signals.handle();
    let passing = thread::spawn(move || {
        for signal in signals.forever() {
            if let Ok(signal) = Signal::try_from(signal) {
                // It may have ended just now.
                let _ = signal::kill(pid, signal);
            }
        }
    });
    let status = child.wait();
    handle.close();
    // Nothing that it could panic at.
    let _ = passing.join();
    let status = status?;
    let killed = || status.signal().map_or(FAILED_EXIT, |signal| 128 + signal);
    Ok(status.code().unwrap_or_else(killed))
}

fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("the program \"{PROGRAM}\" is missing"),
        _ => format!("cannot run \"{PROGRAM}\": {error}"),
    }
}

/// A directory that only this user can read, and that goes with this value.
struct Own(PathBuf);

impl Own {
    fn new() -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for base in places() {
            for number in 0..TRIES {
                let dir = base.join(format!("axon-ssh-{}-{number}", std::process::id()));
                match DirBuilder::new().mode(DIR_OWNER_ONLY).create(&dir) {
                    Ok(()) => return Ok(Self(dir)),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                    Err(error) => {
                        last = error;
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_OWNER_ONLY)
            .open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // What is left is in memory or in the Pod's own home directory, and goes with it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn places() -> impl Iterator<Item = PathBuf> {
    let home = env::home_dir().filter(|it| it.as_os_str() != OsStr::new(""));
    let memory = Some(PathBuf::from(MEMORY));
    [memory, home, Some(env::temp_dir())].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        Options::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_key_is_for_one_host() {
        let check = |line: &str, expected: bool| {
            let line = format!("--credentials-dir /c {line}");
            assert_eq!(
                options(&line).unwrap().is_for_own_host(),
                expected,
                "{line}"
            );
        };
        check("--host h -- git@h x", true);
        check("--host h -- -o SendEnv=GIT_PROTOCOL -p 22 git@H x", true);
        check("--host h -- -G h", true);
        check("--host h --port 2222 -- -4 -p 2222 h x", true);
        check("--host ::1 --port 2222 -- -p 2222 git@::1 x", true);
        check("--host h --port 2222 -- git@h x", false);
        check("--host h -- -p 2222 git@h x", false);
        check("--host h -- -p x git@h x", false);
        check("--host h -- git@h.evil.io x", false);
        check("--host h -- git@h@evil.io x", false);
        check("--host h -- -o h", false);
        check("--host h --", false);
    }

    #[test]
    fn wrong_lines() {
        for line in ["", "--host h", "--host", "--what x --", "--host h --"] {
            assert!(options(line).is_err(), "{line}");
        }
    }

    #[test]
    fn paths_as_the_program_takes_them() {
        let arguments = arguments(Path::new("/a b/50%"), Path::new("/k"));
        assert_eq!(
            arguments[arguments.len() - 4..],
            [
                "-o",
                "IdentityFile=\"/a b/50%%\"",
                "-o",
                "UserKnownHostsFile=\"/k\""
            ]
        );
    }

    #[test]
    fn a_copy_that_nobody_else_reads() {
        let own = Own::new().unwrap();
        let file = own.write("key", "secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&own.0), mode(&file)), (0o700, 0o600));
        let dir = own.0.clone();
        drop(own);
        assert!(!dir.exists());
    }
}
