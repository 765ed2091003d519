//! Where an object is declared, and the id that ties it to there.

use std::fmt;

use super::digest::Digest;
use super::names::MAX_LABEL;
use super::names::SyncId;
use super::names::sanitised;
use super::object::Key;
use super::snapshot::RepoPath;
use super::snapshot::Source;

/// The file that declares objects: the canonical source and the path of its `axon.yaml`. No commit and
/// no line, which would rewrite every object at every commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Home {
    source: String,
    path: RepoPath,
}

impl Home {
    pub fn new(source: &Source, path: &RepoPath) -> Self {
        Self {
            source: source.canonical.clone(),
            path: path.clone(),
        }
    }

    /// The canonical form of the source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Path of the root file.
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// The id of a sync whose Config names none: the repository's name and a hash of source and path.
    pub fn sync_id(&self) -> SyncId {
        const HASH: usize = 8;
        let hash = Digest::of_fields([self.source.as_bytes(), self.path.as_str().as_bytes()]);
        let name = self.source.rsplit('/').next().unwrap_or_default();
        let mut stem = sanitised(name);
        stem.truncate(MAX_LABEL - HASH - 1);
        let stem = stem.trim_matches('-');
        let id = if stem.is_empty() {
            hash.short(HASH)
        } else {
            format!("{stem}-{}", hash.short(HASH))
        };
        SyncId::parse(&id).expect("a sanitised stem and a hexadecimal hash make a name")
    }

    /// The annotation `axon.io/origin` of an object that this file declares.
    pub fn origin(&self, key: &Key) -> Origin {
        Origin(format!("{self}#{key}"))
    }
}

impl fmt::Display for Home {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}#{}", self.source, self.path)
    }
}

/// The annotation `axon.io/origin`: `<source>#<path>#<Kind>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// As read from an annotation. Any text is taken: it is only ever compared.
    pub fn from_annotation(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the origin of `key`, and not one that came along with a copy.
    pub fn names(&self, key: &Key) -> bool {
        self.0
            .rsplit_once('#')
            .is_some_and(|(_, own)| own == key.to_string())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::ObjectName;
    use crate::model::object::Kind;

    fn home(canonical: &str, path: &str) -> Home {
        let source = Source {
            canonical: canonical.into(),
            url: None,
        };
        Home::new(&source, &RepoPath::parse(path).unwrap())
    }

    #[test]
    fn an_id_is_the_repository_and_a_hash_of_source_and_path() {
        let id = |canonical: &str, path: &str| home(canonical, path).sync_id();
        let app = id("github.com/acme/app", "axon.yaml");
        assert!(app.as_str().starts_with("app-"), "{app}");
        assert_eq!(app, id("github.com/acme/app", "axon.yaml"));
        assert_ne!(app, id("github.com/other/app", "axon.yaml"));
        assert_ne!(app, id("github.com/acme/app", "ci/axon.yaml"));
        for odd in ["", "github.com/acme/Ünï", "x/---", &"y".repeat(300), "a/.b"] {
            id(odd, "axon.yaml");
        }
    }

    #[test]
    fn a_copy_has_the_origin_of_another() {
        let key = |name: &str| Key {
            kind: Kind::Task,
            name: ObjectName::parse(name).unwrap(),
        };
        let origin = home("github.com/acme/app", "odd#name.yaml").origin(&key("a"));
        assert_eq!(origin.as_str(), "github.com/acme/app#odd#name.yaml#Task/a");
        assert!(origin.names(&key("a")));
        assert!(!origin.names(&key("b")));
        assert!(!Origin::from_annotation("rubbish").names(&key("a")));
    }
}
