//! The files.

use std::fmt::Write as _;

const HEAD: &str = "apiVersion: axon.io/v1alpha1\nkind: Config\ndefaults: {type: codex, credentials: {type: none}}\n";

/// One configuration.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) links: Vec<(String, String)>,
    pub(super) expected: Expected,
    /// What is said of it among other things.
    pub(super) says: &'static str,
}

/// What may come of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Refused,
    /// Nothing is wrong with it.
    Taken,
    /// What is left of it may be a whole configuration.
    Either,
}

impl Case {
    fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            files: vec![("axon.yaml".into(), text.into())],
            links: Vec::new(),
            expected: Expected::Refused,
            says: "",
        }
    }

    fn of(name: impl Into<String>, body: &str) -> Self {
        Self::new(name, format!("{HEAD}{body}"))
    }

    fn with(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        self.links.push((path.into(), target.into()));
        self
    }

    fn says(mut self, words: &'static str) -> Self {
        self.says = words;
        self
    }

    fn taken(mut self) -> Self {
        self.expected = Expected::Taken;
        self
    }

    fn either(mut self) -> Self {
        self.expected = Expected::Either;
        self
    }
}

pub(super) fn all() -> Vec<Case> {
    let parts = [
        bombs(),
        deep(),
        twice(),
        cases_of_letters(),
        odd_text(),
        huge(),
        tags(),
        paths(),
        types(),
        half_written(),
        fleets(),
    ];
    parts.into_iter().flatten().collect()
}

fn bombs() -> Vec<Case> {
    let bomb = |width: usize, depth: usize| {
        let mut text = String::from("a0: &a0 [x, x]\n");
        for level in 1..depth {
            let items = vec![format!("*a{}", level - 1); width].join(", ");
            writeln!(text, "a{level}: &a{level} [{items}]").unwrap();
        }
        text
    };
    let mut cases: Vec<Case> = [(10, 10), (100, 5), (2, 60), (1000, 4)]
        .iter()
        .map(|(width, depth)| {
            Case::of(format!("alias bomb {width}^{depth}"), &bomb(*width, *depth))
        })
        .collect();
    let maps = "a: &a {x: 1}\nb: &b {p: *a, q: *a}\nc: &c {p: *b, q: *b}\ntasks: {t: *c}\n";
    cases.push(Case::of("alias maps", maps));
    cases.push(Case::of("alias of itself", "tasks: &t {a: *t}\n"));
    cases.push(Case::of("alias of nothing", "tasks: *nothing\n"));
    cases
}

fn deep() -> Vec<Case> {
    let mut cases = Vec::new();
    for depth in [70, 1000, 50_000, 400_000] {
        let nest =
            |open: &str, close: &str| format!("{}{}", open.repeat(depth), close.repeat(depth));
        for (what, text) in [
            ("lists", nest("[", "]")),
            ("maps", nest("{a: ", "}")),
            ("open lists", "[".repeat(depth)),
            ("block lists", "- ".repeat(depth)),
        ] {
            cases.push(Case::of(
                format!("{depth} {what}"),
                &format!("tasks: {text}\n"),
            ));
        }
    }
    cases
}

fn twice() -> Vec<Case> {
    [
        "tasks: {}\ntasks: {}\n",
        "tasks: {a: {prompt: x, prompt: y}}\n",
        "tasks: {a: {prompt: x}, a: {prompt: y}}\n",
        "tasks: {a: {prompt: x}}\n---\napiVersion: axon.io/v1alpha1\nkind: Config\n",
        "kind: Config\n",
        "tasks: {a: {prompt: x, podOverrides: {env: [{name: A, value: x, value: y}]}}}\n",
        "tasks: {a: {prompt: x}}\n---\napiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {name: a}\nspec: {type: codex, prompt: x, credentials: {type: none}}\n",
    ]
    .iter()
    .enumerate()
    .map(|(at, body)| Case::of(format!("twice {at}"), body))
    .collect()
}

