//! Plans as comments.

use proptest::prelude::*;

use super::*;
use crate::cli::plan_text::tests::blocked;
use crate::cli::plan_text::tests::change;
use crate::cli::plan_text::tests::create;
use crate::cli::plan_text::tests::plan;
use crate::cli::plan_text::tests::update;
use crate::cli::plan_text::tests::value;
use crate::model::Kind;
use crate::model::plan::Action;
use crate::model::plan::Blocked;
use crate::model::plan::Claim;

fn prompts(before: &str, after: &str) -> Action {
    update(
        Claim::Own,
        vec![change("spec.prompt", value(before), value(after), None)],
    )
}

#[test]
fn objects_unfold_to_what_changes() {
    let fields = vec![
        change(
            "spec.ref",
            value("main"),
            value("release-1"),
            Some("kubectl-edit"),
        ),
        change("spec.old", value("x"), Shown::Absent, None),
        change("spec.token", Shown::Sensitive, Shown::Sensitive, None),
    ];
    let text = render(
        &plan(vec![
            (Kind::Workspace, "app", update(Claim::Own, fields)),
            (Kind::Task, "new", create()),
        ]),
        &[],
        true,
    );
    let expected = r#"### Axon plan: 1 to create, 1 to update

Sync `app`, namespace `agents`, revision `0000000000000000000000000000000000000000`.
Agent runs this plan starts: **1**.

<details><summary><code>&#126; Workspace/app</code> <code>update</code></summary>

```diff
@@ spec.ref  (changed by "kubectl-edit") @@
- "main"
+ "release-1"
@@ spec.old @@
- "x"
@@ spec.token @@
- (sensitive)
+ (sensitive)
```

</details>

- <code>+ Task/new</code> <code>create</code>
"#;
    assert_eq!(text, expected);
}

#[test]
fn a_plan_without_changes_and_a_refused_one_say_so() {
    let text = render(&plan(vec![(Kind::Task, "a", Action::Unchanged)]), &[], true);
    assert!(text.starts_with("### Axon plan: 1 unchanged\n"), "{text}");
    let refusal = Refusal::Prune {
        deletes: 4,
        members: 5,
    };
    let text = render(&plan(vec![]), &[refusal], true);
    assert!(text.starts_with("### Axon plan: no changes\n"), "{text}");
    let expected = "> **Refused:** 4 of 5 objects would be deleted.";
    assert!(text.contains(expected), "{text}");
}

/// `scripts/action/check` reads it there.
#[test]
fn the_heading_counts_what_the_server_refuses() {
    let refused = Blocked::Refused {
        why: None,
        message: "by a policy".into(),
    };
    let steps = vec![
        (Kind::Workspace, "a", create()),
        (Kind::Task, "b", blocked(refused)),
    ];
    let text = render(&plan(steps), &[], true);
    let heading = "### Axon plan: 1 to create, 1 refused\n";
    assert!(text.starts_with(heading), "{text}");
    assert!(text.contains("refused: by a policy"), "{text}");
}

#[test]
fn what_was_not_asked_and_what_gets_out_of_conflicts_is_said() {
    let sync = "old".to_owned();
    let is_elsewhere = true;
    let reason = Blocked::OtherSync { sync, is_elsewhere };
    let steps = || {
        vec![(
            Kind::Workspace,
            "a",
            Action::Blocked {
                reason: reason.clone(),
            },
        )]
    };
    let text = render(&plan(steps()), &[], false);
    assert!(
        text.contains("\nThe API server was not asked (--no-dry-run)"),
        "{text}"
    );
    let way = "<code>axon apply --take-over-sync old --adopt</code>";
    assert!(text.contains(way), "{text}");
    assert!(!render(&plan(steps()), &[], true).contains("not asked"));
}

#[test]
fn a_fence_in_a_prompt_does_not_end_the_block() {
    let text = render(
        &plan(vec![(
            Kind::Task,
            "a",
            prompts("x\n```\nend\n", "x\n````\n</details>\n"),
        )]),
        &[],
        true,
    );
    let fence = text
        .lines()
        .find(|line| line.ends_with("diff") && line.starts_with("```"));
    assert_eq!(fence, Some("`````diff"));
    let closing = text
        .lines()
        .filter(|line| line.trim_start().starts_with("`````"));
    assert_eq!(closing.count(), 2, "{text}");
}

#[test]
fn long_plans_are_cut_and_say_so() {
    let names: Vec<String> = (0..3000).map(|n| format!("task-{n:04}")).collect();
    let steps = names.iter().map(|name| {
        (
            Kind::Task,
            name.as_str(),
            prompts("one\ntwo\n", "one\nthree\n"),
        )
    });
    let text = render(&plan(steps.collect()), &[], true);
    assert!(text.len() <= MAX, "{}", text.len());
    let shown = text.matches("<details>").count();
    let said = format!("**{} further objects have no room here.**", 3000 - shown);
    assert!(shown > 100 && text.contains(&said), "{shown}");
    assert_eq!(shown, text.matches("</details>").count());

    // One huge text leaves room for the rest.
    let lines = |word: &str| format!("{word} {}\n", "x".repeat(390)).repeat(60);
    let text = render(
        &plan(vec![
            (Kind::Task, "a", prompts(&lines("a"), &lines("b"))),
            (Kind::Task, "b", create()),
        ]),
        &[],
        true,
    );
    assert!(text.contains("… and further lines\n"), "{}", text.len());
    assert!(text.contains("+ Task/b"), "{}", text.len());
}

proptest! {
    #[test]
    fn nothing_that_is_said_mentions_or_marks_up(
        text in "[a-z@`<>!*\\[\\]()#\n~_ -]{0,60}",
        after in "[a-z@`<>\n]{0,40}",
    ) {
        let steps = vec![
            (Kind::Task, "a", prompts(&format!("{text}\n."), &after)),
            (Kind::Task, "b", update(Claim::Own, vec![
                change(&text, value(&text), value("x"), Some(&text)),
            ])),
            (Kind::Task, "c", blocked(Blocked::Refused { why: Some(crate::model::plan::Refusal::Invalid), message: text.clone() })),
            (Kind::Task, "d", blocked(Blocked::OtherSync { sync: text, is_elsewhere: false })),
        ];
        let rendered = render(&plan(steps), &[], true);
        // The signs of a hunk are ours.
        let rendered = rendered.replace("@@ ", "").replace(" @@", "");
        for (at, _) in rendered.match_indices('@') {
            prop_assert!(rendered[at + 1..].starts_with('\u{200b}'), "{rendered}");
        }
        let mut fence: Option<String> = None;
        for line in rendered.lines() {
            let ticks: String = line.trim_start().chars().take_while(|c| *c == '`').collect();
            match &fence {
                None if ticks.len() >= 3 => fence = Some(ticks),
                Some(open) if ticks.len() >= open.len() => fence = None,
                Some(_) => {}
                None => {
                    let plain = line.replace("<details>", "").replace("</details>", "")
                        .replace("<summary>", "").replace("</summary>", "")
                        .replace("<code>", "").replace("</code>", "");
                    prop_assert!(!plain.contains(['<', '>']), "{line}");
                }
            }
        }
        prop_assert!(fence.is_none(), "{rendered}");
    }
}
