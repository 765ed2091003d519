//! What Axon believes: values that are known to be valid, and the data that flows between floors.
//!
//! No I/O, clock, randomness or environment here.

pub mod address;
pub mod code;
pub mod digest;
pub mod duration;
pub mod git_credentials;
pub mod item;
pub mod label;
pub mod leak;
pub mod names;
pub mod object;
pub mod origin;
pub mod plan;
pub mod pod_overrides;
pub mod problem;
pub mod repo_url;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod sensitive;
pub mod snapshot;
pub mod spawner;
pub mod task;

pub use code::Code;
pub use digest::Digest;
pub use git_credentials::GitCredentials;
pub use git_credentials::GitForm;
pub use git_credentials::GitKeys;
pub use git_credentials::InvalidCredentials;
pub use names::Namespace;
pub use names::ObjectName;
pub use names::SyncId;
pub use object::Desired;
pub use object::Key;
pub use object::Kind;
pub use origin::Home;
pub use origin::Origin;
pub use plan::Plan;
pub use problem::Diagnostic;
pub use problem::Problem;
pub use repo_url::RepoUrl;
pub use secret::Secret;
pub use snapshot::RepoPath;
pub use snapshot::Revision;
pub use snapshot::Snapshot;
