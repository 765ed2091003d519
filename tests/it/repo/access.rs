//! Tokens and passwords.

use axon::model::Secret;
use axon::repo::Access;
use axon::repo::Credentials;
use axon::repo::Error;
use axon::repo::Location;
use axon::repo::Repository;

use super::Fixture;
use super::ROOT;
use super::open;
use super::read;
use super::told;
use super::with_token;

#[tokio::test]
async fn a_token_opens_and_is_never_shown() {
    let fixture = Fixture::new();
    fixture.repo.commit(&[(ROOT, "# one")]);
    fixture.server.require_token("hunter2secret");
    let good = open(&fixture.url(), with_token("hunter2secret"));
    read(&good, "main").await.unwrap();
    assert!(
        fixture
            .server
            .served()
            .iter()
            .all(|served| served.status == 200 && served.authorization.is_some())
    );
    for access in [Access::default(), with_token("wrongsecret")] {
        let error = read(&open(&fixture.url(), access), "main")
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Unauthorised { .. }),
            "{}",
            told(&error)
        );
        let shown = format!("{} {error:?}", told(&error));
        assert!(
            !shown.contains("wrongsecret") && !shown.contains("d3Jvbmdz"),
            "{shown}"
        );
    }
    assert!(!format!("{good:?}").contains("hunter2"));
}

#[test]
fn a_token_does_not_travel_in_the_clear() {
    let check = |url: &str, refused: bool| {
        let opened = Repository::open(&Location::parse(url).unwrap(), with_token("x"));
        assert_eq!(
            matches!(opened, Err(Error::UnfitCredential { .. })),
            refused,
            "{url}"
        );
    };
    check("http://example.com/a/b", true);
    check("http://127.0.0.1/a/b", false);
    check("https://example.com/a/b", false);
}

#[tokio::test]
async fn a_user_name_and_password_open() {
    let fixture = Fixture::new();
    fixture.repo.commit(&[(ROOT, "# one")]);
    fixture.server.require("bob", "hunter2:x");
    let with = |password: &str| Access {
        credentials: Some(Credentials::Basic {
            username: "bob".into(),
            password: Secret::new(password),
        }),
        ..Access::default()
    };
    read(&open(&fixture.url(), with("hunter2:x")), "main")
        .await
        .unwrap();
    let error = read(&open(&fixture.url(), with("hunter3")), "main").await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, Error::Unauthorised { .. }),
        "{}",
        told(&error)
    );
    assert!(!format!("{} {error:?}", told(&error)).contains("hunter3"));
}
