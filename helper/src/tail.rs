//! The last lines of a stream, for a message about a failure.

use crate::plain::plain;

/// How much of the end is kept.
const KEPT: usize = 2048;

/// Keeps the end of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(KEPT)..];
        let old = (self.bytes.len() + new.len())
            .saturating_sub(KEPT)
            .min(self.bytes.len());
        self.bytes.drain(..old);
        self.bytes.extend_from_slice(new);
    }

    /// The last whole lines, at most `max` bytes of them, without colours and empty lines; or the end
    /// of the last line, if that alone is longer.
    pub(crate) fn lines(&self, max: usize) -> String {
        let text = plain(&String::from_utf8_lossy(&self.bytes));
        let mut kept: Vec<&str> = Vec::new();
        let mut left = max;
        for line in text
            .lines()
            .rev()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
        {
            match left.checked_sub(line.len() + 1) {
                Some(rest) => {
                    left = rest;
                    kept.push(line);
                }
                None if kept.is_empty() => {
                    let from = (line.len() - max..line.len()).find(|at| line.is_char_boundary(*at));
                    kept.push(&line[from.unwrap_or(line.len())..]);
                    break;
                }
                None => break,
            }
        }
        kept.reverse();
        kept.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines() {
        let check = |pushes: &[&str], max: usize, expected: &str| {
            let mut tail = Tail::default();
            for push in pushes {
                tail.push(push.as_bytes());
            }
            assert_eq!(tail.lines(max), expected);
        };
        check(&[], 10, "");
        check(&["one\ntwo\n", "\nthree"], 100, "one\ntwo\nthree");
        check(&["one\ntwo\nthree\n"], 10, "two\nthree");
        check(&["0123456789ü"], 6, "6789ü");
        check(&["\u{1b}[31mred\u{1b}[0m\r\n"], 100, "red");
        check(&[&"x".repeat(5000), "\nend\n"], 100, "end");
    }
}
