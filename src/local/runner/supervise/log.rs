//! What a container prints, up to a bound, in its log file.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;

/// Copies until all writers are gone. Beyond `limit` bytes it reads on and drops, so that the
/// container never waits for a full pipe; a file that cannot be written does not stop it either.
pub(super) fn copy(mut from: impl Read, to: &Path, limit: u64) {
    let mut file = OpenOptions::new().create(true).append(true).open(to).ok();
    // What an earlier process of the container printed counts, too.
    let length = file
        .as_ref()
        .and_then(|it| it.metadata().ok())
        .map_or(0, |it| it.len());
    let mut left = limit.saturating_sub(length);
    let mut bytes = [0; 16 * 1024];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => {
                let written = file
                    .as_mut()
                    .map(|it| write(it, &bytes[..count], &mut left, limit));
                if let Some(Err(_)) = written {
                    file = None;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn write(file: &mut File, bytes: &[u8], left: &mut u64, limit: u64) -> io::Result<()> {
    if *left == 0 {
        return Ok(());
    }
    let fits = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    file.write_all(&bytes[..fits])?;
    *left -= fits as u64;
    if *left == 0 {
        writeln!(file, "\n[the log ends here: it reached {limit} bytes]")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(printed: &str, limit: u64, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.log");
        copy(printed.as_bytes(), &file, limit);
        assert_eq!(fs::read_to_string(file).unwrap(), expected);
    }

    #[test]
    fn the_log_is_bounded() {
        check("hello\n", 100, "hello\n");
        check("", 100, "");
        check("hello", 2, "he\n[the log ends here: it reached 2 bytes]\n");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_read_all_the_same() {
        copy("x".as_bytes(), Path::new("/nowhere/c.log"), 10);
    }
}
