//! What a confined container sees of this machine: its programs and settings, and nothing that is a
//! person's own.
//!
//! Shown are a few folders of the system, and, wherever they lie, the folders of `PATH` with what their
//! programs are made of. The rest, homes above all, is not there. Pure but for looking at the machine's files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::chown;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::Uid;

use super::launch::Launch;
use super::launch::Limits;
use super::launch::Place;
use super::launch::Shows;
use super::process::Error;
use super::process::Process;
use super::supervise;
use super::supervise::CONTAINER_USER;

/// Folders of the system that containers see, where they exist.
const SYSTEM: [&str; 14] = [
    "/bin",
    "/etc",
    "/gnu",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix",
    "/opt",
    "/sbin",
    "/snap",
    "/sys",
    "/usr",
    "/var/lib/ca-certificates",
];
/// Where programs of a `bin` keep what they need.
const BESIDE_BIN: [&str; 2] = ["lib", "libexec"];
/// How many entries of a folder of programs are looked at.
const PROGRAMS: usize = 10_000;
/// How much of a list of users is read.
const USERS_LIMIT: u64 = 1024 * 1024;
/// Where a container is at home that names no other home.
pub(super) const HOME: &str = "/home/container";

/// How far containers are kept from this machine.
#[derive(Clone)]
pub enum Isolation {
    /// They are processes of the user who runs the node, and can do what that user can.
    Open,
    Confined(Confined),
}

/// What there is to know for confining containers.
#[derive(Clone)]
pub struct Confined {
    /// The home of the user who runs the node.
    pub home: Option<PathBuf>,
}

/// Tries whether this machine allows containers to be confined, by confining one. The error says what
/// is missing.
pub async fn probe(supervisor: &Path) -> Result<(), String> {
    const PROBE: &str = "/probe";
    let exe = supervisor
        .canonicalize()
        .map_err(|error| error.to_string())?;
    let mut view = View::new(None, Path::new("/nowhere"));
    view.places.push(Place::new(PROBE, Shows::ReadOnly(exe)));
    let launch = Launch {
        program: PROBE.to_owned(),
        args: [supervise::SUBCOMMAND, supervise::NOTHING]
            .map(str::to_owned)
            .to_vec(),
        env: BTreeMap::new(),
        dir: "/".into(),
        log: "/dev/null".into(),
        log_limit: 0,
        limits: Limits::default(),
        sandbox: Some(view.places),
    };
    match Process::start(supervisor, &launch).await {
        Ok(mut process) => {
            let code = process.ended().await;
            if code == 0 {
                Ok(())
            } else {
                Err(format!("a trial container ended with code {code}"))
            }
        }
        Err(Error::Refused(why)) => Err(why),
        Err(error @ Error::Supervisor { .. }) => Err(error.to_string()),
    }
}

/// Whom the files of containers belong to, where that is not the user who runs the node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owner(Option<u32>);

impl Owner {
    pub(super) fn of(isolation: &Isolation) -> Self {
        match isolation {
            Isolation::Confined(_) if Uid::effective().is_root() => Self(Some(CONTAINER_USER)),
            Isolation::Confined(_) | Isolation::Open => Self(None),
        }
    }

    pub(super) fn take(self, path: &Path) -> io::Result<()> {
        match self.0 {
            Some(_) => chown(path, self.0, self.0),
            None => Ok(()),
        }
    }

    /// Takes a directory with all that is in it.
    pub(super) fn take_all(self, dir: &Path) -> io::Result<()> {
        if self.0.is_none() {
            return Ok(());
        }
        self.take(dir)?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.take_all(&entry.path())?;
            } else {
                lchown(entry.path(), self.0, self.0)?;
            }
        }
        Ok(())
    }
}

/// The list of places that grows.
pub(super) struct View {
    pub(super) places: Vec<Place>,
    /// What is shown neither itself nor as part of a folder that holds it.
    private: Vec<PathBuf>,
}

impl View {
    /// The system's own folders, without what lies in them of `home` and `state`.
    pub(super) fn new(home: Option<&Path>, state: &Path) -> Self {
        let is_home = |it: &&Path| it.is_absolute() && it.parent().is_some();
        let mut private: Vec<_> = home.filter(is_home).into_iter().collect();
        private.push(state);
        let mut view = Self {
            places: Vec::new(),
            private: private.iter().map(|it| it.to_path_buf()).collect(),
        };
        for folder in SYSTEM {
            let Ok(found) = fs::symlink_metadata(folder) else {
                continue;
            };
            let link = found.is_symlink().then(|| fs::read_link(folder));
            match link {
                Some(Ok(target)) => view.places.push(Place::new(folder, Shows::Link(target))),
                Some(Err(_)) => {}
                None => view
                    .places
                    .push(Place::new(folder, Shows::ReadOnly(folder.into()))),
            }
        }
        for own in view.private.clone() {
            if view.covers(&own) {
                view.places.push(Place::new(own, Shows::Nothing));
            }
        }
        // Where a resolver of the machine keeps the addresses of name servers.
        if let Ok(file) = Path::new("/etc/resolv.conf").canonicalize()
            && let Some(folder) = file.parent()
        {
            view.show(folder);
        }
        view
    }

