//! Go's `printf`: reads the format, verb by verb.

use super::error::Fault;
use super::limits::MAX_WIDTH;
use super::value::Value;
use super::verb::Spec;
use super::verb::argument;
use super::work::Text;
use super::work::Work;

/// The first argument is the format.
pub(super) fn printf(work: &mut Work, arguments: &[Value]) -> Result<String, Fault> {
    let (Value::Str(format), values) = (&arguments[0], &arguments[1..]) else {
        return Err(Fault::Value(format!(
            "the format must be a text, not {}",
            arguments[0].noun()
        )));
    };
    let mut printer = Printer {
        rest: format,
        values,
        next: 0,
        reordered: false,
        bad_index: false,
    };
    let mut out = Text::new(work);
    while let Some(at) = printer.rest.find('%') {
        out.push_str(&printer.rest[..at])?;
        printer.rest = &printer.rest[at + 1..];
        printer.verb(&mut out)?;
    }
    out.push_str(printer.rest)?;
    printer.extra(&mut out)?;
    Ok(out.done())
}

struct Printer<'a> {
    rest: &'a str,
    values: &'a [Value],
    next: usize,
    /// An index such as `[2]` was used.
    reordered: bool,
    /// That of this verb names no argument.
    bad_index: bool,
}

impl Printer<'_> {
    /// One verb, after its `%`.
    fn verb(&mut self, out: &mut Text<'_>) -> Result<(), Fault> {
        self.bad_index = false;
        let mut spec = self.flags();
        let mut indexed = self.index();
        if self.accept('*') {
            spec.width = self.star(&mut spec.minus, &mut spec.zero);
            if spec.width.is_none() {
                out.push_str("%!(BADWIDTH)")?;
            }
            indexed = false;
        } else {
            spec.width = self.number();
            self.bad_index |= indexed && spec.width.is_some();
        }
        // Go takes a point at the very end for a verb.
        if self.rest.len() > 1 && self.accept('.') {
            self.bad_index |= indexed;
            indexed = self.index();
            if self.accept('*') {
                let mut negative = false;
                spec.precision = self.star(&mut negative, &mut false).filter(|_| !negative);
                if spec.precision.is_none() {
                    out.push_str("%!(BADPREC)")?;
                }
                indexed = false;
            } else {
                spec.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !indexed {
            self.index();
        }
        let Some(verb) = self.rest.chars().next() else {
            return out.push_str("%!(NOVERB)");
        };
        self.rest = &self.rest[verb.len_utf8()..];
        if verb == '%' {
            return out.push('%');
        }
        if self.bad_index {
            return out.push_str(&format!("%!{verb}(BADINDEX)"));
        }
        let Some(value) = self.values.get(self.next) else {
            return out.push_str(&format!("%!{verb}(MISSING)"));
        };
        self.next += 1;
        if matches!(verb, 'v' | 'w') {
            spec.go_syntax = std::mem::take(&mut spec.sharp);
            spec.plus = false;
        }
        argument(out, value, &mut spec, verb)
    }

    fn flags(&mut self) -> Spec {
        let mut spec = Spec::default();
        while let Some(flag) = self.rest.chars().next() {
            match flag {
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        spec
    }

    fn accept(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// A number, if one stands here. One over the maximum swallows the rest, as in Go.
    fn number(&mut self) -> Option<usize> {
        let digits = self.rest.len()
            - self
                .rest
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        if digits == 0 {
            return None;
        }
        let (text, rest) = self.rest.split_at(digits);
        let number = decimal(text);
        self.rest = if number.is_some() { rest } else { "" };
        number
    }

    /// The argument that `*` stands for. A negative width means `-`.
    fn star(&mut self, minus: &mut bool, zero: &mut bool) -> Option<usize> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let Value::Int(number) = value else {
            return None;
        };
        if *number < 0 {
            *minus = true;
            *zero = false;
        }
        usize::try_from(number.unsigned_abs())
            .ok()
            .filter(|&it| it <= MAX_WIDTH)
    }

    /// An index such as `[2]`: whether one stood here that is well formed.
    fn index(&mut self) -> bool {
        let Some(inner) = self.rest.strip_prefix('[') else {
            return false;
        };
        self.reordered = true;
        let Some(end) = inner.find(']') else {
            self.bad_index = true;
            self.rest = inner;
            return false;
        };
        self.rest = &inner[end + 1..];
        let text = &inner[..end];
        let number = decimal(text).filter(|_| !text.is_empty());
        match number.and_then(|it| it.checked_sub(1)) {
            Some(at) if at < self.values.len() => self.next = at,
            _ => self.bad_index = true,
        }
        number.is_some()
    }

    /// Arguments that no verb took.
    fn extra(&self, out: &mut Text<'_>) -> Result<(), Fault> {
        let extra = self.values.get(self.next..).unwrap_or_default();
        if self.reordered || extra.is_empty() {
            return Ok(());
        }
        out.push_str("%!(EXTRA ")?;
        for (at, value) in extra.iter().enumerate() {
            if at > 0 {
                out.push_str(", ")?;
            }
            if *value != Value::Nil {
                out.push_str(value.type_name())?;
                out.push('=')?;
            }
            argument(out, value, &mut Spec::default(), 'v')?;
        }
        out.push(')')
    }
}

/// The number that `text` is, if it is one that is not too large.
fn decimal(text: &str) -> Option<usize> {
    text.chars().try_fold(0_usize, |number, c| {
        let digit = c.to_digit(10)? as usize;
        (number <= MAX_WIDTH).then_some(number * 10 + digit)
    })
}
