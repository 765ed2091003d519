//! What entries mean, and what they need.
#![expect(clippy::too_many_lines, reason = "tables of input and answer")]

use crate::model::Desired;
use crate::model::object::DesiredSet;
use crate::model::snapshot::Unmatched;
use crate::sync::render;

use super::super::includes;
use super::HEAD;
use super::check;
use super::check_config;
use super::check_files;
use super::load;
use super::loaded;
use super::snapshot;
use super::told;

#[test]
fn what_entries_need() {
    check_config(
        "\
tasks:
  a: {prompt: x, type: custom}
  b: {prompt: x, credentials: {type: oauth}}
",
        "\
2:3 an agent of type \"custom\" needs an image
3:31 credentials need a secretRef (name the Secret that holds the key, or set type to \"none\")
",
    );
    check_config(
        "\
spawners:
  s: {when: {githubIssues: {}}}
",
        "\
2:3 githubIssues needs a workspace (the workspace says which repository the issues are in)
",
    );
    check_config(
        "\
spawners:
  s: {when: {}}
",
        "\
2:13 expected a source: githubIssues or cron
",
    );
    check_config(
        "\
spawners:
  s: {when: {cron: {schedule: '@daily'}, githubIssues: {}}, workspace: w}
",
        "\
2:13 expected one source, got githubIssues and cron (write one spawner for each)
2:72 warning workspace \"w\" is not declared here: the cluster must have it
",
    );
    check_config(
        "\
workspaces:
  w: {ref: main}
",
        "\
2:3 workspace \"w\" has no \"repo\" (this configuration has no repository URL (a git remote \"origin\") to take it from)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, workspace: {ref: main}}
",
        "\
2:18 workspace \"a\" has no \"repo\" (this configuration has no repository URL (a git remote \"origin\") to take it from)
",
    );
}

#[test]
fn values_that_mean_nothing() {
    check_config(
        "\
spawners:
  s: {when: {cron: {schedule: '61 * * * *'}}}
",
        "\
2:31 minute \"61\": expected *, numbers 0 to 59, a range such as 1-5, or steps such as */2
",
    );
    check_config(
        "\
spawners:
  s: {when: {cron: {schedule: '@daily', timeZone: Europe/Berln}}}
",
        "\
2:51 unknown time zone \"Europe/Berln\"; did you mean \"Europe/Berlin\"?
",
    );
    check_config(
        "\
spawners:
  s: {when: {cron: {schedule: '@daily'}}, pollInterval: 5 minutes}
",
        "\
2:57 expected a duration such as \"5m\", got \"5 minutes\"
",
    );
    check_config(
        "\
spawners:
  s: {when: {cron: {schedule: '@daily'}}, pollInterval: 300}
",
        "\
2:57 \"pollInterval\" must be text, got 300 (put it in quotes)
",
    );
    check_config(
        "\
spawners:
  s: {when: {cron: {schedule: '@daily'}}, pollInterval: 1s}
",
        "\
2:57 expected a poll interval of at least 10s, got \"1s\"
",
    );
    check_config(
        "\
workspaces:
  w: {repo: github.com/a/b}
",
        "\
2:13 a repository URL must begin with \"https://\", \"http://\", \"git://\", \"ssh://\", \"file://\" or \"git@host:\"
",
    );
    check_config(
        "\
workspaces:
  w: {repo: 'https://bob:hunter2@host/a'}
",
        "\
2:13 a repository URL must not carry a user name or password before \"@\": put the credential into a Secret
",
    );
    check_config(
        "\
tasks:
  a: {prompt: \"x\\0\"}
",
        "\
2:15 a prompt has no NUL
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, branch: 'a b'}
",
        "\
2:26 \"a b\" is not a branch name: it has no spaces, control characters or any of ~ ^ : ? * [ \\
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, image: 'a b'}
",
        "\
2:25 an image reference has no white space
",
    );
}

