//! From a loaded configuration to the objects of a cluster, on both servers.

mod apply;
mod failures;
mod fixture;
mod laws;
mod ledger;
mod ownership;
mod prune;
mod rename;
mod runs;
