//! Cuts a text into literals and expressions, and writes each expression anew from its tokens.
//!
//! What Tera gets is made of tokens of this file only, so nothing rests on its reading a text just
//! as we do.

use super::Error;
use super::FILTERS;
use super::Fault;

/// Most tokens of an expression: some fifteen operations.
pub(super) const MAX_TOKENS: usize = 64;
/// The tests that can stand after `is`.
pub const TESTS: &[&str] = &[
    "containing",
    "divisible_by",
    "ending_with",
    "even",
    "number",
    "odd",
    "starting_with",
    "string",
];
/// Words that mean something in an expression.
const KEYWORDS: [&str; 14] = [
    "and", "else", "false", "False", "if", "in", "is", "none", "None", "not", "null", "or", "true",
    "True",
];
/// The one word that makes a loop.
const LOOP: &str = "for";
/// Signs of two characters first.
const SIGNS: [&str; 23] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "|", "=", ">", "<", "(", ")",
    "[", "]", ",", ":", ".",
];

/// A part of a text.
pub(super) enum Piece<'t> {
    Literal(String),
    Expression(Expression<'t>),
}

/// An expression, fit for Tera.
pub(super) struct Expression<'t> {
    pub(super) line: usize,
    pub(super) column: usize,
    /// `{{ … }}`.
    pub(super) source: String,
    /// The variables it names, with line and column.
    pub(super) variables: Vec<(&'t str, usize, usize)>,
}

/// Whether a variable can have this name.
pub fn is_variable(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(good)
        && name != LOOP
        && !KEYWORDS.contains(&name)
}

/// Cuts a text.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Error> {
    let mut cutter = Cutter {
        rest: text,
        line: 1,
        column: 1,
    };
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut trim_next = false;
    while !cutter.rest.is_empty() {
        let (start, sign) = opening(cutter.rest).unwrap_or((cutter.rest.len(), ""));
        let before = cutter.take(start);
        literal.push_str(if trim_next {
            before.trim_start()
        } else {
            before
        });
        if sign.is_empty() {
            break;
        }
        let (line, column) = (cutter.line, cutter.column);
        cutter.take(sign.len());
        if cutter.eat("-") {
            literal.truncate(literal.trim_end().len());
        }
        let unclosed = |sign| Error::at(line, column, Fault::Unclosed(sign));
        match sign {
            "{#" => {
                let end = cutter.rest.find("#}").ok_or_else(|| unclosed("{#"))?;
                trim_next = cutter.take(end).ends_with('-');
                cutter.take("#}".len());
            }
            "{%" => {
                let (raw, trims) = cutter.raw(line, column)?;
                literal.push_str(raw);
                trim_next = trims;
            }
            _ => {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                let (expression, trims) = cutter.expression(line, column)?;
                pieces.push(Piece::Expression(expression));
                trim_next = trims;
            }
        }
    }
    pieces.push(Piece::Literal(literal));
    Ok(pieces)
}

/// Where the next part that is no literal opens, and with which sign. It looks no further than that.
fn opening(text: &str) -> Option<(usize, &'static str)> {
    text.match_indices('{').find_map(|(at, _)| {
        let signs = ["{{", "{%", "{#"].into_iter();
        let sign = signs.clone().find(|sign| text[at..].starts_with(sign));
        sign.map(|sign| (at, sign))
    })
}

struct Cutter<'t> {
    rest: &'t str,
    line: usize,
    column: usize,
}