#[test]
fn problems_of_one_entry_do_not_hide_each_other() {
    check_config(
        "\
spawners:
  s: {when: {cron: {schedule: '61 * * * *', zone: x}}, pollInterval: often, maxConcurrency: x, typ: y}
",
        "\
2:31 minute \"61\": expected *, numbers 0 to 59, a range such as 1-5, or steps such as */2
2:45 unknown key \"zone\" (known here: \"schedule\", \"timeZone\")
2:70 expected a duration such as \"5m\", got \"often\"
2:93 \"maxConcurrency\" must be a whole number, got the text \"x\"
2:96 unknown key \"typ\" (did you mean \"type\"?)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: 5, branch: 'a b', credentials: {type: oauth}}
",
        "\
2:15 \"prompt\" must be text, got 5 (put it in quotes)
2:26 \"a b\" is not a branch name: it has no spaces, control characters or any of ~ ^ : ? * [ \\
2:46 credentials need a secretRef (name the Secret that holds the key, or set type to \"none\")
",
    );
}

#[test]
fn names() {
    check_config(
        "\
tasks:
  Bad_Name: {prompt: x}
",
        "\
2:3 the name \"Bad_Name\" must have 1 to 253 lower-case letters, digits or \"-\" or \".\", and begin and end with a letter or digit
",
    );
    check_config(
        "\
workspaces:
  '': {repo: 'https://h/a'}
",
        "\
2:3 the name \"\" must have 1 to 253 lower-case letters, digits or \"-\" or \".\", and begin and end with a letter or digit
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, workspace: A}
",
        "\
2:29 \"A\" must have 1 to 253 lower-case letters, digits or \"-\" or \".\", and begin and end with a letter or digit
",
    );
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: Config
namespace: A
sync: a.b
",
        "\
3:12 \"namespace\": \"A\" must have 1 to 63 lower-case letters, digits or \"-\", and begin and end with a letter or digit
4:7 \"sync\": \"a.b\" must have 1 to 63 lower-case letters, digits or \"-\", and begin and end with a letter or digit
",
    );
    check_config(
        "\
tasks:
  5: {prompt: x}
",
        "",
    );
    check_config(
        "\
spawners:
  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: {when: {cron: {schedule: '@daily'}}}
",
        "\
2:3 the name must have at most 63 characters
",
    );
}

#[test]
fn names_stand_once() {
    check_config(
        "\
tasks:
  a: {prompt: x}
  a: {prompt: y}
",
        "\
3:3 the key \"a\" stands here a second time (the first is at axon.yaml:7:3)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, prompt: y}
",
        "\
2:18 the key \"prompt\" stands here a second time (the first is at axon.yaml:7:7)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x}
---
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {name: a}
spec: {prompt: x, type: codex, credentials: {type: none}}
",
        "\
6:18 Task \"a\" is declared a second time (the first is at axon.yaml:7:3)
",
    );
    check_config(
        "\
workspaces:
  a: {repo: 'https://h/a'}
tasks:
  a: {prompt: x, workspace: {repo: 'https://h/b'}}
",
        "\
4:18 Workspace \"a\" is declared a second time (the first is at axon.yaml:7:3)
",
    );
}

#[test]
fn workspaces_of_the_cluster() {
    check_config(
        "\
workspaces:
  app: {repo: 'https://h/a'}
tasks:
  a: {prompt: x, workspace: ap}
  b: {prompt: x, workspace: ap}
  c: {prompt: x, workspace: app}
",
        "\
4:29 warning workspace \"ap\" is not declared here: the cluster must have it (did you mean \"app\"?)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, workspace: app}
",
        "\
2:29 warning workspace \"app\" is not declared here: the cluster must have it
",
    );
}

