//! A Task that is replaced: it is told to go, awaited gone, and made anew.
//!
//! Going takes as long as its Pod does, and on a node that does not answer it takes for ever. So it is
//! waited for without a place among the requests: other objects go on meanwhile.

use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

use crate::cluster::Error;
use crate::cluster::Propagation;
use crate::model::Key;
use crate::model::plan::Deed;
use crate::model::plan::LiveId;
use crate::model::plan::Manifest;
use crate::sync::work::Work;

/// First and longest pause between two looks at an object that is going.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

impl Work<'_> {
    pub(super) async fn replace(
        &self,
        key: &Key,
        manifest: &Manifest,
        live: &LiveId,
    ) -> Result<Deed, Error> {
        let slot = self.slot().await;
        self.cancelled(key, live).await;
        // Foreground: the old Job is gone before its name is needed again.
        self.delete(key, live, Propagation::Foreground).await?;
        drop(slot);
        self.await_gone(key, &live.uid).await?;
        let _slot = self.slot().await;
        self.create(key, manifest).await?;
        Ok(Deed::Replaced)
    }

    /// Waits until the object with this UID is gone.
    async fn await_gone(&self, key: &Key, uid: &str) -> Result<(), Error> {
        let deadline = Instant::now() + self.gone;
        let (mut pause, longest) = PAUSE;
        loop {
            let slot = self.slot().await;
            let found = self.cluster.get(key).await?;
            drop(slot);
            if found.is_none_or(|it| it.id().uid != uid) {
                return Ok(());
            }
            if Instant::now() + pause > deadline {
                return Err(Error::StillThere(self.gone));
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}
