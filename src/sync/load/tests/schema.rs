//! Unknown keys, types, choices: what a schema can tell.
#![expect(clippy::too_many_lines, reason = "tables of input and answer")]

use super::check;
use super::check_config;

#[test]
fn unknown_keys() {
    check_config(
        "\
tasks:
  a: {promt: x, prompt: y}
",
        "\
2:7 unknown key \"promt\" (did you mean \"prompt\"?)
",
    );
    check_config(
        "\
tsks: {}
",
        "\
1:1 unknown key \"tsks\" (did you mean \"tasks\"?)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, whatever: 1}
",
        "\
2:18 unknown key \"whatever\" (known here: \"branch\", \"cancelled\", \"credentials\", \"dependsOn\", \"image\", \"metadata\", \"model\", \"podOverrides\", \"prompt\", \"promptSyntax\", \"rerun\", \"retry\", …)
",
    );
    check_config(
        "\
spawners:
  s:
    when: {cron: {schedule: '@daily', timezone: UTC}}
    podOverrides: {resources: {limit: {}}}
",
        "\
3:39 unknown key \"timezone\" (did you mean \"timeZone\"?)
4:32 unknown key \"limit\" (did you mean \"limits\"?)
",
    );
}

#[test]
fn types_in_plain_words() {
    check_config(
        "\
tasks:
  a: {prompt: 5}
",
        "\
2:15 \"prompt\" must be text, got 5 (put it in quotes)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: [x]}
",
        "\
2:15 \"prompt\" must be text, got a list
",
    );
    check_config(
        "\
tasks:
  a: {prompt: true, model: 1.10}
",
        "\
2:15 \"prompt\" must be text, got true (put it in quotes)
2:28 \"model\" must be text, got 1.1 (put it in quotes)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, ttlSecondsAfterFinished: '5'}
",
        "\
2:43 \"ttlSecondsAfterFinished\" must be a whole number, got the text \"5\" (remove the quotes)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, ttlSecondsAfterFinished: 1.5}
",
        "\
2:43 \"ttlSecondsAfterFinished\" must be a whole number, got 1.5
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, ttlSecondsAfterFinished: 017}
",
        "\
2:43 \"ttlSecondsAfterFinished\" must be a whole number, got 017 (write it as a decimal number)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, branch: 0x1f}
",
        "\
2:26 \"branch\" must be text, got 0x1f (put it in quotes)
",
    );
    check_config(
        "\
tasks: [a]
",
        "\
1:8 \"tasks\" must be a map, got a list
",
    );
    check_config(
        "\
tasks:
  a: x
",
        "\
2:6 \"a\" must be a map, got the text \"x\"
",
    );
    check_config(
        "\
tasks:
",
        "\
1:6 \"tasks\" must be a map, got nothing (remove the key, or give it a value)
",
    );
    check_config(
        "\
spawners:
  s: {when: {githubIssues: {labels: bug}}, workspace: w}
workspaces: {w: {repo: 'https://h/a'}}
",
        "\
2:37 \"labels\" must be a list, got the text \"bug\" (write a list of one as [value])
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, podOverrides: {env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: yes}}}]}}
",
        "\
2:103 \"optional\" must be true or false, got the text \"yes\" (write true)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, podOverrides: {env: [{name: A, value: 1}]}}
",
        "\
2:56 \"value\" must be text, got 1 (put it in quotes)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, workspace: 5}
",
        "\
2:29 \"workspace\" must be text or a map, got 5 (put it in quotes)
",
    );
    check_config(
        "\
tasks:
  a:
    prompt:
",
        "\
3:11 \"prompt\" must be text, got nothing
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, metadata: {labels: {a: 1}, annotations: {b: false}}}
",
        "\
2:41 \"a\" must be text, got 1 (put it in quotes)
2:62 \"b\" must be text, got false (put it in quotes)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, podOverrides: {resources: {limits: {cpu: 2, memory: [1]}}}}
",
        "\
2:70 \"memory\" must be a whole number or text, got a list
",
    );
}

#[test]
fn missing_fields() {
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: Config
tasks:
  a:
    prompt: x
",
        "\
4:3 \"credentials\" is missing in \"a\" (set it here, or for all entries under \"defaults\")
4:3 \"type\" is missing in \"a\" (set it here, or for all entries under \"defaults\")
",
    );
    check_config(
        "\
tasks:
  a: {}
",
        "\
2:3 \"prompt\" is missing in \"a\"
",
    );
    check_config(
        "\
spawners:
  s: {prompt: x}
",
        "\
2:3 \"when\" is missing in \"s\"
",
    );
    check_config(
        "\
spawners:
  s: {when: {cron: {}}}
",
        "\
2:14 \"schedule\" is missing in \"cron\"
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, credentials: {secretRef: {}}}
",
        "\
2:18 \"type\" is missing in \"credentials\"
2:32 \"name\" is missing in \"secretRef\"
",
    );
}

#[test]
fn choices_and_ranges() {
    check_config(
        "\
tasks:
  a: {prompt: x, type: claud-code}
",
        "\
2:24 \"type\" must be one of \"claude-code\", \"codex\", \"gemini\", \"opencode\", \"cursor\", \"custom\", got the text \"claud-code\" (did you mean \"claude-code\"?)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, type: gpt}
",
        "\
2:24 \"type\" must be one of \"claude-code\", \"codex\", \"gemini\", \"opencode\", \"cursor\", \"custom\", got the text \"gpt\"
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, ttlSecondsAfterFinished: -1, podOverrides: {activeDeadlineSeconds: 0}}
",
        "\
2:43 \"ttlSecondsAfterFinished\" must be at least 0, got -1
2:85 \"activeDeadlineSeconds\" must be at least 1, got 0
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, ttlSecondsAfterFinished: 99999999999, rerun: 1.5}
",
        "\
2:43 \"ttlSecondsAfterFinished\" must be at most 2147483647, got 99999999999
2:63 \"rerun\" must be a whole number, got 1.5
",
    );
    check_config(
        "\
tasks:
  a: {prompt: ''}
",
        "\
2:15 \"prompt\" must not be empty
",
    );
    check_config(
        "\
spawners:
  s: {when: {githubIssues: {types: [issue], state: opened}}, workspace: w}
workspaces: {w: {repo: 'https://h/a'}}
",
        "\
2:37 each item of \"types\" must be one of \"issues\", \"pulls\", got the text \"issue\" (did you mean \"issues\"?)
2:52 \"state\" must be one of \"open\", \"closed\", \"all\", got the text \"opened\"
",
    );
}
