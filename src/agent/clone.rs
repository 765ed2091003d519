//! Clones a repository for an agent: the history it does not need is left out, but it can fetch,
//! commit and push as in any clone.

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::progress::Discard;
use gix::refs::Target;
use gix::refs::transaction::PreviousValue;
use gix::refs::transaction::RefEdit;
use gix::worktree::stack::state::attributes::Source;
use gix::worktree::state::checkout;

use super::git_config;
use crate::model::RepoUrl;
use crate::model::Secret;
use crate::repo;
use crate::repo::Access;
use crate::repo::Reference;
use crate::repo::remote;
use crate::repo::remote::Fetch;
use crate::repo::remote::Remote;

/// Shortest abbreviation of a commit that is looked for.
const MIN_ABBREVIATION: usize = 7;

/// What to clone.
#[derive(Debug)]
pub(super) struct Wanted<'w> {
    pub(super) url: &'w RepoUrl,
    pub(super) reference: &'w Reference,
    pub(super) branch: Option<&'w str>,
    pub(super) token: Option<Secret>,
}

/// Why a repository cannot be cloned.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("\"{0}\" is not empty")]
    NotEmpty(String),
    #[error("cannot write to \"{path}\"")]
    Io { path: String, source: io::Error },
    #[error(transparent)]
    Repo(#[from] repo::Error),
    #[error("cannot {what}")]
    Git {
        what: &'static str,
        source: gix::Error,
    },
    #[error("cannot write the file \"{path}\" of the repository")]
    File { path: String },
}

/// Where HEAD is to stand.
#[derive(Debug, PartialEq, Eq)]
struct Start {
    commit: ObjectId,
    /// The branch to be on, and whether the server has it.
    branch: Option<(String, bool)>,
}

/// Clones into `dir`; gives the commit that is checked out.
pub(super) fn clone(wanted: &Wanted<'_>, dir: &Path) -> Result<ObjectId, Error> {
    let io = |source| Error::Io {
        path: dir.display().to_string(),
        source,
    };
    if fs::read_dir(dir).map_err(io)?.next().is_some() {
        return Err(Error::NotEmpty(dir.display().to_string()));
    }
    let access = Access {
        token: wanted.token.clone(),
        ..Access::default()
    };
    let remote = Remote::new(wanted.url.clone(), access)?;
    let repo =
        remote::init(dir, gix::create::Kind::WithWorktree).map_err(git("make a repository"))?;
    let start = fetch(&remote, &repo, wanted)?;
    git_config::write(
        &repo.git_dir().join("config"),
        wanted,
        start.branch.as_ref().map(|(name, _)| name.as_str()),
    )
    .map_err(git("write the repository's settings"))?;
    // Opened again, to see the objects that were fetched.
    let repo = gix::open_opts(dir, remote::options()).map_err(git("open the repository"))?;
    set_head(&repo, &start)?;
    write_files(&repo, dir, start.commit)?;
    Ok(start.commit)
}

