use super::*;
use crate::model::item::ItemKey;
use crate::model::item::ItemKind;

fn item() -> WorkItem {
    WorkItem {
        key: ItemKey::new("github.com/acme/web#42"),
        id: "42".into(),
        number: 42,
        title: "Fix {{.Body}}".into(),
        body: "It broke: {{end}} {{.Nope}}".into(),
        url: "https://github.com/acme/web/issues/42".into(),
        labels: vec!["bug".into(), "p1".into()],
        comments: vec!["first".into(), "second".into()],
        kind: ItemKind::Issue,
        time: String::new(),
        schedule: String::new(),
    }
}

fn check(template: &str, expected: &str) {
    let got = match Template::parse(template).and_then(|it| it.render(&item())) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    };
    assert_eq!(got, expected, "{template}");
}

#[test]
fn the_fields_of_an_item() {
    check(
        "{{.ID}} {{.Number}} {{.Kind}} {{.URL}} [{{.Labels}}]",
        "42 42 Issue https://github.com/acme/web/issues/42 [bug, p1]",
    );
    check("{{.Comments}}", "first\n\nsecond");
    check("{{if .Time}}t{{end}}{{.Schedule}}", "");
    check("axon/{{.Kind | printf \"%.2s\"}}-{{.Number}}", "axon/Is-42");
}

#[test]
fn the_text_of_an_item_is_data() {
    check("{{.Title}}", "Fix {{.Body}}");
    check("{{.Body}}", "It broke: {{end}} {{.Nope}}");
}

#[test]
fn an_absent_template() {
    let template = Template::of_prompt(None).unwrap();
    assert_eq!(
        template.render(&item()).unwrap(),
        "Issue #42: Fix {{.Body}}\n\nIt broke: {{end}} {{.Nope}}\n\nComments:\nfirst\n\nsecond"
    );
    let quiet = WorkItem {
        comments: Vec::new(),
        kind: ItemKind::PullRequest,
        ..item()
    };
    assert_eq!(
        template.render(&quiet).unwrap(),
        "PR #42: Fix {{.Body}}\n\nIt broke: {{end}} {{.Nope}}"
    );
}

#[test]
fn an_unknown_field_is_found_before_there_is_an_item() {
    const KNOWN: &str =
        ".ID, .Number, .Title, .Body, .URL, .Labels, .Comments, .Kind, .Time, .Schedule";
    let unknown = |at: &str, name: &str, end: &str| {
        format!("template: {at}: unknown field \".{name}\"; known: {KNOWN}{end}")
    };
    check(
        "a\n\n  ä {{.Titel}}",
        &unknown("3:7", "Titel", "; did you mean \".Title\"?"),
    );
    check(
        "{{if false}}{{$.number}}{{end}}",
        &unknown("1:16", "number", "; did you mean \".Number\"?"),
    );
    check(
        "{{$x := .}}{{range 2}}{{$x.Xyz}}{{end}}",
        &unknown("1:27", "Xyz", ""),
    );
    check(
        "{{with .Title}}{{$.Xyz}}{{end}}",
        &unknown("1:19", "Xyz", ""),
    );
    check(
        "{{define \"t\"}}{{.Xyz}}{{end}}{{template \"t\" .}}",
        &unknown("1:17", "Xyz", ""),
    );
    check("{{len (.Xyz)}}", &unknown("1:8", "Xyz", ""));
    check(
        "{{with .Title}}{{.Body}}{{end}}",
        "template: 1:18: a text or number has no field \".Body\"",
    );
    check(
        "{{.Title.Body}}",
        "template: 1:9: a text or number has no field \".Body\"",
    );
}

#[test]
fn what_is_only_known_at_run_time_is_not_refused() {
    check("{{define \"t\"}}{{.Xyz}}{{end}}ok", "ok");
    check("{{with index . \"Title\"}}{{.}}{{end}}", "Fix {{.Body}}");
    check(
        "{{$x := .Title}}{{if false}}{{$x.Title}}{{end}}{{$x = .}}{{$x.ID}}",
        "42",
    );
    check("{{define \"t\"}}{{.}}{{end}}{{template \"t\" .ID}}", "42");
    check("{{range 2}}{{.}}{{end}}", "01");
}

#[test]
fn whether_comments_are_used() {
    let uses = |text: &str| Template::parse(text).unwrap().uses_comments();
    for used in [
        "{{.Comments}}",
        "{{if true}}{{with $}}{{.Comments}}{{end}}{{end}}",
        "{{.}}",
        "{{index . \"Comments\"}}",
        "{{$x := .}}{{$x | print}}",
        "{{range .}}{{end}}",
        "{{define \"t\"}}{{.Comments}}{{end}}{{template \"t\" .}}",
        "{{$x := 1}}{{$x = .}}{{$x.Comments}}",
    ] {
        assert!(uses(used), "{used}");
    }
    for unused in [
        "",
        "{{.Title}}",
        "Comments",
        "{{with .}}{{.Title}}{{end}}",
        "{{$x := .}}{{$x.ID}}",
    ] {
        assert!(!uses(unused), "{unused}");
    }
    assert!(Template::of_prompt(None).unwrap().uses_comments());
}

fn long(comments: &[usize]) -> WorkItem {
    let comments = comments.iter().enumerate();
    WorkItem {
        comments: comments
            .map(|(at, len)| format!("{at}").repeat(*len))
            .collect(),
        ..item()
    }
}