enum Token<'t> {
    Word(&'t str),
    Text(String),
    Number(&'t str),
    Sign(&'static str),
}

impl<'t> Cutter<'t> {
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        for c in taken.chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.rest = rest;
        taken
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = self.rest.starts_with(sign);
        if found {
            self.take(sign.len());
        }
        found
    }

    fn take_while(&mut self, good: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !good(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn fail<T>(&self, fault: Fault) -> Result<T, Error> {
        Err(Error::at(self.line, self.column, fault))
    }

    /// The text between `raw` and `endraw`, and whether what follows is trimmed.
    fn raw(&mut self, line: usize, column: usize) -> Result<(&'t str, bool), Error> {
        self.take_while(char::is_whitespace);
        let word = self.take_while(|c| c.is_ascii_alphabetic());
        self.take_while(char::is_whitespace);
        let trims_start = self.eat("-");
        if word != "raw" || !self.eat("%}") {
            return Err(Error::at(line, column, Fault::Statement));
        }
        let mut from = 0;
        while let Some(at) = self.rest[from..].find("{%") {
            let after = &self.rest[from + at + "{%".len()..];
            let trims_end = after.starts_with('-');
            let tag = after.trim_start_matches('-').trim_start();
            if let Some(end) = tag.strip_prefix("endraw") {
                let end = end.trim_start();
                let trims = end.starts_with('-');
                if let Some(rest) = end.strip_prefix('-').unwrap_or(end).strip_prefix("%}") {
                    let mut raw = self.take(from + at);
                    self.take(self.rest.len() - rest.len());
                    if trims_start {
                        raw = raw.trim_start();
                    }
                    if trims_end {
                        raw = raw.trim_end();
                    }
                    return Ok((raw, trims));
                }
            }
            from += at + "{%".len();
        }
        Err(Error::at(line, column, Fault::Unclosed("{% raw %}")))
    }

    /// What follows `{{`, up to and with `}}`; and whether what follows is trimmed.
    fn expression(&mut self, line: usize, column: usize) -> Result<(Expression<'t>, bool), Error> {
        let mut tokens: Vec<(Token<'t>, usize, usize)> = Vec::new();
        let trims = loop {
            self.take_while(char::is_whitespace);
            if self.eat("-}}") {
                break true;
            }
            if self.eat("}}") {
                break false;
            }
            if self.rest.is_empty() {
                return Err(Error::at(line, column, Fault::Unclosed("{{")));
            }
            if tokens.len() == MAX_TOKENS {
                return self.fail(Fault::TooLong);
            }
            let (line, column) = (self.line, self.column);
            tokens.push((self.token()?, line, column));
        };
        if tokens.is_empty() {
            return Err(Error::at(line, column, Fault::Empty));
        }
        let variables = check(&tokens)?;
        let expression = Expression {
            line,
            column,
            source: written(&tokens),
            variables,
        };
        Ok((expression, trims))
    }

    fn token(&mut self) -> Result<Token<'t>, Error> {
        let Some(first) = self.rest.chars().next() else {
            return self.fail(Fault::Unclosed("{{"));
        };
        if first.is_ascii_alphabetic() || first == '_' {
            let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok(Token::Word(word));
        }
        if first.is_ascii_digit() {
            return Ok(Token::Number(
                self.take_while(|c| c.is_ascii_digit() || c == '.'),
            ));
        }
        if matches!(first, '"' | '\'' | '`') {
            return self.quoted(first);
        }
        for sign in SIGNS {
            if self.eat(sign) {
                return Ok(Token::Sign(sign));
            }
        }
        self.fail(Fault::Unexpected(first))
    }

    fn quoted(&mut self, quote: char) -> Result<Token<'t>, Error> {
        let (line, column) = (self.line, self.column);
        let mut text = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match (escaped, c) {
                (true, 'n') => text.push('\n'),
                (true, 't') => text.push('\t'),
                (true, 'r') => text.push('\r'),
                (true, '"' | '\'' | '/' | '\\') => text.push(c),
                (true, other) => return Err(Error::at(line, column, Fault::Unexpected(other))),
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (false, c) if c == quote => {
                    self.take(at + c.len_utf8());
                    return Ok(Token::Text(text));
                }
                (false, c) => text.push(c),
            }
            escaped = false;
        }
        Err(Error::at(line, column, Fault::Unclosed("a quote")))
    }
}

/// Refuses what Tera knows and a fleet must not use; gives the variables.
fn check<'t>(tokens: &[(Token<'t>, usize, usize)]) -> Result<Vec<(&'t str, usize, usize)>, Error> {
    let sign = |at: usize| match tokens.get(at) {
        Some((Token::Sign(sign), ..)) => *sign,
        _ => "",
    };
    let word = |at: Option<usize>| match at.and_then(|at| tokens.get(at)) {
        Some((Token::Word(word), ..)) => *word,
        _ => "",
    };
    let mut variables = Vec::new();
    for (at, (token, line, column)) in tokens.iter().enumerate() {
        let fail = |fault| Err(Error::at(*line, *column, fault));
        let name = match token {
            Token::Sign(".") => return fail(Fault::Fields),
            Token::Sign(_) | Token::Text(_) | Token::Number(_) => continue,
            Token::Word(name) => *name,
        };
        let before = at.checked_sub(1);
        let after_is =
            word(before) == "is" || (word(before) == "not" && word(at.checked_sub(2)) == "is");
        if before.is_some_and(|before| sign(before) == "|") {
            if !FILTERS.contains(&name) {
                return fail(Fault::UnknownFilter(name.to_owned()));
            }
        } else if name == LOOP {
            return fail(Fault::Loop);
        } else if KEYWORDS.contains(&name) {
        } else if after_is {
            if !TESTS.contains(&name) {
                return fail(Fault::UnknownTest(name.to_owned()));
            }
        } else if sign(at + 1) == "(" {
            return fail(Fault::Function(name.to_owned()));
        } else if sign(at + 1) != "=" {
            variables.push((name, *line, *column));
        }
    }
    Ok(variables)
}

/// The expression as Tera is given it.
fn written(tokens: &[(Token<'_>, usize, usize)]) -> String {
    let mut source = "{{ ".to_owned();
    for (token, ..) in tokens {
        match token {
            Token::Word(text) | Token::Number(text) => source.push_str(text),
            Token::Sign(sign) => source.push_str(sign),
            Token::Text(text) => {
                source.push('"');
                for c in text.chars() {
                    if matches!(c, '"' | '\\') {
                        source.push('\\');
                    }
                    source.push(c);
                }
                source.push('"');
            }
        }
        source.push(' ');
    }
    source.push_str("}}");
    source
}
