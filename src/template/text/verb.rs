//! Values by the verbs of Go's `printf`. Like Go's it never fails on a bad one: it prints
//! `%!d(string=x)`.

use super::error::Fault;
use super::number;
use super::quote;
use super::value::Value;
use super::work::Text;

/// What stands between `%` and the verb.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the flags of printf"
)]
#[derive(Clone, Debug, Default)]
pub(super) struct Spec {
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%#v`: as a literal of Go.
    pub(super) go_syntax: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

/// Prints `value` by `verb`.
pub(super) fn argument(
    out: &mut Text<'_>,
    value: &Value,
    spec: &mut Spec,
    verb: char,
) -> Result<(), Fault> {
    match (verb, value) {
        ('T' | 'v', Value::Nil) => spec.pad(out, "<nil>"),
        ('T', value) => spec.text(out, value.type_name()),
        (_, Value::Nil) => out.push_str(&format!("%!{verb}(<nil>)")),
        ('p', Value::List(_) | Value::Map(_)) => {
            Err(Fault::Value("an address means nothing here".into()))
        }
        ('w', Value::List(_) | Value::Map(_)) => bad_verb(out, value, spec, verb),
        (verb, value) => element(out, value, spec, verb),
    }
}

/// Prints a value that may stand in a list or map.
fn element(out: &mut Text<'_>, value: &Value, spec: &mut Spec, verb: char) -> Result<(), Fault> {
    let printed = match value {
        Value::Nil if spec.go_syntax => return out.push_str("interface {}(nil)"),
        Value::Nil => return out.push_str("<nil>"),
        Value::List(values) => return list(out, values, spec, verb),
        Value::Map(values) => return map(out, values, spec, verb),
        Value::Bool(value) if matches!(verb, 't' | 'v') => {
            spec.pad(out, if *value { "true" } else { "false" })?;
            true
        }
        Value::Int(value) => integer(out, *value, spec, verb)?,
        Value::Float(value) => float(out, *value, spec, verb)?,
        Value::Str(value) => string(out, value, spec, verb)?,
        Value::Bool(_) => false,
    };
    if printed {
        return Ok(());
    }
    bad_verb(out, value, spec, verb)
}

/// What stands for a value that `verb` cannot print.
fn bad_verb(out: &mut Text<'_>, value: &Value, spec: &mut Spec, verb: char) -> Result<(), Fault> {
    out.push_str(&format!("%!{verb}({}=", value.type_name()))?;
    element(out, value, spec, 'v')?;
    out.push(')')
}

fn list(out: &mut Text<'_>, values: &[Value], spec: &mut Spec, verb: char) -> Result<(), Fault> {
    let (open, between, close) = if spec.go_syntax {
        ("[]interface {}{", ", ", "}")
    } else {
        ("[", " ", "]")
    };
    out.push_str(open)?;
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push_str(between)?;
        }
        element(out, value, spec, verb)?;
    }
    out.push_str(close)
}

fn map(
    out: &mut Text<'_>,
    values: &std::collections::BTreeMap<String, Value>,
    spec: &mut Spec,
    verb: char,
) -> Result<(), Fault> {
    let (open, between, close) = if spec.go_syntax {
        ("map[string]interface {}{", ", ", "}")
    } else {
        ("map[", " ", "]")
    };
    out.push_str(open)?;
    for (at, (key, value)) in values.iter().enumerate() {
        if at > 0 {
            out.push_str(between)?;
        }
        element(out, &Value::Str(key.as_str().into()), spec, verb)?;
        out.push(':')?;
        element(out, value, spec, verb)?;
    }
    out.push_str(close)
}

