//! The Task of a work item. Pure.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::api::ObjectMeta;

use super::decide;
use super::trouble::Trouble;
use crate::api::Task;
use crate::api::TaskSpawner;
use crate::api::labels;
use crate::api::task::TaskSpec;
use crate::api::task_spawner::TaskTemplate;
use crate::model::item::WorkItem;
use crate::model::names;
use crate::model::task;
use crate::template;
use crate::template::MAX_PROMPT;
use crate::template::PromptError;
use crate::template::Template;

/// The templates of a spawner, ready to render.
#[derive(Debug)]
pub(super) struct Templates {
    prompt: Template,
    branch: Option<Template>,
}

/// Why there is no Task for an item.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{error}{}", cause(error))]
    Prompt { error: PromptError },
    #[error("cannot render the branch: {0}")]
    Branch(template::Error),
    #[error("{0}")]
    Invalid(String),
}

impl Templates {
    pub(super) fn parse(template: &TaskTemplate) -> Result<Self, Trouble> {
        let invalid = |field| {
            move |error: template::Error| Trouble::InvalidTemplate {
                field,
                message: error.to_string(),
            }
        };
        // The Go Axon takes an empty template for none.
        let prompt = template.prompt_template.as_deref();
        let prompt = Template::of_prompt(prompt.filter(|text| !text.is_empty()));
        let branch = template.branch.as_deref().map(Template::parse);
        Ok(Self {
            prompt: prompt.map_err(invalid("promptTemplate"))?,
            branch: branch.transpose().map_err(invalid("branch"))?,
        })
    }

    /// Whether any of them shows an item's comments.
    pub(super) fn use_comments(&self) -> bool {
        let mut all = self.branch.iter().chain([&self.prompt]);
        all.any(Template::uses_comments)
    }
}

/// The Task of `item`, by the name that was decided upon.
pub(super) fn task(
    spawner: &TaskSpawner,
    templates: &Templates,
    item: &WorkItem,
    name: &str,
) -> Result<Task, Error> {
    let branch = templates.branch.as_ref();
    let branch = branch.map(|it| it.render(item)).transpose();
    let spec = spec(
        &spawner.spec.task_template,
        template::prompt(&templates.prompt, item, MAX_PROMPT)
            .map_err(|error| Error::Prompt { error })?,
        branch.map_err(Error::Branch)?,
    );
    if let Some(problem) = task::validate(&spec).into_iter().next() {
        let field = problem.pointer.trim_start_matches('/').replace('/', ".");
        let message = format!("\"spec.{field}\" of its Task: {}", problem.message);
        return Err(Error::Invalid(message));
    }
    Ok(Task {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: spawner.namespace(),
            labels: Some(BTreeMap::from([(
                labels::TASK_SPAWNER.to_owned(),
                names::cut(&spawner.name_any()),
            )])),
            annotations: Some(annotations(spawner, item)),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    })
}

