//! Leader election by a Lease: of several replicas one works. It saves work and keeps logs quiet;
//! no run rests on it, for it cannot stop a replica that was leader a moment ago.

mod decide;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::Client;
use kube::api::PostParams;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::decide::Move;
use self::decide::decide;
use super::clock;
use crate::model::Namespace;

/// Name of the Lease.
const LEASE: &str = "axon-controller";
/// How long a leader that has fallen silent is left its place.
const TERM: Duration = Duration::from_secs(15);
/// How often the leader renews, and the others look: several chances in one term.
const BEAT: Duration = Duration::from_secs(3);
/// A leader that could not renew for so long stops.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until when after its last renewal a leader's work is over: before another may begin.
const END: Duration = Duration::from_secs(14);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(4);

/// A place in the election.
pub(super) struct Candidate {
    leases: Api<Lease>,
    identity: String,
    /// The version of the Lease that was seen last, and when it was first seen.
    seen: Option<(Option<String>, Instant)>,
    /// When the last renewal was asked for: another replica counts from its answer, which is later.
    renewed: Instant,
}

/// What a try at the Lease came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    Leading,
    Following,
    /// The API server could not be asked, or somebody wrote first.
    Unclear,
}

impl Candidate {
    /// A candidate that calls itself `identity`, for the Lease in `namespace`.
    pub(super) fn new(client: &Client, namespace: &Namespace, identity: String) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), namespace.as_str()),
            identity,
            seen: None,
            renewed: Instant::now(),
        }
    }

    /// Waits until this replica leads; false if `stop` came first.
    pub(super) async fn elected(&mut self, stop: &CancellationToken) -> bool {
        let mut told = false;
        while !stop.is_cancelled() {
            match self.attempt().await {
                Tried::Leading => {
                    tracing::info!(identity = self.identity, "leads");
                    return true;
                }
                Tried::Following if !told => {
                    tracing::info!(identity = self.identity, "waits: another replica leads");
                    told = true;
                }
                Tried::Following | Tried::Unclear => {}
            }
            // An interrupted wait ends the loop.
            sleep(BEAT, stop).await.ok();
        }
        false
    }

    /// Renews the Lease until `stop`, or until it is lost. The Lease stays ours: it is given
    /// back when the work has ended.
    pub(super) async fn hold(&mut self, stop: &CancellationToken) {
        loop {
            let in_time = self.renewed + PATIENCE;
            match tokio::time::timeout_at(in_time, self.beat(stop)).await {
                Ok(Some(Tried::Leading | Tried::Unclear)) => {}
                Ok(Some(Tried::Following)) => {
                    tracing::warn!(identity = self.identity, "another replica leads now");
                    return;
                }
                // Told to stop.
                Ok(None) => return,
                Err(_) => {
                    tracing::warn!(
                        identity = self.identity,
                        "could not renew the Lease in time"
                    );
                    return;
                }
            }
        }
    }

    async fn beat(&mut self, stop: &CancellationToken) -> Option<Tried> {
        sleep(BEAT, stop).await.ok()?;
        Some(self.attempt().await)
    }

    /// When the work of this leader must be over, if it does not renew any more.
    pub(super) fn end(&self) -> Instant {
        self.renewed + END
    }

    /// Gives the Lease back, so that another replica need not wait out the term.
    pub(super) async fn release(&self) {
        let given_back = async {
            let held = self.leases.get_opt(LEASE).await?;
            let Some(free) = held.and_then(|it| decide::released(&it, &self.identity)) else {
                return Ok(());
            };
            self.leases
                .replace(LEASE, &PostParams::default(), &free)
                .await
                .map(|_| ())
        };
        match tokio::time::timeout(REQUEST, given_back).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log(&error),
            Err(_) => tracing::debug!("no answer while giving the Lease back"),
        }
    }

    async fn attempt(&mut self) -> Tried {
        let asked = Instant::now();
        match tokio::time::timeout(REQUEST, self.try_once(clock::now())).await {
            Ok(Ok(tried)) => {
                if tried == Tried::Leading {
                    self.renewed = asked;
                }
                tried
            }
            Ok(Err(error)) => {
                log(&error);
                Tried::Unclear
            }
            Err(_) => Tried::Unclear,
        }
    }

    async fn try_once(&mut self, now: Timestamp) -> Result<Tried, kube::Error> {
        let held = self.leases.get_opt(LEASE).await?;
        let parameters = PostParams::default();
        let silence = held.as_ref().map_or(Duration::ZERO, |it| self.silence(it));
        match decide(held.as_ref(), &self.identity, LEASE, TERM, silence, now) {
            Move::Follow => return Ok(Tried::Following),
            Move::Create(lease) => self.leases.create(&parameters, &lease).await?,
            // The resourceVersion in it keeps a slower one from taking it back.
            Move::Take(lease) => self.leases.replace(LEASE, &parameters, &lease).await?,
        };
        Ok(Tried::Leading)
    }

    /// How long the Lease has stood as it is, by our own clock.
    fn silence(&mut self, held: &Lease) -> Duration {
        let version = &held.metadata.resource_version;
        match &self.seen {
            Some((seen, since)) if seen == version => since.elapsed(),
            Some(_) | None => {
                self.seen = Some((version.clone(), Instant::now()));
                Duration::ZERO
            }
        }
    }
}

fn log(error: &kube::Error) {
    match error {
        kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => {
            tracing::debug!("another replica wrote the Lease first");
        }
        other => tracing::warn!(error = %other, "cannot use the Lease \"{LEASE}\""),
    }
}

/// Waits for `time`; an error if `stop` came first.
async fn sleep(time: Duration, stop: &CancellationToken) -> Result<(), ()> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = stop.cancelled() => Err(()),
    }
}
