//! Replaces secret values in a stream of bytes, also where a value is split over two writes.

mod current;
mod forms;

pub(crate) use current::Current;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use forms::MIN_SECRET;

/// What stands in for a secret.
const MASK: &[u8] = b"***";

/// The values to look for; made once, shared by all streams.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// By their first two bytes; the longest first, so that the first match is the longest.
    patterns: BTreeMap<u16, Vec<Vec<u8>>>,
    heads: Heads,
    longest: usize,
}

/// Whether some pattern begins with these two bytes, one bit for each pair: nearly every place of a
/// text is dismissed by this alone.
#[derive(Debug)]
struct Heads(Box<[u64; 1 << 10]>);

impl Default for Heads {
    fn default() -> Self {
        Self(Box::new([0; 1 << 10]))
    }
}

impl Heads {
    fn add(&mut self, head: u16) {
        self.0[usize::from(head >> 6)] |= 1 << (head & 63);
    }

    fn has(&self, head: u16) -> bool {
        self.0[usize::from(head >> 6)] & (1 << (head & 63)) != 0
    }
}

impl Secrets {
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let forms: BTreeSet<_> = values.into_iter().flat_map(forms::of).collect();
        let mut secrets = Self::default();
        for form in forms {
            let head = head(&form);
            secrets.heads.add(head);
            secrets.longest = secrets.longest.max(form.len());
            secrets.patterns.entry(head).or_default().push(form);
        }
        for patterns in secrets.patterns.values_mut() {
            patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.len()));
        }
        secrets
    }

    /// A whole text with its secrets masked.
    pub(crate) fn mask(self: &Arc<Self>, text: &str) -> String {
        let mut masker = Masker::new(Arc::clone(self));
        let mut out = Vec::with_capacity(text.len());
        masker.push(text.as_bytes(), &mut out);
        masker.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The patterns that begin as `rest` does, which has two bytes at least.
    fn beginning(&self, rest: &[u8]) -> &[Vec<u8>] {
        let head = head(rest);
        if !self.heads.has(head) {
            return &[];
        }
        self.patterns.get(&head).map_or(&[], Vec::as_slice)
    }

    fn match_at(&self, rest: &[u8]) -> Option<usize> {
        let mut patterns = self.beginning(rest).iter();
        let found = patterns.find(|pattern| rest.starts_with(pattern));
        found.map(Vec::len)
    }

    /// Where the end of `bytes` could be the beginning of a secret; its length if nowhere.
    fn possible_begin(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |at: &usize| match &bytes[*at..] {
            [only] => self
                .patterns
                .keys()
                .any(|head| head.to_be_bytes()[0] == *only),
            rest => self
                .beginning(rest)
                .iter()
                .any(|pattern| pattern.len() > rest.len() && pattern.starts_with(rest)),
        };
        (first..bytes.len()).find(begins).unwrap_or(bytes.len())
    }
}

/// Masks one stream.
#[derive(Debug)]
pub(crate) struct Masker {
    secrets: Arc<Secrets>,
    /// The end of what came so far, while it may be the beginning of a secret.
    held: Vec<u8>,
    /// How much of `held` is already masked, as part of a secret that began before it.
    masked: usize,
}

impl Masker {
    pub(crate) fn new(secrets: Arc<Secrets>) -> Self {
        Self {
            secrets,
            held: Vec::new(),
            masked: 0,
        }
    }

    /// From here on these secrets are masked.
    pub(crate) fn renew(&mut self, secrets: Arc<Secrets>) {
        self.secrets = secrets;
    }

