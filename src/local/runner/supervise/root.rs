//! The files of a confined container: a directory tree made of pieces of this machine.
//!
//! A place that lies inside a read-only piece opens that piece: its folder becomes one of the tree's own,
//! with everything that was in it. So nothing has to exist on the machine for a volume to be mounted there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use nix::mount::MsFlags;
use nix::mount::mount;

use crate::local::runner::launch::Place;
use crate::local::runner::launch::Shows;

/// How many links one path may lead through, as in the kernel.
const LINKS: usize = 40;

type Entries = BTreeMap<OsString, Node>;

#[derive(Debug, PartialEq)]
enum Node {
    Own(Entries),
    Link(PathBuf),
    /// A file or folder of the machine.
    Piece(PathBuf),
    /// A folder of the container's, and what is mounted in it: it stays a folder that files can be made in.
    Volume(PathBuf, Vec<(PathBuf, Node)>),
}

/// The whole tree.
#[derive(Debug, Default)]
pub(super) struct Root(Entries);

impl Root {
    /// Reads the folders that must be opened, so it is called while they are at their old paths.
    pub(super) fn of(places: &[Place]) -> io::Result<Self> {
        let mut root = Self::default();
        for place in places {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", place.at.display()))
            };
            root.put(place).map_err(named)?;
        }
        Ok(root)
    }

    fn put(&mut self, place: &Place) -> io::Result<()> {
        let mut at = place.at.clone();
        for _ in 0..LINKS {
            let node = match &place.shows {
                Shows::Nothing => Node::Own(Entries::new()),
                Shows::Link(target) => Node::Link(target.clone()),
                Shows::ReadOnly(path) => Node::Piece(path.clone()),
                Shows::Writable(path) => Node::Volume(path.clone(), Vec::new()),
            };
            match put(&mut self.0, Path::new("/"), &parts(&at)?, node)? {
                None => return Ok(()),
                Some(elsewhere) => at = elsewhere,
            }
        }
        Err(io::Error::other("too many links"))
    }

    /// Makes it in the current root; what it is made of is found below `machine`.
    pub(super) fn build(&self, machine: &Path) -> io::Result<()> {
        build(Path::new("/"), &self.0, machine)
    }
}

/// The names of an absolute path.
fn parts(path: &Path) -> io::Result<Vec<OsString>> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => parts.push(name.to_owned()),
            Component::ParentDir => drop(parts.pop()),
            Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    if parts.is_empty() || !path.is_absolute() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(parts)
}

/// Puts `node` at `parts` below `dir`. Gives the path to try instead where a link is in the way.
fn put(
    dir: &mut Entries,
    done: &Path,
    parts: &[OsString],
    node: Node,
) -> io::Result<Option<PathBuf>> {
    let [name, rest @ ..] = parts else {
        return Ok(None);
    };
    let slot = dir.entry(name.clone());
    let slot = slot.or_insert_with(|| Node::Own(Entries::new()));
    if let Node::Link(target) = slot
        && !matches!(node, Node::Link(_))
    {
        let mut elsewhere = done.join(&*target);
        elsewhere.extend(rest);
        return Ok(Some(elsewhere));
    }
    if rest.is_empty() {
        *slot = node;
        return Ok(None);
    }
    if let Node::Piece(path) = slot {
        *slot = Node::Own(opened(path)?);
    }
    match slot {
        Node::Own(entries) => put(entries, &done.join(name), rest, node),
        Node::Volume(_, inside) => {
            inside.push((rest.iter().collect(), node));
            Ok(None)
        }
        Node::Piece(_) | Node::Link(_) => Err(io::ErrorKind::NotADirectory.into()),
    }
}

/// What is in a folder of the machine: files, folders and links, each by itself.
fn opened(folder: &Path) -> io::Result<Entries> {
    let mut entries = Entries::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        let node = if kind.is_symlink() {
            Node::Link(fs::read_link(&path)?)
        } else if kind.is_dir() || kind.is_file() {
            Node::Piece(path)
        } else {
            // Sockets and the like are ways out.
            continue;
        };
        entries.insert(entry.file_name(), node);
    }
    Ok(entries)
}

fn build(dir: &Path, entries: &Entries, machine: &Path) -> io::Result<()> {
    for (name, node) in entries {
        let at = dir.join(name);
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", at.display()));
        make(&at, node, machine).map_err(named)?;
    }
    Ok(())
}

