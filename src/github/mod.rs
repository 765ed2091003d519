//! The GitHub API, as much of it as is used: issues, pull requests and their comments, which spawners
//! read; the statuses of commits; and the tokens of GitHub Apps.
//!
//! Knows nothing of Tasks. Writes nothing but statuses; never follows a server to another host;
//! bounds every page, listing and wait; keeps the token out of every error.

pub mod app;
mod client;
mod error;
mod issues;
mod link;
mod status;

pub use client::ApiUrl;
pub use client::Client;
pub use client::Clients;
pub use error::Error;
pub use issues::Comment;
pub use issues::End;
pub use issues::Issue;
pub use issues::Listing;
pub use issues::Repository;
pub use status::CommitState;
pub use status::CommitStatus;
