//! What the commands that look at a cluster share: which kinds there are, how they are read, and how an
//! object stands. Nothing here writes or prints.

pub(in crate::cli) mod age;
pub(in crate::cli) mod item;
pub(in crate::cli) mod kind;
pub(in crate::cli) mod reader;
pub(in crate::cli) mod standing;
pub(in crate::cli) mod sync;

pub(in crate::cli) use item::Item;
pub(in crate::cli) use kind::Kind;
pub(in crate::cli) use kind::Reference;
pub(in crate::cli) use reader::Reader;
pub(in crate::cli) use reader::Seen;
pub(in crate::cli) use standing::Health;
pub(in crate::cli) use standing::Standing;
