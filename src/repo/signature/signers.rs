//! Whose signatures count: OpenSSH's file of allowed signers.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::key::PublicKey;
use super::wire::KeyBlob;

/// Largest file, as much as a Secret holds.
const MAX: usize = 1 << 20;
/// Most signers.
const MAX_SIGNERS: usize = 10_000;
/// The namespace that git signs in.
pub(super) const NAMESPACE: &str = "git";

/// Whose signatures count.
///
/// Each line names principals, options (`namespaces="git"`, `valid-after="…"`, `valid-before="…"`), the
/// type of a key, the key, and anything after it. Times without `Z` are UTC, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSigners(Vec<Entry>);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) principals: String,
    pub(super) blob: KeyBlob,
    pub(super) key: PublicKey,
    /// Patterns; any namespace, if there are none.
    namespaces: Option<Vec<String>>,
    pub(super) valid_after: Option<Timestamp>,
    pub(super) valid_before: Option<Timestamp>,
}

/// Why a text is not a list of allowed signers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigners {
    #[error("line {line} of the allowed signers: {what}")]
    Line { line: usize, what: String },
    #[error("the list of allowed signers names nobody")]
    Empty,
    #[error(
        "the list of allowed signers is larger than {MAX} bytes, or has more than {MAX_SIGNERS} lines"
    )]
    TooMany,
}

impl AllowedSigners {
    pub fn parse(text: &str) -> Result<Self, InvalidSigners> {
        if text.len() > MAX {
            return Err(InvalidSigners::TooMany);
        }
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let entries = lines.map(|(at, line)| {
            entry(line).map_err(|what| InvalidSigners::Line { line: at + 1, what })
        });
        let entries: Vec<_> = entries.take(MAX_SIGNERS + 1).collect::<Result<_, _>>()?;
        match entries.len() {
            0 => Err(InvalidSigners::Empty),
            count if count > MAX_SIGNERS => Err(InvalidSigners::TooMany),
            _ => Ok(Self(entries)),
        }
    }

    /// The lines that name a key.
    pub(super) fn with_key<'s>(&'s self, blob: &KeyBlob) -> impl Iterator<Item = &'s Entry> {
        self.0.iter().filter(move |entry| entry.blob == *blob)
    }
}

impl Entry {
    /// Whether it counts for commits.
    pub(super) fn is_for_git(&self) -> bool {
        let namespaces = self.namespaces.as_ref();
        namespaces.is_none_or(|it| it.iter().any(|pattern| matches(pattern, NAMESPACE)))
    }
}

fn entry(line: &str) -> Result<Entry, String> {
    let (principals, rest) = word(line);
    let (mut next, mut rest) = word(rest);
    let mut entry = Entry {
        principals: principals.trim_matches('"').to_owned(),
        blob: KeyBlob(Vec::new()),
        key: PublicKey::Ed25519(Vec::new()),
        namespaces: None,
        valid_after: None,
        valid_before: None,
    };
    if !next.is_empty() && !is_key_type(next) {
        for option in split(next, ',') {
            set(&mut entry, option)?;
        }
        (next, rest) = word(rest);
    }
    let (base64, _comment) = word(rest);
    if entry.principals.is_empty() || next.is_empty() || base64.is_empty() {
        return Err("expected principals, the type of a key, and the key".into());
    }
    let blob = KeyBlob::parse(base64).ok_or("this is not a public key")?;
    entry.key = PublicKey::parse(&blob).map_err(|error| error.to_string())?;
    let kind = super::wire::Reader(&blob.0).string();
    if kind != Some(next.as_bytes()) {
        return Err(format!("the key is not of the type \"{next}\""));
    }
    entry.blob = blob;
    Ok(entry)
}

fn set(entry: &mut Entry, option: &str) -> Result<(), String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let value = value.trim_matches('"');
    match name.to_ascii_lowercase().as_str() {
        "namespaces" => {
            let patterns = value.split(',').map(str::to_owned).collect();
            entry.namespaces = Some(patterns);
        }
        "valid-after" => entry.valid_after = Some(time(value)?),
        "valid-before" => entry.valid_before = Some(time(value)?),
        "cert-authority" => {
            return Err(
                "certificate authorities are not supported: name the keys themselves".into(),
            );
        }
        _ => {
            let shown: String = name.chars().take(40).collect();
            return Err(format!(
                "\"{shown}\" is neither an option nor the type of a key"
            ));
        }
    }
    Ok(())
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"]
        .iter()
        .any(|prefix| word.starts_with(prefix))
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with or without `Z`.
fn time(text: &str) -> Result<Timestamp, String> {
    let invalid = || "a time must be such as \"20270131\" or \"20270131235959Z\"".to_owned();
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    if !matches!(digits.len(), 8 | 12 | 14) {
        return Err(invalid());
    }
    let at = DateTime::strptime("%Y%m%d%H%M%S", format!("{digits:0<14}"));
    let at = at.map_err(|_| invalid())?;
    let at = at.to_zoned(TimeZone::UTC).map_err(|_| invalid())?;
    Ok(at.timestamp())
}

