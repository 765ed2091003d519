//! Axon runs AI coding agents as Kubernetes workloads, configured by git.
//!
//! `ARCHITECTURE.md` shows the floors and the way of one change through them.

pub mod agent;
pub mod api;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod github;
pub mod local;
pub mod model;
pub mod repo;
pub mod sources;
pub mod sync;
pub mod template;
