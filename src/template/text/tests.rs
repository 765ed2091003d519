use super::Data;
use super::Program;
use super::Value;
use super::limits::MAX_OUTPUT;
use crate::template::render_value;

/// Every case of a file with Go's own answers.
fn check_file(text: &str) {
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut wrong = Vec::new();
    for case in file["cases"].as_array().unwrap() {
        let template = case["template"].as_str().unwrap();
        let got = render_value(template, &file["data"]);
        let good = match case["go"]["output"].as_str() {
            Some(output) => got.as_deref().ok() == Some(output),
            None => case["go"]["error"].is_string() && got.is_err(),
        };
        if !good {
            wrong.push(format!("{template}\n   Go: {}\n  got: {got:?}", case["go"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn answers_as_go_does() {
    check_file(include_str!(
        "../../../tests/testdata/go-text-template.json"
    ));
}

fn check(template: &str, expected: &str) {
    let got = on_a_small_stack(template, 8 * 1024).unwrap_or_else(|error| error);
    assert_eq!(got, expected, "{}", &template[..template.len().min(80)]);
}

/// What `template` writes, with the stack of the smallest threads that we run on.
fn on_a_small_stack(template: &str, max: usize) -> Result<String, String> {
    let template = template.to_owned();
    let run = move || {
        let program = Program::parse(&template)?;
        program.check(Data::Item(&["Title"]))?;
        let data = Value::from_json(&serde_json::json!({"Title": "hello"})).unwrap();
        program.render(&data, max)
    };
    let thread = std::thread::Builder::new().stack_size(1024 * 1024);
    let done = thread.spawn(run).unwrap().join().unwrap();
    done.map_err(|error| error.to_string())
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    check("a{{", "template: 1:4: unclosed action");
    check("{{.Title", "template: 1:9: unclosed action");
    check("{{(.Title}}", "template: 1:10: unclosed parenthesis");
    check("{{\"a}}", "template: 1:3: unclosed string");
    check("{{/* a }}", "template: 1:3: unclosed comment");
    check("\n{{if .Title}}\n", "template: 2:3: unclosed if");
    check("x{{end}}", "template: 1:4: unexpected \"end\" in template");
    check(
        "{{if 1}}{{else}}{{else}}{{end}}",
        "template: 1:19: unexpected \"else\" in else",
    );
    check(
        "{{break}}",
        "template: 1:3: unexpected \"break\" in template",
    );
    check("{{if}}{{end}}", "template: 1:5: missing value for if");
    check("{{.Title | }}", "template: 1:10: missing value for \"|\"");
    check("{{.Title é}}", "template: 1:10: unknown function \"é\"");
    check(
        "{{lenn .}}",
        "template: 1:3: unknown function \"lenn\"; did you mean \"len\"?",
    );
    check("{{len}}", "template: 1:3: \"len\" takes 1 argument, got 0");
    check(
        "{{slice 1 2 3 4 5}}",
        "template: 1:3: \"slice\" takes 1 to 4 arguments, got 5",
    );
    check(
        "{{index}}",
        "template: 1:3: \"index\" takes at least 1 argument, got 0",
    );
    check(
        "{{.Title | .Title}}",
        "template: 1:12: \".Title\" cannot be given a value: only a function can",
    );
    check("{{$x}}", "template: 1:3: undefined variable \"$x\"");
    check(
        "{{template \"t\"}}",
        "template: 1:12: undefined template \"t\"",
    );
    check(
        "{{define \"t\"}}{{end}}{{define \"t\"}}{{end}}",
        "template: 1:31: template \"t\" is defined twice",
    );
    check(
        "{{99999999999999999999}}",
        "template: 1:3: cannot read \"99999999999999999999\" as a number",
    );
    check(
        "{{index .Title 9}}",
        "template: 1:3: index 9 is out of range: length is 5",
    );
    check(
        "{{range .Title}}{{end}}",
        "template: 1:9: cannot loop over a text",
    );
}

#[test]
fn a_chain_of_any_length_takes_no_stack() {
    let arms = "{{else if false}}".repeat(5_000);
    check(
        &format!("{{{{if false}}}}{arms}{{{{else}}}}end{{{{end}}}}"),
        "end",
    );
    let pipes = " | print".repeat(10_000);
    check(&format!("{{{{.Title{pipes}}}}}"), "hello");
    let fields = ".Title".repeat(20_000);
    assert!(on_a_small_stack(&format!("{{{{{fields}}}}}"), 100).is_err());
}

#[test]
fn nesting_is_bounded() {
    const DEEP: &str = "blocks are nested deeper than 40";
    check(
        &format!(
            "{}1{}",
            "{{".to_owned() + &"(".repeat(40),
            ")".repeat(40) + "}}"
        ),
        "1",
    );
    for (open, close) in [
        ("{{if 1}}", "{{end}}"),
        ("{{range 1}}", "{{end}}"),
        ("{{with 1}}", "{{end}}"),
    ] {
        check(&format!("{}x{}", open.repeat(40), close.repeat(40)), "x");
        let error = on_a_small_stack(&open.repeat(10_000), 100).unwrap_err();
        assert!(error.ends_with(DEEP), "{error}");
    }
    let error = on_a_small_stack(&format!("{{{{{}", "(".repeat(100_000)), 100).unwrap_err();
    assert!(error.ends_with(DEEP), "{error}");
    let error = on_a_small_stack(&"{{block \"a\" .}}".repeat(5_000), 100).unwrap_err();
    assert!(error.ends_with(DEEP), "{error}");
}

#[test]
fn calls_are_bounded() {
    let deep = |template: &str| {
        let error = on_a_small_stack(template, 100).unwrap_err();
        assert!(
            error.ends_with("template calls go deeper than 120"),
            "{error}"
        );
    };
    deep("{{define \"t\"}}{{template \"t\" .}}{{end}}{{template \"t\" .}}");
    // As much of the stack as one call can take.
    let (open, close) = ("{{if 1}}".repeat(20), "{{end}}".repeat(20));
    let parens = ("(".repeat(15), ")".repeat(15));
    deep(&format!(
        "{{{{define \"t\"}}}}{open}{{{{if {}1{}}}}}{{{{template \"t\" .}}}}{{{{end}}}}{close}{{{{end}}}}{{{{template \"t\" .}}}}",
        parens.0, parens.1
    ));
    // Two calls in each: two to the power of the depth.
    let error = (0..100).fold(String::new(), |all, at| {
        let next = at + 1;
        all + &format!("{{{{define \"{at}\"}}}}{{{{template \"{next}\"}}}}{{{{template \"{next}\"}}}}{{{{end}}}}")
    }) + "{{define \"100\"}}{{end}}{{template \"0\"}}";
    let error = on_a_small_stack(&error, 100).unwrap_err();
    assert!(error.ends_with("template takes too many steps"), "{error}");
}

const STEPS: &str = "template takes too many steps";
const LONG: &str = "output is longer than 1048576 bytes";

#[test]
fn output_and_work_are_bounded() {
    let fails = |template: &str, expected: &str| {
        let error = on_a_small_stack(template, MAX_OUTPUT).unwrap_err();
        assert!(error.ends_with(expected), "{template}: {error}");
    };
    fails("{{range 1000000000000}}{{end}}", STEPS);
    fails("{{range 1000000000000}}{{$x := .}}{{end}}", STEPS);
    fails(
        "{{range 10000}}{{range 10000}}{{range 10000}}{{end}}{{end}}{{end}}",
        STEPS,
    );
    fails("{{range 1000000}}0123456789{{end}}", LONG);
    fails("{{printf \"%1000000d%1000000d\" 1 2}}", LONG);
    fails("{{$x := printf \"%600000d\" 1}}{{print $x $x}}", LONG);
    fails(
        "{{$x := printf \"%900000d\" 1}}{{range 1000}}{{if eq $x $x}}{{end}}{{end}}",
        STEPS,
    );
    fails(
        "{{$x := printf \"%900000d\" 1}}{{range 1000}}{{$y := print $x}}{{end}}",
        STEPS,
    );
    fails(
        "{{$x := printf \"%900000d\" 1}}{{range 1000}}{{$y := html $x}}{{end}}",
        STEPS,
    );
    fails(
        "{{$x := printf \"%900000d\" 1}}{{range 1000}}{{$y := slice $x 1}}{{end}}",
        STEPS,
    );
    fails(
        "{{$x := printf \"%900000d\" 1}}{{printf \"%q%q\" $x $x}}",
        LONG,
    );
    let many = "{{$x := 1}}".repeat(9_000);
    fails(
        &format!("{many}{{{{range 10000}}}}{{{{$y := $}}}}{{{{end}}}}"),
        STEPS,
    );
    // Go's answer to too great a width.
    check("{{printf \"%100000000d\" 1}}", "%!(NOVERB)%!(EXTRA int=1)");
    check("{{printf \"%*d\" 1000001 1}}", "%!(BADWIDTH)1");
    assert_eq!(
        on_a_small_stack("{{printf \"%.1000000f\" 1.5}}", MAX_OUTPUT)
            .unwrap()
            .len(),
        1_000_002
    );
    assert_eq!(
        on_a_small_stack("{{printf \"%.1000000e\" 1.5}}", MAX_OUTPUT)
            .unwrap()
            .len(),
        1_000_006
    );
}

#[test]
fn a_template_is_bounded() {
    assert!(Program::parse(&"x".repeat(128 * 1024)).is_ok());
    let error = Program::parse(&"x".repeat(128 * 1024 + 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "template: 1:1: template is longer than 131072 bytes"
    );
    let error = Program::parse(&"{{.}}".repeat(10_001)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("more than 10000 texts and actions"),
        "{error}"
    );
}

#[test]
fn data_is_bounded() {
    let deep = (0..100).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    let error = render_value("{{.}}", &deep).unwrap_err().to_string();
    assert_eq!(error, "template: 1:1: data is nested deeper than 32");
    let numbers = serde_json::json!([u64::MAX, i64::MIN, 9_007_199_254_740_993_u64, 0.5]);
    assert_eq!(
        render_value("{{.}}", &numbers).as_deref(),
        Ok("[18446744073709551615 -9223372036854775808 9007199254740993 0.5]")
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(500))]

    /// Pieces in any order, so that much of it can be read and run.
    #[test]
    fn no_template_breaks_the_house(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40),
        noise in ".{0,6}", place in 0..40_usize,
    ) {
        let at = place.min(pieces.len());
        let template = pieces[..at].concat() + &noise + &pieces[at..].concat();
        if let Ok(text) = on_a_small_stack(&template, 10_000) {
            assert!(text.len() <= 10_000);
        }
    }
}

const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "{{end}}",
    "{{end}}",
    "{{end}}",
    "{{if .Title}}",
    "{{else}}",
    "{{else if $x}}",
    "{{range 3}}",
    "{{range $i, $e := .}}",
    "{{range $x = 2}}",
    "{{with $x}}",
    "{{else with 1}}",
    "{{break}}",
    "{{continue}}",
    "{{define \"t\"}}",
    "{{block \"b\" .}}",
    "{{template \"t\" .}}",
    "{{$x := .Title}}",
    "{{$x = 1}}",
    "{{$x}}",
    "{{.}}",
    "{{.Title}}",
    "{{printf \"%*.*v\" 9 3 $x}}",
    "{{printf \"%[2]q%+#x\" . $}}",
    "{{slice .Title 1 3 | js}}",
    "{{index . \"Title\" 0 | printf \"%c\"}}",
    "{{and 0 1 | or 1}}",
    "{{/* c */}}",
    "(",
    ")",
    "|",
    " ",
    "\"",
    "`",
    "'",
    ".",
    "$",
    "text",
    "é",
    "\n",
    "1e9",
    "0x",
    "nil",
    "eq",
    "len",
    ":=",
    "=",
    ",",
];
