//! The last words of a container: its termination-message file, or the end of its log.
//!
//! The file belongs to whatever ran in the container, so nothing about it is believed: it may
//! be a link, a pipe, or endless.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// What Kubernetes keeps of one container's message.
const LIMIT: usize = 4096;
/// What it keeps of all the containers of a Pod together.
const POD_LIMIT: usize = 12 * 1024;
/// What it takes of a log in place of a message.
const LOG_LIMIT: usize = 2048;
const LOG_LINES: usize = 80;

/// How much each of `containers` may say.
pub(super) fn limit(containers: usize) -> usize {
    LIMIT.min(POD_LIMIT / containers.max(1))
}

/// The message of a container that ended. `log` is given when the end of the log may stand in.
pub(super) fn read(file: &Path, log: Option<&Path>, limit: usize) -> String {
    let said = tail(file, limit).unwrap_or_default();
    match log {
        Some(log) if said.is_empty() => {
            let end = tail(log, limit.min(LOG_LIMIT)).unwrap_or_default();
            last_lines(&end, LOG_LINES).to_owned()
        }
        _ => said,
    }
}

/// The last `limit` bytes of a regular file.
fn tail(path: &Path, limit: usize) -> io::Result<String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut file: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let limit_bytes = u64::try_from(limit).unwrap_or(u64::MAX);
    file.seek(SeekFrom::Start(about.len().saturating_sub(limit_bytes)))?;
    let mut bytes = Vec::new();
    file.take(limit_bytes).read_to_end(&mut bytes)?;
    Ok(text(&bytes, limit))
}

/// Bytes as text of at most `limit` bytes; the end is what counts.
fn text(bytes: &[u8], limit: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}

fn last_lines(text: &str, lines: usize) -> &str {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.rmatch_indices('\n')
        .nth(lines - 1)
        .map_or(text, |(at, _)| &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_end_of_the_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("end");
        assert_eq!(read(&file, None, LIMIT), "");
        fs::write(&file, "done\n").unwrap();
        assert_eq!(read(&file, None, LIMIT), "done\n");
        fs::write(&file, format!("{}é-end", "x".repeat(9000))).unwrap();
        let said = read(&file, None, LIMIT);
        assert_eq!(said.len(), LIMIT);
        assert!(said.ends_with("é-end"), "{said}");
    }

    #[test]
    fn broken_text_stays_within_the_limit() {
        assert!(text(&[0xff; 4096], 4096).len() <= 4096);
        assert_eq!(text("aé".as_bytes(), 1), "");
    }

    #[test]
    fn links_and_pipes_say_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        fs::write(&secret, "canary").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert_eq!(read(&link, None, LIMIT), "");
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&pipe, None, LIMIT), "");
    }

    #[test]
    fn the_log_stands_in_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("end");
        let log = dir.path().join("log");
        let lines: Vec<_> = (0..200).map(|n| format!("l{n}")).collect();
        fs::write(&log, lines.join("\n") + "\n").unwrap();
        let said = read(&file, Some(&log), LIMIT);
        assert!(said.starts_with("l120\n"), "{said}");
        assert!(said.ends_with("l199\n"));
        fs::write(&file, "own words").unwrap();
        assert_eq!(read(&file, Some(&log), LIMIT), "own words");
    }

    #[test]
    fn many_containers_share() {
        assert_eq!(limit(1), 4096);
        assert_eq!(limit(3), 4096);
        assert_eq!(limit(6), 2048);
    }
}
