//! The files of a clone, and where its HEAD stands.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::bstr::BStr;
use gix::index::entry::Mode;
use gix::progress::Discard;
use gix::refs::FullName;
use gix::refs::Target;
use gix::refs::transaction::PreviousValue;
use gix::refs::transaction::RefEdit;
use gix::worktree::stack::state::attributes::Source;
use gix::worktree::state::checkout;

use super::clone::Error;
use super::fetch::Start;

/// Sets HEAD, and makes the branch that it is on.
pub(super) fn set_head(repo: &gix::Repository, start: &Start) -> Result<(), Error> {
    let name = |text: &str| FullName::try_from(text).map_err(|error| gix::Error::from_error(error));
    let edit = |at: &str, to: Target| -> Result<RefEdit, gix::Error> {
        let mut edit = RefEdit::update(name(at)?, to, PreviousValue::Any, "checkout");
        // HEAD itself is meant, not the branch it names.
        edit.deref = false;
        Ok(edit)
    };
    let edits = || -> Result<Vec<RefEdit>, gix::Error> {
        Ok(match &start.branch {
            Some(branch) => {
                let full = format!("refs/heads/{branch}");
                vec![
                    edit(&full, Target::Object(start.commit))?,
                    edit("HEAD", Target::Symbolic(name(&full)?))?,
                ]
            }
            None => vec![edit("HEAD", Target::Object(start.commit))?],
        })
    };
    edits()
        .and_then(|edits| repo.edit_references(edits))
        .map(drop)
        .map_err(Error::git("set HEAD"))
}

/// Writes the files of `commit` into the empty worktree `dir`, and an empty directory for each
/// submodule.
pub(super) fn write_files(
    repo: &gix::Repository,
    dir: &Path,
    commit: ObjectId,
) -> Result<(), Error> {
    let failed = Error::git("write the files of the repository");
    let work = || -> Result<(gix::index::File, checkout::Outcome), gix::Error> {
        let tree = repo.find_object(commit)?.peel_to_tree()?.id;
        let mut index = repo.index_from_tree(&tree)?;
        let mut options = repo.checkout_options(Source::IdMapping)?;
        options.destination_is_initially_empty = true;
        let objects = repo
            .objects
            .clone()
            .into_arc()
            .map_err(gix::Error::from_error)?;
        let stop = AtomicBool::new(false);
        let outcome = gix::worktree::state::checkout(
            &mut index, dir, objects, &Discard, &Discard, &stop, options,
        )?;
        index.write(gix::index::write::Options::default())?;
        Ok((index, outcome))
    };
    let (index, outcome) = work().map_err(failed)?;
    let errors = outcome.errors.iter().map(|it| &it.path);
    let bad = errors.chain(outcome.collisions.iter().map(|it| &it.path));
    if let Some(path) = bad.into_iter().next() {
        return Err(Error::File {
            path: path.to_string(),
        });
    }
    for link in links(&index) {
        make_dir(dir, &link.path)?;
    }
    Ok(())
}

/// A submodule as its superproject has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) path: PathBuf,
    pub(super) commit: ObjectId,
}

/// The submodules of an index.
pub(super) fn links(index: &gix::index::State) -> impl Iterator<Item = Link> {
    let links = index.entries().iter().filter(|it| it.mode == Mode::COMMIT);
    links.filter_map(|entry| {
        Some(Link {
            path: path_of(entry.path(index))?,
            commit: entry.id,
        })
    })
}

fn path_of(path: &BStr) -> Option<PathBuf> {
    gix::path::from_bstr(path).ok().map(Cow::into_owned)
}

/// Makes a directory in the worktree. None of those above it may be a symbolic link: that could lead
/// out of it.
fn make_dir(worktree: &Path, path: &Path) -> Result<(), Error> {
    let refused = || Error::File {
        path: path.display().to_string(),
    };
    let mut dir = worktree.to_owned();
    for part in path.components() {
        let std::path::Component::Normal(part) = part else {
            return Err(refused());
        };
        dir.push(part);
        match fs::create_dir(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(&dir).map_err(Error::io(&dir))?;
                if !found.is_dir() {
                    return Err(refused());
                }
            }
            Err(error) => return Err(Error::io(&dir)(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_directory_outside() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        symlink(dir.path(), tree.join("out")).unwrap();
        fs::write(tree.join("file"), "").unwrap();
        for bad in ["out/sub", "out", "file", "../sub", "/sub", "a/../../sub"] {
            assert!(make_dir(&tree, Path::new(bad)).is_err(), "{bad}");
        }
        assert!(!dir.path().join("sub").exists());
        for good in ["a/b", "a/c", "a/b"] {
            make_dir(&tree, Path::new(good)).unwrap();
            assert!(tree.join(good).is_dir());
        }
    }
}
