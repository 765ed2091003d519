//! The GitHub API.
