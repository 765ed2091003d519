//! What a TaskSpawner's spec must be to work, and what it then says.
//!
//! The text of its templates is looked at one floor up, by `template`.

use std::time::Duration;

use super::code::Code;
use super::duration::GoDuration;
use super::problem::Problem;
use super::schedule::Schedule;
use super::task;
use crate::api::task::TaskSpec;
use crate::api::task_spawner::Cron;
use crate::api::task_spawner::GithubIssues;
use crate::api::task_spawner::ItemState;
use crate::api::task_spawner::ItemType;
use crate::api::task_spawner::TaskSpawnerSpec;
use crate::api::task_spawner::TaskTemplate;
use crate::api::task_spawner::When;

/// Shortest time between two polls: GitHub's hourly budget holds some 14 of them a minute.
pub const MIN_POLL: Duration = Duration::from_secs(10);

/// A TaskSpawner's spec that is known to work.
#[derive(Clone, Debug, PartialEq)]
pub struct Spawner {
    pub source: Source,
    /// At least [`MIN_POLL`].
    pub poll: Duration,
    /// How many Tasks may be unfinished at once. `None`: no limit.
    pub max_concurrency: Option<usize>,
    /// Whether no work is looked for.
    pub suspended: bool,
    /// How many Tasks are made in all. `None`: no limit.
    pub max_total: Option<usize>,
}

/// Where work comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    GitHub(Filter),
    Cron(Schedule),
}

/// Which issues and pull requests match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub issues: bool,
    pub pulls: bool,
    /// An item has all of these.
    pub labels: Vec<String>,
    /// An item has none of these.
    pub exclude_labels: Vec<String>,
    pub state: StateFilter,
}

/// State that an item is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    Open,
    Closed,
    All,
}

impl Spawner {
    /// Reads a spec that a person can still correct: all of its problems, with pointers that begin
    /// at the spec.
    pub fn validate(spec: &TaskSpawnerSpec) -> Result<Self, Vec<Problem>> {
        Self::read(spec, |poll| {
            let asked = GoDuration::parse(poll).map(GoDuration::get);
            match asked {
                Ok(asked) if asked >= MIN_POLL => Ok(asked),
                Ok(_) => {
                    let least = MIN_POLL.as_secs();
                    let message =
                        format!("expected a poll interval of at least {least}s, got \"{poll}\"");
                    Err((Code::InvalidValue, message))
                }
                Err(error) => Err((Code::InvalidDuration, error.to_string())),
            }
        })
    }

    /// Reads the spec of an object in a cluster, where a manifest that once worked must go on
    /// working: a poll interval that is too short is taken for the shortest.
    pub fn accept(spec: &TaskSpawnerSpec) -> Result<Self, Vec<Problem>> {
        Self::read(spec, |poll| {
            GoDuration::parse(poll)
                .map(|asked| asked.get().max(MIN_POLL))
                .map_err(|error| (Code::InvalidDuration, error.to_string()))
        })
    }

    fn read(
        spec: &TaskSpawnerSpec,
        poll: impl FnOnce(&str) -> Result<Duration, (Code, String)>,
    ) -> Result<Self, Vec<Problem>> {
        let TaskSpawnerSpec {
            when,
            task_template,
            poll_interval,
            max_concurrency,
            suspend,
            max_total_tasks,
        } = spec;
        let mut problems = template_problems(task_template);
        let source = source(when, task_template, &mut problems);
        let poll = poll(poll_interval)
            .map_err(|(code, message)| {
                problems.push(Problem::error("/pollInterval", message).code(code));
            })
            .ok();
        if max_concurrency.is_some_and(|it| it < 0) {
            problems.push(Problem::error(
                "/maxConcurrency",
                "expected a number from 0 up",
            ));
        }
        if max_total_tasks.is_some_and(|it| it < 1) {
            problems.push(Problem::error(
                "/maxTotalTasks",
                "expected a number from 1 up",
            ));
        }
        match (source, poll) {
            (Some(source), Some(poll)) if problems.is_empty() => Ok(Self {
                source,
                poll,
                max_concurrency: max_concurrency
                    .and_then(|limit| usize::try_from(limit).ok())
                    .filter(|&limit| limit > 0),
                suspended: *suspend,
                max_total: max_total_tasks.and_then(|limit| usize::try_from(limit).ok()),
            }),
            (_, _) => Err(problems),
        }
    }
}

impl Filter {
    fn of(issues: &GithubIssues) -> Self {
        let GithubIssues {
            types,
            labels,
            exclude_labels,
            state,
        } = issues;
        Self {
            // An empty list says as little as none: the default.
            issues: types.is_empty() || types.contains(&ItemType::Issues),
            pulls: types.contains(&ItemType::Pulls),
            labels: labels.clone(),
            exclude_labels: exclude_labels.clone(),
            state: match state {
                ItemState::Open => StateFilter::Open,
                ItemState::Closed => StateFilter::Closed,
                ItemState::All => StateFilter::All,
            },
        }
    }
}

fn schedule(cron: &Cron) -> Result<Schedule, Vec<Problem>> {
    use super::schedule::Error;
    let told = |error: &Error| {
        let pointer = match error {
            Error::Zone { .. } if cron.time_zone.is_some() => "/when/cron/timeZone",
            _ => "/when/cron/schedule",
        };
        let cause = std::error::Error::source(error).map(|it| format!(": {it}"));
        let message = format!("{error}{}", cause.unwrap_or_default());
        Problem::error(pointer, message).code(Code::InvalidSchedule)
    };
    Schedule::parse(&cron.schedule, cron.time_zone.as_deref()).map_err(|error| {
        let mut problems = vec![told(&error)];
        if let (Error::Zone { .. }, Some(_)) = (&error, &cron.time_zone) {
            // A bad time zone hides what is wrong with the schedule.
            let alone = Schedule::parse(&cron.schedule, None).err();
            problems.extend(alone.map(|it| told(&it)));
        }
        problems
    })
}