fn make(at: &Path, node: &Node, machine: &Path) -> io::Result<()> {
    match node {
        Node::Own(entries) => {
            if !at.is_dir() {
                fs::create_dir(at)?;
            }
            build(at, entries, machine)
        }
        Node::Link(target) => symlink(target, at),
        Node::Piece(path) => bind(path, at, machine),
        Node::Volume(path, inside) => {
            bind(path, at, machine)?;
            for (below, node) in inside {
                let point = at.join(below);
                walk_to(at, below)?;
                make(&point, node, machine)?;
            }
            Ok(())
        }
    }
}

/// Makes the folders above a mount in a volume. What a container left there is not believed.
fn walk_to(volume: &Path, below: &Path) -> io::Result<()> {
    let mut at = volume.to_owned();
    for part in below.components() {
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(_) => fs::create_dir(&at)?,
        }
        at.push(part);
    }
    match fs::symlink_metadata(&at) {
        Ok(found) if found.is_symlink() => Err(io::ErrorKind::NotADirectory.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn bind(path: &Path, at: &Path, machine: &Path) -> io::Result<()> {
    let source = machine.join(path.strip_prefix("/").unwrap_or(path));
    if fs::metadata(&source)?.is_dir() {
        if !at.is_dir() {
            fs::create_dir(at)?;
        }
    } else if !at.exists() {
        fs::File::create(at)?;
    }
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    Ok(mount(Some(&source), at, None::<&str>, flags, None::<&str>)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node, machine: &Path) -> String {
        let path = |it: &PathBuf| it.strip_prefix(machine).unwrap_or(it).display().to_string();
        match node {
            Node::Own(entries) => {
                let all = entries
                    .iter()
                    .map(|(name, node)| format!("{}={}", name.display(), shown(node, machine)));
                format!("{{{}}}", all.collect::<Vec<_>>().join(" "))
            }
            Node::Link(target) => format!("->{}", target.display()),
            Node::Piece(it) => path(it),
            Node::Volume(it, inside) => {
                let inside = inside
                    .iter()
                    .map(|(at, node)| format!(" {}={}", at.display(), shown(node, machine)));
                format!("[{}{}]", path(it), inside.collect::<String>())
            }
        }
    }

    /// A machine with `usr/{bin/tool,lib}` and a link `bin`.
    fn check(places: &[(&str, &str)], expected: &str) {
        let machine = tempfile::tempdir().unwrap();
        let of = |it: &str| machine.path().join(it);
        fs::create_dir_all(of("usr/bin")).unwrap();
        fs::create_dir_all(of("usr/lib")).unwrap();
        fs::write(of("usr/bin/tool"), "").unwrap();
        symlink("bin", of("usr/sbin")).unwrap();
        let places: Vec<_> = places
            .iter()
            .map(|(at, what)| {
                let shows = match what.split_once(' ') {
                    Some(("link", target)) => Shows::Link(target.into()),
                    Some(("write", path)) => Shows::Writable(of(path)),
                    Some(("read", path)) => Shows::ReadOnly(of(path)),
                    _ => Shows::Nothing,
                };
                Place::new(*at, shows)
            })
            .collect();
        let told = match Root::of(&places) {
            Ok(root) => shown(&Node::Own(root.0), machine.path()),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_place_inside_a_piece_opens_it() {
        check(&[("/usr", "read usr")], "{usr=usr}");
        check(
            &[("/usr", "read usr"), ("/usr/bin/axon", "read usr/bin/tool")],
            "{usr={bin={axon=usr/bin/tool tool=usr/bin/tool} lib=usr/lib sbin=->bin}}",
        );
        check(
            &[("/usr", "read usr"), ("/usr/bin", "nothing")],
            "{usr={bin={} lib=usr/lib sbin=->bin}}",
        );
    }

    #[test]
    fn links_are_followed_to_their_end() {
        check(
            &[
                ("/usr", "read usr"),
                ("/bin", "link usr/sbin"),
                ("/bin/x", "read usr/lib"),
            ],
            "{bin=->usr/sbin usr={bin={tool=usr/bin/tool x=usr/lib} lib=usr/lib sbin=->bin}}",
        );
        check(
            &[("/a", "link /b"), ("/b", "link a"), ("/a/x", "nothing")],
            "/a/x: too many links",
        );
    }

    #[test]
    fn a_volume_stays_whole() {
        check(
            &[("/v", "write usr"), ("/v/deep/er", "write usr/lib")],
            "{v=[usr deep/er=[usr/lib]]}",
        );
    }

    #[test]
    fn paths_do_not_climb_out() {
        check(&[("/../../v", "nothing")], "{v={}}");
        check(&[("v", "nothing")], "v: invalid input parameter");
        check(
            &[("/f", "read usr/bin/tool"), ("/f/x", "nothing")],
            "/f/x: Not a directory (os error 20)",
        );
    }
}
