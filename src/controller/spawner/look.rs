//! What there is to do: asks the source, or remembers what it said.

use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::Context;
use super::decide::Absence;
use super::memory::Poll;
use super::trouble::Stop;
use super::trouble::Trouble;
use crate::api::TaskSpawner;
use crate::api::Workspace;
use crate::controller::github_api;
use crate::controller::workspace;
use crate::github::End;
use crate::model::repo_url::RepoUrl;
use crate::model::schedule::Schedule;
use crate::model::spawner::Filter;
use crate::sources::Found;
use crate::sources::cron;
use crate::sources::github::GitHub;

/// What there is to do.
#[derive(Debug)]
pub(super) struct Look {
    /// What matches, in the order in which it is to start.
    pub(super) found: Vec<Found>,
    /// What it means that an item was not found.
    pub(super) absence: Absence,
    /// How many items match, where the source was asked.
    pub(super) discovered: Option<usize>,
    pub(super) polled: Option<Timestamp>,
    /// What is wrong with the source.
    pub(super) trouble: Option<Trouble>,
    /// What kept items from starting when they were found.
    pub(super) refused: Vec<Trouble>,
    pub(super) github: Option<GitHub>,
    pub(super) failures: u32,
    /// When to ask the source again.
    pub(super) rest: Timestamp,
    /// The tick that is due.
    pub(super) tick: Option<Timestamp>,
    pub(super) next_tick: Option<Timestamp>,
}

/// The ticks of a schedule.
pub(super) fn ticks(
    context: &Context,
    object: &TaskSpawner,
    schedule: &Schedule,
    now: Timestamp,
) -> Look {
    let status = object.status.as_ref();
    let last = status.and_then(|status| status.last_schedule_time.as_ref());
    // Nothing is due from before the spawner was.
    let cursor = last
        .map(|time| time.0)
        .or_else(|| object.creation_timestamp().map(|time| time.0))
        .unwrap_or(now);
    let due = if context.options.once {
        None
    } else {
        cron::due(schedule, cursor, now)
    };
    Look {
        absence: Absence::UpTo(cron::key(cursor)),
        tick: due.as_ref().map(|(tick, _)| *tick),
        next_tick: schedule.next_after(now),
        found: due
            .map(|(_, item)| Found { item, comments: 0 })
            .into_iter()
            .collect(),
        ..Look::nothing(now)
    }
}

/// The items of a repository.
pub(super) async fn issues(
    context: &Context,
    object: &TaskSpawner,
    filter: &Filter,
    poll: Duration,
    now: Timestamp,
) -> Result<Look, kube::Error> {
    let before = context.memory.poll(&ObjectRef::from_obj(object));
    if let Some(before) = &before
        && before.is_fresh(&generation(object), now)
    {
        return Ok(remembered(before));
    }
    let failures = before.map_or(0, |before| before.failures);
    let mut look = match source(context, object, now).await {
        Ok(source) => ask(source, filter, now).await,
        Err(Stop::Trouble(trouble)) => Look {
            trouble: Some(trouble),
            ..Look::nothing(now)
        },
        Err(Stop::Cluster(error)) => return Err(error),
    };
    let wait = match &look.trouble {
        Some(trouble) => {
            look.failures = failures.saturating_add(1);
            trouble.wait(poll, failures, now)
        }
        None => poll,
    };
    look.rest = if context.options.once {
        Timestamp::MAX
    } else {
        now.checked_add(wait).unwrap_or(Timestamp::MAX)
    };
    Ok(look)
}

/// Which spec a poll was made for.
pub(super) fn generation(object: &TaskSpawner) -> (String, i64) {
    (
        object.uid().unwrap_or_default(),
        object.metadata.generation.unwrap_or_default(),
    )
}

fn remembered(poll: &Poll) -> Look {
    Look {
        found: poll.waiting.clone(),
        trouble: poll.trouble.clone(),
        refused: poll.refused.clone(),
        github: poll.github.clone(),
        failures: poll.failures,
        ..Look::nothing(poll.rest)
    }
}

impl Look {
    fn nothing(rest: Timestamp) -> Self {
        Self {
            found: Vec::new(),
            absence: Absence::Unknown,
            discovered: None,
            polled: None,
            trouble: None,
            refused: Vec::new(),
            github: None,
            failures: 0,
            rest,
            tick: None,
            next_tick: None,
        }
    }
}

async fn ask(source: Source, filter: &Filter, now: Timestamp) -> Look {
    let Source { github, repo } = source;
    let discovery = github.discover(filter, now).await;
    let (absence, trouble) = match discovery.end {
        End::Complete => (Absence::Of(github.prefix().to_owned()), None),
        End::Skipped(items) => (Absence::Unknown, Some(Trouble::UnreadableItems(items))),
        End::Cut => (Absence::Unknown, Some(Trouble::TooManyItems)),
        End::Broken(error) => (Absence::Unknown, Some(Trouble::GitHub { repo, error })),
    };
    let whole = !matches!(trouble, Some(Trouble::GitHub { .. }));
    Look {
        discovered: whole.then_some(discovery.found.len()),
        polled: whole.then_some(now),
        found: discovery.found,
        absence,
        trouble,
        github: Some(github),
        ..Look::nothing(now)
    }
}

/// Where a spawner's issues are.
struct Source {
    github: GitHub,
    /// `acme/web`, for people.
    repo: String,
}

/// From Workspace and Secret, both read by name.
async fn source(context: &Context, object: &TaskSpawner, now: Timestamp) -> Result<Source, Stop> {
    let workspace = workspace_of(context, object).await?;
    let url = RepoUrl::parse(&workspace.spec.repo)
        // Not the text: it may hold a credential.
        .map_err(|error| Trouble::NotGitHub(error.to_string()))?;
    let (owner, name) = url
        .github_repo()
        .ok_or_else(|| Trouble::NotGitHub(url.to_string()))?;
    let github = context.options.github();
    let token = workspace::api_token(&context.client, github, &workspace, &url, now).await?;
    let host = github_api::host(&url);
    let repo = format!("{owner}/{name}");
    let api = github.of(&url);
    match api.and_then(|api| context.github.get(&api, token.as_ref())) {
        Ok(client) => Ok(Source {
            github: GitHub::new(client, &host, owner, name),
            repo,
        }),
        Err(error) => Err(Trouble::GitHub { repo, error }.into()),
    }
}

async fn workspace_of(context: &Context, object: &TaskSpawner) -> Result<Workspace, Stop> {
    let namespace = object.namespace().unwrap_or_default();
    let reference = object.spec.task_template.workspace_ref.as_ref();
    let name = reference.map(|it| it.name.as_str()).unwrap_or_default();
    let workspaces: Api<Workspace> = Api::namespaced(context.client.clone(), &namespace);
    let found = workspaces.get_opt(name).await?;
    Ok(found.ok_or_else(|| Trouble::WorkspaceNotFound(name.to_owned()))?)
}

#[cfg(test)]
mod tests;
