//! Repositories of this machine, as agents get them: where they are confined, a copy that they may push to.
//! When an agent has ended, its branches are fetched into the user's repository, those that it did not push
//! too, and nothing is checked out.
//!
//! The copy shares the history of the original, which stays read-only. What an agent leaves in it and in its
//! worktree is not believed: links are refused, settings and hooks are replaced before git reads it.

mod git;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use k8s_openapi::api::core::v1::Pod;

use self::git::git;
use crate::cli::ui;
use crate::local::images::Lender;
use crate::local::images::Lent;
use crate::model::RepoUrl;

/// The copy, within what a Pod is lent; beside it the history that it shares.
const COPY: &str = "git";
const SHARED: &str = "objects";
/// The branches at the time of lending.
const BRANCHES: &str = "branches";
/// Where the shared history is, from the copy's own: the same way here and in a container.
const ALTERNATES: &str = "../../objects\n";
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
/// Fetches what an agent made into the user's repository. The other side is told by itself to read a
/// directory of another user's.
const FETCH: [&str; 9] = [
    "-c",
    "transfer.fsckObjects=true",
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--upload-pack=git -c 'safe.directory=*' upload-pack",
    "--",
];

/// The repositories that the user's own `axon.yaml` names.
#[derive(Default)]
pub(super) struct Repositories(Mutex<BTreeSet<PathBuf>>);

impl Repositories {
    pub(super) fn allow(&self, url: &str) {
        if let Some(path) = path_of(url) {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(path);
        }
    }

    fn allows(&self, path: &Path) -> bool {
        let allowed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        allowed.contains(path)
    }
}

impl Lender for Repositories {
    fn lend(&self, pod: &Pod, dir: &Path) -> Result<Vec<Lent>, String> {
        let Some(Wish { repository, .. }) = Wish::of(pod) else {
            return Ok(Vec::new());
        };
        if self.allows(&repository) {
            return lend(&repository, dir);
        }
        let path = repository.display();
        ui::warning(format_args!(
            "a Task asks for \"{path}\", which axon.yaml does not name as a workspace: it is not shown to it"
        ));
        Ok(Vec::new())
    }

    fn take_back(&self, pod: &Pod, dir: &Path, volumes: &Path) {
        let Some(wish) = Wish::of(pod).filter(|it| self.allows(&it.repository)) else {
            return;
        };
        if let Err(why) = take_back(&wish, dir, volumes) {
            let (pod, repository) = (wish.pod, wish.repository.display());
            ui::warning(format_args!(
                "what Pod \"{pod}\" leaves is not fetched into \"{repository}\": {why}"
            ));
        }
    }
}

/// What the checkout of a Pod is told.
struct Wish {
    pod: String,
    /// The repository of this machine that it asks for.
    repository: PathBuf,
    /// The volume that the worktree is in, and where in it.
    worktree: Option<(String, PathBuf)>,
}

impl Wish {
    fn of(pod: &Pod) -> Option<Self> {
        let init = pod.spec.as_ref()?.init_containers.as_ref()?;
        let checkout = init.iter().find(|it| it.args.is_some())?;
        let args = checkout.args.as_deref().unwrap_or_default();
        let told = |flag: &str| {
            let at = args.iter().position(|it| it == flag)?;
            Some(args.get(at + 1)?.replace("$$", "$"))
        };
        let mounts = checkout.volume_mounts.as_deref().unwrap_or_default();
        let worktree = told("--repo-dir").and_then(|dir| {
            mounts.iter().find_map(|it| {
                let below = Path::new(&dir).strip_prefix(&it.mount_path).ok()?;
                Some((it.name.clone(), below.to_path_buf()))
            })
        });
        Some(Self {
            pod: pod.metadata.name.clone()?,
            repository: path_of(&told("--url")?)?,
            worktree,
        })
    }

    /// The repository in which the agent worked; none if it is not there.
    fn own(&self, volumes: &Path) -> Result<Option<PathBuf>, String> {
        let Some((volume, below)) = &self.worktree else {
            return Ok(None);
        };
        let mut at = volumes.join(volume);
        for part in below.iter().chain([".git".as_ref()]) {
            at.push(part);
            match fs::symlink_metadata(&at) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(not_plain(&at)),
                Err(error) => return unless_missing(error).map(|()| None).map_err(text),
            }
        }
        Ok(Some(at))
    }

    /// Where a branch goes that cannot go where it belongs.
    fn aside(&self, branch: &str) -> String {
        let name = branch.trim_start_matches("refs/heads/");
        format!("refs/heads/axon/{}/{name}", self.pod)
    }
}

fn path_of(url: &str) -> Option<PathBuf> {
    RepoUrl::parse(url).ok()?.file_path().map(Path::to_path_buf)
}

fn lend(repository: &Path, dir: &Path) -> Result<Vec<Lent>, String> {
    let copy = dir.join(COPY);
    // A second try begins anew.
    fs::remove_dir_all(dir)
        .or_else(unless_missing)
        .map_err(text)?;
    fs::create_dir_all(dir).map_err(text)?;
    let clone = ["clone", "--quiet", "--bare", "--shared", "--"].map(Path::new);
    git(dir, None, &[&clone[..], &[repository, &copy]].concat())?;
    let common = ["rev-parse", "--path-format=absolute", "--git-common-dir"].map(Path::new);
    let common = git(dir, Some(repository), &common)?;
    let objects = Path::new(common.trim_end_matches('\n')).join("objects");
    let objects = objects.canonicalize().map_err(text)?;
    symlink(&objects, dir.join(SHARED)).map_err(text)?;
    clean(&copy, ALTERNATES).map_err(text)?;
    let branches = git(dir, Some(&copy), &list())?;
    fs::write(dir.join(BRANCHES), branches).map_err(text)?;
    Ok(vec![
        Lent {
            at: repository.join(".git"),
            path: copy,
            writable: true,
        },
        Lent {
            at: repository.join(SHARED),
            path: objects,
            writable: false,
        },
    ])
}

