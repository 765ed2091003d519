//! Reading small files that the agent may have made: never more than asked for, never for ever.

use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

/// At most `max` bytes of a regular file, and whether there were more.
///
/// Not waiting on open matters: the agent could have put a pipe there.
pub(crate) fn read(path: &Path, max: u64) -> io::Result<(Vec<u8>, bool)> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    let more = bytes.len() as u64 > max;
    if more {
        bytes.pop();
    }
    Ok((bytes, more))
}
