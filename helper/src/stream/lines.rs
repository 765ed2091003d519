//! Cuts a stream into lines in bounded memory, whatever is printed.
//!
//! A line of JSON is thinned while it comes: strings that are too long lose their end. So a line
//! has no longest length: an agent's last event is understood even if it holds megabytes of text.

/// Most that is kept of one string, and of a line that is no JSON. Texts for people are shorter.
const MAX_STRING: usize = 32 * 1024;
/// Most that is kept of one line of JSON. Of what remains of it each string may take an eighth, so
/// that no few strings fill it,
const MAX_LINE: usize = 256 * 1024;
/// except for this much, which is for short strings: keys and types among them.
const FOR_SHORT: usize = 64 * 1024;
/// What every string may take.
const MIN_STRING: usize = 128;
/// Length of `\uXXXX`.
const ESCAPE: usize = 6;
/// Stands where something was left out.
const CUT: &[u8] = "…".as_bytes();

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'l> {
    /// Begins like an object.
    Json(&'l [u8]),
    Plain(&'l [u8]),
}

#[derive(Debug, Default)]
pub(super) struct Lines {
    /// What is kept of the line that has not ended.
    kept: Vec<u8>,
    at: At,
}

/// Where in a line the next byte stands.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Blank,
    Plain,
    /// In the rest of a line that is left out.
    LeftOut,
    /// In JSON, outside of strings.
    Between,
    /// In a string of which so much may still be kept.
    String(usize),
    /// In an escape, so many bytes before its end, or right before its kind if that is unknown.
    Escape {
        left: usize,
        need: Option<usize>,
    },
    /// In the rest of a string that is left out.
    Rest {
        escaped: bool,
    },
}

impl Lines {
    /// Takes what came and gives each line that ended with it.
    pub(super) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(Line<'_>)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.feed(&rest[..end]);
            self.end(&mut take);
            rest = &rest[end + 1..];
        }
        self.feed(rest);
    }

    /// The stream has ended, perhaps in the middle of a line.
    pub(super) fn finish(&mut self, mut take: impl FnMut(Line<'_>)) {
        self.end(&mut take);
    }

    fn end(&mut self, take: &mut impl FnMut(Line<'_>)) {
        while self.kept.last() == Some(&b'\r') {
            self.kept.pop();
        }
        match self.at {
            At::Blank | At::LeftOut => {}
            At::Plain => take(Line::Plain(&self.kept)),
            At::Between | At::String(_) | At::Escape { .. } | At::Rest { .. } => {
                take(Line::Json(&self.kept));
            }
        }
        self.kept.clear();
        self.at = At::Blank;
    }

    /// Takes bytes of one line.
    fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let [first, ..] = rest {
            let taken = match self.at {
                At::Blank => self.begin(*first),
                At::LeftOut => rest.len(),
                At::Plain => self.plain(rest),
                At::Between => self.between(rest),
                At::String(left) => self.string(rest, left),
                At::Escape { left, need } => self.escape(*first, left, need),
                At::Rest { escaped } => self.skip(rest, escaped),
            };
            rest = &rest[taken..];
        }
    }

    /// Gives how many bytes it took, as do the others.
    fn begin(&mut self, first: u8) -> usize {
        match first {
            b' ' | b'\t' | b'\r' => return 1,
            b'{' => self.at = At::Between,
            _ => self.at = At::Plain,
        }
        0
    }

    fn plain(&mut self, rest: &[u8]) -> usize {
        let length = rest.len().min(MAX_STRING.saturating_sub(self.kept.len()));
        self.kept.extend_from_slice(&rest[..length]);
        if length < rest.len() && self.kept.len() == MAX_STRING {
            self.kept.extend_from_slice(CUT);
        }
        if self.kept.len() >= MAX_STRING + CUT.len() {
            return rest.len();
        }
        length
    }

    fn between(&mut self, rest: &[u8]) -> usize {
        let quote = rest.iter().position(|byte| *byte == b'"');
        let length = quote.map_or(rest.len(), |at| at + 1);
        if self.kept.len() + length > MAX_LINE {
            self.kept.clear();
            self.at = At::LeftOut;
            return rest.len();
        }
        self.kept.extend_from_slice(&rest[..length]);
        if quote.is_some() {
            let room = (MAX_LINE - FOR_SHORT).saturating_sub(self.kept.len());
            self.at = At::String((room / 8).clamp(MIN_STRING, MAX_STRING));
        }
        length
    }

    fn string(&mut self, rest: &[u8], left: usize) -> usize {
        let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        let length = special.unwrap_or(rest.len());
        if length > left || length == left && rest.get(length) == Some(&b'\\') {
            self.kept.extend_from_slice(&rest[..left]);
            if ends_in_half_a_pair(&self.kept) {
                self.kept.truncate(self.kept.len() - ESCAPE);
            }
            self.kept.extend_from_slice(CUT);
            self.at = At::Rest { escaped: false };
            return left;
        }
        self.kept.extend_from_slice(&rest[..length]);
        let left = left - length;
        let Some(at) = special else {
            self.at = At::String(left);
            return length;
        };
        self.kept.push(rest[at]);
        self.at = if rest[at] == b'"' {
            At::Between
        } else {
            let left = left.saturating_sub(1);
            At::Escape { left, need: None }
        };
        length + 1
    }

    fn escape(&mut self, byte: u8, left: usize, need: Option<usize>) -> usize {
        self.kept.push(byte);
        let left = left.saturating_sub(1);
        let need = match need {
            None if byte == b'u' => 4,
            None => 0,
            Some(need) => need - 1,
        };
        if need > 0 {
            let need = Some(need);
            self.at = At::Escape { left, need };
            return 1;
        }
        self.at = At::String(left);
        1
    }

    fn skip(&mut self, rest: &[u8], escaped: bool) -> usize {
        if escaped {
            self.at = At::Rest { escaped: false };
            return 1;
        }
        match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            Some(at) if rest[at] == b'"' => {
                self.kept.push(b'"');
                self.at = At::Between;
                at + 1
            }
            Some(at) => {
                self.at = At::Rest { escaped: true };
                at + 1
            }
            None => rest.len(),
        }
    }
}

