//! What an image name stands for on a machine without a container engine: a few files.
//!
//! The table is handed in from above; nothing here knows what the files are for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The files that an image brings: the path that a container names → the file on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub files: BTreeMap<String, PathBuf>,
}

/// Finds an image by the name a Pod gives. The error is shown to people as the reason why the
/// image cannot be pulled, so it says what to do.
pub type Resolver = Arc<dyn Fn(&str) -> Result<Image, String> + Send + Sync>;
