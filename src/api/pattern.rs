//! Shapes of texts, as regular expressions that editors' JSON Schema and ours read alike.

/// Name of an object.
pub const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Name of a namespace, id of a sync.
pub const LABEL_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Value of a label.
pub const LABEL_VALUE: &str = "^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$";
/// Key of a label or annotation.
pub const LABEL_KEY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$";
/// A Go duration, or plain seconds.
pub const DURATION: &str = r"^([0-9]+|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$";
/// The beginning of a repository's URL.
pub const REPO_URL: &str = r"^(https?://|git://|ssh://|file://|git@).+$";
/// An amount of a resource.
pub const QUANTITY: &str =
    r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";
/// Name of an environment variable.
pub const VARIABLE: &str = r"^[^=\x00]+$";
/// An absolute path with nothing to resolve: no `.` or `..`, no empty part, no `:`.
pub const MOUNT_PATH: &str = r"^(/([^/:.][^/:]*|\.[^/:.][^/:]*|\.\.[^/:]+))+$";
/// Name of a variable of a fleet.
pub const FLEET_VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
/// A text with something to expand.
pub const TEMPLATE: &str = r"\{[{%#]";
