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
    /// The directories before the first part that is a pattern.
    base: Vec<String>,
    matcher: GlobMatcher,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
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
            source: Cause(cause),
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
        let plain = parts().take_while(|part| !part.contains(SPECIAL));
        let mut base: Vec<String> = plain.map(str::to_owned).collect();
        if base.len() == parts().count() {
            base.pop();
        }
        Ok(Self {
            text: text.to_owned(),
            base,
            matcher: glob.compile_matcher(),
        })
    }

    /// The directories to go through, one after the other, before anything can match.
    pub(super) fn base(&self) -> &[String] {
        &self.base
    }

    pub(super) fn matches(&self, path: &RepoPath) -> bool {
        self.matcher.is_match(path.as_str())
    }

    /// Whether paths may match at any depth below the base.
    pub(super) fn depth(&self) -> Option<usize> {
        (!self.text.contains("**") && !self.text.contains('{'))
            .then(|| self.text.split('/').count())
    }
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
        let check = |pattern: &str, base: &[&str], yes: &[&str], no: &[&str]| {
            let pattern = Pattern::parse(pattern).unwrap();
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
    fn refused() {
        for pattern in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            ".git/config",
            "a/.GIT/x",
        ] {
            assert!(
                matches!(Pattern::parse(pattern), Err(Error::RefusedPath { .. })),
                "{pattern}"
            );
        }
        for pattern in ["", "a//b", "./a", "a[", &"x".repeat(600)] {
            assert!(
                matches!(Pattern::parse(pattern), Err(Error::InvalidPattern { .. })),
                "{pattern}"
            );
        }
    }
}
