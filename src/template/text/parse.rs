//! From tokens to a tree: texts, blocks and templates. Refuses all that needs no data to be
//! seen wrong.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::error::At;
use super::error::Fault;
use super::error::Place;
use super::error::shown;
use super::lex::Kind;
use super::lex::Token;
use super::limits::Limit;
use super::limits::MAX_NESTING;
use super::limits::MAX_NODES;
use super::literal;
use super::tree::Branches;
use super::tree::List;
use super::tree::Node;

/// Names that are no functions.
pub(super) const KEYWORDS: [&str; 11] = [
    "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with",
];

/// The main list and those of `define` and `block`, by name.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) main: List,
    pub(super) named: BTreeMap<String, List>,
    /// Variables that are assigned to somewhere.
    pub(super) assigned: BTreeSet<String>,
}

pub(super) fn parse(tokens: &[Token<'_>]) -> Result<Parsed, At> {
    let mut parser = Parser {
        tokens,
        next: 0,
        variables: vec!["$".to_owned()],
        loops: 0,
        nesting: 0,
        nodes: 0,
        named: BTreeMap::new(),
        calls: Vec::new(),
        assigned: BTreeSet::new(),
    };
    let (main, end) = parser.list(true)?;
    match end {
        ListEnd::Source => {}
        ListEnd::End(at) => return unexpected("end", "template").at(at),
        ListEnd::Else(at) => return unexpected("else", "template").at(at),
    }
    for (at, name) in parser.calls {
        if !parser.named.contains_key(&name) {
            return Err(Fault::UndefinedTemplate { name: shown(&name) }).at(at);
        }
    }
    Ok(Parsed {
        main,
        named: parser.named,
        assigned: parser.assigned,
    })
}

pub(super) struct Parser<'a> {
    pub(super) tokens: &'a [Token<'a>],
    pub(super) next: usize,
    /// Those in scope, with `$`.
    pub(super) variables: Vec<String>,
    /// Loops around here.
    loops: usize,
    nesting: usize,
    nodes: usize,
    named: BTreeMap<String, List>,
    /// Where which templates are called.
    calls: Vec<(usize, String)>,
    pub(super) assigned: BTreeSet<String>,
}

/// What ended a list, and where.
enum ListEnd {
    Source,
    End(usize),
    /// The tokens after `else` are not read yet.
    Else(usize),
}

impl<'a> Parser<'a> {
    /// Texts and actions up to `{{end}}`, `{{else` or the end of the source.
    fn list(&mut self, top: bool) -> Result<(List, ListEnd), At> {
        let mut list = List::new();
        loop {
            let token = self.take()?;
            match token.kind {
                Kind::Text => {
                    self.count(token.at)?;
                    list.push(Node::Text(token.at..token.at + token.text.len()));
                }
                Kind::Open => {
                    self.space();
                    let keyword = self.keyword();
                    let at = self.peek().at;
                    match keyword {
                        Some("end") => {
                            self.take()?;
                            self.close("end")?;
                            return Ok((list, ListEnd::End(at)));
                        }
                        Some("else") => {
                            self.take()?;
                            return Ok((list, ListEnd::Else(at)));
                        }
                        Some("define") if top => {
                            self.take()?;
                            self.define()?;
                        }
                        _ => {
                            self.count(at)?;
                            list.push(self.action(keyword)?);
                        }
                    }
                }
                _ => return Ok((list, ListEnd::Source)),
            }
        }
    }

    fn action(&mut self, keyword: Option<&'a str>) -> Result<Node, At> {
        let Some(keyword) = keyword.filter(|&it| it != "nil") else {
            return Ok(Node::Print(self.pipe("action", &Kind::Close)?));
        };
        let at = self.take()?.at;
        match keyword {
            "if" => Ok(Node::If(self.branches("if", at)?)),
            "with" => Ok(Node::With(self.branches("with", at)?)),
            "range" => self.nested(at, |it| it.range(at)),
            "template" => self.template(),
            "block" => self.block(at),
            "break" | "continue" if self.loops == 0 => unexpected(keyword, "template").at(at),
            "break" => self.close("break").map(|()| Node::Break),
            "continue" => self.close("continue").map(|()| Node::Continue),
            _ => unexpected(keyword, "block").at(at),
        }
    }

    /// The arms of an `if` or `with`, whose keyword is read.
    fn branches(&mut self, keyword: &'static str, at: usize) -> Result<Branches, At> {
        let scope = self.variables.len();
        let branches = self.nested(at, |it| {
            let mut arms = Vec::new();
            loop {
                let pipe = it.pipe(keyword, &Kind::Close)?;
                let (body, end) = it.list(false)?;
                arms.push((pipe, body));
                if it.is_last(&end, keyword, at)? {
                    let otherwise = it.otherwise(&end, keyword, at)?;
                    return Ok(Branches { arms, otherwise });
                }
                it.space();
                let next = it.peek().at;
                it.take()?;
                it.count(next)?;
            }
        });
        self.variables.truncate(scope);
        branches
    }

