//! The forms in which programs print a secret value.

use std::collections::BTreeSet;

/// Values shorter than this are not masked: they would blot out ordinary text.
pub(super) const MIN_SECRET: usize = 4;
/// Shorter lines of a value of many lines (`-----`, a brace) and shorter parts of an encoding are
/// not looked for by themselves.
const MIN_PART: usize = 8;
/// Bytes that a line of base64 holds where programs break it: 76 and 64 digits.
const WRAPPED: [usize; 2] = [57, 48];

/// Everything that stands for `value` in what is printed.
pub(super) fn of(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let value = value.trim_ascii();
    let mut forms = texts(value);
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for line in lines.filter(|line| line.len() >= MIN_PART) {
        forms.extend(texts(line));
    }
    if value.len() >= MIN_SECRET {
        for alphabet in [*b"+/", *b"-_"] {
            forms.insert(base64(value, alphabet));
            // git sends a token as `user:token`.
            forms.insert(base64(&[b"x-access-token:", value].concat(), alphabet));
            forms.extend(within(value, alphabet));
        }
    }
    forms.retain(|form| form.len() >= MIN_SECRET);
    forms
}

/// The value itself and as it stands in URLs and JSON.
fn texts(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([value.to_vec(), percent(value)]);
    if let Ok(text) = std::str::from_utf8(value) {
        let json = quoted(text);
        // JSON in a string of JSON.
        forms.insert(quoted(&json).into_bytes());
        forms.insert(json.replace('/', "\\/").into_bytes());
        // Go escapes what HTML would understand, Python all that is not ASCII.
        let html = json.chars().map(|c| match c {
            '<' | '>' | '&' => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        });
        forms.insert(html.collect::<String>().into_bytes());
        let mut ascii = String::new();
        for c in json.chars() {
            if c.is_ascii() {
                ascii.push(c);
            } else {
                let units = c.encode_utf16(&mut [0; 2]).to_vec();
                ascii.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
        forms.insert(ascii.into_bytes());
        forms.insert(json.into_bytes());
    }
    forms
}

/// As it stands between the quotes of a JSON string.
fn quoted(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
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

/// What of the value's base64 is the same whatever stands before and after it, and its lines where
/// it is broken into lines.
fn within(value: &[u8], alphabet: [u8; 2]) -> Vec<Vec<u8>> {
    // Two or one bytes before it change the first three or two digits.
    let shifted = [(&b"xx"[..], 3), (&b"x"[..], 2)].map(|(before, spoiled)| {
        let digits = base64(&[before, value].concat(), alphabet);
        digits[spoiled..].to_vec()
    });
    let lines = WRAPPED
        .iter()
        .filter(|length| value.len() > **length)
        .flat_map(|length| value.chunks(*length))
        .map(|line| base64(line, alphabet));
    let parts = shifted.into_iter().chain(lines);
    parts.filter(|part| part.len() >= MIN_PART).collect()
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
