//! Where in a container's log a reader stands, so that a cut loses no line and repeats none. Pure.
//!
//! A kubelet stamps each line, and gives again all lines from a second on: those that came are counted
//! and left out. A server that knows no stamps keeps the whole log: there bytes are counted.

use jiff::Timestamp;
use kube::api::LogParams;

/// Longest stamp: RFC 3339 with nanoseconds and an offset is shorter.
const MAX_STAMP: usize = 40;

/// A place in a log.
#[derive(Debug)]
pub(super) enum Position {
    Stamped(Stamped),
    Counted(Counted),
}

/// A place by the stamps of lines.
#[derive(Debug, Default)]
pub(super) struct Stamped {
    /// The newest stamp that came.
    newest: Option<Timestamp>,
    /// Whole lines that came of the second of `newest` or later.
    whole: u64,
    /// The line that has not ended: its stamp, and how much of it came.
    open: Option<(Timestamp, u64)>,
    /// Whole lines that will come again.
    again: u64,
    at: At,
}

/// Where in a line the next byte stands.
#[derive(Debug)]
enum At {
    Stamp(Vec<u8>),
    /// In the text of a line of that stamp, of which so much is known.
    Text {
        stamp: Timestamp,
        known: u64,
    },
    /// In a line that came before.
    Known,
}

impl Default for At {
    fn default() -> Self {
        Self::Stamp(Vec::new())
    }
}

/// A place by bytes from the beginning.
#[derive(Debug, Default)]
pub(super) struct Counted {
    came: u64,
    again: u64,
}

impl Default for Position {
    fn default() -> Self {
        Self::Stamped(Stamped::default())
    }
}

impl Position {
    /// Begins to read from here on: what to ask for.
    pub(super) fn ask(&mut self, container: &str, follow: bool) -> LogParams {
        let params = LogParams {
            container: Some(container.to_owned()),
            follow,
            ..LogParams::default()
        };
        match self {
            Self::Stamped(stamped) => {
                stamped.at = At::default();
                stamped.again = stamped.whole;
                LogParams {
                    timestamps: true,
                    since_time: stamped.newest.map(second),
                    ..params
                }
            }
            Self::Counted(counted) => {
                counted.again = counted.came;
                LogParams {
                    limit_bytes: Some(i64::MAX),
                    ..params
                }
            }
        }
    }

    /// The other way to know the place, as long as nothing has come.
    pub(super) fn other(&mut self) {
        if self.is_at_start() {
            *self = match self {
                Self::Stamped(_) => Self::Counted(Counted::default()),
                Self::Counted(_) => Self::default(),
            };
        }
    }

    pub(super) fn is_at_start(&self) -> bool {
        match self {
            Self::Stamped(it) => it.newest.is_none() && it.open.is_none(),
            Self::Counted(it) => it.came == 0,
        }
    }

    /// What differs once something new has come.
    pub(super) fn marker(&self) -> (Option<Timestamp>, u64, u64) {
        match self {
            Self::Stamped(it) => (it.newest, it.whole, it.open.map_or(0, |(_, came)| came)),
            Self::Counted(it) => (None, 0, it.came),
        }
    }

    /// Takes bytes as they come, and gives those that are new.
    pub(super) fn take(&mut self, bytes: &[u8], new: &mut impl FnMut(&[u8])) {
        match self {
            Self::Stamped(stamped) => stamped.take(bytes, new),
            Self::Counted(counted) => {
                let known = counted.again.min(bytes.len() as u64);
                counted.again -= known;
                let bytes = &bytes[usize::try_from(known).unwrap_or(bytes.len())..];
                counted.came += bytes.len() as u64;
                if !bytes.is_empty() {
                    new(bytes);
                }
            }
        }
    }
}

