//! Public keys, and whether they made a signature. The cryptography is ring's.

use ring::signature;
use ring::signature::RsaPublicKeyComponents;
use ring::signature::UnparsedPublicKey;

use super::wire::KeyBlob;
use super::wire::Reader;
use super::wire::Signature;

/// Shortest RSA modulus in bytes, and longest; ring takes no others.
const RSA: std::ops::RangeInclusive<usize> = 256..=1024;

/// A public key that can be checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// Why a key cannot be checked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidKey {
    #[error("a key of type \"{0}\" cannot be checked: use ed25519, ecdsa (P-256, P-384) or rsa")]
    Unsupported(String),
    #[error("an RSA key must have 2048 to 8192 bits")]
    RsaSize,
    #[error("this is not a public key")]
    Malformed,
}

impl PublicKey {
    pub(super) fn parse(blob: &KeyBlob) -> Result<Self, InvalidKey> {
        let mut rest = Reader(&blob.0);
        let kind = rest.string().ok_or(InvalidKey::Malformed)?;
        let key = match kind {
            b"ssh-ed25519" => rest.string().map(|key| Self::Ed25519(key.to_vec())),
            b"ecdsa-sha2-nistp256" => point(&mut rest, b"nistp256").map(Self::P256),
            b"ecdsa-sha2-nistp384" => point(&mut rest, b"nistp384").map(Self::P384),
            b"ssh-rsa" => {
                let e = rest.integer();
                e.zip(rest.integer()).map(|(e, n)| Self::Rsa {
                    n: n.to_vec(),
                    e: e.to_vec(),
                })
            }
            other => {
                let name = String::from_utf8_lossy(other);
                let plain = |it: &char| it.is_ascii_graphic();
                return Err(InvalidKey::Unsupported(
                    name.chars().filter(plain).take(64).collect(),
                ));
            }
        };
        let key = key
            .filter(|_| rest.0.is_empty())
            .ok_or(InvalidKey::Malformed)?;
        let length_is = |key: &[u8], length| key.len() == length;
        match &key {
            Self::Ed25519(it) if !length_is(it, 32) => Err(InvalidKey::Malformed),
            // One byte, and two coordinates.
            Self::P256(it) if !length_is(it, 65) => Err(InvalidKey::Malformed),
            Self::P384(it) if !length_is(it, 97) => Err(InvalidKey::Malformed),
            Self::Rsa { n, .. } if !RSA.contains(&n.len()) => Err(InvalidKey::RsaSize),
            Self::Ed25519(_) | Self::P256(_) | Self::P384(_) | Self::Rsa { .. } => Ok(key),
        }
    }

    /// Whether this key made a signature of `message`.
    pub(super) fn made(&self, signature: &Signature, message: &[u8]) -> bool {
        let signed = signature.signed(message);
        let bytes = &signature.bytes;
        match (self, signature.algorithm.as_slice()) {
            (Self::Ed25519(key), b"ssh-ed25519") => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(&signed, bytes)
            }
            (Self::P256(key), b"ecdsa-sha2-nistp256") => {
                let algorithm = &signature::ECDSA_P256_SHA256_FIXED;
                let Some(pair) = fixed(bytes, 32) else {
                    return false;
                };
                UnparsedPublicKey::new(algorithm, key).verify(&signed, &pair)
            }
            (Self::P384(key), b"ecdsa-sha2-nistp384") => {
                let algorithm = &signature::ECDSA_P384_SHA384_FIXED;
                let Some(pair) = fixed(bytes, 48) else {
                    return false;
                };
                UnparsedPublicKey::new(algorithm, key).verify(&signed, &pair)
            }
            (Self::Rsa { n, e }, b"rsa-sha2-256") => RsaPublicKeyComponents { n, e }.verify(
                &signature::RSA_PKCS1_2048_8192_SHA256,
                &signed,
                bytes,
            ),
            (Self::Rsa { n, e }, b"rsa-sha2-512") => RsaPublicKeyComponents { n, e }.verify(
                &signature::RSA_PKCS1_2048_8192_SHA512,
                &signed,
                bytes,
            ),
            // Among them "ssh-rsa": SHA-1 proves nothing.
            _ => return false,
        }
        .is_ok()
    }
}

/// A point of a curve that is named before it.
fn point(rest: &mut Reader<'_>, curve: &[u8]) -> Option<Vec<u8>> {
    let named = rest.string()? == curve;
    let point = rest.string()?;
    named.then(|| point.to_vec())
}

/// Two integers of an ECDSA signature, side by side at their full length.
fn fixed(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut rest = Reader(bytes);
    let mut pair = Vec::with_capacity(2 * length);
    for _ in 0..2 {
        let integer = rest.integer()?;
        pair.resize(pair.len() + length.checked_sub(integer.len())?, 0);
        pair.extend_from_slice(integer);
    }
    rest.0.is_empty().then_some(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(parts: &[&[u8]]) -> KeyBlob {
        let with_length = |part: &&[u8]| {
            let length = u32::try_from(part.len()).unwrap().to_be_bytes();
            [&length[..], part].concat()
        };
        KeyBlob(parts.iter().flat_map(with_length).collect())
    }

    #[test]
    fn keys() {
        let check = |parts: &[&[u8]], expected: Option<InvalidKey>| {
            assert_eq!(PublicKey::parse(&blob(parts)).err(), expected, "{parts:?}");
        };
        check(&[b"ssh-ed25519", &[1; 32]], None);
        check(&[b"ssh-ed25519", &[1; 31]], Some(InvalidKey::Malformed));
        check(
            &[b"ssh-ed25519", &[1; 32], b"more"],
            Some(InvalidKey::Malformed),
        );
        check(&[b"ecdsa-sha2-nistp256", b"nistp256", &[4; 65]], None);
        check(
            &[b"ecdsa-sha2-nistp256", b"nistp384", &[4; 97]],
            Some(InvalidKey::Malformed),
        );
        check(&[b"ssh-rsa", &[1, 0, 1], &[0x7f; 256]], None);
        check(
            &[b"ssh-rsa", &[1, 0, 1], &[0x7f; 128]],
            Some(InvalidKey::RsaSize),
        );
        check(
            &[b"ssh-dss", &[1]],
            Some(InvalidKey::Unsupported("ssh-dss".into())),
        );
        check(&[], Some(InvalidKey::Malformed));
    }

    #[test]
    fn integers_are_filled_up() {
        let pair = blob(&[&[0, 0x80], &[1, 2]]);
        assert_eq!(fixed(&pair.0, 3).unwrap(), [0, 0, 0x80, 0, 1, 2]);
        assert_eq!(fixed(&pair.0, 1), None, "too long");
    }
}
