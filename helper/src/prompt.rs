//! The prompt as an argument: byte for byte, or a pointer to where it is.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use crate::bounded;

/// Linux gives one argument 128 KiB, its closing NUL included.
const MAX_ARGUMENT: u64 = 128 * 1024 - 1;

/// What the entrypoint gets as `$1`.
pub(crate) fn argument(file: &Path) -> io::Result<OsString> {
    let (bytes, more) = bounded::read(file, MAX_ARGUMENT)?;
    if more || bytes.contains(&0) {
        return Ok(pointer(file));
    }
    Ok(OsString::from_vec(bytes))
}

/// What stands in for a prompt that no argument can hold.
pub(crate) fn pointer(file: &Path) -> OsString {
    format!(
        "Your instructions are too long to be given here. Read them all from the file {} (also named by $AXON_PROMPT_FILE) and carry them out.",
        file.display()
    )
    .into()
}
