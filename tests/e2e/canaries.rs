//! What lets git in shows up nowhere: not where it is refused, and not among the arguments of any process.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::credentials::has;
use crate::credentials::task;
use crate::credentials::workspace;
use crate::node;
use crate::node::Place;
use crate::node::eventually;
use crate::tls::Tls;

const USER: &str = "bob-of-the-team";
const RIGHT: &str = "canary-1f6e-that-lets-in";
const WRONG: &str = "canary-e08b-that-is-refused";
/// How often processes are looked at: git's own live for some milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Pushes, and shows what it has been given.
const PUSHES: &str = r"
echo one > work; git add work; git commit --quiet --message one
git push --quiet origin HEAD:refs/heads/by-password
cat /run/axon/git/username /run/axon/git/password
";

/// Looks at the arguments of all processes of the node until it is asked what it has seen.
struct Arguments {
    stop: Arc<AtomicBool>,
    seen: JoinHandle<(usize, Vec<String>)>,
}

impl Arguments {
    fn watch() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let seen = thread::spawn(move || {
            let (mut helpers, mut leaks) = (0, Vec::new());
            while !asked.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").unwrap().flatten() {
                    let Ok(arguments) = fs::read(process.path().join("cmdline")) else {
                        continue;
                    };
                    let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
                    helpers += usize::from(arguments.contains("axon-helper"));
                    if arguments.contains(RIGHT) || arguments.contains(WRONG) {
                        leaks.push(arguments);
                    }
                }
                thread::sleep(LOOK_EVERY);
            }
            (helpers, leaks)
        });
        Self { stop, seen }
    }

    /// How often a helper was seen, and the arguments that held a password.
    fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.seen.join().unwrap()
    }
}

#[test]
fn a_password_shows_up_nowhere() {
    node::run(|place| {
        let arguments = Arguments::watch();
        let (repo, _) = place.repo("app.git");
        repo.commit(&[("README.md", "hello\n")]);
        place.git.require(USER, RIGHT);
        let tls = Tls::in_front_of(&place.git.url(), place.address());
        let url = format!("{}/app.git", tls.url());
        for (name, password) in [("let-in", RIGHT), ("refused", WRONG)] {
            let keys = [("username", USER), ("password", password)];
            workspace(place, name, &url, &keys);
            task(place, name, PUSHES);
        }
        place.succeeded("let-in");
        assert!(has(&repo, "by-password"));
        await_refusal(place);
        let (helpers, leaks) = arguments.end();
        assert!(helpers > 0, "no process of a Pod was seen");
        assert!(leaks.is_empty(), "{leaks:#?}");

        let agent = ["logs", "-l", "axon.io/task=let-in", "--all-containers"];
        let agent = place.kubectl(&agent);
        // A user name is no secret.
        assert!(agent.contains(&format!("{USER}***")), "{agent}");
        let checkout = ["logs", "-l", "axon.io/task=refused", "-c", "checkout"];
        let checkout = place.kubectl(&checkout);
        assert!(checkout.contains("wants another credential"), "{checkout}");
        let objects = place.kubectl(&["get", "tasks,workspaces,jobs,pods,events", "-o", "yaml"]);
        let controllers = place.node.told_by_controllers();
        for text in [agent, checkout, objects, controllers] {
            for canary in [RIGHT, WRONG] {
                assert!(!text.contains(canary), "{text}");
            }
        }
    });
}

/// Waits until both the Workspace and the Task say that they were not let in.
fn await_refusal(place: &Place) {
    let reason = |kind: &str, condition: &str| {
        let found = place.get(kind, "refused")?;
        let all = found["status"]["conditions"].as_array()?.clone();
        let one = all.into_iter().find(|it| it["type"] == condition)?;
        Some(one["reason"].as_str()?.to_owned())
    };
    for (kind, condition, expected) in [
        ("workspace.axon.io", "Ready", "AuthenticationFailed"),
        ("task.axon.io", "Failed", "CloneFailed"),
    ] {
        eventually(&format!("{kind} says {expected}"), || {
            (reason(kind, condition)? == expected).then_some(())
        });
    }
}