#[test]
fn labels_and_annotations() {
    check_config(
        "\
tasks:
  a: {prompt: x, metadata: {labels: {axon.io/task: x, app.kubernetes.io/name: x, 'a b': x, ok: 'not ok', fine/ok: ok}}}
",
        "\
2:38 the label \"axon.io/task\" is set by Axon (choose a prefix of your own, such as \"example.com/\")
2:55 the label \"app.kubernetes.io/name\" is set by Axon (choose a prefix of your own, such as \"example.com/\")
2:82 \"a b\" cannot be a key here: expected \"name\" or \"domain/name\"
2:96 a label's value must have at most 63 letters, digits, \"-\", \"_\" or \".\", and begin and end with a letter or digit; got \"not ok\"
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, metadata: {annotations: {axon.io/prune: 'no', axon.io/rerun: x, axon.io/adopt-into: 'A B', axon.io/run: x, '/': x}}}
",
        "\
2:58 \"axon.io/prune\" must be \"disabled\", got \"no\"
2:79 \"axon.io/rerun\" must be a whole number in quotes, got \"x\"
2:102 \"axon.io/adopt-into\" must be the id of a sync, got \"A B\"
2:109 the annotation \"axon.io/run\" is set by Axon (choose a prefix of your own, such as \"example.com/\")
2:125 \"/\" cannot be a key here: expected \"name\" or \"domain/name\"
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, metadata: {annotations: {axon.io/prune: disabled, axon.io/rerun: '3', axon.io/adopt-into: other, any: 'thing at all'}}}
",
        "",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, rerun: 2, metadata: {annotations: {axon.io/rerun: '3'}}}
",
        "\
2:18 \"rerun\" is set twice, here and as \"axon.io/rerun\"
",
    );
    check_config(
        "\
workspaces:
  a: {repo: 'https://h/a', metadata: {annotations: {axon.io/rerun: '3'}, name: x}}
",
        "\
2:53 the annotation \"axon.io/rerun\" is set by Axon (choose a prefix of your own, such as \"example.com/\")
2:74 unknown key \"name\" (known here: \"annotations\", \"labels\")
",
    );
}

#[test]
fn one_root() {
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: Config
---
apiVersion: axon.io/v1alpha1
kind: Config
",
        "\
4:1 a second Config in this file (join it with the first at axon.yaml:1:1)
",
    );
}

