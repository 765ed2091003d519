//! What a stream of output tells: lines between the markers, and URLs of pull requests.
//!
//! It is given masked output. Everything is bounded: an agent can print anything.

use std::collections::BTreeSet;

/// Begins a block of output lines; stands alone on its line.
const START: &[u8] = b"---AXON_OUTPUTS_START---";
/// Ends it.
const END: &[u8] = b"---AXON_OUTPUTS_END---";
/// Longest output line; the rest of a longer one is dropped.
const MAX_LINE: usize = 1024;
/// Most output lines: more than a report can hold.
const MAX_LINES: usize = 512;
/// Most pull requests: as many fill a report.
const MAX_URLS: usize = 64;
/// Longest URL of a pull request that is looked for.
const MAX_URL: usize = 512;

/// What was captured of all streams.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) lines: Vec<String>,
    pub(crate) pull_requests: BTreeSet<String>,
    /// Whether there were more than are kept.
    pub(crate) cut: bool,
}

/// Looks through one stream.
#[derive(Debug)]
pub(crate) struct Capture {
    /// Beginning of the line that has not ended yet.
    line: Vec<u8>,
    inside: bool,
    urls: Option<UrlSearch>,
}

impl Capture {
    /// `url_host`: the host whose pull requests are looked for.
    pub(crate) fn new(url_host: Option<&str>) -> Self {
        Self {
            line: Vec::new(),
            inside: false,
            urls: url_host.map(UrlSearch::new),
        }
    }

    /// Whether something came to `captured` that is worth telling at once.
    pub(crate) fn push(&mut self, bytes: &[u8], captured: &mut Captured) -> bool {
        let mut news = false;
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend_line(&rest[..end]);
            news |= self.end_line(captured);
            rest = &rest[end + 1..];
        }
        self.extend_line(rest);
        news | self
            .urls
            .as_mut()
            .is_some_and(|urls| urls.push(bytes, captured))
    }

    /// The stream has ended, perhaps in the middle of a line.
    pub(crate) fn finish(&mut self, captured: &mut Captured) {
        self.end_line(captured);
        if let Some(urls) = &mut self.urls {
            urls.push(b"\n", captured);
        }
    }

    fn extend_line(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    /// Takes the line; whether a block of outputs ended with it.
    fn end_line(&mut self, captured: &mut Captured) -> bool {
        let line = self.line.trim_ascii();
        let ends = self.inside && line == END;
        if ends {
            self.inside = false;
        } else if line == START {
            self.inside = true;
        } else if self.inside && !line.is_empty() {
            if captured.lines.len() < MAX_LINES {
                captured
                    .lines
                    .push(String::from_utf8_lossy(line).into_owned());
            } else {
                captured.cut = true;
            }
        }
        self.line.clear();
        ends
    }
}

/// Looks for `https://HOST/OWNER/NAME/pull/N`, whatever stands around it.
#[derive(Debug)]
struct UrlSearch {
    /// `://HOST/`.
    needle: Vec<u8>,
    /// The end of what came before, in which a URL may have begun.
    held: Vec<u8>,
}

impl UrlSearch {
    fn new(host: &str) -> Self {
        Self {
            needle: format!("://{host}/").into_bytes(),
            held: Vec::new(),
        }
    }

    fn push(&mut self, bytes: &[u8], captured: &mut Captured) -> bool {
        // Copied whole: a URL may begin in one chunk and end in the next.
        self.held.extend_from_slice(bytes);
        let before = captured.pull_requests.len();
        let mut from = 0;
        while let Some(colon) = self.held[from..].iter().position(|byte| *byte == b':') {
            let at = from + colon;
            from = at + 1;
            if self.held[at..].starts_with(&self.needle)
                && self.held[..at].ends_with(b"https")
                && let Some(length) = pull_request(&self.held[at + self.needle.len()..])
            {
                let url = &self.held[at - "https".len()..at + self.needle.len() + length];
                captured.add_url(&String::from_utf8_lossy(url));
            }
        }
        let keep = self.held.len().saturating_sub(MAX_URL);
        self.held.drain(..keep);
        captured.pull_requests.len() > before
    }
}

impl Captured {
    fn add_url(&mut self, url: &str) {
        if self.pull_requests.len() < MAX_URLS {
            self.pull_requests.insert(url.to_owned());
        } else if !self.pull_requests.contains(url) {
            self.cut = true;
        }
    }
}

/// Length of `OWNER/NAME/pull/N` at the beginning of `bytes`. The number must be followed by
/// something: only then it is whole.
fn pull_request(bytes: &[u8]) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(MAX_URL)];
    let mut parts = bytes.splitn(4, |byte| *byte == b'/');
    let (owner, name, pull, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let plain = |part: &[u8]| {
        !part.is_empty()
            && part
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    };
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let whole = digits > 0 && !rest[digits].is_ascii_alphanumeric();
    (plain(owner) && plain(name) && pull == b"pull" && whole)
        .then_some(owner.len() + name.len() + pull.len() + digits + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(text: &str, chunk: usize) -> Captured {
        let mut captured = Captured::default();
        let mut capture = Capture::new(Some("github.com"));
        for chunk in text.as_bytes().chunks(chunk) {
            capture.push(chunk, &mut captured);
        }
        capture.finish(&mut captured);
        captured
    }

    fn check(text: &str, lines: &[&str], urls: &[&str]) {
        for chunk in [1, 2, 7, 64, 1 << 20] {
            let captured = captured(text, chunk);
            assert_eq!(captured.lines, lines, "{chunk}");
            assert_eq!(
                captured.pull_requests,
                urls.iter().map(ToString::to_string).collect(),
                "{chunk}"
            );
        }
    }

    #[test]
    fn marked_lines() {
        check(
            "no\n---AXON_OUTPUTS_START---\r\nbranch: x\r\n\n  two \n---AXON_OUTPUTS_END---\nno\n---AXON_OUTPUTS_START---\nlast",
            &["branch: x", "two", "last"],
            &[],
        );
        check(
            "---AXON_OUTPUTS_END---\nx ---AXON_OUTPUTS_START---\nno\n",
            &[],
            &[],
        );
    }

    #[test]
    fn pull_requests() {
        check(
            "see https://github.com/a/b/pull/12, (https://github.com/a/b.c/pull/3) \"https://github.com/a/b/pull/12\" https://github.com/x/y/pull/4",
            &[],
            &[
                "https://github.com/a/b.c/pull/3",
                "https://github.com/a/b/pull/12",
                "https://github.com/x/y/pull/4",
            ],
        );
        check(
            "https://evil.com/a/b/pull/1 http://github.com/a/b/pull/1 https://github.com/a/b/pull/new/x https://github.com/a/pull/1 https://github.com/a/b/pull/1x https://github.com//b/pull/1 ",
            &[],
            &[],
        );
    }

    #[test]
    fn bounded() {
        let text = format!(
            "---AXON_OUTPUTS_START---\n{}\n{}",
            "x".repeat(100_000),
            "y\n".repeat(10_000)
        );
        let captured = captured(&text, 4096);
        assert_eq!(captured.lines[0].len(), MAX_LINE);
        assert!(captured.lines.len() == MAX_LINES && captured.cut);
    }
}
