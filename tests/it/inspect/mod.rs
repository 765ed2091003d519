//! `axon create`, `sync`, `approve`, `suspend`, `status`, `tree`, `history`, `trace`: through the built
//! binary, against both servers.

mod look;
mod syncs;
mod trace;
mod world;
