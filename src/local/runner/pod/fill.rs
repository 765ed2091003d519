//! Fills the volumes of a Pod before its first container starts.

use tokio::time::Instant;

use super::RETRY_FIRST;
use super::RETRY_LAST;
use super::Worker;
use crate::local::runner::plan;
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
                    self.note("FailedMount", why.clone(), true);
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

    async fn fill(&self) -> Result<(), String> {
        let spec = self.pod.spec.as_ref();
        let wanted = Wanted::by_volumes(
            spec.and_then(|it| it.volumes.as_deref())
                .unwrap_or_default(),
        );
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let sources = wanted.read(&self.node.client, namespace).await;
        let sources = sources.map_err(|_| "cannot read from the API server".to_owned())?;
        let places = self.places.clone();
        let pod = self.pod.clone();
        let made = tokio::task::spawn_blocking(move || {
            plan::check_names(&pod)
                .and_then(|()| volumes::make(&places.volumes(), &pod, &sources))
                .map_err(|error| match std::error::Error::source(&error) {
                    Some(cause) => format!("{error}: {cause}"),
                    None => error.to_string(),
                })
        });
        made.await.unwrap_or_else(|error| Err(error.to_string()))
    }
}