fn string(out: &mut Text<'_>, value: &str, spec: &Spec, verb: char) -> Result<bool, Fault> {
    match verb {
        'v' if spec.go_syntax => spec.quoted(out, value)?,
        's' | 'v' => spec.text(out, value)?,
        'q' => spec.quoted(out, value)?,
        'x' | 'X' => spec.hex(out, value.as_bytes(), verb)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn integer(out: &mut Text<'_>, value: i128, spec: &Spec, verb: char) -> Result<bool, Fault> {
    let size = value.unsigned_abs();
    let c = u32::try_from(value)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or('\u{fffd}');
    let (prefix, digits) = match verb {
        'v' | 'd' => ("", size.to_string()),
        'b' => ("0b", format!("{size:b}")),
        'o' => ("", format!("{size:o}")),
        'O' => ("0o", format!("{size:o}")),
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        'c' => return spec.pad(out, c.encode_utf8(&mut [0; 4])).map(|()| true),
        'q' => {
            return spec
                .pad(out, &quote::character(c, spec.plus))
                .map(|()| true);
        }
        'U' => return spec.code_point(out, value, c).map(|()| true),
        _ => return Ok(false),
    };
    let sign = spec.sign(value < 0);
    if spec.precision == Some(0) && value == 0 {
        spec.without_zeros().pad(out, "")?;
        return Ok(true);
    }
    let least = match (spec.precision, spec.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero && !spec.minus => width - sign.len().min(width),
        (None, _) => 0,
    };
    let mut text = out.another();
    text.push_str(sign)?;
    let zeros = least.saturating_sub(digits.len());
    if verb == 'O' || spec.sharp {
        text.push_str(prefix)?;
    }
    if matches!(verb, 'o' | 'O') && spec.sharp && zeros == 0 && digits != "0" {
        text.push('0')?;
    }
    text.fill('0', zeros)?;
    text.push_str(&digits)?;
    let text = text.done();
    spec.without_zeros().pad(out, &text)?;
    Ok(true)
}

fn float(out: &mut Text<'_>, value: f64, spec: &Spec, verb: char) -> Result<bool, Fault> {
    let size = value.abs();
    let precision = spec.precision;
    let digits = match verb {
        'v' | 'g' | 'G' => number::shortest(size, precision),
        'e' | 'E' => number::scientific(size, precision.unwrap_or(6)),
        'f' | 'F' => number::fixed(size, precision.unwrap_or(6)),
        'b' | 'x' | 'X' => {
            return Err(Fault::Value(format!(
                "\"%{verb}\" of a decimal number is not supported"
            )));
        }
        _ => return Ok(false),
    };
    if spec.sharp {
        return Err(Fault::Value(
            "\"#\" with a decimal number is not supported".into(),
        ));
    }
    let digits = if matches!(verb, 'E' | 'G') {
        digits.to_uppercase()
    } else {
        digits
    };
    let sign = spec.sign(value.is_sign_negative());
    if !sign.is_empty() && spec.zero && !spec.minus {
        out.push_str(sign)?;
        out.fill('0', spec.padding(sign.len() + digits.len()))?;
        out.push_str(&digits)?;
    } else {
        spec.pad(out, &format!("{sign}{digits}"))?;
    }
    Ok(true)
}

impl Spec {
    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        }
    }

    fn without_zeros(&self) -> Self {
        Self {
            zero: false,
            ..self.clone()
        }
    }

    /// How much a text of so many characters lacks to the width.
    fn padding(&self, characters: usize) -> usize {
        self.width.unwrap_or(0).saturating_sub(characters)
    }

    fn pad(&self, out: &mut Text<'_>, text: &str) -> Result<(), Fault> {
        let padding = match self.width {
            None => 0,
            Some(_) => self.padding(text.chars().count()),
        };
        if self.minus {
            out.push_str(text)?;
            return out.fill(' ', padding);
        }
        out.fill(if self.zero { '0' } else { ' ' }, padding)?;
        out.push_str(text)
    }

    /// `text` cut to as many characters as the precision says.
    fn cut<'a>(&self, text: &'a str) -> &'a str {
        let end = self
            .precision
            .and_then(|count| text.char_indices().nth(count))
            .map_or(text.len(), |(end, _)| end);
        &text[..end]
    }

    fn text(&self, out: &mut Text<'_>, text: &str) -> Result<(), Fault> {
        self.pad(out, self.cut(text))
    }

    fn quoted(&self, out: &mut Text<'_>, text: &str) -> Result<(), Fault> {
        let text = self.cut(text);
        out.spend(text.len())?;
        if self.sharp && quote::can_be_raw(text) {
            return self.pad(out, &format!("`{text}`"));
        }
        self.pad(out, &quote::text(text, self.plus))
    }

    /// Two digits for each byte.
    fn hex(&self, out: &mut Text<'_>, bytes: &[u8], verb: char) -> Result<(), Fault> {
        let bytes = &bytes[..self.precision.unwrap_or(bytes.len()).min(bytes.len())];
        let prefix = match (self.sharp, verb) {
            (false, _) => "",
            (true, 'x') => "0x",
            (true, _) => "0X",
        };
        let mut text = out.another();
        for (at, byte) in bytes.iter().enumerate() {
            if self.space && at > 0 {
                text.push(' ')?;
            }
            if self.space || at == 0 {
                text.push_str(prefix)?;
            }
            text.push_str(&if verb == 'x' {
                format!("{byte:02x}")
            } else {
                format!("{byte:02X}")
            })?;
        }
        let text = text.done();
        self.pad(out, &text)
    }

    /// `U+0078`, and with `#` the character.
    fn code_point(&self, out: &mut Text<'_>, value: i128, c: char) -> Result<(), Fault> {
        // Go shows a negative number as the 64 bits that it has.
        let bits = if value < 0 { value + (1 << 64) } else { value };
        let digits = format!("{bits:X}");
        let mut text = out.another();
        text.push_str("U+")?;
        text.fill(
            '0',
            self.precision
                .unwrap_or(0)
                .max(4)
                .saturating_sub(digits.len()),
        )?;
        text.push_str(&digits)?;
        if self.sharp
            && u32::from(c) == u32::try_from(value).unwrap_or(u32::MAX)
            && quote::is_printable(c)
        {
            text.push_str(&format!(" '{c}'"))?;
        }
        let text = text.done();
        self.without_zeros().pad(out, &text)
    }
}
