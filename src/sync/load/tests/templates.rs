//! Templates of spawners: problems are told where they stand.

use super::check_config;

#[track_caller]
fn check(fields: &str, expected: &str) {
    let spawner = "spawners:\n  s:\n    when: {cron: {schedule: '@daily'}}\n";
    check_config(&format!("{spawner}{fields}"), expected);
}

#[test]
fn in_a_block() {
    check(
        "    prompt: |

      Fix {{.Title}}
        as {{.Nmae}} says
",
        "7:14 template: unknown field \".Nmae\"; known: .ID, .Number, .Title, .Body, .URL, .Labels, .Comments, .Kind, .Time, .Schedule",
    );
}

#[test]
fn on_one_line() {
    check(
        "    prompt: Fix {{.Titel}}\n",
        "4:19 template: unknown field \".Titel\"; known: .ID, .Number, .Title, .Body, .URL, .Labels, .Comments, .Kind, .Time, .Schedule; did you mean \".Title\"?",
    );
    check(
        "    branch: 'fix/{{.Number'\n",
        "4:27 template: unclosed action",
    );
}

#[test]
fn elsewhere() {
    check(
        "    prompt: >\n      Fix\n      {{.Titel}}\n",
        "5:7 template, line 1, column 7: unknown field \".Titel\"; known: .ID, .Number, .Title, .Body, .URL, .Labels, .Comments, .Kind, .Time, .Schedule; did you mean \".Title\"?",
    );
    check(
        "    prompt: \"\\tFix {{.Titel}}\"\n",
        "4:13 template, line 1, column 8: unknown field \".Titel\"; known: .ID, .Number, .Title, .Body, .URL, .Labels, .Comments, .Kind, .Time, .Schedule; did you mean \".Title\"?",
    );
}

#[test]
fn good_ones() {
    check(
        "    prompt: 'Look at {{.Title}}, {{range .Labels}}{{end}}'\n    branch: fix/{{.ID}}\n",
        "",
    );
    // A Task's prompt is no template.
    check_config("tasks: {a: {prompt: '{{'}}\n", "");
}
