//! A real sshd, which runs as whoever runs the tests.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::git_server::free_address;
use crate::git_server::wait_for;

/// Where Debian and others keep the program.
const PROGRAMS: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];

/// A server that lets one key in.
pub(crate) struct Sshd {
    child: Child,
    address: SocketAddr,
    dir: PathBuf,
    user: String,
}

impl Sshd {
    /// Nothing where the program is missing, unless the suite must be whole.
    pub(crate) fn start(dir: &Path) -> Option<Self> {
        Self::start_at(dir, "127.0.0.1")
    }

    /// Listens on another address of this machine than its loopback: for Pods.
    pub(crate) fn start_at(dir: &Path, address: &str) -> Option<Self> {
        let mut free = free_address();
        free.set_ip(address.parse().unwrap());
        Self::start_with(dir, free, "AcceptEnv GIT_PROTOCOL")
    }

    /// A server by which git knows no protocol but the first: it lists all refs, and gives out no
    /// commit but those that refs stand at.
    pub(crate) fn start_old(dir: &Path) -> Option<Self> {
        Self::start_with(dir, free_address(), "")
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the harness speaks to the suite through the environment"
    )]
    fn start_with(dir: &Path, address: SocketAddr, setting: &str) -> Option<Self> {
        let Some(program) = PROGRAMS.iter().find(|path| Path::new(path).exists()) else {
            assert!(
                std::env::var_os("AXON_REQUIRE_REAL").is_none(),
                "sshd is required and missing (Debian: openssh-server)"
            );
            eprintln!("skipped: no sshd (Debian: openssh-server)");
            return None;
        };
        if nix::unistd::getuid().is_root() {
            // As root it insists on this directory, which its service makes elsewhere.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let host_key = key(dir, "host", &["-t", "ed25519"]);
        let client = key(dir, "client", &["-t", "ed25519"]);
        fs::write(dir.join("authorized"), public(&client)).unwrap();
        let config = format!(
            "ListenAddress {address}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin yes\n{setting}\nMaxStartups 100\n",
            host_key.display(),
            dir.join("authorized").display(),
        );
        fs::write(dir.join("config"), config).unwrap();
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(dir.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        wait_for(address);
        let user = nix::unistd::User::from_uid(nix::unistd::getuid());
        Some(Self {
            child,
            address,
            dir: dir.to_owned(),
            user: user.unwrap().unwrap().name,
        })
    }

    pub(crate) fn url(&self, path: &Path) -> String {
        format!("ssh://{}@{}{}", self.user, self.address, path.display())
    }

    /// A private key by its name: `host`, `client`, or one that was made beside them.
    pub(crate) fn key(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap()
    }

    /// The line of known hosts for a key.
    pub(crate) fn known(&self, key: &str) -> String {
        let port = self.address.port();
        format!(
            "[{}]:{port} {}",
            self.address.ip(),
            public(&self.dir.join(key))
        )
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a pair of keys.
pub(crate) fn key(dir: &Path, name: &str, kind: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "a comment", "-f"])
        .arg(&path)
        .args(kind)
        .status();
    assert!(status.unwrap().success());
    path
}

pub(crate) fn public(key: &Path) -> String {
    fs::read_to_string(key.with_extension("pub")).unwrap()
}