/// Fetches what is wanted, and nothing beside it.
fn fetch(remote: &Remote, repo: &gix::Repository, wanted: &Wanted<'_>) -> Result<Start, Error> {
    if let Some(branch) = wanted.branch {
        let full = format!("refs/heads/{branch}");
        // Asked by its full name, so it is never taken for a commit.
        if let Ok(reference) = Reference::parse(&full) {
            match remote.find(repo, &reference) {
                Ok(commit) => {
                    get(remote, repo, &spec(&full, commit), true)?;
                    return Ok(Start {
                        commit,
                        branch: Some((branch.to_owned(), true)),
                    });
                }
                Err(repo::Error::NoReference { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut start = fetch_reference(remote, repo, wanted.reference)?;
    if let Some(branch) = wanted.branch {
        start.branch = Some((branch.to_owned(), false));
    }
    Ok(start)
}

fn fetch_reference(
    remote: &Remote,
    repo: &gix::Repository,
    reference: &Reference,
) -> Result<Start, Error> {
    if let Reference::Commit(commit) = reference {
        get(remote, repo, &commit.to_string(), true)?;
        return commit_of(remote, repo, *commit, reference);
    }
    match remote.find_ref(repo, reference) {
        Ok((name, commit)) => {
            get(remote, repo, &spec(&name, commit), true)?;
            let branch = name
                .strip_prefix("refs/heads/")
                .map(|name| (name.to_owned(), true));
            Ok(Start { commit, branch })
        }
        Err(error @ repo::Error::NoReference { .. }) => {
            abbreviated(remote, repo, reference)?.ok_or_else(|| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// A name that no ref has may be the beginning of a commit's: only the whole history tells.
fn abbreviated(
    remote: &Remote,
    repo: &gix::Repository,
    reference: &Reference,
) -> Result<Option<Start>, Error> {
    let Reference::Name(name) = reference else {
        return Ok(None);
    };
    if name.len() < MIN_ABBREVIATION || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    get(remote, repo, "+refs/heads/*:refs/remotes/origin/*", false)?;
    let repo =
        gix::open_opts(repo.git_dir(), remote::options()).map_err(git("open the repository"))?;
    let found = repo
        .rev_parse_single(format!("{name}^{{commit}}").as_str())
        .ok();
    Ok(found.map(|commit| Start {
        commit: commit.detach(),
        branch: None,
    }))
}

/// Checks that an id is that of a commit.
fn commit_of(
    remote: &Remote,
    repo: &gix::Repository,
    id: ObjectId,
    reference: &Reference,
) -> Result<Start, Error> {
    let repo =
        gix::open_opts(repo.git_dir(), remote::options()).map_err(git("open the repository"))?;
    let commit = repo
        .find_object(id)
        .ok()
        .and_then(|object| object.peel_to_commit().ok());
    match commit {
        Some(commit) => Ok(Start {
            commit: commit.id,
            branch: None,
        }),
        None => Err(remote.no_reference(reference).into()),
    }
}

/// Where a fetched ref is kept: as in any clone. What is neither branch nor tag is fetched by its
/// commit.
fn spec(name: &str, commit: ObjectId) -> String {
    match name.strip_prefix("refs/heads/") {
        Some(branch) => format!("+{name}:refs/remotes/origin/{branch}"),
        None if name.starts_with("refs/tags/") => format!("+{name}:{name}"),
        None => commit.to_string(),
    }
}

fn get(remote: &Remote, repo: &gix::Repository, spec: &str, shallow: bool) -> Result<(), Error> {
    let fetch = Fetch {
        specs: vec![spec.to_owned()],
        depth: shallow.then_some(NonZeroU32::MIN),
        tags: false,
    };
    // The container's end is the only interruption.
    Ok(remote.fetch(repo, &fetch, &AtomicBool::new(false))?)
}

fn set_head(repo: &gix::Repository, start: &Start) -> Result<(), Error> {
    let failed = git("set HEAD");
    let name = |text: &str| {
        gix::refs::FullName::try_from(text).map_err(|error| gix::Error::from_error(error))
    };
    let edit = |at: &str, to: Target| -> Result<RefEdit, gix::Error> {
        let mut edit = RefEdit::update(name(at)?, to, PreviousValue::Any, "checkout");
        // HEAD itself is meant, not the branch it names.
        edit.deref = false;
        Ok(edit)
    };
    let edits = || -> Result<Vec<RefEdit>, gix::Error> {
        Ok(match &start.branch {
            Some((branch, _)) => {
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
        .map_err(failed)
}

fn write_files(repo: &gix::Repository, dir: &Path, commit: ObjectId) -> Result<(), Error> {
    let failed = git("write the files of the repository");
    let work = || -> Result<checkout::Outcome, gix::Error> {
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
        Ok(outcome)
    };
    let outcome = work().map_err(failed)?;
    let bad = outcome
        .errors
        .iter()
        .map(|error| &error.path)
        .chain(outcome.collisions.iter().map(|it| &it.path));
    match bad.into_iter().next() {
        None => Ok(()),
        Some(path) => Err(Error::File {
            path: path.to_string(),
        }),
    }
}

fn git(what: &'static str) -> impl Fn(gix::Error) -> Error {
    move |source| Error::Git { what, source }
}
