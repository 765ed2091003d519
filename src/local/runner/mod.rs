//! Plays scheduler and kubelet for one node: takes Pods, runs their containers as processes, and
//! writes what a kubelet writes.
//!
//! It knows Kubernetes and nothing of what the Pods are for. What an image name stands for is
//! handed to it. A Pod of which a process may have been started is never started again.

mod conditions;
mod container;
mod env;
mod events;
mod expand;
mod fields;
pub mod isolation;
mod launch;
mod message;
mod paths;
mod plan;
mod pod;
mod process;
mod quantity;
mod restart;
mod resume;
mod sources;
mod status;
pub mod supervise;
mod volumes;
mod writer;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::events::Events;
use self::isolation::Isolation;
use self::plan::Places;
use self::pod::Seen;
use crate::local::images::Lender;
use crate::local::images::Resolver;
use crate::local::logs::LogDir;

/// How long all Pods together may take to end when the node stops.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// What a node is told.
#[derive(Clone)]
pub struct Options {
    /// The name that Pods see as their node.
    pub node: String,
    /// Where each Pod gets a directory named by its uid.
    pub pods: PathBuf,
    /// Where the output of containers goes.
    pub logs: LogDir,
    /// What image names stand for.
    pub images: Resolver,
    /// The executable that answers to [`supervise::SUBCOMMAND`].
    pub supervisor: PathBuf,
    /// What every container gets unless it says otherwise: `PATH`, perhaps `HOME`.
    pub base_env: BTreeMap<String, String>,
    /// Whether containers are kept from this machine.
    pub isolation: Isolation,
    /// Who lends Pods what is of this machine.
    pub lender: Option<Arc<dyn Lender>>,
    /// How many Pods may run at a time.
    pub max_pods: usize,
}

#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot make the directory \"{}\"", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What all Pods of the node share.
struct Node {
    client: Client,
    options: Options,
    events: Events,
    slots: Arc<Semaphore>,
}

/// Runs the node until `stop`; then ends what runs, and returns when nothing of it is left.
pub async fn run(client: Client, options: Options, stop: CancellationToken) -> Result<(), Error> {
    for path in [options.pods.as_path(), options.logs.path()] {
        fs::create_dir_all(path).map_err(|source| Error::Directory {
            path: path.to_owned(),
            source,
        })?;
    }
    let (events, write_events) = Events::new(client.clone(), &options.node);
    let write_events = tokio::spawn(write_events);
    let slots = Arc::new(Semaphore::new(options.max_pods.max(1)));
    let pods: Api<Pod> = Api::all(client.clone());
    let node = Arc::new(Node {
        client,
        options,
        events,
        slots,
    });
    let mut desk = Desk {
        node,
        stop: stop.clone(),
        known: HashMap::new(),
        listed: HashSet::new(),
        is_swept: false,
        workers: JoinSet::new(),
    };
    let mut changes = pin!(watcher(pods, watcher::Config::default()).default_backoff());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = desk.workers.join_next() => {}
            change = changes.next() => match change {
                Some(Ok(event)) => desk.take(event),
                Some(Err(error)) => tracing::debug!(%error, "the watch of Pods broke; trying again"),
                None => break,
            },
        }
    }
    stop.cancel();
    let all = async { while desk.workers.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WITHIN, all).await.is_err() {
        tracing::warn!("not all Pods ended in time; their processes are killed");
    }
    // What is dropped here loses its supervisor's line, and with it every process.
    desk.workers.shutdown().await;
    write_events.abort();
    Ok(())
}

/// Gives each Pod its worker, and each worker the news.
struct Desk {
    node: Arc<Node>,
    stop: CancellationToken,
    known: HashMap<String, watch::Sender<Seen>>,
    /// The Pods of a list that is coming in.
    listed: HashSet<String>,
    /// Whether leftovers of an earlier node were looked for.
    is_swept: bool,
    workers: JoinSet<()>,
}

impl Desk {
    fn take(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.extend(pod.metadata.uid.clone());
                self.seen(pod);
            }
            Event::InitDone => self.sweep(),
            Event::Apply(pod) => self.seen(pod),
            Event::Delete(pod) => {
                let known = pod.metadata.uid.and_then(|uid| self.known.remove(&uid));
                if let Some(worker) = known {
                    worker.send_replace(Seen::Gone);
                }
            }
        }
    }

    fn seen(&mut self, pod: Pod) {
        let Some(uid) = pod.metadata.uid.clone() else {
            return;
        };
        let pod = Arc::new(pod);
        if let Some(worker) = self.known.get(&uid) {
            worker.send_replace(Seen::Present(pod));
            return;
        }
        let Some(places) = self.places(&pod, &uid) else {
            return;
        };
        let (tell, seen) = watch::channel(Seen::Present(pod.clone()));
        self.known.insert(uid, tell);
        let (node, stop) = (self.node.clone(), self.stop.clone());
        self.workers
            .spawn(pod::look_after(node, pod, places, seen, stop));
    }

    /// Where the Pod's files go. None for a Pod that is not for this node.
    fn places(&self, pod: &Pod, uid: &str) -> Option<Places> {
        let spec = pod.spec.as_ref()?;
        let options = &self.node.options;
        let is_ours = spec.node_name.as_ref().is_none_or(|it| *it == options.node);
        let is_gated = spec
            .scheduling_gates
            .as_ref()
            .is_some_and(|it| !it.is_empty());
        if !is_ours || is_gated {
            return None;
        }
        let meta = &pod.metadata;
        let logs = options
            .logs
            .pod(meta.namespace.as_deref()?, meta.name.as_deref()?, uid)?;
        Some(Places {
            dir: options.pods.join(uid),
            logs,
            lent: OnceLock::new(),
        })
    }

    /// After a list: Pods that are not in it are gone, and so is what lies on disk of them.
    fn sweep(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        let gone = self.known.extract_if(|uid, _| !listed.contains(uid));
        for (_, worker) in gone {
            worker.send_replace(Seen::Gone);
        }
        if std::mem::replace(&mut self.is_swept, true) {
            return;
        }
        // Looked for before the next event: the directory of a newer Pod is no leftover.
        let options = &self.node.options;
        let mut leftovers = entries(&options.pods, |name| !listed.contains(name));
        leftovers.extend(entries(options.logs.path(), |name| {
            let uid = name.rsplit('_').next();
            uid.is_none_or(|uid| !listed.contains(uid))
        }));
        self.workers.spawn(async move {
            let removed = tokio::task::spawn_blocking(move || remove_all(&leftovers));
            let _ = removed.await;
        });
    }
}

/// What lies in `dir` under a name that `is_meant` says yes to.
fn entries(dir: &Path, is_meant: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).into_iter().flatten().flatten();
    all.filter(|entry| entry.file_name().to_str().is_none_or(&is_meant))
        .map(|entry| entry.path())
        .collect()
}

fn remove_all(directories: &[PathBuf]) {
    for path in directories {
        if let Err(error) = fs::remove_dir_all(path) {
            tracing::warn!(%error, path = %path.display(), "a leftover could not be removed");
        }
    }
}
