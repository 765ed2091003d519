//! Commits that are signed with real keys by git itself.

use std::fs;
use std::path::Path;
use std::process::Command;

use axon::repo::AllowedSigners;
use axon::repo::Error;
use axon::repo::ErrorKind;
use axon::repo::Reference;
use axon::repo::Repository;
use axon::repo::Unverified;
use jiff::Timestamp;

use super::Fixture;
use super::ROOT;
use super::open;
use crate::ssh_server::key;
use crate::ssh_server::public;

fn signed(fixture: &Fixture, key: &Path, text: &str) -> String {
    fs::write(fixture.repo.work().join(ROOT), text).unwrap();
    fixture.repo.git(&["add", "--all"]);
    let key = format!("user.signingkey={}", key.display());
    fixture.repo.git(&[
        "-c",
        "gpg.format=ssh",
        "-c",
        &key,
        "commit",
        "--quiet",
        "--gpg-sign",
        "--message=signed",
    ]);
    fixture.repo.git(&["rev-parse", "HEAD"])
}

/// Writes a commit byte by byte.
fn written(fixture: &Fixture, commit: &str) -> String {
    let file = fixture.dir.path().join("commit");
    fs::write(&file, commit).unwrap();
    let write = ["hash-object", "-t", "commit", "-w", file.to_str().unwrap()];
    fixture.repo.git(&write)
}

async fn verify(repository: &Repository, commit: &str, signers: &str) -> Result<String, Error> {
    let signers = AllowedSigners::parse(signers).unwrap();
    let tip = repository.resolve(&Reference::parse(commit).unwrap()).await;
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    let signer = repository.verify(&tip?, &signers, now).await?;
    Ok(signer.principals)
}

async fn refused(repository: &Repository, commit: &str, signers: &str) -> Unverified {
    let error = verify(repository, commit, signers).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Verification, "{error:?}");
    match error {
        Error::Unverified { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_of_every_kind_sign() {
    let fixture = Fixture::new();
    let remote = fixture.open();
    let local = open(&fixture.repo.file_url(), axon::repo::Access::default());
    for (name, kind) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
    ] {
        let key = key(fixture.dir.path(), name, kind);
        let signers = format!("# all of us\nbob@x {}", public(&key));
        for n in 0..3 {
            // Signatures of ECDSA have numbers of different lengths.
            let commit = signed(&fixture, &key, &format!("# {name} {n}"));
            for repository in [&remote, &local] {
                let principals = verify(repository, &commit, &signers).await;
                assert_eq!(principals.unwrap(), "bob@x", "{name}");
            }
        }
    }
}

#[tokio::test]
async fn what_does_not_count() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let dir = fixture.dir.path();
    let ours = key(dir, "ours", &["-t", "ed25519"]);
    let other = key(dir, "other", &["-t", "ed25519"]);
    let ours_line = format!("bob@x {}", public(&ours));

    let unsigned = fixture.repo.commit(&[(ROOT, "# unsigned")]);
    assert_eq!(
        refused(&repository, &unsigned, &ours_line).await,
        Unverified::Unsigned
    );
    let foreign = signed(&fixture, &other, "# foreign");
    assert!(matches!(
        refused(&repository, &foreign, &ours_line).await,
        Unverified::UnknownKey(fingerprint) if fingerprint.starts_with("SHA256:")
    ));
    let good = signed(&fixture, &ours, "# good");
    for (options, expected) in [
        ("valid-before=\"20260101\"", "Expired"),
        ("valid-after=\"20270101\"", "NotYetValid"),
        ("namespaces=\"file\"", "NotForGit"),
    ] {
        let line = format!("bob@x {options} {}", public(&ours));
        let why = format!("{:?}", refused(&repository, &good, &line).await);
        assert!(why.starts_with(expected), "{why}");
        // Another line may let it through.
        let lines = format!("{line}{ours_line}");
        verify(&repository, &good, &lines).await.unwrap();
    }

    let raw = fixture.repo.git(&["cat-file", "commit", &good]);
    let changed = written(&fixture, &format!("{raw} and more\n"));
    assert_eq!(
        refused(&repository, &changed, &ours_line).await,
        Unverified::Tampered
    );
    let pgp = raw.replace("SSH SIGNATURE", "PGP SIGNATURE");
    let pgp = written(&fixture, &format!("{pgp}\n"));
    assert_eq!(
        refused(&repository, &pgp, &ours_line).await,
        Unverified::NotSsh
    );
    let header = "-----BEGIN SSH SIGNATURE-----\n ";
    let cut = raw.replace(header, &format!("{header}AAAA"));
    let cut = written(&fixture, &format!("{cut}\n"));
    assert_eq!(
        refused(&repository, &cut, &ours_line).await,
        Unverified::Malformed
    );
    let directory = open(
        fixture.repo.work().to_str().unwrap(),
        axon::repo::Access::default(),
    );
    assert_eq!(
        refused(&directory, "HEAD", &ours_line).await,
        Unverified::NoCommit
    );
}

#[tokio::test]
async fn a_signature_for_something_else_does_not_count() {
    let fixture = Fixture::new();
    let dir = fixture.dir.path();
    let ours = key(dir, "ours", &["-t", "ed25519"]);
    let plain = fixture.repo.commit(&[(ROOT, "# one")]);
    let raw = format!("{}\n", fixture.repo.git(&["cat-file", "commit", &plain]));
    // The very bytes of the commit, signed as a file.
    let payload = dir.join("payload");
    fs::write(&payload, &raw).unwrap();
    let status = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "file", "-f"])
        .args([&ours, &payload])
        .status();
    assert!(status.unwrap().success());
    let signature = fs::read_to_string(dir.join("payload.sig")).unwrap();
    let header = format!("gpgsig {}\n", signature.trim().replace('\n', "\n "));
    let (head, message) = raw.split_once("\n\n").unwrap();
    let commit = written(&fixture, &format!("{head}\n{header}\n{message}"));
    assert_eq!(
        refused(
            &fixture.open(),
            &commit,
            &format!("bob@x {}", public(&ours))
        )
        .await,
        Unverified::Namespace("file".into())
    );
}

#[test]
fn a_short_rsa_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let short = key(dir.path(), "short", &["-t", "rsa", "-b", "1024"]);
    let error = AllowedSigners::parse(&format!("bob@x {}", public(&short))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1 of the allowed signers: an RSA key must have 2048 to 8192 bits"
    );
}
