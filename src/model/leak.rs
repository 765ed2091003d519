//! Words in a text that look like credentials: so that none of them is shown, and that a pasted one is
//! told of. Pure.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// Tokens by what their makers let them begin with, and private keys.
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    let forms = [
        r"gh[pousr]_[A-Za-z0-9]{8,}",
        r"github_pat_[A-Za-z0-9_]{8,}",
        r"gl(?:pat|rt|dt)-[A-Za-z0-9_-]{8,}",
        r"sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{16,}",
        r"xox[abprs]-[A-Za-z0-9-]{8,}",
        r"AKIA[0-9A-Z]{16}",
        r"AIza[0-9A-Za-z_-]{30,}",
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ];
    let key = r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)";
    compiled(&format!(r"(?-u:\b)(?:{})|{key}", forms.join("|")))
});

/// Credentials by where they stand in a URL: as a password or nameless user, and in its query.
static IN_URLS: LazyLock<Regex> = LazyLock::new(|| {
    let user = r#"[Hh][Tt]{2}[Pp][Ss]?://([^/?\#\s@"']+)@|://[^/?\#\s@"':]*:([^/?\#\s@"']+)@"#;
    let query =
        r#"(?i:[?&][a-z_-]*(?:token|key|secret|password|signature|sig|auth)=)([^&\#\s"']+)"#;
    compiled(&format!("{user}|{query}"))
});

/// Values in a line of YAML, by their keys.
static BY_KEY: LazyLock<Regex> = LazyLock::new(|| {
    let keys = r"(?:token|password|passwd|secret|api[_-]?key|private[_-]?key)";
    compiled(&format!(
        r#"(?i:{keys}["']?|[\s{{,"'](?:value)["']?)\s*[:=]\s*["']?([^\s,}}"'{{\[|>&*][^\s,}}"']*)"#
    ))
});

/// Shortest token that is told of: shorter ones are placeholders.
const MIN: usize = 20;
/// So many different characters a token has at least; `ghp_xxxxxxxx` has fewer.
const MIN_DIFFERENT: usize = 8;

/// Where `text` has tokens and credentials of URLs.
pub fn find(text: &str) -> Vec<Range<usize>> {
    let tokens = TOKENS.find_iter(text).map(|it| it.range());
    let mut found: Vec<_> = tokens.chain(groups(&IN_URLS, text)).collect();
    found.sort_by_key(|it| it.start);
    found
}

/// Whether a token or private key was pasted into `text`, and is no placeholder.
pub fn is_pasted(text: &str) -> bool {
    TOKENS.find_iter(text).any(|it| {
        let mut characters: Vec<char> = it.as_str().chars().collect();
        characters.sort_unstable();
        characters.dedup();
        it.len() >= MIN && characters.len() >= MIN_DIFFERENT
    })
}

/// `text` with `*` for each character of what [`find`] finds.
pub fn masked(text: &str) -> String {
    starred(text, &find(text))
}

/// A line of a file, masked, and with it what stands at keys that hold credentials.
pub fn masked_line(line: &str) -> String {
    let line = masked(line);
    let by_key: Vec<_> = groups(&BY_KEY, &line).collect();
    starred(&line, &by_key)
}

fn groups(regex: &Regex, text: &str) -> impl Iterator<Item = Range<usize>> {
    let all = regex.captures_iter(text);
    all.filter_map(|it| it.iter().skip(1).flatten().next().map(|it| it.range()))
}

fn starred(text: &str, found: &[Range<usize>]) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for range in found.iter().filter(|it| !it.is_empty()) {
        // A later one may begin in an earlier one.
        let start = range.start.max(at);
        let end = range.end.max(start);
        clean.push_str(&text[at..start]);
        clean.extend(text[start..end].chars().map(|_| '*'));
        at = end;
    }
    clean.push_str(&text[at..]);
    clean
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that the tests try")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAT: &str = "ghp_0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R";

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(masked_line(line), expected);
    }

    #[test]
    fn lines_show_no_credentials() {
        check(
            "repo: https://bob:hunter2@host/a and https://b/c",
            "repo: https://***********@host/a and https://b/c",
        );
        check("repo: https://ghp_x@host/a", "repo: https://*****@host/a");
        check("ssh://git@host/a", "ssh://git@host/a");
        check("ssh://git:pw@host/a", "ssh://git:**@host/a");
        check("x: git@host:a", "x: git@host:a");
        check(
            "repo: \"https://github.com/a/b?ref=x&token=hunter2\"",
            "repo: \"https://github.com/a/b?ref=x&token=*******\"",
        );
        check(
            "credentials: {type: x, token: hunter2, secretRef: {name: mine}}",
            "credentials: {type: x, token: *******, secretRef: {name: mine}}",
        );
        check(
            "env: [{name: A, value: hunter2}]",
            "env: [{name: A, value: *******}]",
        );
        check("apiKey: 'hunter2'", "apiKey: '*******'");
        check("secretRef: {name: mine}", "secretRef: {name: mine}");
        check("prompt: say hello", "prompt: say hello");
        for token in tokens() {
            let line = format!("x: {token}");
            let stars = "*".repeat(token.chars().count());
            check(&line, &format!("x: {stars}"));
        }
    }

    fn tokens() -> Vec<String> {
        let tail = "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R";
        let mut all: Vec<String> = [
            "ghp_",
            "gho_",
            "github_pat_",
            "glpat-",
            "sk-ant-api03-",
            "sk-",
        ]
        .iter()
        .map(|start| format!("{start}{tail}"))
        .collect();
        all.push("AKIA0123456789ABCDEF".into());
        all.push(format!("eyJhbGciOiJ9x.eyJzdWIiOiIx.{tail}"));
        all.push(
            "-----BEGIN OPENSSH PRIVATE KEY-----abcdefgh-----END OPENSSH PRIVATE KEY-----".into(),
        );
        all
    }

    #[test]
    fn what_is_pasted_is_known_from_placeholders() {
        for token in tokens() {
            assert!(is_pasted(&format!("use {token} here")), "{token}");
        }
        for harmless in [
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "ghp_short",
            "task-0a1b2c3d4e5f6g7h8i9j0k1l2m3n",
            "https://bob:pw@host/a",
            "",
        ] {
            assert!(!is_pasted(harmless), "{harmless}");
        }
    }

    proptest! {
        #[test]
        fn a_token_survives_nowhere(before in ".{0,20}", after in "[ \"',}].{0,20}") {
            let line = format!("{before} {PAT}{after}");
            prop_assert!(!masked_line(&line).contains(PAT));
            prop_assert_eq!(masked_line(&line).chars().count(), line.chars().count());
        }
    }
}
