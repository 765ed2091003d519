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
    /// None: there is no such Secret, or nothing in it.
    key: Option<Arc<Key>>,
    read: Instant,
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
            && remembered.read.elapsed() < remembered.lasts(age)
        {
            return remembered.key.clone();
        }
        let key = match timeout(LIMIT, self.read(place)).await {
            Ok(Ok(key)) => key.map(Arc::new),
            Ok(Err(error)) => {
                tracing::warn!(%error, namespace = %place.namespace, name = place.name, "cannot read the Secret of a webhook");
                slot.take().and_then(|before| before.key)
            }
            Err(_) => {
                tracing::warn!(namespace = %place.namespace, name = place.name, "no answer while the Secret of a webhook was read");
                slot.take().and_then(|before| before.key)
            }
        };
        *slot = Some(Remembered {
            key: key.clone(),
            read: Instant::now(),
        });
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
    fn lasts(&self, age: Age) -> Duration {
        match (age, &self.key) {
            (Age::Usual, Some(_)) => MAX_AGE,
            (Age::Newest, _) | (Age::Usual, None) => REST,
        }
    }
}
