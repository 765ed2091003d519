#![expect(
    clippy::needless_pass_by_value,
    reason = "JSON is written where it is handed over"
)]

use serde_json::Value;
use serde_json::json;

use super::super::fixture::TaskExt as _;
use super::super::fixture::task;
use super::*;

/// A dependency with this status; none is a Task that is not there.
fn dependency(name: &str, status: Value) -> Found {
    Found {
        name: name.into(),
        status: serde_json::from_value(status).unwrap(),
    }
}

fn done(name: &str, results: Value, outputs: Value) -> Found {
    let status = json!({"phase": "Succeeded", "results": results, "outputs": outputs});
    dependency(name, status)
}

#[track_caller]
fn check_met(found: &[Found], expected: &str) {
    let told = match check(found) {
        Ok(()) => "met".to_owned(),
        Err(Unmet::Waits(reason, why)) => format!("{}: {why}", reason.as_str()),
        Err(Unmet::Ends(reason, why)) => format!("{}: {why}", reason.as_str()),
    };
    assert_eq!(told, expected);
}

#[test]
fn all_must_have_succeeded() {
    let built = done("build", json!({}), json!([]));
    check_met(&[], "met");
    check_met(std::slice::from_ref(&built), "met");
    check_met(
        &[
            built.clone(),
            dependency("lint", json!({"phase": "Running"})),
            dependency("new", json!({})),
            dependency("gone", Value::Null),
        ],
        "WaitingForDependency: waits for Task \"lint\" (Running), Task \"new\" (Pending), Task \
         \"gone\" (not there; if it was deleted after its end, it has to run again)",
    );
    // One that has failed ends it, whatever else goes on.
    check_met(
        &[
            dependency("lint", json!({"phase": "Running"})),
            dependency("test", json!({"phase": "Failed", "message": "exit code 3"})),
        ],
        "DependencyFailed: Task \"test\" has failed: exit code 3",
    );
}

#[test]
fn a_long_list_is_cut() {
    let many: Vec<Found> = (0..64)
        .map(|n| dependency(&format!("t{n}"), json!({})))
        .collect();
    let Err(Unmet::Waits(_, said)) = check(&many) else {
        panic!("not waiting");
    };
    assert!(said.ends_with("Task \"t9\" (Pending), …"), "{said}");
}

/// The cycle that `task` is on, given who depends on whom.
fn cycle_of(task: &str, edges: &[(&str, &[&str])]) -> Option<String> {
    let of = |name: &str| {
        let found = edges.iter().find(|(from, _)| *from == name)?;
        Some(found.1.iter().map(ToString::to_string).collect())
    };
    cycle(task, of).map(|way| cycle_message(&way))
}

#[test]
fn a_cycle_is_named() {
    let said = |way: &str| Some(format!("spec.dependsOn: a cycle: {way}"));
    assert_eq!(cycle_of("a", &[("a", &["a"])]), said("\"a\" → \"a\""));
    let three: &[(&str, &[&str])] = &[("a", &["x", "b"]), ("b", &["c"]), ("c", &["a"])];
    assert_eq!(cycle_of("a", three), said("\"a\" → \"b\" → \"c\" → \"a\""));
    // Each that is on it says so; one that only leads to it does not.
    assert_eq!(cycle_of("c", three), said("\"c\" → \"a\" → \"b\" → \"c\""));
    assert_eq!(cycle_of("d", &[("d", &["a"]), ("a", &["a"])]), None);
    let diamond: &[(&str, &[&str])] = &[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"])];
    assert_eq!(cycle_of("a", diamond), None);
}

#[test]
fn a_search_for_a_cycle_ends() {
    // An endless chain, and a dense one.
    let chain = |name: &str| {
        let n: usize = name.parse().unwrap();
        Some(vec![(n + 1).to_string()])
    };
    assert_eq!(cycle("0", chain), None);
    let dense = |name: &str| {
        let n: usize = name.parse().unwrap();
        Some((n + 1..n + 60).map(|it| it.to_string()).collect())
    };
    assert_eq!(cycle("0", dense), None);
}

#[test]
fn what_was_left_is_json() {
    assert_eq!(left(&[]), None);
    let built = done("build", json!({"branch": "fix \"it\""}), json!(["a", "b"]));
    assert_eq!(
        left(&[built]).unwrap(),
        r#"{"build":{"outputs":["a","b"],"phase":"Succeeded","results":{"branch":"fix \"it\""}}}"#
    );
}

#[test]
fn what_was_left_has_a_bound_and_says_what_it_lost() {
    let long: Vec<String> = (0..60)
        .map(|n| format!("{n} {}", "\"x".repeat(40)))
        .collect();
    for count in [12, 64] {
        let many: Vec<Found> = (0..count)
            .map(|n| done(&format!("t{n}"), json!({"key": "value"}), json!(long)))
            .collect();
        let text = left(&many).unwrap();
        assert!(text.len() <= MAX_LEFT, "{}", text.len());
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read.as_object().unwrap().len(), count);
        assert_eq!(read["t7"]["cut"], true);
        assert_eq!(read["t7"]["results"]["key"], "value");
    }
}

#[test]
fn a_plain_prompt_is_what_it_is() {
    let plain = task("a").with(&json!({"spec": {"prompt": "{{.Deps.x}} {{"}}));
    assert_eq!(prompt(&plain, &[]).unwrap(), "{{.Deps.x}} {{");
    assert_eq!(prompt_problem(&plain), None);
}

fn of_template(text: &str) -> Task {
    task("a").with(&json!({"spec": {"prompt": text, "promptSyntax": "GoTemplate"}}))
}

#[test]
fn a_template_sees_what_dependencies_left() {
    let found = [
        done("build", json!({"branch": "{{.Deps}}"}), json!(["one"])),
        done("run-tests", json!({"failed": "2"}), json!([])),
    ];
    let text = "{{.Deps.build.Results.branch}} {{index .Deps.build.Outputs 0}} \
                {{(index .Deps \"run-tests\").Results.failed}}";
    // What an agent left is data.
    assert_eq!(
        prompt(&of_template(text), &found).unwrap(),
        "{{.Deps}} one 2"
    );
}

#[test]
fn a_template_that_fails_says_where() {
    let found = [done(
        "build",
        json!({"branch": "x".repeat(1000)}),
        json!([]),
    )];
    let check = |text: &str, expected: &str| {
        let said = prompt(&of_template(text), &found).unwrap_err();
        assert!(said.starts_with(expected), "{said}");
    };
    check(
        "a\n {{.Deps.biuld}}",
        "spec.prompt: template: 2:9: unknown field \".biuld\"",
    );
    check("{{.Deps.build.Results.none}}", "spec.prompt: template: 1:");
    check(
        "{{if false}}x{{end}}",
        "spec.prompt: the template writes nothing",
    );
    check("{{\"\\x00\"}}", "spec.prompt: the template writes a NUL");
    let many = "{{.Deps.build.Results.branch}}".repeat(200);
    check(&many, "spec.prompt: the template writes 200000 bytes");
    let said = prompt_problem(&of_template("x {{if}}")).unwrap();
    assert!(said.starts_with("spec.prompt: template: 1:"), "{said}");
}