/// The one source that `when` names.
fn source(when: &When, template: &TaskTemplate, problems: &mut Vec<Problem>) -> Option<Source> {
    match (&when.github_issues, &when.cron) {
        (Some(issues), None) => {
            if template.workspace_ref.is_none() {
                problems.push(
                    Problem::error("/taskTemplate", "githubIssues needs a workspaceRef")
                        .code(Code::Incomplete)
                        .hint("the workspace says which repository the issues are in"),
                );
            }
            Some(Source::GitHub(Filter::of(issues)))
        }
        (None, Some(cron)) => schedule(cron)
            .map(Source::Cron)
            .map_err(|found| problems.extend(found))
            .ok(),
        (Some(_), Some(cron)) => {
            problems.extend(schedule(cron).err().into_iter().flatten());
            problems.push(
                Problem::error("/when", "expected one source, got githubIssues and cron")
                    .code(Code::ExclusiveKeys)
                    .hint("write one spawner for each"),
            );
            None
        }
        (None, None) => {
            problems.push(
                Problem::error("/when", "expected a source: githubIssues or cron")
                    .code(Code::MissingKey),
            );
            None
        }
    }
}

/// What is wrong with the Tasks that the template would make, whatever their prompt.
fn template_problems(template: &TaskTemplate) -> Vec<Problem> {
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
    let spec = TaskSpec {
        agent,
        prompt: "any".into(),
        credentials,
        model,
        image,
        workspace_ref,
        ttl_seconds_after_finished,
        pod_overrides,
        branch: None,
        depends_on: Vec::new(),
        prompt_syntax: None,
        cancelled: false,
        retry,
    };
    let mut problems = task::validate(&spec);
    for problem in &mut problems {
        problem.pointer.insert_str(0, "/taskTemplate");
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn spec(changes: &Value) -> TaskSpawnerSpec {
        let mut spec = json!({
            "when": {"githubIssues": {}},
            "taskTemplate": {
                "type": "claude-code",
                "credentials": {"type": "api-key", "secretRef": {"name": "key"}},
                "workspaceRef": {"name": "app"},
            },
        });
        json_patch::merge(&mut spec, changes);
        serde_json::from_value(spec).unwrap()
    }

    fn check(changes: &Value, expected: &[&str]) {
        let got = match Spawner::validate(&spec(changes)) {
            Ok(_) => Vec::new(),
            Err(problems) => problems
                .into_iter()
                .map(|it| format!("{} {}", it.pointer, it.message))
                .collect(),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn defaults_are_those_of_the_go_axon() {
        let spawner = Spawner::validate(&spec(&json!({}))).unwrap();
        let filter = Filter {
            issues: true,
            pulls: false,
            labels: vec![],
            exclude_labels: vec![],
            state: StateFilter::Open,
        };
        assert_eq!(spawner.source, Source::GitHub(filter));
        assert_eq!(spawner.poll, Duration::from_mins(5));
        assert_eq!(spawner.max_concurrency, None);
    }

    #[test]
    fn no_concurrency_is_no_limit() {
        let limit = |value: i32| {
            Spawner::validate(&spec(&json!({"maxConcurrency": value})))
                .unwrap()
                .max_concurrency
        };
        assert_eq!((limit(0), limit(2)), (None, Some(2)));
    }

    #[test]
    fn one_source() {
        let cron = json!({"schedule": "@hourly"});
        check(
            &json!({"when": {"cron": cron}}),
            &["/when expected one source, got githubIssues and cron"],
        );
        check(
            &json!({"when": {"githubIssues": null}}),
            &["/when expected a source: githubIssues or cron"],
        );
        check(
            &json!({"when": {"githubIssues": null, "cron": cron}, "taskTemplate": {"workspaceRef": null}}),
            &[],
        );
        check(
            &json!({"taskTemplate": {"workspaceRef": null}}),
            &["/taskTemplate githubIssues needs a workspaceRef"],
        );
    }

    #[test]
    fn all_problems_at_once() {
        let zone = json!({"schedule": "@hourly", "timeZone": "Mars/Olympus"});
        check(
            &json!({
                "when": {"githubIssues": null, "cron": zone},
                "pollInterval": "often",
                "maxConcurrency": -1,
                "taskTemplate": {"type": "custom", "credentials": {"secretRef": null}},
            }),
            &[
                "/taskTemplate/credentials credentials need a secretRef",
                "/taskTemplate/image an agent of type \"custom\" needs an image",
                "/when/cron/timeZone unknown time zone \"Mars/Olympus\"",
                "/pollInterval expected a duration such as \"5m\", got \"often\"",
                "/maxConcurrency expected a number from 0 up",
            ],
        );
    }

    #[test]
    fn a_hasty_poll_is_an_error_here_and_slowed_down_there() {
        let hasty = json!({"pollInterval": "3s"});
        check(
            &hasty,
            &["/pollInterval expected a poll interval of at least 10s, got \"3s\""],
        );
        assert_eq!(Spawner::accept(&spec(&hasty)).unwrap().poll, MIN_POLL);
        assert!(Spawner::accept(&spec(&json!({"pollInterval": "x"}))).is_err());
    }
}
