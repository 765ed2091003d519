//! What `axon dev` is told.

use std::path::PathBuf;

use clap::Args;

use crate::model::duration::GoDuration;

/// Run everything on this machine: a cluster, the controllers and the agents
#[derive(Debug, Args)]
pub struct Options {
    /// Directory with an axon.yaml, that file, or the URL of a git repository
    #[arg(default_value = ".", value_name = "DIR|GIT-URL")]
    pub source: String,
    /// Sync once, wait until every Task has finished, print the outputs; exits 0 only if all have succeeded
    #[arg(long)]
    pub once: bool,
    /// Keep the cluster's objects in memory only
    #[arg(long)]
    pub ephemeral: bool,
    /// Branch, tag or commit of the repository; default: its default branch
    #[arg(long = "ref", value_name = "REF")]
    pub reference: Option<String>,
    /// Path of axon.yaml in the repository
    #[arg(long, value_name = "FILE")]
    pub path: Option<String>,
    /// How often to look at the repository
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = GoDuration::parse)]
    pub interval: GoDuration,
    /// Make a Secret: its key KEY is the value of the environment variable ENV, or KEY if absent
    #[arg(long = "secret", value_name = "NAME=KEY[:ENV]")]
    pub secrets: Vec<String>,
    /// File with a token for the repository
    #[arg(long, value_name = "FILE")]
    pub git_token_file: Option<PathBuf>,
    /// Delete exactly so many objects that left axon.yaml, where the guard would refuse
    #[arg(long, value_name = "COUNT")]
    pub allow_delete: Option<usize>,
    /// Run up to so many Tasks again, where the guard would refuse
    #[arg(long, value_name = "COUNT")]
    pub allow_runs: Option<usize>,
    /// Run what a git URL declares although nothing keeps it from this user's files
    #[arg(long)]
    pub unconfined: bool,
    /// Base URL of the GitHub API, in place of the one that a repository's host implies
    #[arg(long, value_name = "URL")]
    pub github_api_url: Option<String>,
}
