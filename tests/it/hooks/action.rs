//! The GitHub Action: its files fit together, and its scripts do as they say. GitHub is a fake one,
//! and so is `axon`: what that does has tests of its own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use wiremock::Mock;
use wiremock::MockServer;
use wiremock::Request;
use wiremock::Respond;
use wiremock::ResponseTemplate;
use wiremock::matchers::any;

const TOKEN: &str = "ghs-canary-51f0";
const BOT: &str = "github-actions[bot]";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The names after `inputs.` in a text.
fn inputs_in(text: &str) -> BTreeSet<String> {
    let names = text.split("inputs.").skip(1);
    let end = |it: char| !it.is_ascii_alphanumeric() && it != '-';
    names
        .map(|rest| rest.split(end).next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_action_fits_together() {
    let action = yaml("action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let mut used = BTreeSet::new();
    for step in action["runs"]["steps"].as_array().unwrap() {
        assert_eq!(step["shell"], "bash", "{step}");
        let run = step["run"].as_str().unwrap();
        // What an expression gives would be read as shell.
        assert!(!run.contains("${{"), "{run}");
        let script = run
            .trim_matches('"')
            .strip_prefix("$GITHUB_ACTION_PATH/")
            .unwrap();
        let mode = fs::metadata(root().join(script))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{script}");
        // All that the script takes is handed to it, and nothing else.
        let text = fs::read_to_string(root().join(script)).unwrap();
        for name in step["env"].as_object().unwrap().keys() {
            assert!(text.contains(&format!("${name}")), "{script}: {name}");
        }
        used.extend(inputs_in(&step["env"].to_string()));
        used.extend(inputs_in(&step["if"].to_string()));
    }
    let declared: BTreeSet<String> = action["inputs"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(used, declared);
}

#[test]
fn the_example_workflow_uses_it_well() {
    let workflow = yaml("examples/github-actions/axon.yml");
    let declared = yaml("action.yml")["inputs"].clone();
    assert_eq!(
        workflow["permissions"],
        json!({"contents": "read", "pull-requests": "write"})
    );
    assert!(workflow["on"].get("pull_request_target").is_none());
    let steps = workflow["jobs"]["plan"]["steps"].as_array().unwrap();
    for step in steps {
        let (action, version) = step["uses"].as_str().unwrap().split_once('@').unwrap();
        if action == "OWNER/axon" {
            for name in step["with"].as_object().unwrap().keys() {
                assert!(declared.get(name).is_some(), "{name}");
            }
        } else {
            let pinned = version.len() == 40 && version.bytes().all(|it| it.is_ascii_hexdigit());
            assert!(pinned, "{action}@{version}");
        }
    }
}

#[test]
fn the_rights_to_plan_read_and_no_more() {
    let text = fs::read_to_string(root().join("examples/github-actions/rbac.yml")).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let role = documents
        .iter()
        .find(|it| it["kind"] == "ClusterRole")
        .unwrap();
    for rule in role["rules"].as_array().unwrap() {
        for verb in rule["verbs"].as_array().unwrap() {
            assert!(["get", "list"].contains(&verb.as_str().unwrap()), "{verb}");
        }
        assert!(!rule.to_string().contains("secrets"));
    }
}

/// A job's place on a runner.
struct Job {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// What a script left.
struct Ended {
    code: Option<i32>,
    log: String,
    outputs: String,
    summary: String,
}

impl Job {
    /// With an `axon` that does as `program` says.
    fn new(program: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let axon = dir.path().join("axon");
        fs::write(&axon, format!("#!/usr/bin/env bash\n{program}\n")).unwrap();
        fs::set_permissions(&axon, fs::Permissions::from_mode(0o755)).unwrap();
        let event = json!({"pull_request": {"number": 7}});
        fs::write(dir.path().join("event.json"), event.to_string()).unwrap();
        let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let env = vec![
            ("RUNNER_TEMP", file("")),
            ("GITHUB_OUTPUT", file("outputs")),
            ("GITHUB_STEP_SUMMARY", file("summary")),
            ("GITHUB_EVENT_PATH", file("event.json")),
            ("GITHUB_REPOSITORY", "acme/web".to_owned()),
            ("GITHUB_ACTION_REPOSITORY", "acme/axon".to_owned()),
            ("AXON", file("axon")),
            ("AXON_PATH", "axon.yaml".to_owned()),
            ("AXON_REF", String::new()),
            ("AXON_KUBECONFIG", "apiVersion: v1".to_owned()),
            ("AXON_PLAN_NAMESPACE", String::new()),
            ("AXON_DRY_RUN", "false".to_owned()),
            ("AXON_ARGS", String::new()),
            ("AXON_PLAN_FILE", file("plan.md")),
            ("AXON_COMMENT_AUTHOR", BOT.to_owned()),
            ("AXON_TOKEN", TOKEN.to_owned()),
            ("AXON_VERSION", String::new()),
            ("AXON_SHA256", String::new()),
            ("AXON_BINARY", String::new()),
        ];
        let env = env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Self {
            env: env.collect(),
            dir,
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn run(&self, script: &str) -> Ended {
        let output = Command::new(root().join("scripts/action").join(script))
            .current_dir(self.dir.path())
            .env_remove("KUBECONFIG")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ended = Ended {
            code: output.status.code(),
            log: text(&output.stdout) + &text(&output.stderr),
            outputs: self.read("outputs"),
            summary: self.read("summary"),
        };
        assert!(!ended.log.contains(TOKEN), "{}", ended.log);
        ended
    }
}

/// An axon whose plan ends with a code.
fn planner(code: i32) -> String {
    format!(
        "case $1 in validate) exit 0;; plan) printf '%s\\n' \"$@\" >words; cat \"$KUBECONFIG\" >kubeconfig.seen; \
         echo '### Axon plan: 1 to create'; echo '::error::from a plan'; echo said >&2; exit {code};; esac"
    )
}

#[test]
fn a_plan_with_changes_passes_and_is_in_the_summary() {
    for (code, result) in [(2, "changes"), (0, "unchanged")] {
        let job = Job::new(&planner(code)).with("AXON_ARGS", "--allow-delete  3 --timeout 1m");
        let ended = job.run("check");
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(ended.outputs.contains(&format!("result={result}\n")));
        assert!(ended.summary.starts_with("### Axon plan: 1 to create\n"));
        let words = job.read("words");
        let expected = "plan -o markdown --detailed-exitcode --no-dry-run --allow-delete 3 --timeout 1m -- axon.yaml";
        assert_eq!(
            words.split_whitespace().collect::<Vec<_>>().join(" "),
            expected
        );
        assert_eq!(job.read("kubeconfig.seen"), "apiVersion: v1\n");
        // The kubeconfig does not stay.
        let left = walk(job.dir.path());
        assert!(
            !left.iter().any(|it| it.ends_with("kubeconfig")),
            "{left:?}"
        );
        // A line of a plan is not a command to the runner.
        let stop = ended.log.find("::stop-commands::").unwrap();
        assert!(
            stop < ended.log.find("::error::from a plan").unwrap(),
            "{}",
            ended.log
        );
    }
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn what_is_refused_or_fails_fails() {
    for (code, result) in [
        (1, "failed"),
        (3, "refused"),
        (5, "refused"),
        (64, "failed"),
        (139, "failed"),
    ] {
        let ended = Job::new(&planner(code)).run("check");
        assert_eq!(ended.code, Some(1), "{code}");
        assert!(
            ended.outputs.contains(&format!("result={result}\n")),
            "{code}"
        );
    }
    let silent = "[[ $1 == plan ]] || exit 0; echo 'cause: <b> & @everyone' >&2; exit 1";
    let ended = Job::new(silent).run("check");
    assert!(
        ended.summary.contains("cause: &lt;b&gt; &amp; @everyone"),
        "{}",
        ended.summary
    );
}

#[test]
fn a_plan_that_the_server_refuses_is_shown() {
    let planner = |heading: &str| {
        format!(
            "[[ $1 == plan ]] || exit 0; echo '{heading}'; echo '- ! Workspace/app refused: by a policy'; exit 1"
        )
    };
    let heading = "### Axon plan: 1 to create, 1 refused, 2 unchanged";
    let ended = Job::new(&planner(heading)).run("check");
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.outputs.contains("result=refused\n"));
    let shown = format!("{heading}\n- ! Workspace/app refused: by a policy\n");
    assert!(ended.summary.starts_with(&shown), "{}", ended.summary);
    // What else ends with this code is no plan to rely on.
    let ended = Job::new(&planner("### Axon plan: 1 to create")).run("check");
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.outputs.contains("result=failed\n"));
    assert!(!ended.summary.contains("refused"), "{}", ended.summary);
}

#[test]
fn an_invalid_configuration_fails_with_annotations_and_text() {
    let program = "[[ $* == 'validate -o github -- axon.yaml' ]] && echo '::error file=axon.yaml::x' && exit 1\n\
                   echo '</pre><img src=x> ```'; exit 1";
    let ended = Job::new(program).run("check");
    assert_eq!(ended.code, Some(1));
    assert!(ended.log.contains("::error file=axon.yaml::x"));
    assert!(ended.outputs.contains("result=invalid"));
    assert!(
        ended.summary.contains("&lt;/pre&gt;&lt;img src=x&gt;"),
        "{}",
        ended.summary
    );
}

#[test]
fn without_a_kubeconfig_it_is_validated_only() {
    let ended = Job::new("[[ $1 == validate ]]")
        .with("AXON_KUBECONFIG", "")
        .run("check");
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.outputs.contains("result=validated"));
}

#[test]
fn inputs_are_never_shell() {
    let hostile = "$(touch pwned)`touch pwned`;touch pwned\"'*";
    let job = Job::new(&planner(0))
        .with("AXON_PATH", hostile)
        .with("AXON_ARGS", hostile)
        .with("AXON_REF", hostile)
        .with("AXON_PLAN_NAMESPACE", hostile);
    let ended = job.run("check");
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!job.path("pwned").exists());
    assert!(job.read("words").contains(hostile));
}

/// A GitHub that keeps comments, and releases of a program.
#[derive(Clone, Default)]
struct Comments(Arc<Mutex<Vec<Value>>>);

struct Fake {
    server: MockServer,
    comments: Comments,
}

/// What the fake does beside keeping comments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Kind,
    ReadOnly,
}

impl Fake {
    async fn start(comments: &[(&str, &str)], mood: Mood) -> Self {
        let wire = comments.iter().enumerate();
        let wire = wire
            .map(|(id, (author, body))| json!({"id": id, "user": {"login": author}, "body": body}));
        let comments = Comments(Arc::new(Mutex::new(wire.collect())));
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(Answer(comments.clone(), mood))
            .mount(&server)
            .await;
        Self { server, comments }
    }

    fn bodies(&self) -> Vec<String> {
        let comments = self.comments.0.lock().unwrap();
        comments
            .iter()
            .map(|it| it["body"].as_str().unwrap().to_owned())
            .collect()
    }
}

struct Answer(Comments, Mood);

impl Respond for Answer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let path = request.url.path();
        if let Some(asset) = path.strip_prefix("/acme/axon/releases/download/v1.2.3/") {
            return match asset {
                "axon-linux-amd64" | "axon-linux-arm64" => {
                    ResponseTemplate::new(200).set_body_string("program")
                }
                // Cut off.
                _ => ResponseTemplate::new(200).set_body_string("7c0c2b4a0d4a8d1c"),
            };
        }
        if request.headers.get("authorization").unwrap() != &format!("Bearer {TOKEN}") {
            return ResponseTemplate::new(401);
        }
        let mut comments = self.0.0.lock().unwrap();
        let rest = path.strip_prefix("/repos/acme/web/issues/").unwrap();
        let body = || serde_json::from_slice::<Value>(&request.body).unwrap()["body"].clone();
        match (request.method.as_str(), rest) {
            ("GET", "7/comments") => {
                let page = request
                    .url
                    .query_pairs()
                    .find(|(key, _)| key == "page")
                    .unwrap()
                    .1;
                let page: usize = page.parse().unwrap();
                let some: Vec<_> = comments.iter().skip((page - 1) * 100).take(100).collect();
                ResponseTemplate::new(200).set_body_json(some)
            }
            _ if self.1 == Mood::ReadOnly => ResponseTemplate::new(403),
            ("POST", "7/comments") => {
                let id = comments.len();
                comments.push(json!({"id": id, "user": {"login": BOT}, "body": body()}));
                ResponseTemplate::new(201).set_body_json(json!({"id": id}))
            }
            ("PATCH", rest) => {
                let id: usize = rest.strip_prefix("comments/").unwrap().parse().unwrap();
                comments[id]["body"] = body();
                ResponseTemplate::new(200).set_body_json(json!({"id": id}))
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Runs the comment script with this plan.
async fn comment(fake: &Fake, job: Job, plan: &str) -> Ended {
    let job = job.with("GITHUB_API_URL", &fake.server.uri());
    fs::write(job.path("plan.md"), plan).unwrap();
    tokio::task::spawn_blocking(move || job.run("comment"))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_comment_is_kept_up_to_date() {
    let mut before = vec![("somebody", "looks good"); 150];
    before.push(("somebody", ""));
    let fake = Fake::start(&before, Mood::Kind).await;
    let hostile = "### Axon plan\n\"quotes\" $(id) \u{1b} \\n ```\n";
    assert_eq!(comment(&fake, Job::new(""), hostile).await.code, Some(0));
    comment(&fake, Job::new(""), "second").await;
    // Another configuration has a comment of its own.
    comment(&fake, Job::new("").with("AXON_PATH", "other.yaml"), "third").await;
    let bodies = fake.bodies();
    assert_eq!(bodies.len(), before.len() + 2);
    let (marker, body) = bodies[before.len()].split_once('\n').unwrap();
    assert!(
        marker.starts_with("<!-- axon-plan ") && body == "second",
        "{marker} {body}"
    );
    assert!(bodies[before.len() + 1].ends_with("third"));
    // Someone who writes our marker does not get our comment.
    let fake = Fake::start(&[("mallory", &bodies[before.len()])], Mood::Kind).await;
    comment(&fake, Job::new(""), hostile).await;
    let bodies = fake.bodies();
    assert_eq!((bodies.len(), bodies[0].ends_with("second")), (2, true));
    assert!(bodies[1].ends_with(hostile), "{}", bodies[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_from_commenting_is_a_warning() {
    let fake = Fake::start(&[], Mood::ReadOnly).await;
    let ended = comment(&fake, Job::new(""), "plan").await;
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.log.contains("::warning title=axon::cannot comment"),
        "{}",
        ended.log
    );
    let ended = comment(&fake, Job::new("").with("AXON_TOKEN", ""), "plan").await;
    assert!(ended.log.contains("no token"), "{}", ended.log);
    let job = Job::new("");
    fs::write(job.path("event.json"), "{\"ref\": \"refs/heads/main\"}").unwrap();
    let ended = comment(&fake, job, "plan").await;
    assert!(ended.log.contains("no pull request"), "{}", ended.log);
    assert!(fake.bodies().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_counts_only_with_its_digest() {
    let fake = Fake::start(&[], Mood::Kind).await;
    let good = axon::model::Digest::of("program").to_string();
    let other = axon::model::Digest::of("another").to_string();
    let check = |version: &str, digest: &str| {
        let job = Job::new("")
            .with("GITHUB_SERVER_URL", &fake.server.uri())
            .with("AXON_VERSION", version)
            .with("AXON_SHA256", digest);
        tokio::task::spawn_blocking(move || job.run("install"))
    };
    let ended = check("v1.2.3", &good).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.outputs.starts_with("axon=/"));
    // Another digest; one that is published and is none; versions that are none.
    for (version, digest) in [
        ("1.2.3", other.as_str()),
        ("1.2.3", ""),
        ("../../x", &good),
        ("latest", ""),
        ("", ""),
    ] {
        let ended = check(version, digest).await.unwrap();
        assert_eq!(
            (ended.code, ended.outputs.as_str()),
            (Some(1), ""),
            "{version}"
        );
    }
    let here = Job::new("").with("AXON_BINARY", "./axon");
    let ended = here.run("install");
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}
