//! Repositories that several objects read: what has the same URL and credential is fetched and asked
//! once for all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;

use tokio::time::Instant;

use crate::model::Digest;
use crate::model::RepoUrl;
use crate::repo;
use crate::repo::Access;
use crate::repo::Credentials;
use crate::repo::Location;
use crate::repo::Reference;
use crate::repo::Repository;
use crate::repo::Tip;

/// What makes two accesses one and the same: URL, and digest of the credential.
type Key = (String, Option<Digest>);

/// All repositories that are in use.
#[derive(Debug, Default)]
pub(super) struct Repositories(Mutex<HashMap<Key, Weak<Shared>>>);

/// A repository that several objects read. What was fetched lives as long as one of them holds it.
#[derive(Debug)]
pub(super) struct Shared {
    repository: Repository,
    polls: Mutex<Vec<(Reference, Arc<Poll>)>>,
}

/// The last answer about one reference, and when it was asked for. The lock is held while asking.
type Poll = tokio::sync::Mutex<Option<(Instant, Answer)>>;

/// What a reference stands at. The error is shared with all who asked.
pub(super) type Answer = Result<Tip, Arc<repo::Error>>;

impl Repositories {
    /// The repository at `url`; opened if nobody has it. `credential` is a digest of what `access`
    /// opens it with.
    pub(super) fn open(
        &self,
        url: &RepoUrl,
        access: Access,
        credential: Option<Digest>,
    ) -> Result<Arc<Shared>, repo::Error> {
        let key = (url.to_string(), credential);
        let mut open = lock(&self.0);
        if let Some(shared) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        open.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(Shared {
            repository: Repository::open(&Location::Git(url.clone()), access)?,
            polls: Mutex::default(),
        });
        open.insert(key, Arc::downgrade(&shared));
        Ok(shared)
    }
}

impl Shared {
    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What `reference` stands at, by an answer that was asked for at `since` or later. Of many who
    /// want to know at once, one asks.
    pub(super) async fn resolve(&self, reference: &Reference, since: Instant) -> Answer {
        let poll = self.poll(reference);
        let mut last = poll.lock().await;
        if let Some((asked, answer)) = &*last
            && *asked >= since
        {
            return answer.clone();
        }
        let asked = Instant::now();
        let answer = self.repository.resolve(reference).await.map_err(Arc::new);
        *last = Some((asked, answer.clone()));
        answer
    }

    fn poll(&self, reference: &Reference) -> Arc<Poll> {
        let mut polls = lock(&self.polls);
        if let Some((_, poll)) = polls.iter().find(|(it, _)| it == reference) {
            return Arc::clone(poll);
        }
        let poll = Arc::new(Poll::default());
        polls.push((reference.clone(), Arc::clone(&poll)));
        poll
    }
}

/// Equal for equal credentials, and of no use to whoever reads it.
pub(super) fn digest_of(credentials: &Credentials) -> Digest {
    let fields = match credentials {
        Credentials::Token(token) => ["token", token.expose(), ""],
        Credentials::Basic { username, password } => ["basic", username, password.expose()],
        Credentials::Ssh { key, known_hosts } => ["ssh", key.expose(), known_hosts],
    };
    Digest::of_fields(fields.map(str::as_bytes))
}

/// A panic while a lock was held leaves a whole value: each change is one insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn url(dir: &tempfile::TempDir) -> RepoUrl {
        RepoUrl::parse(&format!("file://{}/none", dir.path().display())).unwrap()
    }

    #[test]
    fn one_url_and_credential_is_one_repository() {
        let dir = tempfile::tempdir().unwrap();
        let all = Repositories::default();
        let open = |credential: Option<Digest>| {
            let access = Access::default();
            all.open(&url(&dir), access, credential).unwrap()
        };
        let first = open(None);
        assert!(Arc::ptr_eq(&first, &open(None)));
        let with_token = open(Some(Digest::of("token")));
        assert!(!Arc::ptr_eq(&first, &with_token));
        drop((first, with_token));
        open(Some(Digest::of("other")));
        assert_eq!(lock(&all.0).len(), 1, "what nobody holds is forgotten");
    }

    #[tokio::test]
    async fn an_answer_that_is_young_enough_is_shared() {
        let dir = tempfile::tempdir().unwrap();
        let shared = Repositories::default()
            .open(&url(&dir), Access::default(), None)
            .unwrap();
        let since = Instant::now();
        let head = Reference::default();
        let ask = |since| shared.resolve(&head, since);
        // There is no repository; who asked together gets the very same error.
        let (a, b) = tokio::join!(ask(since), ask(since));
        let (a, b) = (a.unwrap_err(), b.unwrap_err());
        assert!(Arc::ptr_eq(&a, &b));
        let later = ask(Instant::now() + Duration::from_secs(1)).await;
        assert!(!Arc::ptr_eq(&a, &later.unwrap_err()));
    }
}
