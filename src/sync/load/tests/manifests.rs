//! Plain manifests.
#![expect(clippy::too_many_lines, reason = "tables of input and answer")]

use super::check;

#[test]
fn kinds() {
    check(
        "\
apiVersion: v1
kind: Secret
metadata: {name: a}
stringData: {a: hunter2}
",
        "\
2:7 the kind \"Secret\" does not belong here (secrets are referenced, never committed: create it in the cluster, and take it out of the history of the repository)
",
    );
    check(
        "\
apiVersion: apps/v1
kind: Deployment
",
        "\
2:7 the kind \"Deployment\" does not belong here (known here: \"Workspace\", \"TaskSpawner\", \"Task\", \"Config\")
",
    );
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: task
",
        "\
2:7 the kind \"task\" does not belong here (did you mean \"Task\"?)
",
    );
    check(
        "\
apiVersion: axon.io/v1beta1
kind: Config
",
        "\
1:13 \"apiVersion\" must be \"axon.io/v1alpha1\", got the text \"axon.io/v1beta1\"
",
    );
    check(
        "\
kind: Config
",
        "\
1:1 \"apiVersion\" is missing (write apiVersion: axon.io/v1alpha1)
",
    );
    check(
        "\
tasks: {}
",
        "\
1:1 \"kind\" is missing (begin the document with apiVersion: axon.io/v1alpha1 and kind: Config)
",
    );
    check(
        "\
hello
",
        "\
1:1 a document must be a map, got the text \"hello\" (begin the document with apiVersion: axon.io/v1alpha1 and kind: Config)
",
    );
    check(
        "\
apiVersion: v1
kind: List
items: []
",
        "\
2:7 the kind \"List\" does not belong here (write the items of the list as documents of their own)
",
    );
    check(
        "\
apiVersion: v1
kind: 5
",
        "\
2:7 \"kind\" must be text, got 5
",
    );
}

#[test]
fn manifests() {
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: Task
",
        "\
1:1 \"metadata\" is missing
1:1 \"spec\" is missing
",
    );
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {}
spec: {}
",
        "\
3:1 \"name\" is missing in \"metadata\"
",
    );
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {name: 5}
spec: x
",
        "\
3:18 \"name\" must be text, got 5
4:7 \"spec\" must be a map, got the text \"x\"
",
    );
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {name: a, nmespace: b, generateName: c}
spce: {}
spec: {prompt: x}
",
        "\
3:21 unknown key \"nmespace\" (did you mean \"namespace\"?)
3:34 unknown key \"generateName\" (known here: \"name\", \"namespace\", \"labels\", \"annotations\")
4:1 unknown key \"spce\" (did you mean \"spec\"?)
5:1 \"credentials\" is missing in \"spec\"
5:1 \"type\" is missing in \"spec\"
",
    );
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {name: a, creationTimestamp: null, uid: x}
spec: {prompt: x, type: codex, credentials: {type: none}}
status: {}
",
        "\
3:21 warning \"creationTimestamp\" is set by the cluster and left out here (remove it)
3:46 warning \"uid\" is set by the cluster and left out here (remove it)
5:1 warning \"status\" is set by the cluster and left out here (remove it)
",
    );
}

#[test]
fn one_namespace() {
    check(
        "\
apiVersion: axon.io/v1alpha1
kind: Config
namespace: a
---
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {name: a, namespace: b}
spec: {prompt: x, type: codex, credentials: {type: none}}
",
        "\
7:32 namespace \"b\" is not \"a\" (one configuration fills one namespace; see axon.yaml:3:12)
",
    );
}