fn annotations(spawner: &TaskSpawner, item: &WorkItem) -> BTreeMap<String, String> {
    [
        (labels::TASK_SPAWNER, spawner.name_any()),
        (labels::ITEM, item.key.to_string()),
        (labels::ITEM_URL, item.url.clone()),
        (labels::ITEM_KIND, item.kind.as_str().to_owned()),
        (labels::RUN, decide::run_of(&item.key).to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn spec(template: &TaskTemplate, prompt: String, branch: Option<String>) -> TaskSpec {
    let TaskTemplate {
        agent,
        credentials,
        model,
        image,
        workspace_ref,
        prompt_template: _,
        ttl_seconds_after_finished,
        pod_overrides,
        branch: _,
        retry,
    } = template.clone();
    TaskSpec {
        agent,
        prompt,
        credentials,
        model,
        image,
        workspace_ref,
        ttl_seconds_after_finished,
        pod_overrides,
        branch,
        depends_on: Vec::new(),
        prompt_syntax: None,
        cancelled: false,
        retry,
    }
}

fn cause(error: &PromptError) -> String {
    let cause = std::error::Error::source(error);
    cause.map(|it| format!(": {it}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::item::ItemKey;
    use crate::model::item::ItemKind;

    fn spawner(template: &serde_json::Value) -> TaskSpawner {
        let mut object = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner",
            "metadata": {"name": "triage", "namespace": "agents"},
            "spec": {
                "when": {"githubIssues": {}},
                "taskTemplate": {"type": "codex", "credentials": {"type": "none"}},
            },
        });
        json_patch::merge(&mut object["spec"]["taskTemplate"], template);
        serde_json::from_value(object).unwrap()
    }

    fn item() -> WorkItem {
        WorkItem {
            key: ItemKey::new("github.com/acme/web#7"),
            id: "7".into(),
            number: 7,
            title: "Login fails".into(),
            body: "It does.".into(),
            url: "https://github.com/acme/web/issues/7".into(),
            labels: vec!["bug".into()],
            comments: vec!["first".into(), "second".into()],
            kind: ItemKind::PullRequest,
            time: String::new(),
            schedule: String::new(),
        }
    }

    fn built(template: &serde_json::Value) -> Result<Task, String> {
        let spawner = spawner(template);
        let templates =
            Templates::parse(&spawner.spec.task_template).map_err(|it| it.to_string())?;
        task(&spawner, &templates, &item(), "triage-7").map_err(|it| it.to_string())
    }

    #[test]
    fn the_whole_task() {
        let template = json!({
            "model": "large",
            "workspaceRef": {"name": "web"},
            "promptTemplate": "Fix #{{.Number}} ({{.Kind}}): {{.Title}}",
            "ttlSecondsAfterFinished": 60,
            "podOverrides": {"activeDeadlineSeconds": 600},
            "branch": "axon/{{.ID}}",
        });
        let task = serde_json::to_string_pretty(&built(&template).unwrap()).unwrap();
        insta::assert_snapshot!(task, @r##"
        {
          "apiVersion": "axon.io/v1alpha1",
          "kind": "Task",
          "metadata": {
            "annotations": {
              "axon.io/item": "github.com/acme/web#7",
              "axon.io/item-kind": "PR",
              "axon.io/item-url": "https://github.com/acme/web/issues/7",
              "axon.io/run": "item-v1-f69780a68fa0950333c4a7d7a04862c5abc52a63",
              "axon.io/taskspawner": "triage"
            },
            "labels": {
              "axon.io/taskspawner": "triage"
            },
            "name": "triage-7",
            "namespace": "agents"
          },
          "spec": {
            "type": "codex",
            "prompt": "Fix #7 (PR): Login fails",
            "credentials": {
              "type": "none"
            },
            "model": "large",
            "workspaceRef": {
              "name": "web"
            },
            "ttlSecondsAfterFinished": 60,
            "podOverrides": {
              "activeDeadlineSeconds": 600
            },
            "branch": "axon/7"
          }
        }
        "##);
    }

    #[test]
    fn without_a_template_the_prompt_is_the_item() {
        for template in [json!({}), json!({"promptTemplate": ""})] {
            let prompt = built(&template).unwrap().spec.prompt;
            assert!(
                prompt.starts_with("PR #7: Login fails\n\nIt does."),
                "{prompt}"
            );
            assert!(prompt.contains("second"), "{prompt}");
        }
    }

    #[test]
    fn comments_are_fetched_where_they_are_shown() {
        let check = |template: &serde_json::Value, expected: bool| {
            let templates = Templates::parse(&spawner(template).spec.task_template).unwrap();
            assert_eq!(templates.use_comments(), expected, "{template}");
        };
        check(&json!({}), true);
        check(&json!({"promptTemplate": "{{.Title}}"}), false);
        check(&json!({"promptTemplate": "{{if .Comments}}x{{end}}"}), true);
        check(
            &json!({"promptTemplate": "x", "branch": "{{.Comments}}"}),
            true,
        );
    }

    #[test]
    fn what_cannot_be() {
        let check = |template: &serde_json::Value, expected: &str| {
            let error = built(template).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(
            &json!({"promptTemplate": "{{.Nope}}"}),
            "\"spec.taskTemplate.promptTemplate\"",
        );
        check(&json!({"branch": "{{"}), "\"spec.taskTemplate.branch\"");
        check(
            &json!({"branch": "a b {{.ID}}"}),
            "\"spec.branch\" of its Task",
        );
        check(
            &json!({"promptTemplate": "{{if eq .ID \"x\"}}y{{end}}"}),
            "prompt is empty",
        );
        let long = format!("{{{{.ID}}}}{}", "x".repeat(MAX_PROMPT));
        check(&json!({"promptTemplate": long}), "longer than");
    }
}
