//! The kinds of problems that a configuration can have, by names that stay the same.

use std::fmt;

macro_rules! codes {
    ($($variant:ident $code:literal $summary:literal,)*) => {
        /// What kind of problem it is. `docs/axon-yaml.md` lists them all; a code never changes its
        /// meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $summary] $variant,)*
        }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it is printed: `unknown-key`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// What it says of a configuration, in a few words.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => $summary,)*
                }
            }
        }
    };
}

codes! {
    Unreadable "unreadable" "the files cannot be found or read",
    NotText "not-text" "a file is not UTF-8 text",
    InvalidYaml "invalid-yaml" "a file is not YAML",
    UnsupportedYaml "unsupported-yaml" "a part of YAML that readers take differently: tags, merge keys, keys that are no text",
    DuplicateKey "duplicate-key" "a key stands twice in one map",
    TooLarge "too-large" "a file, a document or the whole is larger, deeper or more than is read",
    RefusedKind "refused-kind" "a document is of a kind that a configuration cannot hold",
    SecondConfig "second-config" "the root file has more than one Config",
    RootOnly "root-only" "a key that only the root file can have",
    InvalidInclude "invalid-include" "an include pattern matches nothing, or is none",
    UnknownKey "unknown-key" "a key that means nothing here",
    MissingKey "missing-key" "a key that must be there is not",
    WrongType "wrong-type" "a value is of another type than expected",
    UnknownValue "unknown-value" "a value is none of those that are known here",
    OutOfRange "out-of-range" "a number is too small or large, a text or a list too short or long",
    InvalidName "invalid-name" "a text cannot be a name",
    InvalidLabel "invalid-label" "the key or the value of a label or annotation has characters that none can have",
    ReservedKey "reserved-key" "a label or annotation that Axon sets",
    InvalidSchedule "invalid-schedule" "a cron schedule or its time zone cannot be read, or never comes",
    InvalidDuration "invalid-duration" "a duration cannot be read",
    InvalidUrl "invalid-url" "a repository URL cannot be used",
    InvalidTemplate "invalid-template" "a template cannot be read",
    InvalidValue "invalid-value" "a value that cannot be used",
    InvalidQuantity "invalid-quantity" "an amount of a resource cannot be read",
    Incomplete "incomplete" "a field is missing that others need, or that defaults could set",
    ExclusiveKeys "exclusive-keys" "two keys that exclude each other",
    DuplicateObject "duplicate-object" "an object is declared twice",
    DuplicateRerun "duplicate-rerun" "the number of a re-run is set twice",
    NamespaceMismatch "namespace-mismatch" "two namespaces in one configuration",
    UnknownWorkspace "unknown-workspace" "a workspace that is not declared here: the cluster must have it",
    UnknownTask "unknown-task" "a task that is not declared here: the cluster must have it",
    DependencyCycle "dependency-cycle" "tasks wait for each other",
    UndefinedVariable "undefined-variable" "a fleet's template names a variable that is not in forEach",
    UnusedVariable "unused-variable" "a list in forEach makes only copies",
    NameCollision "name-collision" "two values of a fleet give one name",
    ClusterField "cluster-field" "a field that the cluster sets is left out",
    DuplicateVariable "duplicate-variable" "an environment variable is set twice",
    PastedSecret "pasted-secret" "a value looks like a token or a private key: secrets are referenced, never committed",
    NotShown "not-shown" "more problems than are shown",
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Code;

    #[test]
    fn no_code_stands_for_two() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
    }

    #[test]
    fn the_documentation_lists_each() {
        let page = include_str!("../../docs/axon-yaml.md");
        for code in Code::ALL {
            let row = format!("| `{code}` | {} |", code.summary());
            assert!(page.contains(&row), "docs/axon-yaml.md lacks {row}");
        }
    }
}