    /// Takes what came and gives what may be shown.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.secrets.patterns.is_empty() && self.held.is_empty() {
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
        // `until` leaves out a last byte that could begin a secret: one without a second is harmless.
        for (at, pair) in bytes.windows(2).enumerate().take(until) {
            if !self.secrets.heads.has(head(pair)) {
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

/// The first two bytes as a number.
fn head(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secrets: &[&str], chunks: &[&str]) -> String {
        let secrets = Secrets::new(secrets.iter().map(|it| it.as_bytes()));
        let mut masker = Masker::new(Arc::new(secrets));
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

    #[test]
    fn a_private_key_in_all_its_forms() {
        let lines = [
            "-----BEGIN KEY-----",
            "b3BlbnNzaC1r/ZXktdjE+AAAA",
            "Zz09<&>ü",
            "-----END KEY-----",
        ];
        let key = lines.join("\n") + "\n";
        let pieces = [
            key.clone(),
            key.replace('\n', "\r\n"),
            serde_json::Value::from(key.as_str()).to_string(),
            serde_json::json!([serde_json::json!({"key": key}).to_string()]).to_string(),
            lines[1].replace('/', "\\/"),
            lines[2]
                .replace('<', "\\u003c")
                .replace('>', "\\u003e")
                .replace('&', "\\u0026"),
            lines[2].replace('ü', "\\u00fc"),
            lines[1].replace('/', "%2F").replace('+', "%2B"),
        ];
        for piece in pieces {
            let shown = masked(&[&key], &["> ", &piece, " <"]);
            let words = ["BEGIN", "b3Blb", "Zz09", "END"];
            assert!(
                words.iter().all(|word| !shown.contains(word)),
                "{piece:?}: {shown}"
            );
            assert!(shown.starts_with("> ") && shown.ends_with(" <"), "{shown}");
        }
    }

    #[test]
    fn base64_within_other_text_and_in_lines() {
        let secret = (0..40).fold(String::new(), |text, n| text + &format!("se{n}cret."));
        let encoded = |text: &str| {
            let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let mut bits = text
                .bytes()
                .flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1))
                .peekable();
            let mut out = String::new();
            while bits.peek().is_some() {
                let number = (0..6).fold(0, |sum, _| sum << 1 | bits.next().unwrap_or(0));
                out.push(char::from(digits[usize::from(number)]));
            }
            out
        };
        for before in ["", "u", "me", "bob", "user:"] {
            let text = encoded(&format!("{before}{secret}"));
            let shown = masked(&[&secret], &["{", &text, "}"]);
            assert!(
                shown.contains("***") && shown.len() < 22,
                "{before}: {shown}"
            );
        }
        for width in [76, 64] {
            let text = encoded(&secret).into_bytes();
            let lines: Vec<_> = text.chunks(width).map(String::from_utf8_lossy).collect();
            let shown = masked(&[&secret], &[&lines.join("\n")]);
            assert!(shown.len() < 6 * lines.len(), "{shown}");
        }
    }

    #[test]
    fn secrets_that_change_within_a_stream() {
        let secrets = |value: &str| Arc::new(Secrets::new([value.as_bytes()]));
        let (mut masker, mut out) = (Masker::new(Arc::default()), Vec::new());
        masker.push(b"first sec", &mut out);
        masker.renew(secrets("first"));
        masker.push(b"first fir", &mut out);
        masker.renew(secrets("second"));
        masker.push(b"st second se", &mut out);
        masker.renew(Arc::default());
        masker.push(b"cond", &mut out);
        masker.finish(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "first sec*** first *** second"
        );
    }

    #[test]
    fn no_secret_survives_any_chunks() {
        let secrets = [
            "hunter2secret",
            "a\"b\\c/d e\nsecond line of it",
            "päss-wörd",
            "aaaaab",
        ];
        let set = Arc::new(Secrets::new(secrets.iter().map(|it| it.as_bytes())));
        let mut dice = 7_u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from((dice >> 33) % sides).unwrap()
        };
        for _ in 0..500 {
            let mut text = String::new();
            for _ in 0..roll(12) {
                text += ["aaa", " ", "hunter", "\n", "second", "\"", "\\n"][roll(7)];
                let forms = forms::of(secrets[roll(4)].as_bytes());
                let form = forms.iter().nth(roll(forms.len() as u64)).unwrap();
                text += std::str::from_utf8(form).unwrap();
            }
            let (mut masker, mut out) = (Masker::new(Arc::clone(&set)), Vec::new());
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(roll(30).min(rest.len()));
                masker.push(chunk, &mut out);
                rest = after;
            }
            masker.finish(&mut out);
            let shown = String::from_utf8_lossy(&out);
            for secret in secrets.iter().flat_map(|it| forms::of(it.as_bytes())) {
                let secret = String::from_utf8(secret).unwrap();
                assert!(
                    !shown.contains(&secret),
                    "{secret:?} in {shown:?} of {text:?}"
                );
            }
        }
    }
}
