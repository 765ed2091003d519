//! Where a repository stands, read from its files: the helper has no git, and runs beside any image.

use std::path::Path;
use std::path::PathBuf;

use crate::bounded;

/// Longest file that holds one line.
const MAX_LINE: u64 = 4096;
/// Largest list of packed refs that is read: some 50,000 refs.
const MAX_PACKED: u64 = 4 << 20;

/// Branch and commit that a repository stands at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GitState {
    /// Absent when no branch is checked out.
    pub(crate) branch: Option<String>,
    pub(crate) commit: String,
}

/// Reads the state; nothing if there is no repository, or no commit.
pub(crate) fn read(work_tree: &Path) -> Option<GitState> {
    let git_dir = git_dir(work_tree)?;
    let head = line(&git_dir.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else {
        return Some(GitState {
            branch: None,
            commit: commit_id(&head)?,
        });
    };
    let name = name.trim();
    if !name.starts_with("refs/") || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let common = common_dir(&git_dir);
    let loose = |dir: &Path| line(&dir.join(name)).as_deref().and_then(commit_id);
    let commit = loose(&git_dir)
        .or_else(|| loose(&common))
        .or_else(|| packed(&common, name))?;
    Some(GitState {
        branch: name.strip_prefix("refs/heads/").map(str::to_owned),
        commit,
    })
}

/// The commit that a file with its id names.
pub(crate) fn commit_in(file: &Path) -> Option<String> {
    commit_id(&line(file)?)
}

/// `.git`, or the directory that a file of this name points to.
fn git_dir(work_tree: &Path) -> Option<PathBuf> {
    let dot_git = work_tree.join(".git");
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    Some(work_tree.join(line(&dot_git)?.strip_prefix("gitdir: ")?))
}

/// Where the refs are that all work trees of a repository share.
fn common_dir(git_dir: &Path) -> PathBuf {
    line(&git_dir.join("commondir")).map_or_else(|| git_dir.to_owned(), |dir| git_dir.join(dir))
}

fn packed(common: &Path, name: &str) -> Option<String> {
    let (bytes, _) = bounded::read(&common.join("packed-refs"), MAX_PACKED).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut refs = text.lines().filter_map(|line| line.split_once(' '));
    refs.find(|(_, found)| *found == name)
        .and_then(|(id, _)| commit_id(id))
}

fn line(path: &Path) -> Option<String> {
    let (bytes, _) = bounded::read(path, MAX_LINE).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.lines().next().map(|line| line.trim_end().to_owned())
}

fn commit_id(text: &str) -> Option<String> {
    let text = text.trim();
    let is_id = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn check(files: &[(&str, &str)], expected: Option<(Option<&str>, &str)>) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let expected = expected.map(|(branch, commit)| GitState {
            branch: branch.map(str::to_owned),
            commit: commit.to_owned(),
        });
        assert_eq!(read(dir.path()), expected);
    }

    #[test]
    fn where_a_repository_stands() {
        let head = (".git/HEAD", "ref: refs/heads/fix/a\n");
        let packed = format!("# pack-refs with: peeled\n{TWO} refs/heads/fix/a\n^{ONE}\n");
        check(
            &[head, (".git/refs/heads/fix/a", ONE)],
            Some((Some("fix/a"), ONE)),
        );
        check(
            &[head, (".git/packed-refs", &packed)],
            Some((Some("fix/a"), TWO)),
        );
        check(
            &[
                head,
                (".git/packed-refs", &packed),
                (".git/refs/heads/fix/a", ONE),
            ],
            Some((Some("fix/a"), ONE)),
        );
        check(&[(".git/HEAD", ONE)], Some((None, ONE)));
        check(&[head], None);
        check(&[], None);
    }

    #[test]
    fn a_linked_work_tree() {
        check(
            &[
                (".git", "gitdir: main/.git/worktrees/w\n"),
                ("main/.git/worktrees/w/HEAD", "ref: refs/heads/x\n"),
                ("main/.git/worktrees/w/commondir", "../..\n"),
                ("main/.git/refs/heads/x", ONE),
            ],
            Some((Some("x"), ONE)),
        );
    }

    #[test]
    fn hostile_repositories() {
        check(
            &[(".git/HEAD", "ref: refs/heads/../../x\n"), ("x", ONE)],
            None,
        );
        check(&[(".git/HEAD", "password")], None);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        nix::unistd::mkfifo(&dir.path().join(".git/HEAD"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(dir.path()), None);
    }
}
