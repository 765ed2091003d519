//! From a path that a container names to the path on this machine.
//!
//! A container that is not confined is told other paths. Only whole arguments (and the value of
//! `--flag=/path`) are rewritten, never text inside them.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// Where the container's paths lie on this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    places: Vec<(PathBuf, PathBuf)>,
}

impl Paths {
    /// Says that `inside`, and all below it, is `host` here.
    pub(super) fn add(&mut self, inside: impl Into<PathBuf>, host: impl Into<PathBuf>) {
        self.places.push((inside.into(), host.into()));
    }

    /// The argument with its path rewritten, or as it is.
    pub(super) fn argument(&self, text: &str) -> String {
        if let Some(path) = self.path(text) {
            return path;
        }
        if text.starts_with('-')
            && let Some((flag, value)) = text.split_once('=')
            && let Some(path) = self.path(value)
        {
            return format!("{flag}={path}");
        }
        text.to_owned()
    }

    /// The place of an absolute path; none when no place covers it.
    pub(super) fn path(&self, text: &str) -> Option<String> {
        let (mut found, below) = self.within(text)?;
        if !below.as_os_str().is_empty() {
            found.push(below);
        }
        found.to_str().map(str::to_owned)
    }

    /// The place that covers an absolute path, and what is left of the path below it.
    pub(super) fn within(&self, text: &str) -> Option<(PathBuf, PathBuf)> {
        let path = plain(text)?;
        let (inside, host) = self
            .places
            .iter()
            .filter(|(inside, _)| path.starts_with(inside))
            .max_by_key(|(inside, _)| inside.components().count())?;
        let below = path.strip_prefix(inside).ok()?;
        Some((host.clone(), below.to_owned()))
    }
}

/// An absolute path that does not climb.
fn plain(text: &str) -> Option<&Path> {
    let path = Path::new(text);
    let climbs = path
        .components()
        .any(|part| matches!(part, Component::ParentDir));
    (path.is_absolute() && !climbs && !text.contains('\n')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(argument: &str, expected: &str) {
        let mut paths = Paths::default();
        paths.add("/workspace", "/h/volumes/workspace");
        paths.add("/workspace/cache", "/h/volumes/cache");
        paths.add("/dev/termination-log", "/h/end");
        paths.add("/entry.sh", "/home/me/entry.sh");
        assert_eq!(paths.argument(argument), expected);
    }

    #[test]
    fn paths_below_a_mount_move() {
        check("/workspace", "/h/volumes/workspace");
        check("/workspace/repo/a b", "/h/volumes/workspace/repo/a b");
        check("/dev/termination-log", "/h/end");
        check("/entry.sh", "/home/me/entry.sh");
        check("--dir=/workspace/repo", "--dir=/h/volumes/workspace/repo");
    }

    #[test]
    fn the_deepest_mount_wins() {
        check("/workspace/cache/x", "/h/volumes/cache/x");
    }

    #[test]
    fn other_text_stays() {
        check("/workspace2", "/workspace2");
        check("/etc/passwd", "/etc/passwd");
        check("/workspace/../etc/passwd", "/workspace/../etc/passwd");
        check("workspace/repo", "workspace/repo");
        check("cat /workspace/x", "cat /workspace/x");
        check("a=/workspace", "a=/workspace");
        check("", "");
    }
}
