//! Repositories of this machine, as confined agents get them: a copy that they may push to. When an agent
//! has ended, its branches are fetched from there into the user's repository, and nothing is checked out.
//!
//! The copy shares the history of the original, which stays read-only. What an agent leaves in it is not
//! believed: its settings and hooks are replaced before git reads it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;

use crate::cli::ui;
use crate::local::images::Lender;
use crate::local::images::Lent;
use crate::model::RepoUrl;

/// How long git may take: a file that an agent left may be one that never ends.
const GIT_WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How much is read of what git says.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;
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

    /// The repository of this machine that the checkout of a Pod asks for and may have.
    fn wanted(&self, pod: &Pod) -> Option<PathBuf> {
        let init = pod.spec.as_ref()?.init_containers.as_ref()?;
        let args = init.iter().find_map(|it| it.args.as_ref())?;
        let at = args.iter().position(|it| it == "--url")?;
        let path = path_of(&args.get(at + 1)?.replace("$$", "$"))?;
        let allowed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if allowed.contains(&path) {
            return Some(path);
        }
        let path = path.display();
        ui::warning(format_args!(
            "a Task asks for \"{path}\", which axon.yaml does not name as a workspace: it is not shown to it"
        ));
        None
    }
}

impl Lender for Repositories {
    fn lend(&self, pod: &Pod, dir: &Path) -> Result<Vec<Lent>, String> {
        self.wanted(pod)
            .map_or(Ok(Vec::new()), |repository| lend(&repository, dir))
    }

    fn take_back(&self, pod: &Pod, dir: &Path) {
        if let Some(repository) = self.wanted(pod)
            && let Err(why) = take_back(&repository, dir)
        {
            let repository = repository.display();
            ui::warning(format_args!(
                "nothing is fetched into \"{repository}\": {why}"
            ));
        }
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
    clean(&copy).map_err(text)?;
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
fn take_back(repository: &Path, dir: &Path) -> Result<(), String> {
    let copy = dir.join(COPY);
    let Ok(before) = fs::read_to_string(dir.join(BRANCHES)) else {
        return Ok(());
    };
    clean(&copy).map_err(text)?;
    let before = branches(&before);
    let now = git(dir, Some(&copy), &list())?;
    for (branch, commit) in branches(&now) {
        if before.get(branch) == Some(&commit) {
            continue;
        }
        let refspec = format!("{branch}:{branch}");
        let mut words: Vec<_> = FETCH.iter().map(Path::new).collect();
        words.extend([copy.as_path(), Path::new(&refspec)]);
        if let Err(why) = git(dir, Some(repository), &words) {
            let name = branch.trim_start_matches("refs/heads/");
            ui::warning(format_args!(
                "branch \"{name}\" is not fetched into \"{}\": {why}",
                repository.display()
            ));
        }
    }
    // Nothing is left to fetch a second time.
    fs::remove_file(dir.join(BRANCHES)).map_err(text)
}

/// Puts the copy's settings right, whatever was made of them.
fn clean(copy: &Path) -> io::Result<()> {
    for name in [
        "config",
        "config.worktree",
        "hooks",
        "commondir",
        "objects/info",
    ] {
        let at = copy.join(name);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&at)?,
            Ok(_) => fs::remove_file(&at)?,
            Err(error) => unless_missing(error)?,
        }
    }
    fs::write(copy.join("config"), CONFIG)?;
    fs::create_dir(copy.join("objects/info"))?;
    fs::write(copy.join("objects/info/alternates"), ALTERNATES)
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

/// Runs git, in `repository` if there is one; gives what it prints, or what it complains of.
fn git(scratch: &Path, repository: Option<&Path>, words: &[&Path]) -> Result<String, String> {
    let (out, err) = (scratch.join("out"), scratch.join("err"));
    let to = |path: &Path| fs::File::create(path).map(Stdio::from).map_err(text);
    let mut command = Command::new("git");
    // The copy is the agent's user's.
    command.args(["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null"]);
    if let Some(repository) = repository {
        command.arg("-C").arg(repository);
    }
    let child = command
        .args(words)
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(to(&out)?)
        .stderr(to(&err)?)
        .spawn();
    let child = child.map_err(|error| format!("git cannot be run: {error}"))?;
    let status = ended(child).map_err(text)?;
    let said = |path: &Path| read(path).map_err(text);
    match status {
        Some(status) if status.success() => said(&out),
        Some(_) => Err(said(&err)?.trim().to_owned()),
        None => Err(format!("git took longer than {GIT_WITHIN:?}")),
    }
}

/// Waits for a program's end, and brings it about when it takes too long.
fn ended(mut child: std::process::Child) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + GIT_WITHIN;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(
        &mut io::Read::take(fs::File::open(path)?, OUTPUT_LIMIT),
        &mut bytes,
    )?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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
