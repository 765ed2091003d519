//! Finds the images of all containers before the first of them starts.
//!
//! A Pod that lacks one has done nothing yet: it can wait, and be taken up again by a later node.

use std::pin::pin;

use tokio::time::sleep;

use super::RETRY_FIRST;
use super::RETRY_LAST;
use super::Worker;
use crate::local::events::Note;
use crate::local::runner::plan::Waiting;
use crate::local::runner::status::State;

impl Worker {
    /// Waits until every image is there. False after a halt.
    pub(super) async fn find_images(&mut self) -> bool {
        let fresh = self.progress.clone();
        let mut pause = RETRY_FIRST;
        while self.miss_images() {
            // What could not be written is written with the next look.
            let _ = self.write().await;
            let mut retry = pin!(sleep(pause));
            pause = (pause * 2).min(RETRY_LAST);
            loop {
                tokio::select! {
                    () = &mut retry => break,
                    () = self.heed() => if self.is_halted() { return false },
                }
            }
        }
        self.progress.init = fresh.init;
        self.progress.main = fresh.main;
        true
    }

    /// Notes on each container whether its image is missing; whether any is.
    fn miss_images(&mut self) -> bool {
        let spec = self.pod.spec.clone().unwrap_or_default();
        let init = spec.init_containers.unwrap_or_default();
        let mut missing = Vec::new();
        let pairs = self.progress.init.iter_mut().zip(&init);
        for (shown, container) in pairs.chain(self.progress.main.iter_mut().zip(&spec.containers)) {
            let image = container.image.as_deref().unwrap_or_default();
            if let Err(why) = (self.node.options.images)(image) {
                let why = Waiting::image(container, why);
                let state = State::Waiting {
                    reason: why.reason,
                    message: Some(why.message.clone()),
                };
                if shown.state == state {
                    missing.push(None);
                } else {
                    missing.push(Some(why.message));
                    shown.state = state;
                }
            }
        }
        let is_missing = !missing.is_empty();
        for message in missing.into_iter().flatten() {
            self.note(Note::warning("Failed", format!("Error: {message}")));
        }
        is_missing
    }
}