/// Names that are one name to people, or to some file systems: each means itself alone.
fn cases_of_letters() -> Vec<Case> {
    let part = |name: &str| {
        format!("apiVersion: axon.io/v1alpha1\nkind: Config\ntasks: {{{name}: {{prompt: x}}}}\n")
    };
    let broken = "tasks: [";
    vec![
        Case::of("a key of another case", "Tasks: {a: {prompt: x}}\n").says("Tasks"),
        Case::of(
            "two cases of a name",
            "tasks: {a: {prompt: x}, A: {prompt: x}}\n",
        )
        .says("A"),
        Case::of("an include of another case", "include: [Parts/a.yaml]\n")
            .with("parts/a.yaml", &part("a"))
            .says("no file matches"),
        Case::of("a pattern of another case", "include: [\"*.YAML\"]\n")
            .with("a.yaml", &part("a"))
            .says("no file matches"),
        Case::of(
            "two files that declare the same",
            "include: [a.yaml, A.yaml]\n",
        )
        .with("a.yaml", &part("t"))
        .with("A.yaml", &part("t"))
        .says("duplicate-object"),
        Case::of(
            "a root of two cases",
            "include: [Axon.yaml]\ntasks: {a: {prompt: x}}\n",
        )
        .with("Axon.yaml", &part("a"))
        .says("duplicate-object"),
        Case::of("beside a root of another case", "tasks: {a: {prompt: x}}\n")
            .with("Axon.yaml", broken)
            .taken(),
        Case::of("beside a part of another case", "include: [parts/*.yaml]\n")
            .with("parts/a.yaml", &part("a"))
            .with("Parts/a.yaml", broken)
            .taken(),
        Case::of("two parts of two cases", "include: [a.yaml, A.yaml]\n")
            .with("a.yaml", &part("a"))
            .with("A.yaml", &part("b"))
            .taken(),
    ]
}

fn odd_text() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "a\u{202e}b",
        "a\u{200b}b",
        "a\u{0}b",
        "ａ",
        "A",
        "a/b",
        "..",
        "-a",
        "a\nb",
        "",
    ]
    .iter()
    .map(|name| {
        Case::of(
            format!("name {name:?}"),
            &format!("tasks: {{{name:?}: {{prompt: x}}}}\n"),
        )
    })
    .collect();
    for (what, bytes) in [
        ("no UTF-8", &b"\xff\xfe"[..]),
        ("overlong", b"\xc0\x80"),
        ("half a character", b"\xe2\x82"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("NUL", b"\0"),
        ("escape", b"\x1b[2J"),
        ("a bell", b"\x07"),
    ] {
        let bytes = [HEAD.as_bytes(), b"tasks: {a: {prompt: ", bytes, b"}}\n"].concat();
        cases.push(Case::new(what, bytes));
    }
    cases.push(Case::new(
        "UTF-16",
        "\u{feff}kind: Config"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>(),
    ));
    cases.push(Case::new("an ELF file", &b"\x7fELF\x02\x01\x01\0\0\0"[..]));
    cases.push(Case::new(
        "a page",
        "<!DOCTYPE html><html><body>404</body></html>",
    ));
    cases.push(Case::new("nothing", "").either());
    cases.push(Case::new("white space", " \n\t\n").either());
    cases
}

fn huge() -> Vec<Case> {
    let name = "a".repeat(300_000);
    let long = "x".repeat(900_000);
    let unknown = |count: usize| {
        let keys: Vec<String> = (0..count).map(|at| format!("k{at}: 1")).collect();
        format!("tasks: {{a: {{prompt: x, {}}}}}\n", keys.join(", "))
    };
    vec![
        Case::new("2 MiB", vec![b'#'; 2 << 20]),
        Case::of(
            "a long prompt",
            &format!("tasks: {{a: {{prompt: {long}}}}}\n"),
        ),
        Case::of(
            "a long name",
            &format!("tasks: {{{name}: {{prompt: x}}}}\n"),
        ),
        Case::of("a long key", &format!("{name}: 1\n")),
        Case::of(
            "a long label",
            &format!("tasks: {{a: {{prompt: x, metadata: {{labels: {{b: {name}}}}}}}}}\n"),
        ),
        Case::of(
            "a long URL",
            &format!("workspaces: {{a: {{repo: \"https://x/{name}\"}}}}\n"),
        ),
        Case::of(
            "a long number",
            &format!(
                "tasks: {{a: {{prompt: x, rerun: {}}}}}\n",
                "9".repeat(200_000)
            ),
        ),
        Case::of(
            "a long schedule",
            &format!(
                "spawners: {{a: {{prompt: x, when: {{cron: {{schedule: \"{}\"}}}}}}}}\n",
                "1,".repeat(200_000)
            ),
        ),
        Case::of(
            "a long duration",
            &format!(
                "spawners: {{a: {{prompt: x, pollInterval: {}s, when: {{githubIssues: {{}}}}}}}}\n",
                "9".repeat(1000)
            ),
        ),
        Case::of("6,000 tasks", &many(6000)),
        Case::of("30,000 unknown keys", &unknown(30_000)),
        Case::new("100,000 documents", "---\n".repeat(100_000)).either(),
        Case::of(
            "100,000 documents of one key",
            &"---\na: 1\n".repeat(60_000),
        ),
    ]
}

fn many(count: usize) -> String {
    let tasks = (0..count).map(|at| format!("  t{at}: {{prompt: x}}\n"));
    format!("tasks:\n{}", tasks.collect::<String>())
}