#[test]
fn a_long_prompt_loses_its_oldest_comments() {
    let template = Template::parse("{{.ID}}\n{{.Comments}}").unwrap();
    let made = |lens: &[usize]| prompt(&template, &long(lens), 200);
    assert_eq!(made(&[3, 3]).unwrap(), "42\n000\n\n111");
    assert_eq!(
        made(&[300, 3, 4]).unwrap(),
        "42\n[1 older comment left out: the prompt would be too long]\n\n111\n\n2222"
    );
    assert_eq!(
        made(&[3, 300, 3]).unwrap(),
        "42\n[2 older comments left out: the prompt would be too long]\n\n222"
    );
    assert_eq!(
        made(&[3, 3, 300]).unwrap(),
        "42\n[3 older comments left out: the prompt would be too long]"
    );
    // Much more than the output limit of a template.
    let huge = made(&[400_000; 9]).unwrap();
    assert!(huge.starts_with("42\n[9 older comments"), "{huge}");
    // As many as fit: each is 10 bytes, with its blank line.
    let many = made(&[8; 60]).unwrap();
    assert!(many.len() <= 200 && many.len() > 180, "{many}");
}

#[test]
fn a_prompt_that_cannot_fit() {
    let too_long = |text: &str| {
        let template = Template::parse(text).unwrap();
        let error = prompt(&template, &long(&[5, 5]), 20).unwrap_err();
        assert_eq!(error, PromptError::TooLong { limit: 20 }, "{text}");
    };
    too_long("{{.URL}}");
    too_long("{{.URL}}{{.Comments}}");
    too_long("{{range 1000}}{{.}}{{end}}");
}

#[test]
fn a_prompt_that_no_process_takes() {
    let template = Template::parse("{{.Title}}").unwrap();
    let with_title = |title: &str| WorkItem {
        title: title.into(),
        ..item()
    };
    assert_eq!(
        prompt(&template, &with_title(""), 20),
        Err(PromptError::Empty)
    );
    assert_eq!(
        prompt(&template, &with_title("a\0b"), 20),
        Err(PromptError::Nul)
    );
}

#[test]
fn an_error_does_not_show_the_item() {
    let template = Template::parse("{{if lt .Title 1}}{{end}}").unwrap();
    let error = template.render(&item()).unwrap_err().to_string();
    assert_eq!(error, "template: 1:6: cannot compare a text with a number");
}

proptest::proptest! {
    /// Whatever the comments, a prompt keeps its limit and the newest of them.
    #[test]
    fn a_prompt_keeps_its_limit(
        comments in proptest::collection::vec("[a-zé ]{0,30}", 0..20), limit in 0..400_usize,
    ) {
        let template = Template::of_prompt(None).unwrap();
        let item = WorkItem { comments, ..item() };
        match prompt(&template, &item, limit) {
            Ok(text) => {
                assert!(text.len() <= limit);
                if let Some(newest) = item.comments.last() {
                    assert!(text.ends_with(newest.as_str()) || text.ends_with("too long]"), "{text}");
                }
            }
            Err(error) => {
                assert_eq!(error, PromptError::TooLong { limit });
                let bare = WorkItem { comments: Vec::new(), ..item };
                let least = template.render(&bare).unwrap().len();
                // Room for the heading and for the notice, too.
                assert!(limit < least + 100, "{least}");
            }
        }
    }
}

#[test]
fn templates_over_what_other_tasks_left() {
    let check = |text: &str| check_dependencies(text, &["build", "run-tests"]);
    for good in [
        "no template",
        "{{.Deps.build.Results.branch}} {{index .Deps.build.Outputs 0}}",
        "{{(index .Deps \"run-tests\").Results.failed}}",
        "{{index .Deps \"run-tests\" \"Results\" \"failed\"}}",
        "{{range $name, $dep := .Deps}}{{$name}}: {{$dep.Results.x}}{{end}}",
        "{{range .Deps}}{{.Results.x}}{{range .Outputs}}{{.}}{{end}}{{end}}",
        "{{with .Deps.build}}{{.Results.x}}{{end}}{{range .Deps.build.Results}}{{.}}{{end}}",
    ] {
        assert_eq!(check(good).map_err(|it| it.to_string()), Ok(()), "{good}");
    }
    for (bad, why) in [
        ("{{.Title}}", "unknown field \".Title\"; known: .Deps"),
        ("{{.Deps.biuld.Results.x}}", "did you mean \".build\"?"),
        ("{{.Deps.other}}", "known: .build, .run-tests"),
        ("{{.Deps.build.Result}}", "known: .Results, .Outputs"),
        ("{{.Deps.build.Outputs.x}}", "a list has no field \".x\""),
        (
            "{{(index .Deps \"tests\").Results.x}}",
            "unknown field \".tests\"",
        ),
        (
            "{{index .Deps \"build\" \"results\"}}",
            "unknown field \".results\"",
        ),
        (
            "{{range .Deps}}{{.Phase}}{{end}}",
            "unknown field \".Phase\"",
        ),
        (
            "{{.Deps.build.Results.a.b}}",
            "a text or number has no field \".b\"",
        ),
    ] {
        let told = check(bad).unwrap_err().to_string();
        assert!(told.contains(why), "{bad} gave {told}");
    }
}