/// The first word and what follows it. Quotes keep spaces together.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let mut quoted = false;
    let end = text.find(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    });
    text.split_at(end.unwrap_or(text.len()))
}

/// The parts between separators that stand outside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// Whether a pattern with `*` and `?` covers a name.
fn matches(pattern: &str, name: &str) -> bool {
    let glob = globset::Glob::new(pattern);
    let plain = pattern
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '*' | '?' | '-' | '_' | '.' | '@'));
    plain && glob.is_ok_and(|glob| glob.compile_matcher().is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

    #[test]
    fn lines() {
        let check = |line: &str, principals: &str, git: bool, times: [Option<&str>; 2]| {
            let AllowedSigners(entries) = AllowedSigners::parse(line).unwrap();
            let [entry] = entries.as_slice() else {
                panic!("{entries:?}");
            };
            assert_eq!(
                (entry.principals.as_str(), entry.is_for_git()),
                (principals, git)
            );
            let told =
                [entry.valid_after, entry.valid_before].map(|it| it.map(|it| it.to_string()));
            assert_eq!(told.each_ref().map(Option::as_deref), times, "{line}");
        };
        check(&format!("bob@x {KEY}"), "bob@x", true, [None, None]);
        check(
            &format!("# c\n\n  bob,*@x\t{KEY} bob's key\n"),
            "bob,*@x",
            true,
            [None, None],
        );
        check(&format!("\"bob b\" {KEY}"), "bob b", true, [None, None]);
        check(
            &format!("bob namespaces=\"git\" {KEY}"),
            "bob",
            true,
            [None, None],
        );
        check(
            &format!("bob namespaces=\"file,g*\" {KEY}"),
            "bob",
            true,
            [None, None],
        );
        check(
            &format!("bob namespaces=\"file\" {KEY}"),
            "bob",
            false,
            [None, None],
        );
        check(
            &format!(
                "bob namespaces=\"git\",valid-after=\"20260102\",valid-before=\"202601031530Z\" {KEY}"
            ),
            "bob",
            true,
            [Some("2026-01-02T00:00:00Z"), Some("2026-01-03T15:30:00Z")],
        );
    }

    #[test]
    fn refused() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                AllowedSigners::parse(text).unwrap_err().to_string(),
                expected
            );
        };
        check("# nobody", "the list of allowed signers names nobody");
        check(
            &format!("\nbob cert-authority {KEY}"),
            "line 2 of the allowed signers: certificate authorities are not supported: name the keys themselves",
        );
        check(
            &format!("bob valid-before=tomorrow {KEY}"),
            "line 1 of the allowed signers: a time must be such as \"20270131\" or \"20270131235959Z\"",
        );
        check(
            "bob",
            "line 1 of the allowed signers: expected principals, the type of a key, and the key",
        );
        check(
            "bob ssh-ed25519 !",
            "line 1 of the allowed signers: this is not a public key",
        );
        check(
            &format!("bob verify-required {KEY}"),
            "line 1 of the allowed signers: \"verify-required\" is neither an option nor the type of a key",
        );
        check(
            &format!("bob {}", KEY.replace("ssh-ed25519", "ssh-rsa")),
            "line 1 of the allowed signers: the key is not of the type \"ssh-rsa\"",
        );
        check(
            "bob sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAAA==",
            "line 1 of the allowed signers: a key of type \"sk-ssh-ed25519@openssh.com\" cannot be checked: use ed25519, ecdsa (P-256, P-384) or rsa",
        );
        assert_eq!(
            AllowedSigners::parse(&"#".repeat(MAX + 1)),
            Err(InvalidSigners::TooMany)
        );
    }

    #[test]
    fn a_line_that_ends_in_the_middle_of_a_quote() {
        assert!(AllowedSigners::parse("bob namespaces=\"git ssh-ed25519 AAAA").is_err());
        assert!(AllowedSigners::parse(&format!("bob namespaces=\"!git\" {KEY}")).is_ok());
    }
}
