//! The GitHub API, as much of it as spawners read: issues, pull requests and their comments; and the
//! tokens of GitHub Apps.
//!
//! Knows nothing of Tasks. Changes nothing; never follows a server to another host; bounds every page,
//! listing and wait; keeps the token out of every error.

pub mod app;
mod client;
mod error;
mod issues;
mod link;

pub use client::ApiUrl;
pub use client::Client;
pub use client::Clients;
pub use error::Error;
pub use issues::Comment;
pub use issues::End;
pub use issues::Issue;
pub use issues::Listing;
pub use issues::Repository;
