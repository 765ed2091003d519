//! A delivery from its arrival to its answer.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use kube::Client;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::time::Instant;
use tokio::time::sleep_until;

use super::answer::Answer;
use super::body::Room;
use super::body::Unread;
use super::delivery;
use super::delivery::Meaning;
use super::keys::Age;
use super::keys::Keys;
use super::keys::Place;
use super::known::Hook;
use super::known::Known;
use super::route::Target;
use super::signature::Signature;
use super::trigger::Triggers;

/// When a refusal is sent, counted from the delivery's last byte: later than any of its reasons is
/// usually found, so that the time does not tell which one it was.
const REFUSAL: Duration = Duration::from_millis(250);
/// How often a refused delivery is told of in the log, for each RepoSync.
const COMPLAINT: Duration = Duration::from_mins(1);
/// RepoSyncs whose complaints are remembered before all of them are forgotten.
const COMPLAINTS: usize = 1024;

/// What takes deliveries.
pub(super) struct Hooks {
    room: Room,
    known: Known,
    keys: Keys,
    /// Stands for the secret of a RepoSync that is none.
    decoy: hmac::Key,
    triggers: Triggers,
    complaints: Mutex<HashMap<Target, Instant>>,
}

impl Hooks {
    pub(super) fn new(client: Client, known: Known) -> Self {
        let random = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self {
            room: Room::default(),
            known,
            keys: Keys::new(client.clone()),
            // Nobody gets in by it: what it proves is not looked at.
            decoy: random.unwrap_or_else(|_| hmac::Key::new(hmac::HMAC_SHA256, &[0; 32])),
            triggers: Triggers::new(client),
            complaints: Mutex::default(),
        }
    }

    /// Takes one delivery.
    pub(super) async fn take(&self, target: &Target, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = match self.room.read(body).await {
            Ok(body) => body,
            Err(Unread::TooLarge) => return Answer::TooLarge,
            // Of a client that went away, nobody reads the answer.
            Err(Unread::TooSlow | Unread::Broken) => return Answer::TooSlow,
        };
        let refusal = Instant::now() + REFUSAL;
        let signature = Signature::of(&head.headers);
        let Some(hook) = self.authentic(target, &signature, &body.bytes).await else {
            drop(body);
            sleep_until(refusal).await;
            return Answer::NotFound;
        };
        match delivery::meaning(&head.headers, &body.bytes, hook.followed.as_deref()) {
            Meaning::Nothing => Answer::Ignored,
            Meaning::Look(mark) => {
                drop(body);
                self.triggers.pull(target, mark).await
            }
        }
    }

    /// The hook that a delivery proves to be for.
    async fn authentic(&self, target: &Target, signature: &Signature, body: &[u8]) -> Option<Hook> {
        let Some(hook) = self.known.hook(target) else {
            signature.proves(&self.decoy, body);
            return None;
        };
        let place = Place {
            namespace: target.namespace.clone(),
            name: hook.secret.clone(),
        };
        for age in [Age::Usual, Age::Newest] {
            let key = self.keys.get(&place, age).await;
            let proves = signature.proves(key.as_deref().unwrap_or(&self.decoy), body);
            if key.is_some() && proves {
                return Some(hook);
            }
            if key.is_none() && age == Age::Newest {
                self.complain(target, "its Secret is not there, or has no key \"secret\"");
                return None;
            }
        }
        self.complain(
            target,
            "its signature is missing or does not fit the Secret",
        );
        None
    }

    /// Tells who runs the controller what the sender is not told.
    fn complain(&self, target: &Target, why: &str) {
        let now = Instant::now();
        let mut complaints = self
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = complaints.get(target);
        if last.is_some_and(|last| now.saturating_duration_since(*last) < COMPLAINT) {
            return;
        }
        if complaints.len() >= COMPLAINTS {
            complaints.clear();
        }
        complaints.insert(target.clone(), now);
        tracing::warn!(namespace = %target.namespace, name = %target.name, "a webhook delivery was refused: {why}");
    }
}