#[test]
fn entries_become_manifests() {
    let yaml = format!(
        "{HEAD}  workspace: app
  metadata: {{labels: {{team: a}}}}
workspaces:
  app: {{ref: main}}
tasks:
  a:
    prompt: x
    workspace: {{ref: b}}
    rerun: 2
    credentials: {{type: oauth, secretRef: {{name: s}}}}
    metadata: {{labels: {{tier: b}}}}
  b: {{prompt: y, workspace: ~, type: gemini}}
spawners:
  s: {{when: {{cron: {{schedule: '@daily'}}}}, prompt: x, pollInterval: 1m}}
"
    );
    let expected = "\
---
apiVersion: axon.io/v1alpha1
kind: Workspace
metadata:
  name: a
spec:
  ref: b
  repo: https://github.com/acme/app.git
---
apiVersion: axon.io/v1alpha1
kind: Workspace
metadata:
  name: app
spec:
  ref: main
  repo: https://github.com/acme/app.git
---
apiVersion: axon.io/v1alpha1
kind: TaskSpawner
metadata:
  name: s
  labels:
    team: a
spec:
  pollInterval: \"1m\"
  taskTemplate:
    credentials:
      type: none
    promptTemplate: x
    type: codex
    workspaceRef:
      name: app
  when:
    cron:
      schedule: \"@daily\"
---
apiVersion: axon.io/v1alpha1
kind: Task
metadata:
  name: a
  annotations:
    axon.io/rerun: \"2\"
  labels:
    team: a
    tier: b
spec:
  credentials:
    secretRef:
      name: s
    type: oauth
  prompt: x
  type: codex
  workspaceRef:
    name: a
---
apiVersion: axon.io/v1alpha1
kind: Task
metadata:
  name: b
  labels:
    team: a
spec:
  credentials:
    type: none
  prompt: \"y\"
  type: gemini
";
    let set = loaded(&yaml).set;
    assert_eq!(render::yaml(&set, None), expected);
    // What is rendered means the same again.
    let again = loaded(expected).set;
    let identities = |set: &DesiredSet| {
        let of = |it: &Desired| (it.manifest.clone(), it.run.clone());
        set.objects.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(identities(&again), identities(&set));
    assert!(set.has_config && !again.has_config);
}

#[test]
fn a_rerun_is_another_run() {
    let run = |task: &str| {
        let set = loaded(&format!("{HEAD}tasks:\n  a: {{prompt: x{task}}}\n")).set;
        set.objects[0].run.clone()
    };
    assert_ne!(run(""), run(", rerun: 1"));
    assert_eq!(run(""), run(", rerun: 0"));
    assert_eq!(run(""), run(", ttlSecondsAfterFinished: 5"));
    assert_eq!(run(""), run(", metadata: {labels: {a: b}}"));
    assert_ne!(run(""), run(", model: m"));
}

#[test]
fn included_files_hold_entries_and_manifests() {
    let root = format!("include: [more/*.yaml]\n{HEAD}namespace: agents\nsync: app\n");
    let entries = "apiVersion: axon.io/v1alpha1\nkind: Config\ntasks: {a: {prompt: x}}\n";
    let files = [("axon.yaml", root.as_str()), ("more/a.yaml", entries)];
    check_files(&files, "");
    let set = load(&snapshot(&files)).unwrap().set;
    assert_eq!(set.objects[0].manifest["spec"]["type"], "codex");
    assert_eq!(set.objects[0].place.to_string(), "more/a.yaml:3:9");
    assert_eq!(set.namespace.unwrap().as_str(), "agents");
    assert_eq!(set.sync.unwrap().as_str(), "app");

    let root_keys = "sync: b\nnamespace: b\ninclude: []\ndefaults: {}\n";
    check_files(
        &[
            ("axon.yaml", &root),
            ("b.yaml", &format!("{entries}{root_keys}")),
            ("c.yaml", entries),
        ],
        "\
b.yaml4:1 \"sync\" can stand only in the root file
b.yaml5:1 \"namespace\" can stand only in the root file
b.yaml6:1 \"include\" can stand only in the root file
b.yaml7:1 \"defaults\" can stand only in the root file
c.yaml3:9 Task \"a\" is declared a second time (the first is at b.yaml:3:9)",
    );
}

#[test]
fn include_patterns() {
    let root = format!("{HEAD}include: [a/*.yaml, ../b.yaml, /c, 'd/[', e.yaml]\n");
    assert_eq!(includes(root.as_bytes()), ["a/*.yaml", "e.yaml"]);
    assert_eq!(includes(b"include: [a.yaml]"), Vec::<String>::new());
    assert_eq!(includes(b"\xff{"), Vec::<String>::new());
    let mut snapshot = snapshot(&[("axon.yaml", &root)]);
    let unmatched = |near: Option<&str>| Unmatched {
        pattern: "e.yaml".into(),
        near: near.map(str::to_owned),
    };
    snapshot.unmatched = vec![unmatched(None)];
    assert_eq!(
        told(&snapshot),
        "\
6:21 \"../b.yaml\" is not a path inside the repository
6:32 \"/c\" is not a path inside the repository
6:36 \"d/[\" is not a pattern: unclosed character class; missing ']'
6:43 no file matches \"e.yaml\" (paths begin at the directory of this file)"
    );
    snapshot.unmatched = vec![unmatched(Some("E.yaml"))];
    let last = "6:43 no file matches \"e.yaml\" (there is \"E.yaml\": upper and lower case are two letters)";
    assert!(told(&snapshot).ends_with(last), "{}", told(&snapshot));
}
