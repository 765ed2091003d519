//! What can be typed.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::Parser;
use clap::Subcommand;

use crate::cli::commands;

/// Runs AI coding agents as Kubernetes workloads, configured by git.
#[derive(Debug, Parser)]
#[command(
    name = "axon",
    version,
    disable_version_flag = true,
    max_term_width = 100
)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Namespace to work in; default: the one of the kubeconfig's context
    #[arg(
        short,
        long,
        global = true,
        env = "AXON_NAMESPACE",
        value_name = "NAME"
    )]
    pub namespace: Option<String>,
    /// Kubeconfig file; default: `$KUBECONFIG`, else `~/.kube/config`, else in-cluster
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Log what is going on to stderr; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    Always,
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: a cluster, the controllers and the agents
    Dev(commands::dev::Options),
    /// Show what applying a configuration would change
    Plan(commands::plan::Options),
    /// Show what differs; exits 0 for nothing, 1 for differences, more for an error
    Diff(commands::diff::Options),
    /// Make the cluster equal to a configuration, or carry out a saved plan
    Apply(commands::apply::Options),
    /// Run an agent: create a Task
    Run(commands::run::Options),
    /// Show objects: Tasks, TaskSpawners, Workspaces, RepoSyncs
    Get(commands::get::Options),
    /// Delete objects
    Delete(commands::delete::Options),
    /// Stop the runs of Tasks
    Cancel(commands::cancel::Options),
    /// Run a Task again
    Rerun(commands::rerun::Options),
    /// Create a RepoSync
    Create(commands::create::Options),
    /// Make a RepoSync look now, and wait for what comes of it
    Sync(commands::sync::Options),
    /// Let a RepoSync apply the plan that it shows
    Approve(commands::approve::Options),
    /// Hold a RepoSync or a TaskSpawner until it is resumed
    Suspend(commands::suspend::Options),
    /// Let a RepoSync or a TaskSpawner go on
    Resume(commands::suspend::Options),
    /// Show what runs, and first what is wrong
    Status(commands::status::Options),
    /// Show what belongs to what: syncs, their objects, Tasks, Jobs and Pods
    Tree(commands::tree::Options),
    /// Show what the agents of Tasks do: turns, tools, edits, cost
    Logs(commands::logs::Options),
    /// Show what happened, newest first: syncs and runs
    History(commands::history::Options),
    /// Show where an object comes from, back to the line of a file, and what became of it
    Trace(commands::trace::Options),
    /// Run the controllers against a cluster: Tasks become Jobs, work items become Tasks
    Controller(commands::controller::Options),
    /// Check a configuration without a cluster: all problems, each with its place
    Validate(commands::validate::Options),
    /// Print the Kubernetes manifests that a configuration stands for
    Render(commands::render::Options),
    /// Print the JSON Schema of axon.yaml
    Schema,
    /// Tell what a field of axon.yaml or of a kind means
    Explain(commands::explain::Options),
    /// Print the version
    Version(commands::version::Options),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn every_command_is_well_formed() {
        super::Args::command().debug_assert();
    }
}