/// Fetches the branches that changed, each by itself: one that does not fit stops no other.
fn take_back(wish: &Wish, dir: &Path, volumes: &Path) -> Result<(), String> {
    let copy = dir.join(COPY);
    let lent = fs::read_to_string(dir.join(BRANCHES)).ok();
    if lent.is_none() && copy.exists() {
        // It was taken back before.
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(text)?;
    let Some(before) = lent else {
        // The agent was told of the repository itself.
        return unpushed(wish, volumes, &wish.repository, dir);
    };
    vet(&copy)?;
    clean(&copy, ALTERNATES).map_err(text)?;
    let rest = unpushed(wish, volumes, &copy, dir);
    let before = branches(&before);
    let now = git(dir, Some(&copy), &list())?;
    for (branch, commit) in branches(&now) {
        if before.get(branch) != Some(&commit) {
            fetch(wish, &copy, branch, branch, &wish.repository, dir);
        }
    }
    // Nothing is left to fetch a second time.
    fs::remove_file(dir.join(BRANCHES)).map_err(text)?;
    rest
}

/// Fetches what the agent committed and did not push.
fn unpushed(wish: &Wish, volumes: &Path, into: &Path, scratch: &Path) -> Result<(), String> {
    let Some(own) = wish.own(volumes)? else {
        return Ok(());
    };
    vet(&own)?;
    clean(&own, "").map_err(text)?;
    let is_known = |commit: &str| {
        let commit = format!("{commit}^{{commit}}");
        let words = ["cat-file", "-e", &commit].map(Path::new);
        git(scratch, Some(into), &words).is_ok()
    };
    let mine = git(scratch, Some(&own), &list())?;
    for (branch, commit) in branches(&mine) {
        if !is_known(commit) {
            fetch(wish, &own, branch, branch, into, scratch);
        }
    }
    let head = ["rev-parse", "--verify", "HEAD"].map(Path::new);
    if let Ok(head) = git(scratch, Some(&own), &head)
        && !is_known(head.trim())
    {
        fetch(wish, &own, "HEAD", &wish.aside("head"), into, scratch);
    }
    Ok(())
}

/// Fetches one branch; beside where it belongs if it does not fit there.
fn fetch(wish: &Wish, from: &Path, branch: &str, to: &str, into: &Path, scratch: &Path) {
    let fetch = |to: &str| {
        let refspec = format!("{branch}:{to}");
        let mut words: Vec<_> = FETCH.iter().map(Path::new).collect();
        words.extend([from, Path::new(&refspec)]);
        git(scratch, Some(into), &words)
    };
    let Err(why) = fetch(to) else {
        return;
    };
    let name = |it: &str| it.trim_start_matches("refs/heads/").to_owned();
    let (branch, aside, at) = (name(to), wish.aside(branch), wish.repository.display());
    let told = if fetch(&aside).is_ok() {
        format!(
            "what Pod \"{}\" made of it is in branch \"{}\"",
            wish.pod,
            name(&aside)
        )
    } else {
        format!("what Pod \"{}\" made of it is lost", wish.pod)
    };
    ui::warning(format_args!(
        "branch \"{branch}\" of \"{at}\" stays as it is: {told}: {why}"
    ));
}

/// Refuses what is neither a file nor a directory: git, and what prepares for it, would follow a link with
/// the user's rights.
fn vet(dir: &Path) -> Result<(), String> {
    let mut rest = vec![dir.to_path_buf()];
    while let Some(dir) = rest.pop() {
        if !fs::symlink_metadata(&dir).map_err(text)?.is_dir() {
            return Err(not_plain(&dir));
        }
        for entry in fs::read_dir(&dir).map_err(text)? {
            let entry = entry.map_err(text)?;
            let kind = entry.file_type().map_err(text)?;
            if kind.is_dir() {
                rest.push(entry.path());
            } else if !kind.is_file() {
                return Err(not_plain(&entry.path()));
            }
        }
    }
    Ok(())
}

fn not_plain(path: &Path) -> String {
    format!("\"{}\" is neither a file nor a directory", path.display())
}

/// Puts the settings of a repository right, whatever was made of them, and where it shares history from.
fn clean(repository: &Path, alternates: &str) -> io::Result<()> {
    for name in [
        "config",
        "config.worktree",
        "hooks",
        "commondir",
        "objects/info",
    ] {
        let at = repository.join(name);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&at)?,
            Ok(_) => fs::remove_file(&at)?,
            Err(error) => unless_missing(error)?,
        }
    }
    fs::write(repository.join("config"), CONFIG)?;
    fs::create_dir(repository.join("objects/info"))?;
    fs::write(repository.join("objects/info/alternates"), alternates)
}

fn list() -> [&'static Path; 3] {
    [
        "for-each-ref",
        "--format=%(refname) %(objectname)",
        "refs/heads",
    ]
    .map(Path::new)
}

fn branches(list: &str) -> BTreeMap<&str, &str> {
    list.lines().filter_map(|it| it.split_once(' ')).collect()
}

fn unless_missing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped with it")]
fn text(error: io::Error) -> String {
    error.to_string()
}