/// Whether `bytes` end in the first of two escapes that are one character together.
fn ends_in_half_a_pair(bytes: &[u8]) -> bool {
    let Some([b'\\', b'u', b'd' | b'D', kind, _, _]) = bytes.last_chunk::<ESCAPE>() else {
        return false;
    };
    let before = &bytes[..bytes.len() - ESCAPE];
    let escaped = before.iter().rev().take_while(|byte| **byte == b'\\');
    matches!(kind, b'8' | b'9' | b'a' | b'b' | b'A' | b'B') && escaped.count() % 2 == 0
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The lines of `text`, the same for every size of chunks, and the most that was kept.
    fn lines(text: &[u8]) -> (Vec<(bool, Vec<u8>)>, usize) {
        let all = |size: usize| {
            let (mut found, mut most) = (Vec::new(), 0);
            let mut take = |line: Line<'_>| {
                found.push(match line {
                    Line::Json(bytes) => (true, bytes.to_vec()),
                    Line::Plain(bytes) => (false, bytes.to_vec()),
                });
            };
            let mut lines = Lines::default();
            for chunk in text.chunks(size) {
                lines.push(chunk, &mut take);
                most = most.max(lines.kept.len());
            }
            lines.finish(take);
            (found, most)
        };
        let whole = all(text.len().max(1));
        for size in [1, 4093] {
            assert_eq!(all(size).0, whole.0, "in chunks of {size}");
        }
        whole
    }

    fn only_json(text: &str) -> Value {
        let (found, most) = lines(text.as_bytes());
        assert!(most <= MAX_LINE + MAX_STRING + ESCAPE, "{most}");
        let [(true, line)] = &found[..] else {
            panic!("{found:?}");
        };
        serde_json::from_str(&String::from_utf8_lossy(line)).unwrap()
    }

    #[test]
    fn lines_of_all_kinds() {
        let (found, _) = lines(b"noise\n\n \t \r\n {\"a\": \"x\\\"}\"}\r\nmore\r\n{\"b\"");
        let expected: [(bool, &[u8]); 4] = [
            (false, b"noise"),
            (true, b"{\"a\": \"x\\\"}\"}"),
            (false, b"more"),
            (true, b"{\"b\""),
        ];
        assert_eq!(found, expected.map(|(json, line)| (json, line.to_vec())));
    }

    #[test]
    fn long_strings_lose_their_end_and_the_line_stays_whole() {
        let long = "x".repeat(100_000);
        let line = only_json(&format!("{{\"a\":\"{long}\",\"b\":[\"{long}\"],\"c\":1}}"));
        assert_eq!(line["c"], 1);
        let kept = line["a"].as_str().unwrap();
        assert!(kept.len() > 20_000 && kept.ends_with("x…"));
        assert!(line["b"][0].as_str().unwrap().ends_with("x…"));
        let many = format!("\"{long}\",").repeat(40);
        assert_eq!(only_json(&format!("{{\"a\":[{many}1],\"c\":1}}"))["c"], 1);
    }

    #[test]
    fn a_string_is_not_cut_within_a_character() {
        for unit in [
            "\\n",
            "\\\\",
            "\\u00fc",
            "\\ud83e\\udd80",
            "\\\\ud83e",
            "🦀",
            "ab\\\"",
        ] {
            for shift in [0, 1, 2, 3, 5, 11] {
                let text = "y".repeat(shift) + &unit.repeat(30_000 / unit.len());
                let line = only_json(&format!("{{\"a\":\"{text}\",\"c\":1}}"));
                assert!(line["a"].as_str().unwrap().ends_with('…'), "{unit}");
            }
        }
        let fits = "z".repeat(20_000);
        assert_eq!(only_json(&format!("{{\"a\":\"{fits}\"}}"))["a"], fits);
    }

    #[test]
    fn what_cannot_be_thinned_is_left_out() {
        let (found, most) = lines(format!("{{{}\nafter", "[],".repeat(MAX_LINE)).as_bytes());
        assert_eq!(found, [(false, b"after".to_vec())]);
        assert!(most <= MAX_LINE);
        let (found, most) = lines("p".repeat(MAX_LINE).as_bytes());
        assert_eq!(found[0].1.len(), MAX_STRING + CUT.len());
        assert!(most <= MAX_STRING + CUT.len());
        lines(&b"{\"\\ud800".repeat(MAX_LINE / 2));
    }
}
