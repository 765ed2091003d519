//! What a configuration means does not depend on how it is written down.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axon::model::Desired;
use axon::model::Digest;
use axon::model::RepoPath;
use axon::model::Revision;
use axon::model::Snapshot;
use axon::model::snapshot::InputFile;
use axon::model::snapshot::Source;
use axon::sync::load::load;
use axon::sync::render;
use proptest::prelude::*;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// Objects without the places they stand at.
type Meaning = Vec<(String, Value, Option<String>)>;

fn meaning(files: &[String]) -> Meaning {
    let files = files.iter().enumerate().map(|(at, text)| InputFile {
        path: RepoPath::parse(&if at == 0 {
            "axon.yaml".into()
        } else {
            format!("more/{at}.yaml")
        })
        .unwrap(),
        bytes: text.as_bytes().to_vec(),
    });
    let snapshot = Snapshot {
        source: Source {
            canonical: "github.com/acme/app".into(),
            url: Some("https://github.com/acme/app.git".into()),
        },
        revision: Revision::Directory(Digest::of("")),
        root: RepoPath::parse("axon.yaml").unwrap(),
        files: files.collect(),
        unmatched: Vec::new(),
    };
    let loaded = load(&snapshot).unwrap_or_else(|told| panic!("{told:#?}"));
    let object = |it: Desired| {
        let run = it.run.map(|run| run.as_str().to_owned());
        (it.key.to_string(), it.manifest, run)
    };
    loaded.set.objects.into_iter().map(object).collect()
}

/// Entries of all kinds: section, name, body.
fn entries() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "workspaces",
            "app",
            json!({"ref": "main", "metadata": {"labels": {"a": "b", "c": "d"}}}),
        ),
        (
            "workspaces",
            "docs",
            json!({"repo": "https://github.com/acme/docs.git"}),
        ),
        (
            "spawners",
            "nightly",
            json!({"when": {"cron": {"schedule": "0 3 * * *"}}, "prompt": "One\n\ntwo: {{.Time}}\n"}),
        ),
        (
            "spawners",
            "bugs",
            json!({"when": {"githubIssues": {"labels": ["b", "a"]}}, "maxConcurrency": 2}),
        ),
        (
            "tasks",
            "one",
            json!({"prompt": "x # y", "rerun": 3, "podOverrides": {"env": [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}]}}),
        ),
        (
            "tasks",
            "two",
            json!({"prompt": "  - no list", "workspace": {"repo": "https://github.com/acme/two.git"}}),
        ),
        (
            "fleets",
            "f",
            json!({"forEach": {"b": ["x/y", "z"], "a": [1, 2]}, "task": {"prompt": "{{ a }} {{ b }}"}}),
        ),
    ]
}

fn root_keys() -> Value {
    json!({
        "sync": "app", "namespace": "agents",
        "defaults": {"type": "codex", "credentials": {"type": "none"}, "workspace": "app",
                     "podOverrides": {"nodeSelector": {"x": "y"}}},
    })
}

#[derive(Clone, Copy, Debug)]
enum Style {
    Block,
    Flow,
    Lines,
}