fn tags() -> Vec<Case> {
    [
        "!!binary aGk=",
        "!!python/object:os.system x",
        "!!set {a}",
        "!custom x",
        "!!float x",
        "!!js/function x",
        "!!str",
        "! x",
    ]
    .iter()
    .map(|value| {
        Case::of(
            format!("tag {value}"),
            &format!("tasks: {{a: {{prompt: x, branch: {value}}}}}\nunknown: 1\n"),
        )
    })
    .chain([
        Case::of("merge key", "x: &x {prompt: y}\ntasks: {a: {<<: *x}}\n"),
        Case::of("complex key", "? {a: b}\n: c\n"),
        Case::of("a directive", "---\n%YAML 9.9\n---\nx: 1\n"),
    ])
    .collect()
}

fn paths() -> Vec<Case> {
    let include = |pattern: &str| {
        Case::of(
            format!("include {pattern:?}"),
            &format!("include: [{pattern:?}]\ntasks: {{a: {{prompt: x}}}}\n"),
        )
    };
    let mut cases: Vec<Case> = [
        "../x.yaml",
        "/etc/passwd",
        "a/../../x.yaml",
        "",
        ".",
        "..",
        "a//b.yaml",
        "[",
        "{a",
        "a\\b.yaml",
        "nothing.yaml",
        "file:///etc/passwd",
        "a\u{0}b",
        "~/x.yaml",
    ]
    .into_iter()
    .map(include)
    .collect();
    let stars = "**/".repeat(200) + "*.yaml";
    cases.push(include(&stars).with("a/b.yaml", "x"));
    cases.push(include("link.yaml").link("link.yaml", "/etc/passwd"));
    cases.push(include("more/*.yaml").link("more", "/etc"));
    cases.push(include("loop/*.yaml").link("loop", "."));
    cases.push(include("self.yaml").link("self.yaml", "self.yaml"));
    cases.push(include("more.yaml").with("more.yaml", "include: [axon.yaml]\n"));
    cases.push(include("more.yaml").with("more.yaml", "apiVersion: v1\nkind: Secret\n"));
    cases
}

fn types() -> Vec<Case> {
    let values = ["5", "true", "[1, {}]", "{a: {b: {}}}"];
    let places = [
        "sync: {}",
        "namespace: {}",
        "include: {}",
        "workspaces: {a: {}}",
        "spawners: {a: {}}",
        "tasks: {a: {prompt: {}}}",
        "tasks: {a: {prompt: x, podOverrides: {}}}",
        "fleets: {a: {}}",
        "tasks: {a: {prompt: x, metadata: {}}}",
    ];
    let mut cases = Vec::new();
    for place in places {
        for value in values {
            let at = place.rfind("{}").unwrap();
            let text = format!("{}{value}{}\nunknown: 1\n", &place[..at], &place[at + 2..]);
            cases.push(Case::of(text.trim_end().to_owned(), &text));
        }
    }
    cases
}

fn half_written() -> Vec<Case> {
    let whole = include_bytes!("../../../examples/axon.yaml");
    (1..24)
        .map(|part| {
            let end = whole.len() * part / 24;
            Case::new(format!("the first {end} bytes"), &whole[..end]).either()
        })
        .collect()
}

fn fleets() -> Vec<Case> {
    let fleet = |name: &str, each: &str, prompt: &str| {
        Case::of(
            name,
            &format!("fleets: {{f: {{forEach: {each}, task: {{prompt: {prompt:?}}}}}}}\n"),
        )
    };
    let hundred = format!(
        "[{}]",
        (0..100)
            .map(|it| it.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    );
    vec![
        fleet(
            "a product of a million",
            &format!("{{a: {hundred}, b: {hundred}, c: {hundred}}}"),
            "{{ a }}{{ b }}{{ c }}",
        ),
        fleet(
            "a loop",
            "{a: [x]}",
            "{% for i in range(end=999999999) %}x{% endfor %}{{ a }}",
        ),
        fleet("an open tag", "{a: [x]}", "{{ a"),
        // Each is found without a look at all that follows.
        fleet("many expressions", "{a: [x]}", &"{{a}}".repeat(100_000)).either(),
        fleet("many braces", "{a: [x]}", &"{ ".repeat(300_000)).either(),
        fleet(
            "nested parentheses",
            "{a: [x]}",
            &format!("{{{{ {}a{} }}}}", "(".repeat(50_000), ")".repeat(50_000)),
        ),
        fleet(
            "an include",
            "{a: [x]}",
            "{% include '/etc/passwd' %}{{ a }}",
        ),
        fleet("an unknown filter", "{a: [x]}", "{{ a | system }}"),
        fleet(
            "the environment",
            "{a: [x]}",
            "{{ get_env(name='HOME') }}{{ a }}",
        ),
    ]
}
