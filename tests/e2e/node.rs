//! The cluster that `with-node` has started, Axon in it, and a place of its own for each test.

use std::fs;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::rights;

/// How long any condition may take to come true: a Pod starts in two seconds, a leader's term is 15.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(200);
/// The image that `tests/cluster/images` made of this very checkout.
const IMAGE: &str = "localhost/axon:1";
/// Where the installation is.
pub(crate) const SYSTEM: &str = "axon-system";

/// A cluster with a node, and Axon installed.
pub(crate) struct Node {
    pub(crate) kubectl: Kubectl,
    /// Where Pods reach what a test serves.
    pub(crate) address: String,
    pub(crate) audit_log: String,
}

/// A program that speaks to one cluster.
#[derive(Clone)]
pub(crate) struct Kubectl {
    words: Vec<String>,
    kubeconfig: String,
}

/// What a test is given: the node, a namespace and a git server.
pub(crate) struct Place {
    pub(crate) node: &'static Node,
    pub(crate) namespace: String,
    pub(crate) git: GitServer,
    dir: tempfile::TempDir,
}

/// Runs a test, and shows what the cluster says if it fails.
pub(crate) fn run(test: impl FnOnce(&Place)) {
    static NODE: OnceLock<Option<Node>> = OnceLock::new();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let Some(node) = NODE.get_or_init(Node::installed) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let place = Place {
        node,
        namespace: format!("e2e-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        git: GitServer::start_at(dir.path(), &node.address),
        dir,
    };
    node.kubectl(&["create", "namespace", &place.namespace]);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        test(&place);
        rights::suffice(node);
    }));
    if let Err(failure) = ended {
        place.explain();
        resume_unwind(failure);
    }
}

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "not seen within {DEADLINE:?}: {what}"
        );
        thread::sleep(PAUSE);
    }
}

impl Kubectl {
    pub(crate) fn new(kubeconfig: String) -> Self {
        let words = var("AXON_TEST_KUBECTL").unwrap();
        Self {
            words: words.split(' ').map(str::to_owned).collect(),
            kubeconfig,
        }
    }

    /// What kubectl prints, or what it complains of.
    pub(crate) fn run(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut child = Command::new(&self.words[0])
            .args(&self.words[1..])
            .args(["--kubeconfig", &self.kubeconfig])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }
}

impl Node {
    /// The node, once Axon runs on it; none where there is no node, unless it is required.
    fn installed() -> Option<Self> {
        let Some(address) = var("AXON_TEST_NODE") else {
            assert!(
                var("AXON_REQUIRE_NODE").is_none(),
                "a node is required and AXON_TEST_NODE does not name one"
            );
            eprintln!("left out: no node (run `make e2e`)");
            return None;
        };
        let node = Self {
            kubectl: Kubectl::new(var("AXON_TEST_KUBECONFIG").unwrap()),
            address,
            audit_log: var("AXON_TEST_AUDIT_LOG").unwrap(),
        };
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/axon.yaml");
        let manifest = fs::read_to_string(file).unwrap();
        let published = axon::controller::Images::default().helper;
        assert_eq!(manifest.matches(&published).count(), 2, "{published}");
        // Its objects say themselves where they belong.
        let told = node.try_kubectl(&["apply", "-f", "-"], &manifest.replace(&published, IMAGE));
        told.unwrap_or_else(|told| panic!("{told}"));
        let rollout = ["rollout", "status", "deployment/axon-controller"];
        let limit = format!("--timeout={}s", DEADLINE.as_secs());
        if let Err(told) = node.try_kubectl(&[&rollout[..], &["-n", SYSTEM, &limit]].concat(), "") {
            node.explain(SYSTEM);
            panic!("Axon did not start: {told}");
        }
        Some(node)
    }

    /// Applies manifests as a person does.
    pub(crate) fn apply(&self, namespace: &str, manifests: &str) {
        let told = self.try_kubectl(&["apply", "-n", namespace, "-f", "-"], manifests);
        told.unwrap_or_else(|told| panic!("{told}\n{manifests}"));
    }

