//! git as a program, in repositories that somebody else may have written.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::text;

/// How long git may take: a file that an agent left may be one that never ends.
const GIT_WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How much is read of what git says.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;

/// Runs git, in `repository` if there is one; gives what it prints, or what it complains of.
pub(super) fn git(
    scratch: &Path,
    repository: Option<&Path>,
    words: &[&Path],
) -> Result<String, String> {
    let (out, err) = (scratch.join("out"), scratch.join("err"));
    let to = |path: &Path| fs::File::create(path).map(Stdio::from).map_err(text);
    let mut command = Command::new("git");
    // The copy is the agent's user's.
    command.args(["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null"]);
    if let Some(repository) = repository {
        command.arg("-C").arg(repository);
    }
    let child = command
        .args(words)
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(to(&out)?)
        .stderr(to(&err)?)
        .spawn();
    let child = child.map_err(|error| format!("git cannot be run: {error}"))?;
    let status = ended(child).map_err(text)?;
    let said = |path: &Path| read(path).map_err(text);
    match status {
        Some(status) if status.success() => said(&out),
        Some(_) => Err(said(&err)?.trim().to_owned()),
        None => Err(format!("git took longer than {GIT_WITHIN:?}")),
    }
}

/// Waits for a program's end, and brings it about when it takes too long.
fn ended(mut child: Child) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + GIT_WITHIN;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(
        &mut io::Read::take(fs::File::open(path)?, OUTPUT_LIMIT),
        &mut bytes,
    )?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
