//! Replaces secret values in a stream of bytes, also where a value is split over two writes.

use std::collections::BTreeSet;

/// What stands in for a secret.
const MASK: &[u8] = b"***";
/// Values shorter than this are not masked: they would blot out ordinary text.
const MIN_SECRET: usize = 4;
/// Shorter lines of a value of many lines are not looked for by themselves (`-----`, a brace).
const MIN_SECRET_LINE: usize = 8;

/// The values to look for; made once, shared by all streams.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// Longest first, so that the first match is the longest.
    patterns: Vec<Vec<u8>>,
    /// Whether some pattern begins with these two bytes, one bit for each pair.
    heads: Vec<u64>,
    longest: usize,
}

impl Secrets {
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut forms = BTreeSet::new();
        for value in values {
            let value = value.trim_ascii();
            forms.extend(forms_of(value));
            let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            forms.extend(
                lines
                    .filter(|line| line.len() >= MIN_SECRET_LINE)
                    .map(<[u8]>::to_vec),
            );
        }
        let mut patterns: Vec<_> = forms
            .into_iter()
            .filter(|form| form.len() >= MIN_SECRET)
            .collect();
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.len()));
        let mut heads = vec![
            0;
            if patterns.is_empty() {
                0
            } else {
                (1 << 16) / 64
            }
        ];
        for pattern in &patterns {
            let head = head(pattern[0], pattern[1]);
            heads[head / 64] |= 1 << (head % 64);
        }
        Self {
            longest: patterns.first().map_or(0, Vec::len),
            heads,
            patterns,
        }
    }

    /// A whole text with its secrets masked.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut masker = Masker::new(self);
        let mut out = Vec::with_capacity(text.len());
        masker.push(text.as_bytes(), &mut out);
        masker.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn may_begin(&self, rest: &[u8]) -> bool {
        let head = head(rest[0], rest[1]);
        self.heads[head / 64] & (1 << (head % 64)) != 0
    }

    fn match_at(&self, rest: &[u8]) -> Option<usize> {
        let found = self
            .patterns
            .iter()
            .find(|pattern| rest.starts_with(pattern));
        found.map(Vec::len)
    }

    /// Where the end of `bytes` could be the beginning of a secret; its length if nowhere.
    fn possible_begin(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |at: &usize| {
            let rest = &bytes[*at..];
            self.patterns
                .iter()
                .any(|pattern| pattern.len() > rest.len() && pattern.starts_with(rest))
        };
        (first..bytes.len()).find(begins).unwrap_or(bytes.len())
    }
}

/// Masks one stream.
#[derive(Debug)]
pub(crate) struct Masker<'s> {
    secrets: &'s Secrets,
    /// The end of what came so far, while it may be the beginning of a secret.
    held: Vec<u8>,
    /// How much of `held` is already masked, as part of a secret that began before it.
    masked: usize,
}

impl<'s> Masker<'s> {
    pub(crate) fn new(secrets: &'s Secrets) -> Self {
        Self {
            secrets,
            held: Vec::new(),
            masked: 0,
        }
    }

    /// Takes what came and gives what may be shown.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.secrets.patterns.is_empty() {
            out.extend_from_slice(bytes);
            return;
        }
        self.held.extend_from_slice(bytes);
        let until = self.secrets.possible_begin(&self.held);
        self.release(until, out);
    }

    /// The stream has ended. What it holds of a secret that was cut off stays hidden.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let open = self.masked.min(self.held.len());
        let rest = &self.held[open..];
        if rest.len() >= MIN_SECRET {
            out.extend_from_slice(MASK);
        } else {
            out.extend_from_slice(rest);
        }
        self.held.clear();
        self.masked = 0;
    }

    /// Gives out what stands before `until`.
    fn release(&mut self, until: usize, out: &mut Vec<u8>) {
        let bytes = &self.held;
        // Secrets may overlap: all that any of them covers is masked.
        let mut covered = self.masked;
        for at in 0..until {
            // `until` leaves out a last byte that could begin a secret, so only a harmless one has no
            // second byte.
            if at + 1 >= bytes.len() || !self.secrets.may_begin(&bytes[at..]) {
                continue;
            }
            if let Some(length) = self.secrets.match_at(&bytes[at..]) {
                if at >= covered {
                    out.extend_from_slice(&bytes[covered..at]);
                    out.extend_from_slice(MASK);
                }
                covered = covered.max(at + length);
            }
        }
        if covered < until {
            out.extend_from_slice(&bytes[covered..until]);
        }
        self.masked = covered.saturating_sub(until);
        self.held.drain(..until);
    }
}