/// A configuration document, its keys in the order that `flip` says.
fn document(
    sections: &BTreeMap<&str, Vec<(&str, Value)>>,
    root: bool,
    style: Style,
    flip: bool,
) -> String {
    let mut parts: Vec<(String, Value)> = vec![
        ("apiVersion".into(), json!("axon.io/v1alpha1")),
        ("kind".into(), json!("Config")),
    ];
    if root {
        let Value::Object(keys) = root_keys() else {
            unreachable!()
        };
        parts.extend(keys);
    }
    let mut sections: Vec<_> = sections.iter().collect();
    if flip {
        parts.reverse();
        sections.reverse();
    }
    // Each key is written by itself, so that the order here is the order in the file.
    let write = |indent: &str, key: &str, value: &Value| match style {
        Style::Flow => format!("{indent}{key}: {value}\n"),
        Style::Lines => {
            let pretty = serde_json::to_string_pretty(value).unwrap();
            let inner = pretty.replace('\n', &format!("\n{indent}  "));
            format!("{indent}{key}:  # why\n{indent}  {inner}\n\n")
        }
        Style::Block => {
            let one = Value::Object(Map::from_iter([(key.to_owned(), value.clone())]));
            let text = render::document(&one);
            let lines = text.lines().filter(|line| *line != "---");
            lines
                .map(|line| {
                    if line.is_empty() {
                        "\n".to_owned()
                    } else {
                        format!("{indent}{line}\n")
                    }
                })
                .collect()
        }
    };
    let mut text = "# a comment\n---\n".to_owned();
    for (key, value) in &parts {
        text += &write("", key, value);
    }
    for (section, entries) in sections {
        writeln!(text, "# {section}\n{section}:").unwrap();
        for (name, body) in entries {
            text += &write("  ", name, body);
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Order, formatting, comments, and which file holds what.
    #[test]
    fn how_it_is_written_does_not_matter(
        order in Just((0..entries().len()).collect::<Vec<_>>()).prop_shuffle(),
        file_of in prop::collection::vec(0_usize..4, entries().len()),
        styles in prop::collection::vec((prop::sample::select(vec![Style::Block, Style::Flow, Style::Lines]), any::<bool>()), 4),
    ) {
        let all = entries();
        let mut files: Vec<BTreeMap<&str, Vec<(&str, Value)>>> = vec![BTreeMap::new(); 4];
        for at in order {
            let (section, name, body) = all[at].clone();
            files[file_of[at]].entry(section).or_default().push((name, body));
        }
        let texts: Vec<String> = files
            .iter()
            .zip(styles)
            .enumerate()
            .map(|(at, (sections, (style, flip)))| document(sections, at == 0, style, flip))
            .collect();
        let mut plain: BTreeMap<&str, Vec<(&str, Value)>> = BTreeMap::new();
        for (section, name, body) in all {
            plain.entry(section).or_default().push((name, body));
        }
        let expected = meaning(&[document(&plain, true, Style::Flow, false)]);
        prop_assert!(expected.len() > 10);
        prop_assert_eq!(meaning(&texts), expected, "{}", texts.join("\n=====\n"));
    }

    /// A fleet is the same as its objects written out.
    #[test]
    fn a_fleet_is_what_it_stands_for(
        a in prop::collection::btree_set("[a-z0-9]{1,6}", 1..5),
        b in prop::collection::btree_set(0_i64..50, 1..4),
        spawner in any::<bool>(),
    ) {
        let body = |a: &str, b: &str| if spawner {
            json!({"when": {"cron": {"schedule": "@daily"}}, "model": format!("m-{b}"),
                   "prompt": "{{.Time}}", "image": format!("i/{a}:{b}")})
        } else {
            json!({"prompt": format!("{a}, then {b}"), "branch": format!("x/{a}-{b}"),
                   "workspace": {"repo": format!("https://github.com/acme/{a}.git")},
                   "metadata": {"labels": {"n": b}}})
        };
        let root = |section: &str, entries: Value| {
            let mut root = root_keys();
            root["apiVersion"] = "axon.io/v1alpha1".into();
            root["kind"] = "Config".into();
            root[section] = entries;
            root.to_string()
        };
        let key = if spawner { "spawner" } else { "task" };
        let fleet = json!({"f": {"forEach": {"b": b, "a": a}, key: body("{{ a }}", "{{ b }}")}});
        let mut written = Map::new();
        for a in &a {
            for b in &b {
                written.insert(format!("f-{a}-{b}"), body(a, &b.to_string()));
            }
        }
        prop_assert_eq!(
            meaning(&[root("fleets", fleet)]),
            meaning(&[root(&format!("{key}s"), Value::Object(written))])
        );
    }
}