impl Stamped {
    fn take(&mut self, bytes: &[u8], new: &mut impl FnMut(&[u8])) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.at {
                At::Stamp(stamp) => {
                    let end = rest.iter().position(|it| matches!(it, b' ' | b'\n'));
                    let length = end.unwrap_or(rest.len());
                    stamp.extend_from_slice(&rest[..length]);
                    rest = &rest[length..];
                    if end.is_some() || stamp.len() > MAX_STAMP {
                        let stamp = std::mem::take(stamp);
                        let is_stamp = self.begin(&stamp, new);
                        // The space after a stamp is none of the text.
                        if is_stamp && rest.first() == Some(&b' ') {
                            rest = &rest[1..];
                        }
                    }
                }
                At::Known => {
                    let end = rest.iter().position(|it| *it == b'\n');
                    if end.is_some() {
                        self.at = At::default();
                    }
                    rest = end.map_or(&[], |at| &rest[at + 1..]);
                }
                At::Text { .. } => rest = self.text(rest, new),
            }
        }
    }

    /// Decides what becomes of the line that begins. Gives whether it had a stamp.
    fn begin(&mut self, text: &[u8], new: &mut impl FnMut(&[u8])) -> bool {
        let stamp = std::str::from_utf8(text)
            .ok()
            .and_then(|it| it.parse().ok());
        let is_stamp = stamp.is_some();
        let stamp = stamp.or(self.newest).unwrap_or(Timestamp::UNIX_EPOCH);
        let came = self.newest.is_some_and(|newest| stamp <= newest);
        if self.again > 0 && came {
            self.again -= 1;
            self.at = At::Known;
            return is_stamp;
        }
        self.again = 0;
        let known = match self.open.take() {
            Some((open, known)) if open == stamp => known,
            // The log was rotated meanwhile; what came of the line stays alone.
            Some((_, 1..)) => {
                new(b"\n");
                0
            }
            Some((_, 0)) | None => 0,
        };
        self.open = Some((stamp, known));
        self.at = At::Text { stamp, known };
        if !is_stamp {
            self.text(text, new);
        }
        is_stamp
    }

    /// Takes text of the line under way; gives what comes after that line.
    fn text<'a>(&mut self, bytes: &'a [u8], new: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let At::Text { stamp, known } = &mut self.at else {
            return bytes;
        };
        let stamp = *stamp;
        let end = bytes.iter().position(|it| *it == b'\n');
        let length = end.map_or(bytes.len(), |at| at + 1);
        let old = usize::try_from(*known).unwrap_or(length).min(length);
        *known -= old as u64;
        let fresh = &bytes[old..length];
        if !fresh.is_empty() {
            new(fresh);
        }
        if end.is_some() {
            self.ended(stamp);
        } else if let Some((_, came)) = &mut self.open {
            *came += fresh.len() as u64;
        }
        &bytes[length..]
    }

    fn ended(&mut self, stamp: Timestamp) {
        self.open = None;
        self.at = At::default();
        match self.newest {
            Some(newest) if second(stamp) <= second(newest) => {
                if stamp >= second(newest) {
                    self.whole += 1;
                }
                self.newest = Some(newest.max(stamp));
            }
            Some(_) | None => {
                self.newest = Some(stamp);
                self.whole = 1;
            }
        }
    }
}

/// The beginning of its second: requests name no smaller part of time.
fn second(stamp: Timestamp) -> Timestamp {
    Timestamp::from_second(stamp.as_second()).unwrap_or(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as a kubelet gives them, from a second on.
    fn served(lines: &[(&str, &str)], since: Option<Timestamp>) -> String {
        let given = lines.iter().filter(|(stamp, _)| {
            let stamp: Timestamp = stamp.parse().unwrap();
            since.is_none_or(|since| stamp >= since)
        });
        let lines: Vec<String> = given
            .map(|(stamp, text)| format!("{stamp} {text}"))
            .collect();
        lines.concat()
    }

    const LINES: [(&str, &str); 7] = [
        ("2026-11-22T10:00:00.1Z", "one\n"),
        ("2026-11-22T10:00:00.1Z", "the same time\n"),
        ("2026-11-22T10:00:00.9Z", "\n"),
        // From another pipe, a little late.
        ("2026-11-22T10:00:00.8Z", "late\n"),
        (
            "2026-11-22T10:00:01Z",
            "2026-11-22T10:00:01Z looks like a stamp\n",
        ),
        ("2026-11-22T10:00:01Z", "ü and more\n"),
        ("2026-11-22T10:00:09.123456789Z", "no end"),
    ];

    #[test]
    fn a_cut_anywhere_loses_nothing_and_repeats_nothing() {
        let whole: String = LINES.iter().map(|(_, text)| *text).collect();
        let length = served(&LINES, None).len();
        for first in 0..=length {
            for then in [0, 1, 30, 31, 57, length] {
                let mut position = Position::default();
                let mut got = Vec::new();
                let mut new = |bytes: &[u8]| got.extend_from_slice(bytes);
                for most in [first, then, length] {
                    let params = position.ask("c", true);
                    let text = served(&LINES, params.since_time);
                    let bytes = &text.as_bytes()[..most.min(text.len())];
                    for chunk in bytes.chunks(7) {
                        position.take(chunk, &mut new);
                    }
                }
                assert_eq!(String::from_utf8_lossy(&got), whole, "{first} {then}");
            }
        }
    }

    #[test]
    fn bytes_are_counted_where_there_are_no_stamps() {
        let whole = b"some lines\nand half a li";
        for first in 0..whole.len() {
            let mut position = Position::default();
            position.other();
            let mut got = Vec::new();
            let mut new = |bytes: &[u8]| got.extend_from_slice(bytes);
            let params = position.ask("c", true);
            assert!(!params.timestamps && params.since_time.is_none());
            position.take(&whole[..first], &mut new);
            position.ask("c", true);
            whole.chunks(3).for_each(|it| position.take(it, &mut new));
            assert_eq!(got, whole);
        }
    }

    #[test]
    fn a_log_that_was_rotated_goes_on() {
        let mut position = Position::default();
        let mut got = Vec::new();
        let mut new = |bytes: &[u8]| got.extend_from_slice(bytes);
        position.ask("c", true);
        position.take(
            b"2026-11-22T10:00:00Z a\n2026-11-22T10:00:00Z b\n2026-11-22T10:00:01Z ha",
            &mut new,
        );
        position.ask("c", true);
        position.take(b"2026-11-22T10:00:05Z new\nno stamp at all\n", &mut new);
        assert_eq!(
            String::from_utf8_lossy(&got),
            "a\nb\nha\nnew\nno stamp at all\n"
        );
    }
}