    /// What kubectl prints; it must succeed.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args, "")
            .unwrap_or_else(|told| panic!("kubectl {args:?}: {told}"))
    }

    /// What kubectl prints, or what it complains of.
    pub(crate) fn try_kubectl(&self, args: &[&str], input: &str) -> Result<String, String> {
        self.kubectl.run(args, input)
    }

    /// All that the controllers tell: their logs, and what they answer to anybody.
    pub(crate) fn told_by_controllers(&self) -> String {
        let ours = ["-n", SYSTEM, "-l", "app.kubernetes.io/name=axon"];
        let mut told = self.kubectl(&[&["logs", "--tail=-1"], &ours[..]].concat());
        let names = self.kubectl(&[&["get", "pods", "-o", "name"], &ours[..]].concat());
        assert!(!names.is_empty());
        for pod in names.lines().map(|it| it.trim_start_matches("pod/")) {
            let proxy = format!("/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy");
            let answer = |path: &str| {
                let path = format!("{proxy}/{path}");
                self.try_kubectl(&["get", "--raw", &path], "")
            };
            told += &answer("healthz").unwrap();
            told += &answer("readyz").unwrap_or_else(|refusal| refusal);
            // There are none; whoever adds them is asked, too.
            told += &answer("metrics").unwrap_or_else(|refusal| refusal);
        }
        told
    }

    /// Prints what is known of a namespace and of the controllers.
    fn explain(&self, namespace: &str) {
        let questions: [&[&str]; 4] = [
            &["get", "events", "-n", namespace, "--sort-by=.lastTimestamp"],
            &[
                "get",
                "reposyncs,taskspawners,tasks",
                "-n",
                namespace,
                "-o",
                "yaml",
            ],
            &["describe", "jobs,pods", "-n", namespace],
            &[
                "logs",
                "-n",
                SYSTEM,
                "-l",
                "app.kubernetes.io/name=axon",
                "--prefix",
                "--tail=200",
            ],
        ];
        let told = questions.map(|question| {
            let answer = self.try_kubectl(question, "").unwrap_or_else(|told| told);
            format!("--- kubectl {}\n{answer}\n", question.join(" "))
        });
        eprintln!("{}", told.concat());
    }
}

impl Place {
    /// Where Pods reach what a test serves.
    pub(crate) fn address(&self) -> &str {
        &self.node.address
    }

    /// A directory of the test's own; the git server serves what is in it.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A repository on the git server, and its URL as Pods see it.
    pub(crate) fn repo(&self, name: &str) -> (GitRepo, String) {
        let repo = GitRepo::new(self.dir.path(), name);
        (repo, format!("{}/{name}", self.git.url()))
    }

    pub(crate) fn apply(&self, manifests: &str) {
        self.node.apply(&self.namespace, manifests);
    }

    /// Creates one object. Unlike `apply` this leaves no copy of it in an annotation, which has less
    /// room than a prompt.
    pub(crate) fn create(&self, object: &Value) {
        let create = ["create", "-n", &self.namespace, "-f", "-"];
        let told = self.node.try_kubectl(&create, &object.to_string());
        told.unwrap_or_else(|told| panic!("{told}\n{}", object["metadata"]["name"]));
    }

    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.node
            .kubectl(&[&["-n", &self.namespace], args].concat())
    }

    /// An object as it is now, if it is there.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let told = self.kubectl(&["get", kind, name, "-o", "json", "--ignore-not-found"]);
        (!told.is_empty()).then(|| serde_json::from_str(&told).unwrap())
    }

    /// All objects of a kind.
    pub(crate) fn list(&self, kind: &str) -> Vec<Value> {
        let told = self.kubectl(&["get", kind, "-o", "json"]);
        let list: Value = serde_json::from_str(&told).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// The Task once it has ended; it must have ended well.
    pub(crate) fn succeeded(&self, task: &str) -> Value {
        let ended = eventually(&format!("Task \"{task}\" has ended"), || {
            self.get("task.axon.io", task).filter(|it| {
                let phase = it["status"]["phase"].as_str().unwrap_or_default();
                ["Succeeded", "Failed"].contains(&phase)
            })
        });
        assert_eq!(
            ended["status"]["phase"], "Succeeded",
            "{:#}",
            ended["status"]
        );
        ended
    }

    fn explain(&self) {
        self.node.explain(&self.namespace);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the harness speaks to the suite through the environment"
)]
pub(crate) fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
