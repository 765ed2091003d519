//! Patterns of paths: where to begin looking, and what matches.

use globset::GlobBuilder;
use globset::GlobMatcher;

use super::Error;
use super::error::Cause;
use crate::model::RepoPath;

/// Longest pattern.
const MAX: usize = 512;
/// Characters that make a part of a path a pattern.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

/// A pattern of paths inside a repository. `*` does not match `/`, `**` does.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) text: String,
    /// The directories before the first part that is a pattern, from the top of the repository.
    base: Vec<String>,
    /// Where the pattern begins: the path of the including file without its name.
    folder: String,
    matcher: GlobMatcher,
}

impl Pattern {
    /// A pattern of the file `root`: it begins at that file's directory.
    pub(super) fn parse(text: &str, root: &RepoPath) -> Result<Self, Error> {
        let parts = || text.split('/');
        let refused = if text.starts_with('/') {
            Some("an absolute path")
        } else if parts().any(|part| part == "..") {
            Some("outside the repository")
        } else if parts().any(is_git_dir) {
            Some("inside \".git\"")
        } else {
            None
        };
        if let Some(what) = refused {
            return Err(Error::refused(
                text.chars().take(MAX).collect::<String>(),
                what,
            ));
        }
        let invalid = |cause: String| Error::InvalidPattern {
            pattern: text.chars().take(MAX).collect(),
            source: Cause::new(cause),
        };
        if text.len() > MAX || parts().any(|part| matches!(part, "" | ".")) {
            return Err(invalid(
                "expected a relative path such as \"agents/*.yaml\"".into(),
            ));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .build();
        let glob = glob.map_err(|error| invalid(error.kind().to_string()))?;
        let mut plain: Vec<&str> = parts().take_while(|part| !part.contains(SPECIAL)).collect();
        if plain.len() == parts().count() {
            plain.pop();
        }
        let folder = root.folder();
        let base = parts_of(folder);
        Ok(Self {
            text: text.to_owned(),
            base: base.chain(plain).map(str::to_owned).collect(),
            folder: folder.to_owned(),
            matcher: glob.compile_matcher(),
        })
    }

    /// The same with upper and lower case being one.
    pub(super) fn in_any_case(&self) -> Option<Self> {
        let glob = GlobBuilder::new(&self.text)
            .literal_separator(true)
            .backslash_escape(true)
            .case_insensitive(true)
            .build();
        Some(Self {
            text: self.text.clone(),
            base: parts_of(&self.folder).map(str::to_owned).collect(),
            folder: self.folder.clone(),
            matcher: glob.ok()?.compile_matcher(),
        })
    }

    /// A path as patterns of this file would write it.
    pub(super) fn written(&self, path: &RepoPath) -> String {
        let path = path.as_str();
        let inside = path.strip_prefix(self.folder.as_str());
        inside.unwrap_or(path).trim_start_matches('/').to_owned()
    }

    /// The directories to go through, one after the other, before anything can match.
    pub(super) fn base(&self) -> &[String] {
        &self.base
    }

    pub(super) fn matches(&self, path: &RepoPath) -> bool {
        let below = path.as_str().strip_prefix(&self.folder);
        below.is_some_and(|it| self.matcher.is_match(it.trim_start_matches('/')))
    }

    /// How many names a matching path has at most; nothing if there is no such bound.
    pub(super) fn depth(&self) -> Option<usize> {
        (!self.text.contains("**") && !self.text.contains('{'))
            .then(|| parts_of(&self.folder).count() + self.text.split('/').count())
    }
}

/// The names in the path of a directory; none for the top.
fn parts_of(folder: &str) -> impl Iterator<Item = &str> {
    folder.split('/').filter(|part| !part.is_empty())
}

/// Whether a name is that of git's own directory, also on file systems that ignore case.
pub(super) fn is_git_dir(name: &str) -> bool {
    name.eq_ignore_ascii_case(".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        let top = RepoPath::parse("axon.yaml").unwrap();
        let check = |pattern: &str, base: &[&str], yes: &[&str], no: &[&str]| {
            let pattern = Pattern::parse(pattern, &top).unwrap();
            assert_eq!(pattern.base(), base);
            for path in yes {
                assert!(pattern.matches(&RepoPath::parse(path).unwrap()), "{path}");
            }
            for path in no {
                assert!(!pattern.matches(&RepoPath::parse(path).unwrap()), "{path}");
            }
        };
        check(
            "agents/*.yaml",
            &["agents"],
            &["agents/a.yaml"],
            &["agents/x/a.yaml", "a.yaml", "agents/a.yml"],
        );
        check("**/*.yaml", &[], &["a.yaml", "x/y/a.yaml"], &["a.yml"]);
        check("a/b.yaml", &["a"], &["a/b.yaml"], &["a/b_yaml"]);
        check(
            "a/{b,c}/[x-z].yaml",
            &["a"],
            &["a/b/x.yaml", "a/c/z.yaml"],
            &["a/d/x.yaml"],
        );
    }

    #[test]
    fn a_pattern_begins_where_its_file_is() {
        let root = RepoPath::parse("deploy/axon.yaml").unwrap();
        let pattern = Pattern::parse("agents/*.yaml", &root).unwrap();
        assert_eq!(pattern.base(), ["deploy", "agents"]);
        assert_eq!(pattern.depth(), Some(3));
        let matches = |path: &str| pattern.matches(&RepoPath::parse(path).unwrap());
        assert!(matches("deploy/agents/a.yaml"));
        assert!(!matches("agents/a.yaml") && !matches("deploy/x/agents/a.yaml"));
    }

    #[test]
    fn refused() {
        let top = RepoPath::parse("axon.yaml").unwrap();
        for pattern in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            ".git/config",
            "a/.GIT/x",
        ] {
            assert!(
                matches!(
                    Pattern::parse(pattern, &top),
                    Err(Error::RefusedPath { .. })
                ),
                "{pattern}"
            );
        }
        for pattern in ["", "a//b", "./a", "a[", &"x".repeat(600)] {
            assert!(
                matches!(
                    Pattern::parse(pattern, &top),
                    Err(Error::InvalidPattern { .. })
                ),
                "{pattern}"
            );
        }
    }
}
