//! OpenSSH's formats: public keys, and signatures of files as `ssh-keygen -Y sign` makes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::Digest as _;
use sha2::Sha256;
use sha2::Sha512;

/// Begins a signature, and what is signed.
const MAGIC: &[u8] = b"SSHSIG";
/// The one version there is.
const VERSION: u32 = 1;
const ARMOUR: (&str, &str) = (
    "-----BEGIN SSH SIGNATURE-----",
    "-----END SSH SIGNATURE-----",
);
/// Longest signature in its armour: that of a 16384-bit RSA key is a third of this.
const MAX: usize = 32 << 10;

/// A public key as it is written: equal keys have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyBlob(pub(super) Vec<u8>);

impl KeyBlob {
    /// Reads the base64 of a line.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    /// As `ssh-keygen -l` shows it.
    pub(super) fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.0)))
    }
}

/// A signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) key: KeyBlob,
    pub(super) namespace: Vec<u8>,
    reserved: Vec<u8>,
    hash: Hash,
    /// How it was signed, such as `rsa-sha2-512`.
    pub(super) algorithm: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl Signature {
    /// Reads an armoured signature; nothing if it is none.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?.trim();
        let inner = text.strip_prefix(ARMOUR.0)?.strip_suffix(ARMOUR.1)?;
        let base64: String = inner.split_whitespace().collect();
        let bytes = STANDARD.decode(base64).ok()?;
        let mut rest = Reader(bytes.strip_prefix(MAGIC)?);
        if rest.number()? != VERSION {
            return None;
        }
        let key = KeyBlob(rest.string()?.to_vec());
        let namespace = rest.string()?.to_vec();
        let reserved = rest.string()?.to_vec();
        let hash = match rest.string()? {
            b"sha256" => Hash::Sha256,
            b"sha512" => Hash::Sha512,
            _ => return None,
        };
        let mut inner = Reader(rest.string()?);
        let algorithm = inner.string()?.to_vec();
        let bytes = inner.string()?.to_vec();
        (rest.0.is_empty() && inner.0.is_empty()).then_some(Self {
            key,
            namespace,
            reserved,
            hash,
            algorithm,
            bytes,
        })
    }

    /// What the key has signed, for a message.
    pub(super) fn signed(&self, message: &[u8]) -> Vec<u8> {
        let (name, digest) = match self.hash {
            Hash::Sha256 => (&b"sha256"[..], Sha256::digest(message).to_vec()),
            Hash::Sha512 => (&b"sha512"[..], Sha512::digest(message).to_vec()),
        };
        let mut signed = MAGIC.to_vec();
        for part in [&self.namespace, &self.reserved, name, &digest] {
            // No part is longer than a signature in its armour.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            signed.extend_from_slice(&length.to_be_bytes());
            signed.extend_from_slice(part);
        }
        signed
    }
}

/// Reads numbers and strings, each with its length before it.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    pub(super) fn string(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    /// A positive integer, without the zeros before it.
    pub(super) fn integer(&mut self) -> Option<&'b [u8]> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            return None;
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(&bytes[zeros..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cut_or_odd_signature_is_read() {
        for text in [
            &b""[..],
            b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----",
            b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----",
            b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAf////8=\n-----END SSH SIGNATURE-----",
            b"-----BEGIN SSH SIGNATURE-----\n\xff\n-----END SSH SIGNATURE-----",
            b"-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----",
        ] {
            assert_eq!(Signature::parse(text), None);
        }
        assert_eq!(Signature::parse(&vec![b'x'; MAX + 1]), None);
    }

    #[test]
    fn integers() {
        let check = |bytes: &[u8], expected: Option<&[u8]>| {
            let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            let all = [&length[..], bytes].concat();
            assert_eq!(Reader(&all).integer(), expected);
        };
        check(&[0, 0x80], Some(&[0x80]));
        check(&[1, 0], Some(&[1, 0]));
        check(&[], Some(&[]));
        check(&[0x80], None);
    }
}
