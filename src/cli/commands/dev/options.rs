//! What `axon dev` is told.

use clap::Args;

use crate::cli::source;
use crate::model::duration::GoDuration;

/// Run everything on this machine: a cluster, the controllers and the agents
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Options {
    #[command(flatten)]
    pub source: source::Options,
    /// Sync once, wait until every Task has finished, print the outputs; exits 0 only if all have succeeded
    #[arg(long)]
    pub once: bool,
    /// Keep the cluster's objects in memory only
    #[arg(long)]
    pub ephemeral: bool,
    /// How often to look at the repository
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = GoDuration::parse)]
    pub interval: GoDuration,
    /// Make a Secret: its key KEY is the value of the environment variable ENV, or KEY if absent
    #[arg(long = "secret", value_name = "NAME=KEY[:ENV]")]
    pub secrets: Vec<String>,
    /// Delete exactly so many objects that left axon.yaml, where the guard would refuse
    #[arg(long, value_name = "COUNT")]
    pub allow_delete: Option<usize>,
    /// Run up to so many Tasks again, where the guard would refuse
    #[arg(long, value_name = "COUNT")]
    pub allow_runs: Option<usize>,
    /// Run agents without isolation: they can read and change all that this user can
    #[arg(long)]
    pub unconfined: bool,
    /// Refuse to run where agents cannot be isolated, even for a directory of the user's own
    #[arg(long, conflicts_with = "unconfined")]
    pub require_isolation: bool,
    /// Base URL of the GitHub API, in place of the one that a repository's host implies
    #[arg(long, value_name = "URL")]
    pub github_api_url: Option<String>,
}
