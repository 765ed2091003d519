//! `dependsOn`, and prompts over what other tasks left.

use super::check_config;

#[test]
fn tasks_that_are_not_declared() {
    check_config(
        "tasks:
  build: {prompt: x}
  a: {prompt: x, dependsOn: [build, biuld]}
",
        "3:37 warning task \"biuld\" is not declared here: the cluster must have it (did you mean \"build\"?)",
    );
}

#[test]
fn circles() {
    check_config(
        "tasks:
  a: {prompt: x, dependsOn: [a]}
  b: {prompt: x, dependsOn: [d]}
  c: {prompt: x, dependsOn: [a, b]}
  d: {prompt: x, dependsOn: [c]}
",
        "2:30 task \"a\" waits for itself
4:33 tasks wait for each other: \"b\" → \"d\" → \"c\" → \"b\"",
    );
    // Twice waited for is no circle.
    check_config(
        "tasks:
  a: {prompt: x}
  b: {prompt: x, dependsOn: [a]}
  c: {prompt: x, dependsOn: [b, a]}
",
        "",
    );
}

#[test]
fn prompts_over_what_is_waited_for() {
    let task = |prompt: &str| {
        format!(
            "tasks:
  build: {{prompt: x}}
  run-tests: {{prompt: x}}
  a:
    dependsOn: [build, run-tests]
    promptSyntax: GoTemplate
    prompt: '{prompt}'
"
        )
    };
    check_config(
        &task("{{.Deps.build.Results.branch}} {{(index .Deps \"run-tests\").Outputs}}"),
        "",
    );
    check_config(
        &task("{{.Deps.other.Results.x}}"),
        "7:21 template: unknown field \".other\"; known: .build, .run-tests",
    );
    check_config(
        &task("{{.Deps.build.Result}}"),
        "7:27 template: unknown field \".Result\"; known: .Results, .Outputs; did you mean \".Results\"?",
    );
    check_config(
        &task("{{.Title}}"),
        "7:16 template: unknown field \".Title\"; known: .Deps",
    );
}

#[test]
fn a_name_with_dashes_is_no_field() {
    check_config(
        "tasks:
  run-tests: {prompt: x}
  a:
    dependsOn: [run-tests]
    promptSyntax: GoTemplate
    prompt: '{{.Deps.run-tests.Results.x}}'
",
        "6:25 template: unexpected \"-\" in action (write {{(index .Deps \"run-tests\").Results.KEY}})",
    );
}

#[test]
fn a_plain_prompt_is_no_template() {
    check_config(
        "tasks: {a: {prompt: '{{.Deps.x', promptSyntax: Plain}}\n",
        "",
    );
}

#[test]
fn retries() {
    check_config(
        "tasks:
  a: {prompt: x, retry: {backoff: soon}}
  b: {prompt: x, retry: {limit: -1, onDisruption: Sometimes}}
",
        "2:35 expected a duration such as \"5m\", got \"soon\"
3:33 \"limit\" must be at least 0, got -1
3:51 \"onDisruption\" must be one of \"IfNotStarted\", \"Always\", \"Never\", got the text \"Sometimes\"",
    );
}