fn head(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// The value itself and the encodings in which programs print it.
fn forms_of(value: &[u8]) -> Vec<Vec<u8>> {
    // git sends a token as `user:token` in base64.
    let basic = [b"x-access-token:", value].concat();
    let mut forms = vec![value.to_vec(), percent(value)];
    for bytes in [value, &basic] {
        if bytes.len() >= MIN_SECRET {
            forms.push(base64(bytes, *b"+/"));
            forms.push(base64(bytes, *b"-_"));
        }
    }
    if let Ok(text) = std::str::from_utf8(value) {
        let quoted = serde_json::Value::from(text).to_string();
        forms.push(quoted.as_bytes()[1..quoted.len() - 1].to_vec());
    }
    forms
}

fn percent(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// Base64 without padding, and without a last digit that depends on what follows.
fn base64(value: &[u8], last_two: [u8; 2]) -> Vec<u8> {
    let digit = |n: u32| match (n & 63) as u8 {
        n @ 0..=25 => b'A' + n,
        n @ 26..=51 => b'a' + n - 26,
        n @ 52..=61 => b'0' + n - 52,
        n => last_two[usize::from(n - 62)],
    };
    let mut out = Vec::new();
    for chunk in value.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        out.extend((0..chunk.len() * 8 / 6).map(|n| digit(bits >> (18 - 6 * n))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secrets: &[&str], chunks: &[&str]) -> String {
        let secrets = Secrets::new(secrets.iter().map(|it| it.as_bytes()));
        let mut masker = Masker::new(&secrets);
        let mut out = Vec::new();
        for chunk in chunks {
            masker.push(chunk.as_bytes(), &mut out);
        }
        masker.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values() {
        let check = |secrets: &[&str], text: &str, expected: &str| {
            assert_eq!(masked(secrets, &[text]), expected);
        };
        check(&["hunter2"], "a hunter2 b hunter2", "a *** b ***");
        check(&["hunter2"], "hunter2hunter2", "******");
        check(&["hunter2"], "hunter hunter.", "hunter hunter.");
        check(&["abc"], "abc abc", "abc abc");
        check(&[], "abc", "abc");
        check(&["abcd", "abcdefgh"], "abcdefgh abcdef.", "*** ***ef.");
        check(&["abcd", "cdef"], "xabcdefx", "x***x");
        check(&["token\n"], "a token b", "a *** b");
        check(&["p@ss word"], "p%40ss%20word", "***");
        check(&["say \"hi\""], r#"{"a":"say \"hi\""}"#, r#"{"a":"***"}"#);
        check(
            &["first secret line\nsecond secret line\n"],
            "> second secret line",
            "> ***",
        );
    }

    #[test]
    fn encodings() {
        // Of "hunter22", in the two alphabets; and of "x-access-token:hunter22".
        assert_eq!(masked(&["hunter22"], &["aHVudGVyMjI="]), "***I=");
        assert_eq!(
            masked(&["???>>>>"], &["Pz8/Pj4+Pg==", " Pz8_Pj4-Pg"]),
            "***g== ***g"
        );
        assert_eq!(
            masked(&["hunter22"], &["eC1hY2Nlc3MtdG9rZW46aHVudGVyMjI="]),
            "***I="
        );
    }

    #[test]
    fn every_split_gives_the_same() {
        let secrets = ["hunter2", "ter2 and more", "aaab"];
        let text = "x hunter2 y hunter2 and more aaaaab hunt";
        let whole = masked(&secrets, &[text]);
        assert_eq!(whole, "x *** y *** aa*** ***");
        for first in 0..text.len() {
            for second in first..text.len() {
                let chunks = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(masked(&secrets, &chunks), whole, "{chunks:?}");
            }
        }
    }

    #[test]
    fn a_secret_that_is_cut_off_stays_hidden() {
        assert_eq!(masked(&["hunter2"], &["x hunter"]), "x ***");
        assert_eq!(masked(&["hunter2"], &["x hu"]), "x hu");
    }
}
