//! Every agent in local mode.

use serde_json::Value;

use crate::agent::ALL;
use crate::agent::Agent;
use crate::agent::CODEX_DEFAULT;
use crate::agent::KEY;
use crate::ending;
use crate::machine::Machine;
use crate::machine::eventually;
use crate::model::Model;
use crate::model::Script;

/// Begins like a flag, and has what a shell, a kubelet or a template would take for its own.
const PROMPT: &str =
    "--help me: \"say\" 'hello' to $(GITHUB_TOKEN) and $HOME,\n`id` too {{.Title}} 🦀";
/// In seconds: long enough for every tool to have begun.
const TASK_DEADLINE: u64 = 90;

/// A model of its own for each agent, and what runs them.
fn start(
    agents: &[Agent],
    script: Script,
    deadline: Option<u64>,
) -> (Option<Machine>, Vec<(Agent, Model)>) {
    let models: Vec<_> = agents
        .iter()
        .map(|it| (*it, Model::start("127.0.0.1", script)))
        .collect();
    let task = |(agent, model): &(Agent, Model)| (*agent, agent.task(model, PROMPT, deadline));
    let tasks: Vec<(Agent, Value)> = models.iter().map(task).collect();
    (Machine::start(&tasks), models)
}

#[test]
fn they_edit_commit_and_tell_what_they_used() {
    let agents = [&ALL[..], &[CODEX_DEFAULT]].concat();
    let (Some(machine), models) = start(&agents, Script::Edit, None) else {
        return;
    };
    for (agent, model) in &models {
        ending::is_done(agent, &machine.ended(agent));
        let seen = model.seen(agent.path);
        assert_eq!(seen.len(), 2, "{}: {seen:#?}", agent.name);
        for it in seen {
            assert_eq!(it.key, KEY, "{}", agent.name);
            assert!(
                it.says(PROMPT),
                "{}: the prompt is not as it was: {:#}",
                agent.name,
                it.body
            );
        }
    }
}

#[test]
fn a_refused_key_ends_them_soon_and_is_told() {
    let (Some(machine), models) = start(&ALL, Script::Refuse, None) else {
        return;
    };
    for (agent, model) in &models {
        ending::is_refused(agent, &machine.ended(agent), model, "Unauthorized");
    }
}

#[test]
fn a_rate_limit_is_told() {
    let (Some(machine), models) = start(&ALL, Script::Limit, None) else {
        return;
    };
    for (agent, model) in &models {
        // Some try more often than with a key that is refused.
        let mut agent = *agent;
        agent.most_refused = 10;
        ending::is_refused(&agent, &machine.ended(&agent), model, "RateLimited");
    }
}

#[test]
fn a_cancelled_agent_stops_with_its_tool() {
    let (Some(machine), models) = start(&ALL, Script::Linger, None) else {
        return;
    };
    for (agent, _) in &models {
        machine.await_tool(agent);
        machine.cancel(agent);
    }
    for (agent, _) in &models {
        ending::is_stopped(agent, &machine.ended(agent), "Cancelled");
    }
    eventually("nothing is left behind", || {
        machine.left_behind().is_empty().then_some(())
    });
}

#[test]
fn a_deadline_ends_an_agent_with_its_tool() {
    let (Some(machine), models) = start(&ALL, Script::Linger, Some(TASK_DEADLINE)) else {
        return;
    };
    for (agent, _) in &models {
        machine.await_tool(agent);
    }
    for (agent, _) in &models {
        ending::is_stopped(agent, &machine.ended(agent), "DeadlineExceeded");
    }
    eventually("nothing is left behind", || {
        machine.left_behind().is_empty().then_some(())
    });
}
