//! Watches: what happens to the objects of a collection, from a revision on.
//!
//! A watch keeps no queue of its own: what it holds is shared with the store and rendered when the
//! reader takes it. It remembers how far it has read and asks the store's history for more; a reader
//! that is too slow finds that the history has moved on, is told 410, and is cut off.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::stream;
use serde_json::Value;
use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tower::BoxError;

use super::call::Call;
use super::error::ApiError;
use super::read;
use super::reply;
use super::reply::Reply;
use super::request::check_watch;
use super::selector::Selector;
use super::view::View;
use crate::local::store::Change;
use crate::local::store::Entry;
use crate::local::store::Event;
use crate::local::store::OutOfReach;

/// How many events are taken from the history at once.
const BATCH: usize = 128;
/// How long a watch lasts if the client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(45);
/// How often a quiet watch says how far it has come.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// What a reader is still to be told.
enum Pending {
    /// An object that was there at the beginning.
    Initial(Arc<Entry>),
    Event(Arc<Event>),
    Line(Bytes),
}

/// A running watch.
struct Watch {
    call: Call,
    view: View,
    selector: Selector,
    changes: Receiver<u64>,
    position: u64,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    ready: VecDeque<Pending>,
    ended: bool,
}

pub(super) fn watch(mut call: Call) -> Result<Reply, ApiError> {
    check_watch(&call.query)?;
    let mut query_selector = read::selector(&call)?;
    if !call.name.is_empty() {
        query_selector = query_selector.with_name(&call.name);
        call.name = String::new();
    }
    let timeout = call.query.number("timeoutSeconds")?;
    let timeout = timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let changes = call.server.store.subscribe(&call.resource.storage);
    let now = Instant::now();
    let mut watch = Watch {
        view: View::of(&call),
        bookmarks: call.query.flag("allowWatchBookmarks"),
        selector: query_selector,
        changes,
        position: 0,
        next_bookmark: now + BOOKMARK_EVERY,
        deadline: now + timeout.min(DEFAULT_TIMEOUT),
        ready: VecDeque::new(),
        ended: false,
        call,
    };
    watch.begin()?;
    Ok(reply::stream("application/json", watch.lines()))
}

impl Watch {
    /// Finds where to begin, and queues the initial events if there are to be any.
    fn begin(&mut self) -> Result<(), ApiError> {
        let asked = self.call.query.number("resourceVersion")?;
        let initial = self.call.query.flag("sendInitialEvents");
        match asked {
            Some(revision) if revision > 0 && !initial => {
                let memory = self.call.server.store.read();
                let checked = memory.events_after(&self.call.scope(), revision, 1);
                drop(memory);
                self.position = revision;
                match checked {
                    // As Kubernetes has it: the watch begins, and ends with its first event.
                    Err(error @ OutOfReach::Compacted { .. }) => self.fail(error),
                    Err(error) => return Err(read::out_of_reach(error, revision)),
                    Ok(_) => {}
                }
            }
            _ => self.send_all(initial)?,
        }
        Ok(())
    }

    fn send_all(&mut self, announce_end: bool) -> Result<(), ApiError> {
        let asked = self.call.query.number("resourceVersion")?.unwrap_or(0);
        let memory = self.call.server.store.read();
        let current = memory.revision();
        if asked > current {
            return Err(read::out_of_reach(OutOfReach::Future { current }, asked));
        }
        let entries = memory
            .range(&self.call.scope(), None)
            .filter(|(key, entry)| self.selector.matches(key, entry))
            .map(|(_, entry)| Pending::Initial(Arc::clone(entry)));
        self.ready.extend(entries);
        drop(memory);
        self.position = current;
        if announce_end && self.bookmarks {
            let line = self.bookmark(true);
            self.ready.push_back(Pending::Line(line));
        }
        Ok(())
    }

    fn lines(self) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static {
        stream::unfold(self, |mut watch| async move {
            let line = watch.next().await?;
            Some((Ok(line), watch))
        })
    }

    /// The next line. None: the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(pending) = self.ready.pop_front() {
                match self.render(pending) {
                    Some(line) => return Some(line),
                    None => continue,
                }
            }
            if self.ended {
                return None;
            }
            self.changes.borrow_and_update();
            self.take_events();
            if !self.ready.is_empty() || self.ended {
                continue;
            }
            let stop = self.call.server.stop.clone();
            tokio::select! {
                changed = self.changes.changed() => self.ended = changed.is_err(),
                () = stop.cancelled() => self.ended = true,
                () = tokio::time::sleep_until(self.deadline) => self.ended = true,
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.take_events();
                    let line = self.bookmark(false);
                    self.ready.push_back(Pending::Line(line));
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                }
            }
        }
    }

    fn take_events(&mut self) {
        let scope = self.call.scope();
        let taken = {
            let memory = self.call.server.store.read();
            memory.events_after(&scope, self.position, BATCH)
        };
        match taken {
            Ok((events, complete)) => {
                self.ready.extend(events.into_iter().map(Pending::Event));
                self.position = complete;
            }
            Err(error) => self.fail(error),
        }
    }

    /// Ends the watch: it cannot tell what happened.
    fn fail(&mut self, error: OutOfReach) {
        let error = read::out_of_reach(error, self.position);
        let line = typed("ERROR", &error.status());
        self.ready.push_back(Pending::Line(line));
        self.ended = true;
    }

    /// None: the selector does not see it.
    fn render(&self, pending: Pending) -> Option<Bytes> {
        match pending {
            Pending::Initial(entry) => Some(self.line("ADDED", &entry)),
            Pending::Event(event) => self.event(&event),
            Pending::Line(line) => Some(line),
        }
    }

    /// An event as the selector sees it: an object that comes into view was added.
    fn event(&self, event: &Event) -> Option<Bytes> {
        let seen = |entry: &Entry| self.selector.matches(&event.key, entry);
        match &event.change {
            Change::Added(now) => seen(now).then(|| self.line("ADDED", now)),
            Change::Modified { before, now } => match (seen(before), seen(now)) {
                (true, true) => Some(self.line("MODIFIED", now)),
                (false, true) => Some(self.line("ADDED", now)),
                (true, false) => {
                    // The last state that matched, at the revision at which it ceased to.
                    let mut object = before.object();
                    object["metadata"]["resourceVersion"] = now.revision.to_string().into();
                    Some(typed("DELETED", &self.view.value(&self.call, object)))
                }
                (false, false) => None,
            },
            Change::Deleted { before, now } => seen(before).then(|| self.line("DELETED", now)),
        }
    }

    fn line(&self, kind: &str, entry: &Entry) -> Bytes {
        let object = self.view.object(&self.call, entry);
        let mut line = Vec::with_capacity(object.len() + 32);
        line.extend_from_slice(b"{\"type\":\"");
        line.extend_from_slice(kind.as_bytes());
        line.extend_from_slice(b"\",\"object\":");
        line.extend_from_slice(&object);
        line.extend_from_slice(b"}\n");
        line.into()
    }

    fn bookmark(&self, end_of_initial: bool) -> Bytes {
        let resource = &self.call.resource;
        let mut object = json!({
            "kind": resource.kind,
            "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": self.position.to_string()},
        });
        if end_of_initial {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        typed("BOOKMARK", &object)
    }
}

fn typed(kind: &str, object: &Value) -> Bytes {
    let mut line = json!({"type": kind, "object": object}).to_string();
    line.push('\n');
    line.into()
}
