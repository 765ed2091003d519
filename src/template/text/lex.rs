//! From text to tokens. An error is a token too: the parser reports it when it gets there.

use super::error::Fault;

/// The characters that trim markers remove and that separate arguments.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// First byte in the template.
    pub(super) at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Text,
    Open,
    Close,
    Space,
    Assign,
    Declare,
    Pipe,
    OpenParen,
    CloseParen,
    Dot,
    /// `.Name`, with the dot.
    Field,
    /// `$name` or `$`.
    Variable,
    Name,
    Number,
    Char,
    Quoted,
    Raw,
    Other,
    Error(Fault),
    End,
}

/// All tokens of `source`; the last is [`Kind::End`] or [`Kind::Error`].
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        source,
        at: 0,
        tokens: Vec::new(),
    };
    let last = lexer.run().err().unwrap_or(Kind::End);
    lexer.push(last, lexer.at);
    lexer.tokens
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) -> Result<(), Kind> {
        let mut trim = false;
        loop {
            if trim {
                self.at = self.source.len() - self.rest().trim_start_matches(SPACE).len();
            }
            let Some(open) = self.rest().find("{{") else {
                let start = self.at;
                self.at = self.source.len();
                self.text(start, self.at);
                return Ok(());
            };
            let (start, open) = (self.at, self.at + open);
            self.at = open + 2;
            let inner = self.rest();
            let trims = inner.starts_with('-') && inner[1..].starts_with(SPACE);
            let end = if trims {
                self.source[start..open].trim_end_matches(SPACE).len() + start
            } else {
                open
            };
            self.text(start, end);
            if trims {
                self.at += 2;
            }
            trim = if self.rest().starts_with("/*") {
                self.comment()?
            } else {
                self.push_slice(Kind::Open, open, open + 2);
                self.action()?
            };
        }
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn text(&mut self, start: usize, end: usize) {
        if start < end {
            self.push_slice(Kind::Text, start, end);
        }
    }

    /// The token from `start` to here.
    fn push(&mut self, kind: Kind, start: usize) {
        self.push_slice(kind, start, self.at);
    }

    fn push_slice(&mut self, kind: Kind, start: usize, end: usize) {
        self.tokens.push(Token {
            kind,
            text: &self.source[start..end],
            at: start,
        });
    }

    fn comment(&mut self) -> Result<bool, Kind> {
        let unclosed = || Kind::Error(Fault::Unclosed("comment"));
        let length = self.rest().find("*/").ok_or_else(unclosed)?;
        self.at += length + 2;
        self.close().ok_or_else(unclosed)
    }

    /// Steps over a closing delimiter, and tells whether it trims.
    fn close(&mut self) -> Option<bool> {
        if self.at_trimming_close() {
            self.at += 4;
            Some(true)
        } else if self.rest().starts_with("}}") {
            self.at += 2;
            Some(false)
        } else {
            None
        }
    }

    fn at_trimming_close(&self) -> bool {
        self.rest()
            .strip_prefix(SPACE)
            .is_some_and(|rest| rest.starts_with("-}}"))
    }

    /// The inside of an action, and its end; tells whether that trims.
    fn action(&mut self) -> Result<bool, Kind> {
        let mut parens = 0_usize;
        loop {
            let start = self.at;
            if let Some(trim) = self.close() {
                if parens > 0 {
                    self.at = start;
                    return Err(Kind::Error(Fault::Unclosed("parenthesis")));
                }
                self.push(Kind::Close, start);
                return Ok(trim);
            }
            let Some(c) = self.rest().chars().next() else {
                return Err(Kind::Error(Fault::Unclosed("action")));
            };
            let kind = match c {
                c if SPACE.contains(&c) => self.space(),
                '(' => {
                    parens += 1;
                    self.one(Kind::OpenParen)
                }
                ')' => {
                    parens = parens.checked_sub(1).ok_or_else(|| stray(c))?;
                    self.one(Kind::CloseParen)
                }
                '|' => self.one(Kind::Pipe),
                '=' => self.one(Kind::Assign),
                ':' if self.rest().starts_with(":=") => {
                    self.at += 2;
                    Kind::Declare
                }
                '"' => self.quoted('"', "string", Kind::Quoted)?,
                '\'' => self.quoted('\'', "character", Kind::Char)?,
                '`' => self.raw()?,
                '$' => self.word(Kind::Variable)?,
                '.' if !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    self.word(Kind::Field)?
                }
                '.' | '+' | '-' | '0'..='9' => self.number(),
                c if is_word(c) => self.word(Kind::Name)?,
                ' '..='~' => self.one(Kind::Other),
                _ => return Err(stray(c)),
            };
            self.push(kind, start);
        }
    }

    fn one(&mut self, kind: Kind) -> Kind {
        self.at += 1;
        kind
    }

    /// Space, up to the one that belongs to a trimming delimiter.
    fn space(&mut self) -> Kind {
        while self.rest().starts_with(SPACE) && !self.at_trimming_close() {
            self.at += 1;
        }
        Kind::Space
    }

    /// A name, or a field or variable with its first character.
    fn word(&mut self, kind: Kind) -> Result<Kind, Kind> {
        let marked = kind != Kind::Name;
        let start = self.at + usize::from(marked);
        let length = self.source[start..]
            .find(|c| !is_word(c))
            .unwrap_or(self.source.len() - start);
        self.at = start + length;
        match self.rest().chars().next() {
            Some(c)
                if !(SPACE.contains(&c)
                    || ".,|:()".contains(c)
                    || self.rest().starts_with("}}")) =>
            {
                Err(stray(c))
            }
            _ if length == 0 && kind == Kind::Field => Ok(Kind::Dot),
            _ => Ok(kind),
        }
    }

    fn quoted(&mut self, end: char, name: &'static str, kind: Kind) -> Result<Kind, Kind> {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == end => {
                    self.at += at + 1;
                    return Ok(kind);
                }
                _ => {}
            }
        }
        Err(Kind::Error(Fault::Unclosed(name)))
    }

    fn raw(&mut self) -> Result<Kind, Kind> {
        let length = self.rest()[1..]
            .find('`')
            .ok_or(Kind::Error(Fault::Unclosed("string")))?;
        self.at += length + 2;
        Ok(Kind::Raw)
    }

    /// What looks like a number; whether it is one is seen when its value is read.
    fn number(&mut self) -> Kind {
        let start = self.at;
        let mut before = ' ';
        for c in self.rest().chars() {
            let sign = matches!(c, '+' | '-') && (self.at == start || "eEpP".contains(before));
            if !(sign || c == '.' || is_word(c)) {
                break;
            }
            before = c;
            self.at += c.len_utf8();
        }
        Kind::Number
    }
}

fn stray(c: char) -> Kind {
    Kind::Error(Fault::unexpected(c.encode_utf8(&mut [0; 4]), "action"))
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
