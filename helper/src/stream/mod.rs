//! What agents print about their own doing. Pure: bytes in, values out.

mod kind;

pub use kind::AgentKind;
