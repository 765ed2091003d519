//! What agents do, the same wherever they run.

use serde_json::Value;

use crate::agent::Agent;
use crate::agent::KEY;
use crate::ending;
use crate::git_server::GitRepo;
use crate::machine::eventually;
use crate::model::Model;

/// Each agent with the model that only it asks.
pub(crate) type Cast = [(Agent, Model)];

/// In seconds: long enough for every tool to have begun.
pub(crate) const TASK_DEADLINE: u64 = 90;
/// Most requests before a rate limit is taken for one: some try more often than with a key that is refused.
const MOST_LIMITED: usize = 10;

/// Where agents run.
pub(crate) trait Ground {
    /// The repository that they work on.
    fn origin(&self) -> &GitRepo;

    /// The status of an agent's Task, if it has one.
    fn status(&self, agent: &Agent) -> Option<Value>;

    fn cancel(&self, agent: &Agent);

    /// The status of a Task that has ended.
    fn ended(&self, agent: &Agent) -> Value {
        eventually(&format!("the Task of {} has ended", agent.name), || {
            let status = self.status(agent)?;
            ["Succeeded", "Failed"]
                .contains(&status["phase"].as_str()?)
                .then_some(status)
        })
    }

    /// Waits until the agent's tool runs.
    fn await_tool(&self, agent: &Agent) {
        eventually(&format!("the tool of {} runs", agent.name), || {
            let branches = self.origin().git(&["branch", "--list", &agent.began()]);
            (!branches.is_empty()).then_some(())
        });
    }
}

/// With [`crate::model::Script::Edit`].
pub(crate) fn edit_and_commit(ground: &impl Ground, cast: &Cast, prompt: &str) {
    for (agent, model) in cast {
        ending::is_done(agent, &ground.ended(agent));
        let seen = model.seen(agent.path);
        assert_eq!(seen.len(), 2, "{}: {seen:#?}", agent.name);
        for it in seen {
            assert_eq!(it.key, KEY, "{}", agent.name);
            assert!(
                it.says(prompt),
                "{}: the prompt is not as it was: {:#}",
                agent.name,
                it.body
            );
        }
    }
}

/// With [`crate::model::Script::Refuse`].
pub(crate) fn are_refused(ground: &impl Ground, cast: &Cast) {
    for (agent, model) in cast {
        ending::is_refused(agent, &ground.ended(agent), model, "Unauthorized");
    }
}

/// With [`crate::model::Script::Limit`].
pub(crate) fn are_limited(ground: &impl Ground, cast: &Cast) {
    for (agent, model) in cast {
        let mut patient = *agent;
        patient.most_refused = MOST_LIMITED;
        ending::is_refused(&patient, &ground.ended(agent), model, "RateLimited");
    }
}

/// With [`crate::model::Script::Linger`]: a person stops each of them.
pub(crate) fn are_cancelled(ground: &impl Ground, cast: &Cast) {
    for (agent, _) in cast {
        ground.await_tool(agent);
        ground.cancel(agent);
    }
    for (agent, _) in cast {
        ending::is_stopped(agent, &ground.ended(agent), "Cancelled");
    }
}

/// With [`crate::model::Script::Linger`] and [`TASK_DEADLINE`].
pub(crate) fn run_out_of_time(ground: &impl Ground, cast: &Cast) {
    for (agent, _) in cast {
        ground.await_tool(agent);
    }
    for (agent, _) in cast {
        ending::is_stopped(agent, &ground.ended(agent), "DeadlineExceeded");
    }
}
