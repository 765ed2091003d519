//! Confines this process, which is the first of its PID namespace, before it becomes a container: own
//! mounts, another user, no new privileges, and writes only where they belong.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use landlock::ABI;
use landlock::Access as _;
use landlock::AccessFs;
use landlock::Ruleset;
use landlock::RulesetAttr as _;
use landlock::RulesetCreatedAttr as _;
use landlock::RulesetError;
use landlock::RulesetStatus;
use landlock::Scope;
use landlock::path_beneath_rules;
use nix::mount::MntFlags;
use nix::mount::MsFlags;
use nix::mount::mount;
use nix::mount::umount2;
use nix::sched::CloneFlags;
use nix::sched::unshare;
use nix::sys::prctl;

use super::identity::Identity;
use super::root::Root;
use crate::local::runner::launch::Place;
use crate::local::runner::launch::Shows;

/// The folder that every Linux has, and that the new root is mounted on for a moment.
const FOOTHOLD: &str = "/dev";
/// Where the machine's files are while the new root is made.
const MACHINE: &str = "/.machine";
/// Devices that do no harm.
const DEVICES: [&str; 6] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];
const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
];
/// What of Landlock is asked for; an older kernel gives what it has.
const LANDLOCK: ABI = ABI::V6;

/// Enters the sandbox. The error says what this machine does not allow.
pub(super) fn enter(places: &[Place], identity: Identity) -> Result<(), String> {
    let no = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| format!("cannot {what}: {error}")
    };
    // No terminal to type into, and no group of the runner's.
    nix::unistd::setsid().map_err(|error| error.to_string())?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC)
        .map_err(|error| format!("cannot make a mount namespace: {error}"))?;
    let mut all = vec![
        Place::new("/proc", Shows::Nothing),
        Place::new("/dev/shm", Shows::Nothing),
        Place::new("/dev/pts", Shows::Nothing),
    ];
    let devices = DEVICES.iter().filter(|it| Path::new(it).exists());
    all.extend(devices.map(|it| Place::new(*it, Shows::ReadOnly(it.into()))));
    all.extend_from_slice(places);
    let root = Root::of(&all).map_err(no("read what a container is to see"))?;
    change_root().map_err(no("mount a root directory"))?;
    root.build(Path::new(MACHINE))
        .map_err(no("mount the files of a container"))?;
    kernel_files().map_err(no("mount \"/proc\""))?;
    leave_machine().map_err(no("leave the machine's files"))?;
    identity.become_container_user()?;
    prctl::set_no_new_privs().map_err(|error| error.to_string())?;
    match restrict(places) {
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => Ok(()),
        Ok(RulesetStatus::NotEnforced) => {
            Err("Landlock is not enabled in this machine's kernel".to_owned())
        }
        Err(error) => Err(format!("cannot confine writes: {error}")),
    }
}

/// Makes an empty root, and keeps the old one at [`MACHINE`].
fn change_root() -> io::Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    memory(FOOTHOLD)?;
    let old = format!("{FOOTHOLD}{MACHINE}");
    fs::create_dir(&old)?;
    nix::unistd::pivot_root(FOOTHOLD, old.as_str())?;
    std::env::set_current_dir("/")
}

/// What the kernel itself brings: its own view of this PID namespace, shared memory, terminals.
fn kernel_files() -> io::Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        quiet | MsFlags::MS_NODEV,
        None::<&str>,
    )?;
    memory("/dev/shm")?;
    // Without terminals most agents work all the same.
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    let _ = mount(Some("devpts"), "/dev/pts", Some("devpts"), quiet, options);
    for (at, target) in LINKS {
        symlink(target, at)?;
    }
    Ok(())
}

fn memory(at: &str) -> io::Result<()> {
    let mode = if at == FOOTHOLD {
        "mode=0755"
    } else {
        "mode=1777"
    };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(mode))?)
}

fn leave_machine() -> io::Result<()> {
    umount2(MACHINE, MntFlags::MNT_DETACH)?;
    fs::remove_dir(MACHINE)
}

/// From here on files can be changed only below writable places, and no mount can.
fn restrict(places: &[Place]) -> Result<RulesetStatus, RulesetError> {
    let writable = places.iter().filter_map(|it| match it.shows {
        Shows::Writable(_) => Some(it.at.as_path()),
        Shows::Nothing | Shows::Link(_) | Shows::ReadOnly(_) => None,
    });
    let own = ["/dev/pts", "/dev/shm"].map(Path::new);
    let devices = DEVICES.iter().chain(&["/proc"]).map(Path::new);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .scope(Scope::AbstractUnixSocket)?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(LANDLOCK)))?
        .add_rules(path_beneath_rules(devices, AccessFs::from_file(LANDLOCK)))?
        .add_rules(path_beneath_rules(
            writable.chain(own),
            AccessFs::from_all(LANDLOCK),
        ))?
        .restrict_self()?;
    Ok(status.ruleset)
}
