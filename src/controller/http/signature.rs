//! GitHub's proof of a delivery: an HMAC over its very bytes, compared in constant time.

use http::HeaderMap;
use ring::hmac;
use ring::hmac::Key;

/// The header that carries it.
const HEADER: &str = "x-hub-signature-256";
/// What its value begins with.
const SCHEME: &str = "sha256=";
/// Bytes of an HMAC-SHA256.
const LENGTH: usize = 32;

/// What a delivery carries as its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    tag: [u8; LENGTH],
    /// Whether there was one that can be read. If not, `tag` is a filler: it is compared all the
    /// same, so that both take one time.
    readable: bool,
}

impl Signature {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(HEADER).iter();
        let tag = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(tag),
            // Of two, which one counts would depend on who reads it.
            (None, _) | (Some(_), Some(_)) => None,
        };
        Self {
            tag: tag.unwrap_or_default(),
            readable: tag.is_some(),
        }
    }

    /// Whether it was made of `body` by someone who has `key`.
    pub(super) fn proves(&self, key: &Key, body: &[u8]) -> bool {
        let same = hmac::verify(key, body, &self.tag).is_ok();
        same & self.readable
    }
}

/// A key from the text of a Secret.
pub(super) fn key(secret: &[u8]) -> Option<Key> {
    // A file that was made a Secret of ends with a newline; what was typed at GitHub does not.
    let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    (!secret.is_empty()).then(|| Key::new(hmac::HMAC_SHA256, secret))
}

fn tag(value: &str) -> Option<[u8; LENGTH]> {
    let digits = value.strip_prefix(SCHEME)?.as_bytes();
    if digits.len() != 2 * LENGTH {
        return None;
    }
    let mut tag = [0; LENGTH];
    for (byte, pair) in tag.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(tag)
}

fn digit(text: u8) -> Option<u8> {
    let value = char::from(text).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    // The example of GitHub's own documentation.
    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const GOOD: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn check(values: &[&str], secret: &[u8], body: &[u8], expected: bool) {
        let headers = values
            .iter()
            .map(|value| {
                let value = HeaderValue::from_str(value).unwrap();
                (http::HeaderName::from_static(HEADER), value)
            })
            .fold(HeaderMap::new(), |mut all, (name, value)| {
                all.append(name, value);
                all
            });
        let key = key(secret).unwrap();
        let proves = Signature::of(&headers).proves(&key, body);
        assert_eq!(proves, expected, "{values:?}");
    }

    #[test]
    fn what_proves() {
        check(&[GOOD], SECRET, BODY, true);
        check(&[GOOD], b"It's a Secret to Everybody\n", BODY, true);
        let upper = format!("sha256={}", GOOD[7..].to_uppercase());
        check(&[&upper], SECRET, BODY, true);
    }

    #[test]
    fn what_does_not() {
        check(&[], SECRET, BODY, false);
        check(&[GOOD], SECRET, b"Hello, World?", false);
        check(&[GOOD], b"another", BODY, false);
        check(&[GOOD, GOOD], SECRET, BODY, false);
        for garbled in [
            "",
            "sha256=",
            "sha256",
            &GOOD[7..],
            &GOOD[..GOOD.len() - 1],
            &format!("{GOOD}0"),
            &format!("{GOOD},{GOOD}"),
            &GOOD.replace("sha256", "sha1"),
            &GOOD.replace('7', "g"),
            &GOOD.replace("75", "+5"),
            &format!("sha256={}", "0".repeat(64)),
        ] {
            check(&[garbled], SECRET, BODY, false);
        }
    }

    #[test]
    fn an_empty_secret_is_none() {
        assert!(key(b"").is_none() && key(b"\r\n").is_none());
    }
}
