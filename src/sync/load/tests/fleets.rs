//! Fleets: what they expand to, what they are told, and that their names stay.
#![expect(clippy::too_many_lines, reason = "tables of input and answer")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use crate::model::Desired;
use crate::sync::render;

use super::HEAD;
use super::check_config;
use super::load;
use super::loaded;
use super::snapshot;
use super::told;

fn rendered(yaml: &str) -> String {
    render::yaml(&loaded(&format!("{HEAD}{yaml}")).set, None)
}

/// A fleet and what it stands for, written out.
#[track_caller]
fn same(fleet: &str, written_out: &str) {
    let (fleet, written_out) = (
        loaded(&format!("{HEAD}{fleet}")),
        loaded(&format!("{HEAD}{written_out}")),
    );
    let without_place = |it: &Desired| (it.key.clone(), it.manifest.clone(), it.run.clone());
    let objects =
        |it: &super::Loaded| -> Vec<_> { it.set.objects.iter().map(without_place).collect() };
    assert_eq!(objects(&fleet), objects(&written_out));
    assert_eq!(
        fleet.set.external_workspaces.len(),
        written_out.set.external_workspaces.len()
    );
}

#[test]
fn tasks() {
    same(
        "\
fleets:
  bump-ci:
    forEach:
      repo: [acme/a, acme/b]
    task:
      workspace: {repo: \"https://github.com/{{ repo }}.git\"}
      prompt: \"Pin the CI images in {{ repo }}.\"
      metadata: {labels: {team: \"{{ repo | split(pat='/') | first }}\"}}
",
        "\
tasks:
  bump-ci-acme-a:
    workspace: {repo: \"https://github.com/acme/a.git\"}
    prompt: Pin the CI images in acme/a.
    metadata: {labels: {team: acme}}
  bump-ci-acme-b:
    workspace: {repo: \"https://github.com/acme/b.git\"}
    prompt: Pin the CI images in acme/b.
    metadata: {labels: {team: acme}}
",
    );
}

#[test]
fn products() {
    let names = rendered(
        "\
fleets:
  t:
    forEach: {n: [1, 2], on: [true, false], a: [x]}
    task: {prompt: \"{{ a }}{{ n }}{{ on }}\"}
",
    );
    for name in ["t-x-1-true", "t-x-1-false", "t-x-2-true", "t-x-2-false"] {
        assert!(names.contains(&format!("name: {name}\n")), "{names}");
    }
    assert!(names.contains("prompt: x2false"), "{names}");
}

/// The prompt and the branch of a spawner are Go templates over work items: no fleet reads them.
#[test]
fn spawners() {
    same(
        "\
workspaces: {a: {}, b: {}}
fleets:
  fix:
    forEach: {app: [a, b]}
    spawner:
      when: {githubIssues: {labels: [\"app/{{ app }}\"]}}
      workspace: \"{{ app }}\"
      branch: axon/{{.Number}}
      prompt: |
        Fix {{.Title}}
",
        "\
workspaces: {a: {}, b: {}}
spawners:
  fix-a: &a
    when: {githubIssues: {labels: [app/a]}}
    workspace: a
    branch: axon/{{.Number}}
    prompt: |
      Fix {{.Title}}
  fix-b:
    when: {githubIssues: {labels: [app/b]}}
    workspace: b
    branch: axon/{{.Number}}
    prompt: |
      Fix {{.Title}}
",
    );
}

/// Structure, keys, numbers and the texts of `defaults` are never expanded.
#[test]
fn what_is_not_expanded() {
    same(
        "  podOverrides: {env: [{name: A, value: '{{ x }}'}]}
fleets:
  t:
    forEach: {x: [v]}
    task:
      prompt: '{{ x }}'
      podOverrides: {nodeSelector: {a.b/c: '{{ x }}'}}
      ttlSecondsAfterFinished: 5
",
        "  podOverrides: {env: [{name: A, value: '{{ x }}'}]}
tasks:
  t-v:
    prompt: v
    podOverrides: {nodeSelector: {a.b/c: v}}
    ttlSecondsAfterFinished: 5
",
    );
}

#[test]
fn problems() {
    check_config(
        "\
fleets:
  f:
    forEach: {repo: [a]}
    task: {prompt: \"in {{ rpo }}\"}
",
        "\
4:27 unknown variable \"rpo\" (did you mean \"repo\"?)
",
    );
    check_config(
        "\
fleets:
  f:
    forEach: {repo: [a]}
    task:
      prompt: |
        One {{ repo }}
        two {{ repo | uppr }}
      model: '{% if repo %}x{% endif %}'
",
        "\
7:23 unknown filter \"uppr\" (did you mean \"upper\"?)
8:15 there are no statements here, only expressions \"{{ … }}\" (to keep \"{{\" as it is, write {% raw %}…{% endraw %} around it)
",
    );
    check_config(
        "\
fleets:
  f: {forEach: {repo: [a]}}
  g:
    forEach: {repo: [a]}
    task: {prompt: '{{ repo }}'}
    spawner: {when: {cron: {schedule: '@daily'}}}
  h: {task: {prompt: x}}
  i: {forEach: {}, task: {prompt: x}}
  j: {forEach: {x: []}, task: {prompt: x}}
  K: {forEach: {x: [1]}, task: {prompt: '{{ x }}'}}
",
        "\
2:3 fleet \"f\" needs a \"task\" or a \"spawner\"
3:3 fleet \"g\" has both a \"task\" and a \"spawner\" (write one fleet for each)
7:3 \"forEach\" is missing in \"h\"
8:16 \"forEach\" must not be empty
9:20 \"x\" must not be empty
10:3 the name \"K\" must have 1 to 253 lower-case letters, digits or \"-\" or \".\", and begin and end with a letter or digit
",
    );
    check_config(
        "\
fleets:
  f:
    forEach: {x: [a, 1.5, ~, [b]], y-z: [a], for: [a]}
    task: {prompt: '{{ x }}'}
",
        "\
3:22 each item of \"x\" must be text or a whole number or true or false, got 1.5 (put it in quotes)
3:27 each item of \"x\" must be text or a whole number or true or false, got nothing
3:30 each item of \"x\" must be text or a whole number or true or false, got a list
3:36 \"y-z\" cannot be a variable: expected letters, digits and \"_\", beginning with a letter
3:46 \"for\" cannot be a variable: the word means something in expressions
",
    );
    check_config(
        "\
fleets:
  f:
    forEach: {x: [a/b, a-b, a/b], y: [c]}
    task: {prompt: '{{ x }}'}
",
        "\
2:3 both x \"a/b\" and y \"c\" and x \"a-b\" and y \"c\" give the name \"f-a-b-c\" (put one of them into a fleet of its own)
2:3 fleet \"f\" has x \"a/b\" and y \"c\" twice
3:35 warning nothing in this fleet uses \"y\" (its objects differ only in name; write {{ y }})
",
    );
}

/// What is wrong only with some values says with which.
#[test]
fn values_that_do_not_fit() {
    check_config(
        "\
workspaces: {a: {repo: https://h/a}}
fleets:
  f:
    forEach: {x: [a, b c]}
    task: {prompt: '{{ x }}', workspace: '{{ x }}', branch: '{{ x }}'}
  g:
    forEach: {url: ['https://h/a', h/b]}
    task: {prompt: x, workspace: {repo: '{{ url }}'}}
  h:
    forEach: {x: [codx]}
    task: {prompt: x, type: '{{ x }}'}
",
        "\
5:42 \"b c\" must have 1 to 253 lower-case letters, digits or \"-\" or \".\", and begin and end with a letter or digit (with x \"b c\")
5:61 \"b c\" is not a branch name: it has no spaces, control characters or any of ~ ^ : ? * [ \\ (with x \"b c\")
8:41 a repository URL must begin with \"https://\", \"http://\", \"git://\", \"ssh://\", \"file://\" or \"git@host:\" (with url \"h/b\")
11:29 \"type\" must be one of \"claude-code\", \"codex\", \"gemini\", \"opencode\", \"cursor\", \"custom\", got the text \"codx\" (did you mean \"codex\"? (with x \"codx\"))
",
    );
}

#[test]
fn a_name_that_a_task_has() {
    check_config(
        "\
tasks: {f-a: {prompt: x}}
fleets:
  f: {forEach: {x: [a]}, task: {prompt: '{{ x }}'}}
",
        "\
3:3 Task \"f-a\" is declared a second time (the first is at axon.yaml:6:9)
",
    );
}

#[test]
fn sizes() {
    let list: Vec<String> = (0..72).map(|at| at.to_string()).collect();
    let list = list.join(", ");
    let yaml = format!(
        "{HEAD}fleets: {{f: {{forEach: {{a: [{list}], b: [{list}]}}, task: {{prompt: '{{{{ a }}}}{{{{ b }}}}'}}}}}}"
    );
    assert_eq!(
        told(&snapshot(&[("axon.yaml", &yaml)])),
        "6:10 fleet \"f\" makes 72 × 72 objects; one configuration has at most 5000"
    );
    // Each of them fits; together they do not.
    let list: Vec<String> = (0..2_600).map(|at| at.to_string()).collect();
    let list = list.join(", ");
    let mut yaml = format!("{HEAD}fleets:\n");
    for name in ["f", "g"] {
        writeln!(
            yaml,
            "  {name}: {{forEach: {{a: [{list}]}}, task: {{prompt: '{{{{ a }}}}'}}}}"
        )
        .unwrap();
    }
    let told = told(&snapshot(&[("axon.yaml", &yaml)]));
    assert!(told.contains("more than 5000 objects"), "{told}");
}

fn fleet_of(values: &[String]) -> BTreeMap<String, String> {
    let list = serde_json::to_string(values).unwrap();
    let yaml = format!(
        "{HEAD}fleets: {{f: {{forEach: {{x: {list}}}, task: {{prompt: '{{{{ x }}}}!'}}}}}}"
    );
    let Ok(loaded) = load(&snapshot(&[("axon.yaml", &yaml)])) else {
        return BTreeMap::new();
    };
    let entry = |it: Desired| {
        let prompt = it.manifest["spec"]["prompt"].as_str().unwrap().to_owned();
        (prompt, it.key.name.to_string())
    };
    loaded.set.objects.into_iter().map(entry).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A value has the same name, whatever others are in the list and in whatever order.
    #[test]
    fn no_value_renames_another(
        mut values in prop::collection::btree_set("[a-zA-Z0-9/._+ é-]{1,40}", 1..12),
        other in "[a-z/-]{1,80}",
    ) {
        let before: Vec<String> = values.iter().cloned().collect();
        let before = fleet_of(&before);
        values.insert(other);
        let after: Vec<String> = values.into_iter().rev().collect();
        let after = fleet_of(&after);
        if !before.is_empty() && !after.is_empty() {
            for (prompt, name) in before {
                prop_assert_eq!(after.get(&prompt), Some(&name));
            }
        }
    }
}
