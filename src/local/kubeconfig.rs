//! The file that tells `kubectl` where the cluster is and who may use it.

use std::fs;
use std::io;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::tls::Identity;

/// Writes it whole or not at all, for its owner's eyes only.
pub(super) fn write(path: &Path, address: SocketAddr, identity: &Identity) -> io::Result<()> {
    let encode = |pem: &str| STANDARD.encode(pem);
    let text = format!(
        "apiVersion: v1
kind: Config
current-context: embedded
clusters:
- name: embedded
  cluster:
    server: https://{address}
    certificate-authority-data: {}
contexts:
- name: embedded
  context:
    cluster: embedded
    user: admin
    namespace: default
users:
- name: admin
  user:
    client-certificate-data: {}
    client-key-data: {}
    token: {}
",
        encode(&identity.authority_pem),
        encode(&identity.client_pem),
        encode(&identity.client_key_pem),
        identity.token,
    );
    let draft = path.with_extension("new");
    fs::remove_file(&draft).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
