//! What to fetch for a checkout, and the commit that comes of it.

use std::collections::HashSet;
use std::num::NonZeroU32;

use gix::ObjectId;
use gix::hash::Prefix;

use super::clone;
use super::clone::Error;
use super::clone::Wanted;
use crate::repo;
use crate::repo::Reference;
use crate::repo::remote::Fetch;
use crate::repo::remote::Remote;
use crate::repo::remote::Stop;

/// Commits that a message lists at most.
const MAX_LISTED: usize = 5;
/// All branches and tags, each where any clone has it.
const ALL: [&str; 2] = [
    "+refs/heads/*:refs/remotes/origin/*",
    "+refs/tags/*:refs/tags/*",
];

/// Where HEAD is to stand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) commit: ObjectId,
    /// The branch to be on.
    pub(super) branch: Option<String>,
}

impl Start {
    fn detached(commit: ObjectId) -> Self {
        Self {
            commit,
            branch: None,
        }
    }

    fn on(commit: ObjectId, branch: &str) -> Self {
        Self {
            commit,
            branch: Some(branch.to_owned()),
        }
    }
}

/// Fetches what is wanted into `repo`, and nothing beside it but history.
pub(super) fn fetch(
    remote: &Remote,
    repo: &gix::Repository,
    wanted: &Wanted,
    depth: Option<NonZeroU32>,
) -> Result<Start, Error> {
    let fetching = Fetching {
        remote,
        repo,
        depth,
    };
    if let Some(branch) = &wanted.branch
        && let Some(start) = fetching.branch(branch)?
    {
        return Ok(start);
    }
    let start = fetching.reference(&wanted.reference)?;
    Ok(match &wanted.branch {
        Some(branch) => Start {
            commit: start.commit,
            branch: Some(branch.clone()),
        },
        None => start,
    })
}

struct Fetching<'a> {
    remote: &'a Remote,
    repo: &'a gix::Repository,
    depth: Option<NonZeroU32>,
}

impl Fetching<'_> {
    /// A branch, where the server has it.
    fn branch(&self, branch: &str) -> Result<Option<Start>, Error> {
        let full = format!("refs/heads/{branch}");
        // Asked by its full name, so it is never taken for a commit.
        let Ok(reference) = Reference::parse(&full) else {
            return Ok(None);
        };
        match self.remote.find(self.repo, &reference, &Stop::default()) {
            Ok(commit) => {
                self.get(&spec(&full, commit))?;
                Ok(Some(Start::on(commit, branch)))
            }
            Err(repo::Error::NoReference { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn reference(&self, reference: &Reference) -> Result<Start, Error> {
        if let Reference::Commit(commit) = reference {
            return self.commit(*commit, reference);
        }
        match self.remote.find_ref(self.repo, reference, &Stop::default()) {
            Ok((name, commit)) => {
                self.get(&spec(&name, commit))?;
                Ok(match name.strip_prefix("refs/heads/") {
                    Some(branch) => Start::on(commit, branch),
                    None => Start::detached(commit),
                })
            }
            Err(error @ repo::Error::NoReference { .. }) => match abbreviation(reference) {
                Some(prefix) => self.abbreviated(prefix, reference),
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// A commit by its whole name. A server that does not give out single commits may have it in its
    /// history all the same. A line that broke is tried once more: the history may be a thousand
    /// times as much.
    fn commit(&self, commit: ObjectId, reference: &Reference) -> Result<Start, Error> {
        let spec = commit.to_string();
        let got = match self.get(&spec) {
            Err(Error::Repo(error)) if is_broken(&error) => self.get(&spec),
            got => got,
        };
        match got {
            Ok(()) => {}
            Err(Error::Repo(error)) if may_be_in_history(&error) => self.get_all()?,
            Err(error) => return Err(error),
        }
        // Only a commit will do: not a tree, nor a file.
        let repo = self.seen_again()?;
        let found = repo.find_object(commit).ok();
        match found.and_then(|object| object.peel_to_commit().ok()) {
            Some(commit) => Ok(Start::detached(commit.id)),
            None => Err(self.remote.no_reference(reference).into()),
        }
    }

    /// A commit by the beginning of its name: only the whole history tells.
    fn abbreviated(&self, prefix: Prefix, reference: &Reference) -> Result<Start, Error> {
        self.get_all()?;
        let repo = self.seen_again()?;
        let mut found = HashSet::new();
        repo.objects
            .lookup_prefix(prefix, Some(&mut found))
            .map_err(Error::git("look for the commit"))?;
        let is_commit = |id: &ObjectId| {
            let header = repo.find_header(*id);
            header.is_ok_and(|it| it.kind() == gix::object::Kind::Commit)
        };
        let mut commits: Vec<ObjectId> = found.into_iter().filter(is_commit).collect();
        commits.sort_unstable();
        match commits[..] {
            [] => Err(self.remote.no_reference(reference).into()),
            [commit] => Ok(Start::detached(commit)),
            [..] => Err(Error::Ambiguous {
                reference: prefix.to_string(),
                commits: listed(&commits),
            }),
        }
    }

    /// Fetches one ref or commit, and all others too where the whole history is wanted.
    fn get(&self, spec: &str) -> Result<(), Error> {
        let of_all = spec.contains(":refs/remotes/") || spec.contains(":refs/tags/");
        let single = [spec]
            .into_iter()
            .filter(|_| self.depth.is_some() || !of_all);
        let all = ALL.into_iter().filter(|_| self.depth.is_none());
        self.receive(single.chain(all), self.depth)
    }

    fn get_all(&self) -> Result<(), Error> {
        self.receive(ALL.into_iter(), None)
    }

    fn receive<'a>(
        &self,
        specs: impl Iterator<Item = &'a str>,
        depth: Option<NonZeroU32>,
    ) -> Result<(), Error> {
        let fetch = Fetch {
            specs: specs.map(str::to_owned).collect(),
            depth,
            tags: false,
        };
        // The end of the process is the only interruption, see `clone`.
        Ok(self.remote.fetch(self.repo, &fetch, &Stop::default())?)
    }

    /// The repository with what was fetched.
    fn seen_again(&self) -> Result<gix::Repository, Error> {
        clone::open(self.repo.git_dir())
    }
}

/// Whether the exchange ended in the middle.
fn is_broken(error: &repo::Error) -> bool {
    matches!(error, repo::Error::Unreachable { .. }) && !error.is_refusal()
}

/// Whether the server may have refused a commit only because it was asked for by its name.
fn may_be_in_history(error: &repo::Error) -> bool {
    matches!(error, repo::Error::NoReference { .. }) || error.is_refusal()
}

/// A name that no ref has may be the beginning of a commit's.
fn abbreviation(reference: &Reference) -> Option<Prefix> {
    match reference {
        // Four digits at least, as in git.
        Reference::Name(name) => Prefix::from_hex(name).ok(),
        Reference::Head | Reference::Full(_) | Reference::Commit(_) => None,
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

fn listed(commits: &[ObjectId]) -> String {
    let shown = commits.iter().take(MAX_LISTED).map(ToString::to_string);
    let mut listed = shown.collect::<Vec<_>>().join(", ");
    if commits.len() > MAX_LISTED {
        listed.push_str(", …");
    }
    listed
}
