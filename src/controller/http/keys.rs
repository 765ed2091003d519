//! The senders' secrets: each read by name, and remembered for a short while.
//!
//! However many deliveries come, one Secret is read at most every [`REST`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Client;
use ring::hmac::Key;
use tokio::time::Instant;
use tokio::time::timeout;

use super::signature;
use crate::model::Namespace;

/// Key of the Secret that holds the sender's secret.
const SECRET: &str = "secret";
/// How long a secret that was taken back may still count.
const MAX_AGE: Duration = Duration::from_mins(1);
/// A secret that does not fit is read anew after this: it may have been changed.
const REST: Duration = Duration::from_secs(2);
/// How long one reading may take.
const LIMIT: Duration = Duration::from_secs(4);
/// Secrets that are remembered before those that were not asked for lately are forgotten.
const REMEMBERED: usize = 1024;

/// The secrets.
pub(super) struct Keys {
    client: Client,
    slots: Mutex<HashMap<Place, Arc<Slot>>>,
}

/// Where a Secret is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) namespace: Namespace,
    pub(super) name: String,
}

/// Locked while it is read, so that all who wait have one answer.
type Slot = tokio::sync::Mutex<Option<Remembered>>;

#[derive(Clone)]
struct Remembered {
    /// None: there is no such Secret, or nothing in it, or it could not be read for too long.
    key: Option<Arc<Key>>,
    /// When it was read.
    read: Instant,
    /// When reading it was last tried.
    tried: Instant,
}

/// How new a secret has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// As new as is usual.
    Usual,
    /// As new as may be had: the one that was remembered did not fit.
    Newest,
}

impl Keys {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            slots: Mutex::default(),
        }
    }

    /// The key that is in a Secret; none if there is none.
    pub(super) async fn get(&self, place: &Place, age: Age) -> Option<Arc<Key>> {
        let slot = self.slot(place);
        let mut slot = slot.lock().await;
        if let Some(remembered) = slot.as_ref()
            && remembered.is_good(age, Instant::now())
        {
            return remembered.key.clone();
        }
        let read = timeout(LIMIT, self.read(place)).await;
        let now = Instant::now();
        let next = match read {
            Ok(Ok(key)) => Remembered {
                key: key.map(Arc::new),
                read: now,
                tried: now,
            },
            Ok(Err(error)) => {
                tracing::warn!(%error, namespace = %place.namespace, name = place.name, "cannot read the Secret of a webhook");
                Remembered::unread(slot.take(), now)
            }
            Err(_) => {
                tracing::warn!(namespace = %place.namespace, name = place.name, "no answer while the Secret of a webhook was read");
                Remembered::unread(slot.take(), now)
            }
        };
        let key = next.key.clone();
        *slot = Some(next);
        key
    }

    async fn read(&self, place: &Place) -> Result<Option<Key>, kube::Error> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), place.namespace.as_str());
        let secret = secrets.get_opt(&place.name).await?;
        let data = secret.and_then(|it| it.data).unwrap_or_default();
        Ok(data.get(SECRET).and_then(|it| signature::key(&it.0)))
    }

    fn slot(&self, place: &Place) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= REMEMBERED && !slots.contains_key(place) {
            slots.retain(|_, slot| {
                // One that is locked is in use.
                slot.try_lock().map_or(true, |it| {
                    it.as_ref().is_some_and(|it| it.read.elapsed() < MAX_AGE)
                })
            });
        }
        slots.entry(place.clone()).or_default().clone()
    }
}

impl Remembered {
    /// What counts after reading failed at `now`: what was read lately, and not for longer.
    fn unread(before: Option<Self>, now: Instant) -> Self {
        let (key, read) = before.map_or((None, now), |it| (it.key, it.read));
        Self {
            key: key.filter(|_| now.duration_since(read) < MAX_AGE),
            read,
            tried: now,
        }
    }

    fn is_good(&self, age: Age, now: Instant) -> bool {
        match (age, &self.key) {
            (Age::Usual, Some(_)) => now.duration_since(self.read) < MAX_AGE,
            (Age::Newest, _) | (Age::Usual, None) => now.duration_since(self.tried) < REST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_may_no_longer_be_read_counts_for_a_minute() {
        let start = Instant::now();
        let key = signature::key(b"hunter2").map(Arc::new);
        assert!(key.is_some());
        let mut remembered = Remembered {
            key,
            read: start,
            tried: start,
        };
        // Deliveries that do not fit have it read anew, again and again, in vain.
        for second in (2..60).step_by(2) {
            let now = start + Duration::from_secs(second);
            assert!(!remembered.is_good(Age::Newest, now));
            remembered = Remembered::unread(Some(remembered), now);
            assert!(remembered.key.is_some(), "{second}");
            assert!(remembered.is_good(Age::Usual, now));
        }
        let now = start + MAX_AGE;
        assert!(!remembered.is_good(Age::Usual, now));
        remembered = Remembered::unread(Some(remembered), now);
        assert!(remembered.key.is_none());
        // Nor is it asked for at every delivery now.
        assert!(remembered.is_good(Age::Usual, now + Duration::from_secs(1)));
        assert!(!remembered.is_good(Age::Usual, now + REST));
        assert!(Remembered::unread(None, now).key.is_none());
    }
}
