//! What Pods get of a machine without a container engine: images are a few files, and directories are
//! lent as copies.
//!
//! Both are handed in from above; nothing here knows what the files are for.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

/// The files that an image brings: the path that a container names → the file on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub files: BTreeMap<String, PathBuf>,
}

/// Finds an image by the name a Pod gives. The error is shown to people as the reason why the
/// image cannot be pulled, so it says what to do.
pub type Resolver = Arc<dyn Fn(&str) -> Result<Image, String> + Send + Sync>;

/// Lends Pods what they need of this machine and may change, and takes the changes back.
pub trait Lender: Send + Sync {
    /// Fills the directory, which is the Pod's own, and says what its containers see of it. Asked before
    /// the first of them starts, and only where containers are kept from this machine.
    fn lend(&self, pod: &Pod, dir: &Path) -> Result<Vec<Lent>, String>;

    /// Takes back what was lent in that directory, and what the Pod leaves in its `volumes`, each of them a
    /// directory below that one by its name. Asked when nothing of the Pod runs any more, and perhaps a second
    /// time.
    fn take_back(&self, pod: &Pod, dir: &Path, volumes: &Path);
}

/// A directory of this machine that a Pod sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lent {
    pub at: PathBuf,
    pub path: PathBuf,
    pub writable: bool,
}
