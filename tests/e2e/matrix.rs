//! The same Pods on a kubelet and on the embedded cluster's runner: what each writes about them is the same,
//! but for what docs/local-mode.md tells.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use axon::local::Cluster;
use axon::local::Node;
use axon::local::Options;
use axon::local::images::Image;
use axon::local::runner::isolation::Confined;
use axon::local::runner::isolation::Isolation;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::node;
use crate::node::Kubectl;
use crate::node::eventually;

/// What the Pods are.
const PODS: &str = include_str!("pods.yaml");
/// The one image that there is.
const IMAGE: &str = "localhost/agent:1";
/// Keeps a deleted Pod, so that its last status can be read.
const FINALIZER: &str = "axon.io/matrix";

/// Differences that docs/local-mode.md tells: the Pod (or any), and a pattern of `path: kubelet's, ours`.
const KNOWN: [(&str, &str); 10] = [
    // Of resources the status of a Pod as a whole tells nothing.
    ("any", r"^\.(resources|allocatedResources)\."),
    // A Pod that waits for what it names has no sandbox yet.
    (
        "any",
        r#"^\.conditions\[PodReadyToStartContainers\]\.status: "True", ours "False""#,
    ),
    ("any", r#"^\.podIPs?(\[0\]\.ip)?: "SOME", ours "-""#),
    // Images are programs of this machine: nothing is pulled, and what is missing is said in other words.
    ("any", r"state\.waiting\.message: .*localhost/nowhere"),
    (
        "any",
        r"^event (Pulling|Failed|BackOff|ErrImageNeverPull) .*(localhost/nowhere|ErrImage|ImagePull)",
    ),
    ("no-program", r"state\.terminated\.message: "),
    ("no-program", r"^event Failed "),
    // A limit of memory makes allocations fail.
    ("out-of-memory", r"state\.terminated\.(exitCode|reason): "),
    // Files of volumes belong to the Pod's user, as with an fsGroup.
    ("private-file", r"state\.terminated\.message: "),
    ("no-volume", r"^event FailedMount "),
];

/// One document of pods.yaml.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    until: Option<String>,
    #[serde(default)]
    gone: bool,
    spec: Value,
}

/// One of the two clusters.
struct Side {
    kubectl: Kubectl,
    namespace: String,
}

/// What one cluster says of one Pod: the path of each field, and what it holds.
type Told = BTreeMap<String, String>;

impl Case {
    fn all() -> Vec<Self> {
        let documents = serde_saphyr::from_multiple(PODS);
        documents.unwrap()
    }

    fn pod(&self) -> Value {
        let mut spec = json!({
            "restartPolicy": "Never", "dnsPolicy": "Default", "automountServiceAccountToken": false,
            "volumes": [{"name": "shared", "emptyDir": {}}],
        });
        for (key, value) in self.spec.as_object().unwrap() {
            match (key.as_str(), value) {
                ("volumes", Value::Array(more)) => {
                    let volumes = spec["volumes"].as_array_mut().unwrap();
                    volumes.extend(more.iter().cloned());
                }
                ("containers" | "initContainers", Value::Array(all)) => {
                    spec[key] = all.iter().map(container).collect();
                }
                _ => spec[key] = value.clone(),
            }
        }
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {"name": self.name, "labels": self.labels},
        });
        if self.gone {
            pod["metadata"]["finalizers"] = json!([FINALIZER]);
        }
        pod
    }

    /// Whether nothing more happens to the Pod but what goes round for ever.
    fn has_settled(&self, pod: &Value) -> bool {
        let statuses =
            ["initContainerStatuses", "containerStatuses"].map(|key| &pod["status"][key]);
        let mut all = statuses
            .iter()
            .flat_map(|it| it.as_array().into_iter().flatten());
        match &self.until {
            Some(reason) => {
                let waits = |it: &Value| it["state"]["waiting"]["reason"] == reason.as_str();
                all.any(waits)
            }
            None => ["Succeeded", "Failed"]
                .iter()
                .any(|it| pod["status"]["phase"] == *it),
        }
    }
}

