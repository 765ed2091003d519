//! Saved plans as files: written whole or not at all, for this user alone; read within bounds.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;

use crate::api::plan::FORMAT_VERSION;
use crate::api::plan::SavedKind;
use crate::api::plan::SavedPlan;
use crate::cli::ui::Failure;

/// Largest file: more than the plan of as many objects as one namespace may hold.
const MAX: u64 = 64 << 20;
/// What every saved plan begins with, white space aside.
const BEGIN: &str = r#"{"kind":"SavedPlan""#;

/// The time at which a command works.
#[expect(
    clippy::disallowed_methods,
    reason = "a command is the top that reads the clock"
)]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// Whether the file says of itself that it is a saved plan.
pub(super) fn is_saved(path: &Path) -> bool {
    // A pipe is not read twice.
    path.is_file() && File::open(path).is_ok_and(begins)
}

/// Whether `path` may be written: nothing is there, nothing is in it, or an older plan.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let refused = |why: &str| {
        let what = format!("cannot save the plan to \"{}\"", path.display());
        let mut failure = Failure::usage(what);
        failure.causes.push(why.to_owned());
        failure
    };
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.is_file() {
        return Err(refused("it is there and no regular file"));
    }
    if metadata.len() > 0 && !is_saved(path) {
        return Err(refused("it is there and no saved plan")
            .hint("name another file, or remove this one first"));
    }
    Ok(())
}

/// Writes the plan; a reader sees the old file or the new one, never a part.
pub(super) fn write(path: &Path, plan: &SavedPlan) -> Result<(), Failure> {
    check(path)?;
    let mut text = serde_json::to_vec(plan).expect("its keys are strings and its values plain");
    text.push(b'\n');
    let failed = |error: &io::Error| {
        Failure::new(
            format!("cannot save the plan to \"{}\"", path.display()),
            error,
        )
    };
    if text.len() as u64 > MAX {
        return Err(failed(&io::Error::other("it has more than 64 MiB")));
    }
    let draft = beside(path);
    let written = write_new(&draft, &text).and_then(|()| fs::rename(&draft, path));
    written.map_err(|error| {
        // What is left over is of no use to anyone.
        fs::remove_file(&draft).ok();
        failed(&error)
    })
}

/// Reads a plan that was saved.
pub(super) fn read(path: &Path) -> Result<SavedPlan, Failure> {
    let tried = || format!("cannot read the plan in \"{}\"", path.display());
    let refused = |why: String| {
        let mut failure = Failure::plain(tried());
        failure.causes.push(why);
        failure
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::new(tried(), &error))?;
    if bytes.len() as u64 > MAX {
        return Err(refused("it has more than 64 MiB".into()));
    }
    // Before all else, for a newer format may have other fields.
    let header: Header = serde_json::from_slice(&bytes).map_err(|error| refused(damage(&error)))?;
    if header.format_version != FORMAT_VERSION {
        let newer = header.format_version > FORMAT_VERSION;
        let hint = if newer {
            "apply it with the axon that made it"
        } else {
            "plan again"
        };
        return Err(refused(format!(
            "its format is {}, and this axon reads {FORMAT_VERSION}",
            header.format_version
        ))
        .hint(hint));
    }
    serde_json::from_slice(&bytes).map_err(|error| refused(damage(&error)))
}

/// The least that every format has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    #[serde(rename = "kind")]
    _kind: SavedKind,
    format_version: u32,
}

fn damage(error: &serde_json::Error) -> String {
    if error.is_eof() {
        "it is cut off: its end is missing".into()
    } else {
        format!("it is damaged: {error}")
    }
}

fn begins(file: File) -> bool {
    let mut text = String::new();
    let read = file
        .take(2 * BEGIN.len() as u64 + 64)
        .read_to_string(&mut text);
    text.retain(|c| !c.is_whitespace());
    // Cut inside a character it is no plan: its beginning is plain.
    read.is_ok() && text.starts_with(BEGIN)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name in the same directory that no one else uses: a rename stays within one file system.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::api::plan::PlanRevision;
    use crate::api::plan::SavedCluster;
    use crate::api::plan::SavedOptions;
    use crate::api::plan::SavedSource;

    fn plan() -> SavedPlan {
        SavedPlan {
            kind: SavedKind::SavedPlan,
            format_version: FORMAT_VERSION,
            created: "2026-01-01T00:00:00Z".into(),
            expires: "2026-01-02T00:00:00Z".into(),
            cluster: SavedCluster {
                system: Some("u".into()),
                namespace: None,
                server: "https://x".into(),
            },
            namespace: "agents".into(),
            sync: "app".into(),
            source: SavedSource {
                location: ".".into(),
                path: None,
                revision: PlanRevision::Directory("0".into()),
            },
            options: SavedOptions::default(),
            digest: "0".into(),
            steps: Vec::new(),
            objects: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Writes `bytes`, and expects that reading them as a plan tells this.
    fn refused(bytes: &[u8], expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plan");
        fs::write(&file, bytes).unwrap();
        let told = format!("{:?}", read(&file).unwrap_err());
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn a_plan_is_read_as_it_was_written_and_by_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plan");
        for _ in 0..2 {
            write(&file, &plan()).unwrap();
            assert!(is_saved(&file));
            assert_eq!(read(&file).unwrap(), plan());
        }
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no draft is left"
        );
    }

    #[test]
    fn nothing_else_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("axon.yaml");
        fs::write(&file, "kind: Config\n").unwrap();
        assert!(write(&file, &plan()).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "kind: Config\n");
        assert!(write(dir.path(), &plan()).is_err());
        assert!(write(Path::new("/dev/null"), &plan()).is_err());
        // As `mktemp` makes it.
        fs::write(&file, "").unwrap();
        write(&file, &plan()).unwrap();
    }

    #[test]
    fn what_is_no_whole_plan_of_this_format_is_told() {
        let whole = serde_json::to_vec(&plan()).unwrap();
        refused(&whole[..whole.len() / 2], "it is cut off");
        refused(b"", "it is cut off");
        refused(b"\x7fELF", "it is damaged");
        refused(br#"{"kind":"Plan","formatVersion":1}"#, "it is damaged");
        refused(
            br#"{"kind":"SavedPlan","formatVersion":2,"new":1}"#,
            "its format is 2, and this axon reads 1",
        );
        refused(
            br#"{"kind":"SavedPlan","formatVersion":1}"#,
            "it is damaged",
        );
        refused(
            &vec![b' '; usize::try_from(MAX).unwrap() + 1],
            "more than 64 MiB",
        );
    }
}