    /// Shows what the programs on `path` are made of.
    pub(super) fn programs(&mut self, path: &str) {
        for folder in std::env::split_paths(path).filter(|it| it.is_absolute()) {
            self.show(&folder);
            self.beside(&folder);
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            for entry in entries.take(PROGRAMS) {
                let is_link = entry.file_type().is_ok_and(|it| it.is_symlink());
                if is_link && let Ok(program) = entry.path().canonicalize() {
                    self.program(&program);
                }
            }
        }
    }

    /// Shows a program that lies somewhere else than in `PATH`.
    fn program(&mut self, program: &Path) {
        if self.covers(program) {
            return;
        }
        let mut above: Vec<_> = program.ancestors().skip(1).collect();
        above.reverse();
        let modules = above
            .iter()
            .copied()
            .find(|it| it.ends_with("node_modules"));
        let bin = program.parent().filter(|it| it.ends_with("bin"));
        let python = bin
            .and_then(Path::parent)
            .filter(|it| it.join("pyvenv.cfg").is_file());
        match (modules, python, bin) {
            (Some(folder), _, _) | (None, Some(folder), _) => self.show(folder),
            (None, None, Some(bin)) => {
                self.show(bin);
                self.beside(bin);
            }
            (None, None, None) => self.show(program),
        }
    }

    fn beside(&mut self, bin: &Path) {
        let Some(above) = bin.parent().filter(|_| bin.ends_with("bin")) else {
            return;
        };
        if !self.private.iter().any(|it| it == above) {
            for name in BESIDE_BIN {
                self.show(&above.join(name));
            }
        }
    }

    /// Shows a file or folder at its own path, unless it is there or holds what is private.
    fn show(&mut self, path: &Path) {
        let Ok(source) = path.canonicalize() else {
            return;
        };
        let holds_private = self.private.iter().any(|it| it.starts_with(&source));
        if !holds_private && !self.covers(path) {
            self.places.push(Place::new(path, Shows::ReadOnly(source)));
        }
    }

    fn covers(&self, path: &Path) -> bool {
        let over = self.places.iter().rfind(|it| path.starts_with(&it.at));
        match over.map(|it| &it.shows) {
            Some(Shows::ReadOnly(_) | Shows::Link(_)) => true,
            // A directory of the container's own has nothing of the machine.
            Some(Shows::Writable(_) | Shows::Nothing) | None => false,
        }
    }

    /// Makes the container's user known by name: lists of users and groups, written into `dir`.
    pub(super) fn users(&mut self, dir: &Path) -> io::Result<()> {
        let user = format!("container:x:{CONTAINER_USER}:{CONTAINER_USER}::{HOME}:/bin/sh\n");
        let group = format!("container:x:{CONTAINER_USER}:\n");
        for (list, line) in [("passwd", user), ("group", group)] {
            let at = Path::new("/etc").join(list);
            let mut text = String::new();
            if let Ok(file) = fs::File::open(&at) {
                file.take(USERS_LIMIT).read_to_string(&mut text)?;
            }
            let number = CONTAINER_USER.to_string();
            if !text.lines().any(|it| it.split(':').nth(2) == Some(&number)) {
                let gap = if text.is_empty() || text.ends_with('\n') {
                    ""
                } else {
                    "\n"
                };
                text.push_str(gap);
                text.push_str(&line);
            }
            let file = dir.join(list);
            fs::write(&file, text)?;
            self.places
                .push(Place::new(at, Shows::ReadOnly(file.canonicalize()?)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A home with `files` and `links`, and `bin`s of it on `PATH`; what of it is shown.
    fn shown(files: &[&str], links: &[(&str, &str)], path: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap().join("me");
        for file in files {
            let file = home.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        for (at, target) in links {
            let at = home.join(at);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            symlink(target, at).unwrap();
        }
        let mut view = View::new(Some(&home), &home.join("app/.axon"));
        let path = std::env::join_paths(path.iter().map(|it| home.join(it))).unwrap();
        view.programs(path.to_str().unwrap());
        let own = view
            .places
            .iter()
            .filter_map(|it| it.at.strip_prefix(&home).ok());
        own.map(|it| it.display().to_string()).collect()
    }

    #[test]
    fn programs_of_a_home_are_shown_and_the_rest_is_not() {
        assert_eq!(
            shown(
                &[".ssh/id", ".npm-global/lib/node_modules/c/cli.js", "app/x"],
                &[(".npm-global/bin/c", "../lib/node_modules/c/cli.js")],
                &[".npm-global/bin"]
            ),
            [".npm-global/bin", ".npm-global/lib"]
        );
        assert_eq!(
            shown(
                &[
                    ".ssh/id",
                    ".local/share/c/versions/2",
                    ".local/share/keyrings/login"
                ],
                &[(".local/bin/c", "../share/c/versions/2")],
                &[".local/bin"]
            ),
            [".local/bin", ".local/share/c/versions/2"]
        );
        assert_eq!(
            shown(
                &["venv/pyvenv.cfg", "venv/bin/tool", "secret"],
                &[("bin/tool", "../venv/bin/tool")],
                &["bin"]
            ),
            ["bin", "venv"]
        );
    }

    #[test]
    fn a_home_is_never_shown_as_a_whole() {
        assert!(shown(&["tool", ".ssh/id"], &[], &["", ".."]).is_empty());
        assert_eq!(shown(&["bin/tool", "lib/private"], &[], &["bin"]), ["bin"]);
    }
}
