//! Where the output of containers lies: one file each, written by the runner and read by `pods/log`.

use std::path::Path;
use std::path::PathBuf;

/// The directory of all container logs.
#[derive(Clone, Debug)]
pub struct LogDir(PathBuf);

impl LogDir {
    /// Logs under `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory of one Pod's logs. None if a part could lead elsewhere.
    pub fn pod(&self, namespace: &str, pod: &str, uid: &str) -> Option<PathBuf> {
        let parts = [namespace, pod, uid];
        parts
            .iter()
            .all(|part| is_plain(part))
            .then(|| self.0.join(parts.join("_")))
    }

    /// The log of one container. None if a part could lead elsewhere.
    pub fn container(
        &self,
        namespace: &str,
        pod: &str,
        uid: &str,
        container: &str,
    ) -> Option<PathBuf> {
        let dir = self.pod(namespace, pod, uid)?;
        is_plain(container).then(|| dir.join(format!("{container}.log")))
    }
}

/// Whether a name is one that the API server lets through: no separators, not hidden, not empty.
fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

#[cfg(test)]
mod tests {
    use super::LogDir;

    #[test]
    fn names_cannot_lead_out_of_the_directory() {
        let logs = LogDir::new("/logs");
        let path = logs.container("ns", "pod-1", "uid", "agent").unwrap();
        assert_eq!(path.to_str(), Some("/logs/ns_pod-1_uid/agent.log"));
        for bad in ["..", "a/b", "", ".x", "a_b"] {
            assert_eq!(logs.container("ns", "pod", "uid", bad), None, "{bad}");
            assert_eq!(logs.pod(bad, "pod", "uid"), None, "{bad}");
        }
    }
}
