//! Makes ready what an agent needs: its prompt, what the Tasks before it left, the helper, and the
//! workspace's repository.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use axon_helper::report::Report;

use super::clone;
use super::clone::Cloned;
use super::clone::Manner;
use super::clone::Wanted;
use super::credentials;
use super::git_config::Helper;
use super::options;
use super::options::Options;

/// Begins the names of the variables that hold the prompt: `AXON_PROMPT_0` and so on.
const PROMPT: &str = "AXON_PROMPT_";
/// The same for what the Tasks left that this one waited for.
const DEPENDENCIES: &str = "AXON_DEPENDENCIES_";

/// What is put into the directory that the agent's container mounts.
const PROMPT_FILE: &str = "prompt";
const DEPENDENCIES_FILE: &str = "dependencies.json";
const BASE_FILE: &str = "base";

/// Exit codes of the checkout.
const FAILED: i32 = 1;
const USAGE: i32 = 64;

/// Why the checkout failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot write \"{path}\"")]
    Write { path: String, source: io::Error },
    #[error("cannot find the helper beside this program")]
    Helper { source: io::Error },
    #[error("cannot check out \"{url}\"")]
    Clone { url: String, source: clone::Error },
}

/// Does as the words after `agent checkout` say; gives the exit code. A failure is told on stderr and
/// in the termination message.
pub fn main(words: &[OsString]) -> i32 {
    // A second call finds a provider in place, which is all that is wanted.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    if let Err(error) = axon_helper::exit_when_stopped() {
        say(&format!("cannot listen to signals: {error}"));
    }
    let (told, code) = match Options::parse(words) {
        Ok(options) => match run(&options) {
            Ok(()) => return 0,
            Err(error) => {
                let dir = options.credentials_dir.as_deref();
                (credentials::hidden(&chain(&error), dir), FAILED)
            }
        },
        Err(error) => (chain(&error), USAGE),
    };
    say(&told);
    if let Some(path) = options::termination_log(words) {
        let report = Report {
            exit_code: Some(code),
            ..Report::failed(told)
        };
        if let Err(error) = report.write_to(&path) {
            say(&format!("cannot write {}: {error}", path.display()));
        }
    }
    code
}

fn run(options: &Options) -> Result<(), Error> {
    let Options {
        repo_dir,
        home,
        axon_dir,
        termination_log: _,
        url,
        reference,
        branch,
        depth,
        submodules,
        identity,
        credentials_dir,
    } = options;
    for dir in [repo_dir, home, axon_dir] {
        fs::create_dir_all(dir).map_err(|error| written(dir, error))?;
    }
    write(
        &axon_dir.join(PROMPT_FILE),
        &joined(PROMPT).unwrap_or_default(),
    )?;
    if let Some(left) = joined(DEPENDENCIES) {
        write(&axon_dir.join(DEPENDENCIES_FILE), &left)?;
    }
    install_helper(axon_dir)?;
    let Some(url) = url else {
        return Ok(());
    };
    let wanted = Wanted {
        url: url.clone(),
        reference: reference.clone(),
        branch: branch.clone(),
    };
    let manner = Manner {
        depth: *depth,
        submodules: *submodules,
        identity: identity.clone(),
        helper: credentials_dir.as_ref().map(|dir| Helper {
            program: axon_dir.join(axon_helper::NAME),
            credentials_dir: dir.clone(),
            url: url.clone(),
        }),
    };
    let cloned = clone::clone(wanted, manner, repo_dir, clone::TIME_LIMIT);
    let Cloned { commit, skipped } = cloned.map_err(|source| Error::Clone {
        url: url.to_string(),
        source,
    })?;
    for skipped in skipped {
        let dir = credentials_dir.as_deref();
        say(&credentials::hidden(&skipped.to_string(), dir));
    }
    say(&format!("checked out \"{url}\" at {commit}"));
    write(&axon_dir.join(BASE_FILE), format!("{commit}\n").as_bytes())
}

/// What the variables of this name hold, from number 0 on; nothing without that one.
fn joined(name: &str) -> Option<Vec<u8>> {
    let parts = (0..).map_while(|n| var(&format!("{name}{n}")));
    parts.map(OsString::into_vec).reduce(|mut whole, part| {
        whole.extend(part);
        whole
    })
}

/// Puts the helper where the agent's container finds it: a copy of the one beside this program, as in
/// our image; else this program itself, which is the helper when it is called so.
fn install_helper(axon_dir: &Path) -> Result<(), Error> {
    let own = env::current_exe().map_err(|source| Error::Helper { source })?;
    let to = axon_dir.join(axon_helper::NAME);
    let beside = own.with_file_name(axon_helper::NAME);
    if let Err(error) = fs::remove_file(&to)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(written(&to, error));
    }
    let put = if beside.is_file() {
        fs::copy(beside, &to).map(drop)
    } else {
        symlink(own, &to)
    };
    put.map_err(|error| written(&to, error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|error| written(path, error))
}

fn written(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.display().to_string(),
        source,
    }
}

/// A failure with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        told.push_str(": ");
        told.push_str(&next.to_string());
        cause = next.source();
    }
    told
}

/// Tells whoever reads the container's log. Where that fails, nobody listens.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "axon: {text}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "in the Pod the environment is the input, read here alone"
)]
fn var(name: &str) -> Option<OsString> {
    env::var_os(name)
}