/// A container as pods.yaml tells it, with what all have in common.
fn container(told: &Value) -> Value {
    let mut it = json!({
        "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    });
    for (key, value) in told.as_object().unwrap() {
        match (key.as_str(), value) {
            ("script", script) => it["command"] = json!(["/bin/sh", "-c", script, "sh"]),
            ("volumeMounts", Value::Array(more)) => {
                let mounts = it["volumeMounts"].as_array_mut().unwrap();
                mounts.retain(|known| more.iter().all(|new| new["name"] != known["name"]));
                mounts.extend(more.iter().cloned());
            }
            _ => it[key] = value.clone(),
        }
    }
    it
}

impl Side {
    fn try_run(&self, args: &[&str], input: &str) -> Result<String, String> {
        let args = [&["-n", &self.namespace], args].concat();
        self.kubectl.run(&args, input)
    }

    fn run(&self, args: &[&str], input: &str) -> String {
        let told = self.try_run(args, input);
        told.unwrap_or_else(|told| panic!("kubectl {args:?}: {told}"))
    }

    fn list(&self, kind: &str) -> Vec<Value> {
        let told = self.run(&["get", kind, "-o", "json"], "");
        let list: Value = serde_json::from_str(&told).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Runs all Pods to where they stay.
    fn play(&self, cases: &[Case]) -> BTreeMap<String, Told> {
        let sources = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"k": "v", "l": "w"}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"k": "s"}},
        ]});
        self.run(&["create", "-f", "-"], &sources.to_string());
        let pods: Vec<_> = cases.iter().map(Case::pod).collect();
        let pods = json!({"apiVersion": "v1", "kind": "List", "items": pods});
        self.run(&["create", "-f", "-"], &pods.to_string());
        for case in cases.iter().filter(|it| it.gone) {
            eventually(&format!("\"{}\" listens", case.name), || {
                let log = self.try_run(&["logs", &case.name], "");
                log.ok()?.contains("ready").then_some(())
            });
            self.run(&["delete", "pod", &case.name, "--wait=false"], "");
        }
        // What goes round for ever is taken as it was when it came by.
        let mut settled = BTreeMap::new();
        let mut last = vec![""];
        eventually("all Pods have settled", || {
            for pod in self.list("pods") {
                let case = cases.iter().find(|it| pod["metadata"]["name"] == it.name);
                if let Some(case) = case.filter(|it| it.has_settled(&pod)) {
                    settled.entry(case.name.clone()).or_insert(pod);
                }
            }
            let open = cases.iter().filter(|it| !settled.contains_key(&it.name));
            let open: Vec<_> = open.map(|it| it.name.as_str()).collect();
            if open != last {
                eprintln!(
                    "{}: {} to settle: {}",
                    self.namespace,
                    open.len(),
                    open.join(" ")
                );
                last = open;
            }
            last.is_empty().then_some(())
        });
        let events = self.list("events");
        let told = settled.into_iter().map(|(name, pod)| {
            let told = self.told(&pod, &events);
            (name, told)
        });
        told.collect()
    }

    /// The status of a Pod and its events, without what differs from run to run.
    fn told(&self, pod: &Value, events: &[Value]) -> Told {
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        let mut told = Told::new();
        flatten("", &pod["status"], &mut told);
        let of_pod = |it: &&Value| it["involvedObject"]["uid"] == uid;
        for event in events.iter().filter(of_pod) {
            let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            told.insert(
                format!("event {} {}", word("reason"), word("message")),
                word("type"),
            );
        }
        let plain = told.into_iter().map(|(path, value)| {
            let value = plain(&path, &value, self, uid);
            (plain("event", &path, self, uid), value)
        });
        plain.collect()
    }
}

/// What differs from run to run, and what stands for it.
fn plain(path: &str, value: &str, side: &Side, uid: &str) -> String {
    let leaf = path.rsplit('.').next().unwrap_or_default();
    let stands_for = match leaf {
        "containerID" | "imageID" | "hostIP" | "podIP" | "ip" if !value.is_empty() => Some("SOME"),
        _ => None,
    };
    if let Some(it) = stands_for {
        return it.to_owned();
    }
    let patterns = [
        // It takes turns with the other.
        ("^ErrImagePull$", "ImagePullBackOff"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"\bin \d+(\.\d+)?m?s\b", "in AGE"),
        (r"\b(node1|local)\b", "NODE"),
    ];
    let value = value.replace(&side.namespace, "NS").replace(uid, "UID");
    patterns.iter().fold(value, |value, (pattern, with)| {
        Regex::new(pattern)
            .unwrap()
            .replace_all(&value, *with)
            .into_owned()
    })
}

