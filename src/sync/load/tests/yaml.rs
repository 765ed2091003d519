//! YAML itself.
#![expect(clippy::too_many_lines, reason = "tables of input and answer")]

use super::check;
use super::check_config;

#[test]
fn broken_yaml() {
    check(
        "\
a: b: c
",
        "\
1:5 a \": \" cannot stand here (put text that holds \": \" in quotes, or check the indentation)
",
    );
    check(
        "\
a:
\t- b
",
        "\
2:1 a tab cannot indent YAML (indent with spaces)
",
    );
    check(
        "\
a: \"b
",
        "\
1:4 a quote is not closed
",
    );
    check(
        "\
a: [b
",
        "\
1:4 broken YAML: unclosed bracket '['
",
    );
    check(
        "\
a: b
 c
d: e
   f: g
",
        "\
4:5 a \": \" cannot stand here (put text that holds \": \" in quotes, or check the indentation)
",
    );
    check(
        "\
- a
b: c
",
        "\
2:1 a list item (\"- \") was expected elsewhere (align the items of a list with each other)
",
    );
    check(
        "\
a: `b`
",
        "\
1:4 text cannot begin with this character (put the text in quotes)
",
    );
    check(
        "\
%YAML 1.1
---
a: b
",
        "\
1:1 YAML directives (\"%…\") are not supported (remove the line)
3:1 \"kind\" is missing (begin the document with apiVersion: axon.io/v1alpha1 and kind: Config)
",
    );
    check(
        "\
a: \"\\d\"
",
        "\
1:4 this \"\\\" escape is not known (write \"\\\\\" for a backslash, or use single quotes)
",
    );
    check(
        "\
a: *b
",
        "\
1:1 \"kind\" is missing (begin the document with apiVersion: axon.io/v1alpha1 and kind: Config)
1:4 alias \"*b\" has no anchor \"&b\" before it
",
    );
    check(
        "\
&a [*a]
",
        "\
1:4 a document must be a map, got a list (begin the document with apiVersion: axon.io/v1alpha1 and kind: Config)
1:5 an alias cannot stand inside its own anchor
",
    );
}

#[test]
fn the_next_document_is_read() {
    check(
        "\
a: b: c
---
kind: Tsk
---
- x
---
# nothing
---
kind: Task
",
        "\
1:5 a \": \" cannot stand here (put text that holds \": \" in quotes, or check the indentation)
3:7 the kind \"Tsk\" does not belong here (did you mean \"Task\"?)
5:1 a document must be a map, got a list (begin the document with apiVersion: axon.io/v1alpha1 and kind: Config)
9:1 \"apiVersion\" is missing (write apiVersion: axon.io/v1alpha1)
9:1 \"metadata\" is missing
9:1 \"spec\" is missing
",
    );
}

#[test]
fn what_yaml_can_and_axon_cannot() {
    check_config(
        "\
tasks:
  a: {<<: {}, prompt: !!int '5', model: !mine x, image: !!str 5}
",
        "\
2:7 merge keys (\"<<\") are not supported (write the keys out, or put what entries share under \"defaults\")
2:29 the tag \"!!int\" means nothing here (remove it; to make a value text, put it in quotes)
2:47 the tag \"!mine\" means nothing here (remove it; to make a value text, put it in quotes)
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, [b]: c, {d: e}: f}
",
        "\
2:18 a key must be text
2:26 a key must be text
",
    );
    check_config(
        "\
tasks:
  a: {prompt: x, ? : y}
",
        "\
2:20 unknown key \"~\" (known here: \"branch\", \"cancelled\", \"credentials\", \"dependsOn\", \"image\", \"metadata\", \"model\", \"podOverrides\", \"prompt\", \"promptSyntax\", \"rerun\", \"retry\", …)
",
    );
}

#[test]
fn aliases() {
    check_config(
        "\
tasks:
  a: &one {prompt: x}
  b: *one
",
        "",
    );
    check_config(
        "\
tasks:
  a: &one {promt: x, prompt: y}
  b: *one
",
        "\
2:12 unknown key \"promt\" (did you mean \"prompt\"?)
",
    );
}
