//! Fills the volumes of a Pod before its first container starts, and keeps what they hold of objects up to date.

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::RETRY_FIRST;
use super::RETRY_LAST;
use super::Worker;
use crate::local::events::Note;
use crate::local::images::Lender;
use crate::local::runner::isolation::Isolation;
use crate::local::runner::isolation::Owner;
use crate::local::runner::plan;
use crate::local::runner::plan::Places;
use crate::local::runner::sources::Sources;
use crate::local::runner::sources::Wanted;
use crate::local::runner::volumes;

impl Worker {
    /// Fills the volumes; waits for what is missing. False after a halt.
    pub(super) async fn make_volumes(&mut self) -> bool {
        let mut pause = RETRY_FIRST;
        let mut last = String::new();
        loop {
            match self.fill().await {
                Ok(()) => return true,
                Err(why) if why != last => {
                    self.note(Note::warning("FailedMount", why.clone()));
                    last = why;
                }
                Err(_) => {}
            }
            let retry = Instant::now() + pause;
            pause = (pause * 2).min(RETRY_LAST);
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(retry) => break,
                    () = self.heed() => if self.is_halted() { return false },
                }
            }
        }
    }

    /// Brings the copies of objects in the volumes up to date.
    pub(super) async fn refresh(&self) {
        if !volumes::has_copies(&self.pod) {
            return;
        }
        let Ok(sources) = self.sources().await else {
            return;
        };
        let (places, pod) = (self.places.clone(), self.pod.clone());
        let owner = Owner::of(&self.node.options.isolation);
        let done = tokio::task::spawn_blocking(move || {
            volumes::refresh(&places.volumes(), &pod, &sources, owner)
        });
        if let Ok(Err(error)) = done.await {
            let pod = self.pod.metadata.name.as_deref();
            tracing::warn!(%error, pod, "a volume could not be brought up to date");
        }
    }

    async fn sources(&self) -> Result<Sources, kube::Error> {
        let spec = self.pod.spec.as_ref();
        let volumes = spec.and_then(|it| it.volumes.as_deref());
        let wanted = Wanted::by_volumes(volumes.unwrap_or_default());
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        wanted.read(&self.node.client, namespace).await
    }

    async fn fill(&self) -> Result<(), String> {
        let sources = self.sources().await;
        let sources = sources.map_err(|_| "cannot read from the API server".to_owned())?;
        let (places, pod) = (self.places.clone(), self.pod.clone());
        let isolation = self.node.options.isolation.clone();
        let lender = self.node.options.lender.clone();
        let made = tokio::task::spawn_blocking(move || {
            let owner = Owner::of(&isolation);
            plan::check_names(&pod)
                .and_then(|()| volumes::make(&places.volumes(), &pod, &sources, owner))
                .map_err(|error| match std::error::Error::source(&error) {
                    Some(cause) => format!("{error}: {cause}"),
                    None => error.to_string(),
                })?;
            match (lender, &isolation) {
                (Some(lender), Isolation::Confined(_)) => {
                    borrow(lender.as_ref(), owner, &places, &pod)
                }
                _ => Ok(()),
            }
        });
        made.await.unwrap_or_else(|error| Err(error.to_string()))
    }
}

/// Takes what the Pod is lent of this machine.
fn borrow(lender: &dyn Lender, owner: Owner, places: &Places, pod: &Pod) -> Result<(), String> {
    let lent = lender.lend(pod, &places.loan())?;
    for it in lent.iter().filter(|it| it.writable) {
        owner
            .take_all(&it.path)
            .map_err(|error| format!("cannot lend \"{}\": {error}", it.at.display()))?;
    }
    // A second try has the same.
    let _ = places.lent.set(lent);
    Ok(())
}

impl Worker {
    /// Gives back what the Pod was lent, now that nothing of it runs.
    pub(super) async fn give_back(&self) {
        let Some(lender) = self.node.options.lender.clone() else {
            return;
        };
        let (places, pod) = (self.places.clone(), self.pod.clone());
        let given = move || lender.take_back(&pod, &places.loan(), &places.volumes());
        if let Err(error) = tokio::task::spawn_blocking(given).await {
            tracing::warn!(%error, "what a Pod was lent could not be taken back");
        }
    }
}