/// Lists by the names of what they hold, where that has one.
fn flatten(path: &str, value: &Value, told: &mut Told) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(&format!("{path}.{key}"), value, told);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let name = ["type", "name", "mountPath"]
                    .iter()
                    .find_map(|key| item[*key].as_str());
                let name = name.map_or_else(|| at.to_string(), str::to_owned);
                flatten(&format!("{path}[{name}]"), item, told);
            }
        }
        Value::String(text) => {
            told.insert(path.to_owned(), text.clone());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            told.insert(path.to_owned(), value.to_string());
        }
    }
}

/// An embedded cluster that isolates what it runs.
async fn embedded(dir: &Path) -> Cluster {
    let images = |image: &str| match image {
        IMAGE => Ok(Image::default()),
        other => Err(format!("\"{other}\" is not here")),
    };
    let node = Node {
        images: Arc::new(images),
        supervisor: env!("CARGO_BIN_EXE_axon").into(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]),
        isolation: Isolation::Confined(Confined { home: None }),
        lender: None,
    };
    let options = Options {
        node: Some(node),
        listen: true,
        ..Options::control_plane(dir)
    };
    Cluster::start(options).await.unwrap()
}

/// The paths of one Pod by which the two differ, each with both values; how many are the same.
fn differences(kubelet: &Told, ours: &Told) -> (Vec<String>, usize) {
    let paths: BTreeSet<_> = kubelet.keys().chain(ours.keys()).collect();
    let mut differ = Vec::new();
    for path in &paths {
        let [kubelet, ours] = [kubelet, ours].map(|it| it.get(*path).map_or("-", String::as_str));
        if kubelet != ours {
            differ.push(format!("{path}: {kubelet:?}, ours {ours:?}"));
        }
    }
    let same = paths.len() - differ.len();
    (differ, same)
}

/// The known differences that this is one of.
fn known(pod: &str, difference: &str) -> Vec<&'static (&'static str, &'static str)> {
    let is_it = |(of, pattern): &&(&str, &str)| {
        ["any", pod].contains(of) && Regex::new(pattern).unwrap().is_match(difference)
    };
    KNOWN.iter().filter(is_it).collect()
}

#[test]
fn the_same_pods_end_the_same() {
    node::run(|place| {
        let cases = Case::all();
        let kubelet = Side {
            kubectl: place.node.kubectl.clone(),
            namespace: place.namespace.clone(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let cluster = runtime.block_on(embedded(dir.path()));
        let ours = Side {
            kubectl: Kubectl::new(cluster.kubeconfig().to_str().unwrap().to_owned()),
            namespace: "default".to_owned(),
        };
        let (kubelet, ours) = std::thread::scope(|scope| {
            let kubelet = scope.spawn(|| kubelet.play(&cases));
            let ours = ours.play(&cases);
            (kubelet.join().unwrap(), ours)
        });
        runtime.block_on(cluster.stop());
        let mut open = Vec::new();
        let mut unseen: BTreeSet<_> = KNOWN.iter().collect();
        let mut agree = 0;
        for case in &cases {
            let (differ, same) = differences(&kubelet[&case.name], &ours[&case.name]);
            agree += same;
            for it in differ {
                let known = known(&case.name, &it);
                if known.is_empty() {
                    open.push(format!("{}{it}", case.name));
                }
                unseen.retain(|it| !known.contains(it));
            }
        }
        assert!(
            open.is_empty(),
            "{} differ:\n{}",
            open.len(),
            open.join("\n")
        );
        assert!(unseen.is_empty(), "no longer differs: {unseen:?}");
        let counts = Path::new(env!("CARGO_TARGET_TMPDIR")).join("counts");
        fs::create_dir_all(&counts).unwrap();
        let told = format!(
            "Pods on kubelet and runner: {} Pods, {agree} fields and events agree\n",
            cases.len()
        );
        fs::write(counts.join("pods"), told).unwrap();
    });
}
