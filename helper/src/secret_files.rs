//! Values of a mounted Secret: files named as its keys. Read anew at each use, so that a rotated
//! value is the one that counts.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::bounded;

/// Largest value: that of a whole Secret.
const MAX_VALUE: u64 = 1 << 20;
/// The link that the kubelet moves from the old values to the new ones, all at once.
const GENERATION: &str = "..data";
/// How often is read again when values were rotated meanwhile. Once is rare.
const TRIES: usize = 3;

/// The values of `keys`, all of one generation; nothing for a key that has no file. The error holds no
/// value.
pub fn read(dir: &Path, keys: &[&str]) -> io::Result<Vec<Option<String>>> {
    let mut tries = 1;
    loop {
        let from = generation(dir);
        let values = keys.iter().map(|key| read_one(&from.join(key))).collect();
        if generation(dir) == from || tries == TRIES {
            return values;
        }
        tries += 1;
    }
}

/// Where the files are now.
fn generation(dir: &Path) -> PathBuf {
    fs::canonicalize(dir.join(GENERATION)).unwrap_or_else(|_| dir.to_owned())
}

fn read_one(path: &Path) -> io::Result<Option<String>> {
    let refused = |what: &str| {
        let told = format!("\"{}\" {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, told)
    };
    match bounded::read(path, MAX_VALUE) {
        Ok((_, true)) => Err(refused("is too large for a credential")),
        Ok((bytes, false)) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(refused("is no text")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("cannot read \"{}\": {error}", path.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_as_the_kubelet_lays_them_out() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for (generation, value) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(dir.join(generation)).unwrap();
            fs::write(dir.join(generation).join("token"), value).unwrap();
        }
        symlink("..1", dir.join(GENERATION)).unwrap();
        symlink("..data/token", dir.join("token")).unwrap();
        let token = || read(dir, &["token", "none"]).unwrap();
        assert_eq!(token(), [Some("one".into()), None]);
        fs::remove_file(dir.join(GENERATION)).unwrap();
        symlink("..2", dir.join(GENERATION)).unwrap();
        assert_eq!(token(), [Some("two".into()), None]);
    }

    #[test]
    fn what_is_no_value_is_told_without_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("odd"), b"hunter2\xff").unwrap();
        fs::create_dir(dir.path().join("dir")).unwrap();
        for key in ["odd", "dir"] {
            let error = read(dir.path(), &[key]).unwrap_err().to_string();
            assert!(error.contains(key) && !error.contains("hunter2"), "{error}");
        }
    }
}
