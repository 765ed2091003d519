//! The Pods of Tasks: a cache that knows which Task each is labelled with, and who asks the API server
//! where a cache is not enough.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::Event;

use super::outcome;
use super::ownership;
use crate::api::Task;
use crate::api::labels;
use crate::model::names::cut;

/// The cache of all Pods of Tasks.
#[derive(Clone)]
pub(super) struct Pods {
    pub(super) store: Store<Pod>,
    pub(super) names: Arc<Names>,
}

impl Pods {
    /// The Pod of the attempt. The cache may lag behind: before an end is read from a Pod's absence,
    /// or from a Job that has ended while its Pod seems to go on, the API server is asked. So it is
    /// before the Job of a cancelled Task is deleted because no node has its Pod.
    pub(super) async fn of(
        &self,
        client: &Client,
        task: &Task,
        job: Option<&Job>,
    ) -> Result<Option<Arc<Pod>>, kube::Error> {
        let found = self.cached(task, job);
        let over = job.is_none_or(outcome::is_over);
        let may_lag = match &found {
            Some(pod) if outcome::is_terminal(pod) => false,
            Some(pod) => over || (task.spec.cancelled && !outcome::is_bound(pod)),
            None => over || task.spec.cancelled,
        };
        if !may_lag {
            return Ok(found);
        }
        let listed = list(client, task, &task.name_any()).await?;
        Ok(listed
            .into_iter()
            .find(|it| ownership::belongs(it, task, job))
            .map(Arc::new))
    }

    fn cached(&self, task: &Task, job: Option<&Job>) -> Option<Arc<Pod>> {
        let namespace = task.namespace().unwrap_or_default();
        let names = self.names.of(&namespace, &task.name_any());
        let mut pods = names
            .iter()
            .filter_map(|name| self.store.get(&ObjectRef::new(name).within(&namespace)));
        pods.find(|it| ownership::belongs(it, task, job))
    }
}

/// The Pods of a Task of this name, whichever attempt or Task they are of, by the API server.
pub(super) async fn list(
    client: &Client,
    task: &Task,
    name: &str,
) -> Result<Vec<Pod>, kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &task.namespace().unwrap_or_default());
    let label = format!("{}={}", labels::TASK, cut(name));
    let listed = pods.list(&ListParams::default().labels(&label)).await?;
    Ok(listed.items)
}

/// A namespace and the label of a Task.
type Key = (String, String);

/// Names of Pods by their Task's label. One that is out of date names a Pod that is not in the cache,
/// or is another Task's: whoever looks it up sees that.
#[derive(Debug, Default)]
pub(super) struct Names {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<Key, BTreeSet<String>>,
    /// Those of a list that is coming in.
    coming: HashMap<Key, BTreeSet<String>>,
}

impl Names {
    /// Takes note of what the watch saw.
    pub(super) fn note(&self, event: &Event<Pod>) {
        let mut state = self.lock();
        match event {
            Event::Init => state.coming.clear(),
            Event::InitApply(pod) => add(&mut state.coming, pod),
            Event::InitDone => state.known = std::mem::take(&mut state.coming),
            Event::Apply(pod) => add(&mut state.known, pod),
            Event::Delete(pod) => {
                let key = key(pod);
                if let Some(names) = state.known.get_mut(&key) {
                    names.remove(&pod.name_any());
                    if names.is_empty() {
                        state.known.remove(&key);
                    }
                }
            }
        }
    }

    fn of(&self, namespace: &str, task: &str) -> Vec<String> {
        let state = self.lock();
        let names = state.known.get(&(namespace.to_owned(), cut(task)));
        names.into_iter().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave it half written: nothing in here panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(names: &mut HashMap<Key, BTreeSet<String>>, pod: &Pod) {
    names.entry(key(pod)).or_default().insert(pod.name_any());
}

fn key(pod: &Pod) -> Key {
    let task = pod.labels().get(labels::TASK);
    let namespace = pod.metadata.namespace.clone();
    (
        namespace.unwrap_or_default(),
        task.cloned().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, name: &str, task: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {
            "namespace": namespace, "name": name, "labels": {"axon.io/task": task},
        }}))
        .unwrap()
    }

    #[test]
    fn a_task_finds_its_pods_without_a_look_at_others() {
        let names = Names::default();
        let check = |task: &str, expected: &[&str]| assert_eq!(names.of("team", task), expected);
        names.note(&Event::Apply(pod("team", "a-1", "a")));
        names.note(&Event::Apply(pod("team", "a-2", "a")));
        names.note(&Event::Apply(pod("team", "b-1", "b")));
        names.note(&Event::Apply(pod("other", "a-3", "a")));
        check("a", &["a-1", "a-2"]);
        check("b", &["b-1"]);
        check("c", &[]);
        names.note(&Event::Delete(pod("team", "a-1", "a")));
        names.note(&Event::Delete(pod("team", "b-1", "b")));
        check("a", &["a-2"]);
        check("b", &[]);
        // A new list is all there is, once it is whole.
        names.note(&Event::Init);
        names.note(&Event::InitApply(pod("team", "a-4", "a")));
        check("a", &["a-2"]);
        names.note(&Event::InitDone);
        check("a", &["a-4"]);
        // A label holds no more than a part of a long name.
        let long = "x".repeat(200);
        names.note(&Event::Apply(pod("team", "x-1", &cut(&long))));
        check(&long, &["x-1"]);
        names.note(&Event::Delete(pod("team", "x-1", &cut(&long))));
        names.note(&Event::Delete(pod("team", "a-4", "a")));
        assert!(names.lock().known.is_empty());
    }
}
