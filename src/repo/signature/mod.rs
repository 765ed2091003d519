//! Who signed a commit. Only signatures of SSH keys are known, as `gpg.format=ssh` makes them.

mod key;
mod signers;
mod wire;

use gix::ObjectId;
use jiff::Timestamp;

use super::Error;
use signers::NAMESPACE;
use wire::Signature;

pub use signers::AllowedSigners;
pub use signers::InvalidSigners;

/// The header of a commit that holds its signature.
const HEADER: &[u8] = b"gpgsig ";

/// Who signed a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The principals of the line that names the key.
    pub principals: String,
    /// Of the key, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
}

/// Why a commit does not count as signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    #[error("a directory has no commit that could be signed")]
    NoCommit,
    #[error("it is not signed")]
    Unsigned,
    #[error("its signature is not one of an SSH key")]
    NotSsh,
    #[error("its signature cannot be read")]
    Malformed,
    #[error("it has more than one signature")]
    Several,
    #[error("it is signed for \"{0}\", not for git")]
    Namespace(String),
    #[error("the key {0} that signed it is not among the allowed signers")]
    UnknownKey(String),
    #[error("the key {0} that signed it may not sign commits")]
    NotForGit(String),
    #[error("the key {fingerprint} that signed it is valid only from {from} on")]
    NotYetValid {
        fingerprint: String,
        from: Timestamp,
    },
    #[error("the key {fingerprint} that signed it was valid only until {until}")]
    Expired {
        fingerprint: String,
        until: Timestamp,
    },
    #[error("its signature does not fit: the commit was changed after it was signed")]
    Tampered,
}

/// Who signed `commit`.
pub(super) fn verify(
    repo: &gix::Repository,
    commit: ObjectId,
    signers: &AllowedSigners,
    now: Timestamp,
) -> Result<Signer, Error> {
    let damaged = |error: gix::Error| Error::damaged(&commit, &error);
    let object = repo.find_object(commit).map_err(damaged)?;
    let object = object.peel_to_commit().map_err(damaged)?;
    signer(&object.data, signers, now).map_err(|source| Error::Unverified {
        commit: object.id.to_string(),
        source,
    })
}

fn signer(commit: &[u8], signers: &AllowedSigners, now: Timestamp) -> Result<Signer, Unverified> {
    let (armoured, payload) = split(commit)?;
    if !armoured.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
        return Err(Unverified::NotSsh);
    }
    let signature = Signature::parse(&armoured).ok_or(Unverified::Malformed)?;
    if signature.namespace != NAMESPACE.as_bytes() {
        let name = String::from_utf8_lossy(&signature.namespace);
        let shown = name.escape_debug().take(64).collect();
        return Err(Unverified::Namespace(shown));
    }
    let fingerprint = signature.key.fingerprint();
    let mut why = Unverified::UnknownKey(fingerprint.clone());
    // A key may stand in several lines: the first that lets it through counts.
    for entry in signers.with_key(&signature.key) {
        if !entry.key.made(&signature, &payload) {
            return Err(Unverified::Tampered);
        }
        why = match (entry.valid_after, entry.valid_before) {
            _ if !entry.is_for_git() => Unverified::NotForGit(fingerprint.clone()),
            (Some(from), _) if now < from => Unverified::NotYetValid {
                fingerprint: fingerprint.clone(),
                from,
            },
            (_, Some(until)) if now >= until => Unverified::Expired {
                fingerprint: fingerprint.clone(),
                until,
            },
            (_, _) => {
                return Ok(Signer {
                    principals: entry.principals.clone(),
                    fingerprint,
                });
            }
        };
    }
    Err(why)
}

/// The signature of a commit, and the commit without it: what was signed.
fn split(commit: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Unverified> {
    let (mut signature, mut payload) = (Vec::new(), Vec::new());
    let mut found = 0;
    let (mut inside, mut headers) = (false, true);
    for line in commit.split_inclusive(|byte| *byte == b'\n') {
        if headers && line == b"\n" {
            headers = false;
        }
        match line.strip_prefix(HEADER) {
            Some(first) if headers => {
                (inside, found) = (true, found + 1);
                signature.extend_from_slice(first);
            }
            Some(_) | None => match line.strip_prefix(b" ") {
                // A header goes on in the lines that begin with a space.
                Some(more) if headers && inside => signature.extend_from_slice(more),
                Some(_) | None => {
                    inside = false;
                    payload.extend_from_slice(line);
                }
            },
        }
    }
    match found {
        0 => Err(Unverified::Unsigned),
        1 => Ok((signature, payload)),
        _ => Err(Unverified::Several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_taken_out_of_the_headers_only() {
        let commit = b"tree 1\ngpgsig a\n b\nencoding x\n\ngpgsig c\n d\n";
        let (signature, payload) = split(commit).unwrap();
        assert_eq!(signature, b"a\nb\n");
        assert_eq!(payload, b"tree 1\nencoding x\n\ngpgsig c\n d\n");
        assert_eq!(split(b"tree 1\n\ngpgsig c\n"), Err(Unverified::Unsigned));
        assert_eq!(
            split(b"tree 1\ngpgsig a\ngpgsig b\n\n"),
            Err(Unverified::Several)
        );
    }
}
