//! No input makes the loader panic, hang or fill memory.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::MAX_FILE;
use super::super::MAX_OBJECTS;
use super::super::includes;
use super::super::report::MAX_DIAGNOSTICS;
use super::HEAD;
use super::check;
use super::load;
use super::loaded;
use super::snapshot;
use super::told;

#[test]
fn sizes() {
    let large = "#".repeat(MAX_FILE + 1);
    check(&large, "1:1 the file has more than 1 MiB");
    let most = "#".repeat(MAX_FILE);
    let files: Vec<(String, &str)> = (0..9)
        .map(|at| (format!("{at}.yaml"), most.as_str()))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), *text))
        .collect();
    assert_eq!(
        told(&snapshot(&files)),
        "0.yaml1:1 the files have more than 8 MiB in all"
    );
    assert_eq!(told(&snapshot(&files[..8])), "");
}

#[test]
fn bytes_that_are_no_text() {
    let mut snapshot = snapshot(&[("axon.yaml", HEAD)]);
    snapshot.files[0].bytes.extend(b"tasks: {\xc3\xa4: \xff}");
    assert_eq!(told(&snapshot), "6:12 the file is not UTF-8 text");
    snapshot.files[0].bytes = [b"\xef\xbb\xbf", HEAD.as_bytes()].concat();
    assert_eq!(told(&snapshot), "");
}

#[test]
fn depth() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check(&nested(65), "1:65 nested more than 64 levels deep");
    let message = "1:1 a document must be a map, got a list (begin the document with apiVersion: axon.io/v1alpha1 and kind: Config)";
    check(&nested(64), message);
    let mut blocks = String::new();
    for at in 0..70 {
        writeln!(blocks, "{}a:", " ".repeat(at)).unwrap();
    }
    check(&blocks, "65:65 nested more than 64 levels deep");
}

#[test]
fn aliases_have_a_budget() {
    // Each line is ten times the one before it.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..9 {
        let before = format!("*a{}, ", at - 1).repeat(10);
        writeln!(bomb, "a{at}: &a{at} [{before}]").unwrap();
    }
    check(
        &bomb,
        "5:25 anchors and aliases make this document more than 4 MiB larger",
    );
}

#[test]
fn objects_have_a_number() {
    let tasks = |count: usize| -> String {
        let tasks = (0..count).map(|at| format!("  a{at}: {{prompt: x}}\n"));
        format!("{HEAD}tasks:\n{}", tasks.collect::<String>())
    };
    assert_eq!(loaded(&tasks(MAX_OBJECTS)).set.objects.len(), MAX_OBJECTS);
    check(
        &tasks(MAX_OBJECTS + 2),
        "5007:3 more than 5000 objects, or more than 64 MiB of them (split the configuration into several)",
    );
}

#[test]
fn defaults_do_not_multiply_without_end() {
    let large = "x".repeat(200 << 10);
    let mut yaml = format!("{HEAD}  metadata: {{annotations: {{a: {large}}}}}\ntasks:\n");
    for at in 0..MAX_OBJECTS {
        writeln!(yaml, "  a{at}: {{prompt: x}}").unwrap();
    }
    let told = told(&snapshot(&[("axon.yaml", &yaml)]));
    assert!(
        told.contains("more than 5000 objects, or more than 64 MiB of them"),
        "{told}"
    );
}

#[test]
fn problems_have_a_number() {
    let mut yaml = HEAD.to_owned();
    for at in 0..20_000 {
        writeln!(yaml, "k{at}: 1").unwrap();
    }
    let told = load(&snapshot(&[("axon.yaml", &yaml)])).unwrap_err();
    assert_eq!(told.len(), MAX_DIAGNOSTICS + 1);
    assert_eq!(
        told[MAX_DIAGNOSTICS].message,
        "19900 more problems are not shown"
    );
}

#[test]
fn lines_are_shown_short_and_without_credentials() {
    let yaml = format!(
        "{HEAD}workspaces: {{a: {{repo: 'https://bob:hunter2@h/a', x: \"\u{1b}[2J{}\"}}}}",
        "y".repeat(500)
    );
    for told in load(&snapshot(&[("axon.yaml", &yaml)])).unwrap_err() {
        let shown = format!("{told:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains('\u{1b}'),
            "{shown}"
        );
        assert!(told.line_text.chars().count() <= 160);
    }
}

/// Shapes that make careless parsers slow or recurse without end.
#[test]
fn hostile_shapes_end() {
    const SIZE: usize = MAX_FILE / 16;
    for shape in [
        "[",
        "{",
        "]",
        "- ",
        "? ",
        ": ",
        "a: ",
        "&a ",
        "*a ",
        "!a ",
        "\"",
        "'",
        "|\n",
        ">\n",
        "---\n",
        "...\n",
        "#\n",
        "\n",
        "\t",
        " ",
        "%a\n",
        "a\n",
        "a: b\n",
        "- a\n",
        "a: &a\n",
        "[a, ",
        "{a: ",
        "\u{feff}",
        "\0",
        "\u{2028}",
        "a: [*a]\n",
        "x,",
        "? a\n",
        "a:\n",
        "\r",
        "<<: ",
    ] {
        let text = shape.repeat(SIZE / shape.len());
        for text in [
            text.clone(),
            format!("[{text}"),
            format!("{HEAD}tasks: {{{text}"),
            format!("a: \"{text}"),
        ] {
            told(&snapshot(&[("axon.yaml", &text)]));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut snapshot = snapshot(&[("axon.yaml", "")]);
        snapshot.files[0].bytes.clone_from(&bytes);
        told(&snapshot);
        includes(&bytes);
    }

    #[test]
    fn any_yaml_like_text(parts in prop::collection::vec(
        "(tasks|spawners|workspaces|defaults|include|kind|metadata|spec|prompt|when|cron)?(: |- |\\[|\\]|\\{|\\}|, |\n|\n  |\n    |---\n|&a |\\*a|!!str |\"|'|\\||<<: |~|5|x){1,3}",
        0..30,
    )) {
        told(&snapshot(&[("axon.yaml", &format!("{HEAD}{}", parts.concat()))]));
    }
}