    /// Whether no `else if` (or `else with`) follows.
    fn is_last(&mut self, end: &ListEnd, keyword: &'static str, at: usize) -> Result<bool, At> {
        match end {
            ListEnd::Source => Err(Fault::Unclosed(keyword)).at(at),
            ListEnd::End(_) => Ok(true),
            ListEnd::Else(_) => {
                self.space();
                Ok(self.keyword() != Some(keyword))
            }
        }
    }

    /// The list after a plain `else`, if there is one, to `{{end}}`.
    fn otherwise(&mut self, end: &ListEnd, keyword: &'static str, at: usize) -> Result<List, At> {
        match end {
            ListEnd::Source => Err(Fault::Unclosed(keyword)).at(at),
            ListEnd::End(_) => Ok(List::new()),
            ListEnd::Else(_) => {
                self.close("else")?;
                let (list, end) = self.list(false)?;
                match end {
                    ListEnd::Source => Err(Fault::Unclosed(keyword)).at(at),
                    ListEnd::Else(at) => unexpected("else", "else").at(at),
                    ListEnd::End(_) => Ok(list),
                }
            }
        }
    }

    fn range(&mut self, at: usize) -> Result<Node, At> {
        let scope = self.variables.len();
        let pipe = self.pipe("range", &Kind::Close)?;
        self.loops += 1;
        let (body, end) = self.list(false)?;
        self.loops -= 1;
        let otherwise = self.otherwise(&end, "range", at)?;
        self.variables.truncate(scope);
        Ok(Node::Loop {
            pipe,
            body,
            otherwise,
        })
    }

    fn template(&mut self) -> Result<Node, At> {
        let (at, name) = self.name("template")?;
        self.space();
        let pipe = if self.peek().kind == Kind::Close {
            self.take()?;
            None
        } else {
            Some(self.pipe("template", &Kind::Close)?)
        };
        self.calls.push((at, name.clone()));
        Ok(Node::Call { at, name, pipe })
    }

    fn define(&mut self) -> Result<(), At> {
        let (at, name) = self.name("define")?;
        self.close("define")?;
        self.named_list(at, name, "define")
    }

    fn block(&mut self, at: usize) -> Result<Node, At> {
        let (_, name) = self.name("block")?;
        let pipe = Some(self.pipe("block", &Kind::Close)?);
        self.named_list(at, name.clone(), "block")?;
        Ok(Node::Call { at, name, pipe })
    }

    /// The list of a template of its own: it sees neither the variables nor the loops around it.
    fn named_list(&mut self, at: usize, name: String, keyword: &'static str) -> Result<(), At> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (list, end) = self.nested(at, |it| it.list(false))?;
        self.variables = variables;
        self.loops = loops;
        match end {
            ListEnd::Source => return Err(Fault::Unclosed(keyword)).at(at),
            ListEnd::Else(at) => return unexpected("else", keyword).at(at),
            ListEnd::End(_) => {}
        }
        if self.named.contains_key(&name) {
            let name = shown(&name);
            return Err(Fault::DefinedTwice { name }).at(at);
        }
        self.named.insert(name, list);
        Ok(())
    }

    fn name(&mut self, place: &'static str) -> Result<(usize, String), At> {
        self.space();
        let token = self.take()?;
        match token.kind {
            Kind::Quoted => literal::quoted(token.text).at(token.at),
            Kind::Raw => Ok(literal::raw(token.text)),
            _ => unexpected(token.text, place).at(token.at),
        }
        .map(|name| (token.at, name))
    }

    pub(super) fn nested<T>(
        &mut self,
        at: usize,
        inner: impl FnOnce(&mut Self) -> Result<T, At>,
    ) -> Result<T, At> {
        if self.nesting == MAX_NESTING {
            return Err(Fault::Limit(Limit::Nesting)).at(at);
        }
        self.nesting += 1;
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    fn count(&mut self, at: usize) -> Result<(), At> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Fault::Limit(Limit::Nodes)).at(at);
        }
        Ok(())
    }

    fn close(&mut self, place: &'static str) -> Result<(), At> {
        self.space();
        let token = self.take()?;
        match token.kind {
            Kind::Close => Ok(()),
            _ => unexpected(token.text, place).at(token.at),
        }
    }

    fn keyword(&self) -> Option<&'a str> {
        let token = self.peek();
        (token.kind == Kind::Name && KEYWORDS.contains(&token.text)).then_some(token.text)
    }

    pub(super) fn space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    /// The token that comes next; the last one, again and again, at the end.
    pub(super) fn peek(&self) -> &'a Token<'a> {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    pub(super) fn take(&mut self) -> Result<Token<'a>, At> {
        let token = self.peek().clone();
        self.next += 1;
        match token.kind {
            Kind::Error(fault) => Err(fault).at(token.at),
            _ => Ok(token),
        }
    }
}

pub(super) fn unexpected<T>(found: &str, place: &'static str) -> Result<T, Fault> {
    Err(Fault::unexpected(found, place))
}
