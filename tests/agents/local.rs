//! Every agent in local mode.

use serde_json::Value;

use crate::agent::ALL;
use crate::agent::Agent;
use crate::agent::CODEX_DEFAULT;
use crate::machine::Isolation;
use crate::machine::Machine;
use crate::machine::eventually;
use crate::model::Model;
use crate::model::Script;
use crate::story;
use crate::story::Cast;

/// Begins like a flag, and has what a shell, a kubelet or a template would take for its own.
const PROMPT: &str =
    "--help me: \"say\" 'hello' to $(GITHUB_TOKEN) and $HOME,\n`id` too {{.Title}} 🦀";

/// Runs a Task of each agent, if their programs are there, and looks at them and at what they have left.
fn play(
    agents: &[Agent],
    script: Script,
    deadline: Option<u64>,
    isolation: Isolation,
    story: impl FnOnce(&Machine, &Cast),
) {
    let model = |it: &Agent| (*it, Model::start("127.0.0.1", script));
    let cast: Vec<_> = agents.iter().map(model).collect();
    let task = |(agent, model): &(Agent, Model)| (*agent, agent.task(model, PROMPT, deadline));
    let tasks: Vec<(Agent, Value)> = cast.iter().map(task).collect();
    let Some(machine) = Machine::start(&tasks, isolation) else {
        return;
    };
    story(&machine, &cast);
    eventually("nothing is left behind", || {
        Machine::left_behind(&cast).is_empty().then_some(())
    });
}

#[test]
fn they_edit_commit_and_tell_what_they_used() {
    let agents = [&ALL[..], &[CODEX_DEFAULT]].concat();
    play(&agents, Script::Edit, None, Isolation::Full, |it, cast| {
        story::edit_and_commit(it, cast, PROMPT);
    });
}

#[test]
fn a_refused_key_ends_them_soon_and_is_told() {
    play(&ALL, Script::Refuse, None, Isolation::Full, |it, cast| {
        story::are_refused(it, cast);
    });
}

#[test]
fn a_rate_limit_is_told() {
    play(&ALL, Script::Limit, None, Isolation::Full, |it, cast| {
        story::are_limited(it, cast);
    });
}

#[test]
fn a_cancelled_agent_stops_with_its_tool() {
    play(&ALL, Script::Linger, None, Isolation::Full, |it, cast| {
        story::are_cancelled(it, cast);
    });
}

/// No namespace ends what an agent has started.
#[test]
fn a_deadline_ends_an_agent_with_its_tool() {
    let deadline = Some(story::TASK_DEADLINE);
    play(
        &ALL,
        Script::Linger,
        deadline,
        Isolation::None,
        |it, cast| {
            story::run_out_of_time(it, cast);
        },
    );
}
