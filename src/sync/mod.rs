//! GitOps: load → plan → guard → apply → observe. Only `apply` writes.

mod apply;
mod decide;
mod defaults;
mod diff;
pub mod guard;
mod ledger;
mod live;
pub mod load;
mod manifest;
mod mask;
mod observe;
mod owners;
mod path;
mod pipeline;
mod probe;
mod records;
pub mod render;
mod replace;
pub mod saved;
mod view;
pub mod way_out;
mod work;
mod world;

pub use apply::Progress;
pub use guard::Allow;
pub use guard::Cleared;
pub use guard::Refusal;
pub use observe::Observed;
pub use observe::Stand;
pub use observe::Tell;
pub use observe::Until;
pub use pipeline::Error;
pub use pipeline::Input;
pub use pipeline::MissingWorkspace;
pub use pipeline::Options;
pub use pipeline::Pipeline;
pub use pipeline::Probe;
pub use pipeline::target_namespace;
pub use saved::Witness;
pub use view::View;

/// Requests in flight at once: more make an API server slower, not faster.
const PARALLEL: usize = 8;
