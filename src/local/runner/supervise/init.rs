//! The last step: the container's own process arranges what it will see, and becomes the program.
//!
//! The order is what matters: rights that later steps need are given up last, and the wish to die with the
//! supervisor comes after the change of user, which forgets it.

use std::convert::Infallible;
use std::io;
use std::io::BufReader;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use nix::sys::prctl;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use nix::sys::signal::Signal;
use nix::unistd::AccessFlags;

use super::REFUSED;
use super::Step;
use super::identity::Identity;
use super::line;
use super::sandbox;
use super::tell;
use crate::local::runner::launch::Launch;
use crate::local::runner::launch::Limits;
use crate::local::runner::launch::Place;
use crate::local::runner::launch::Shows;
use crate::local::runner::supervise::CONTAINER_USER;

/// Gives the exit code of the process, if it could not become the program.
pub(super) fn main(identity: Identity) -> u8 {
    // A copy that is closed by becoming the program.
    let Ok(steps) = io::stdout().as_fd().try_clone_to_owned() else {
        return 2;
    };
    let mut steps = io::PipeWriter::from(steps);
    let Err(reason) = become_program(identity, &mut steps);
    let _ = tell(&mut steps, &Step::Refused { reason });
    u8::try_from(REFUSED).unwrap_or(u8::MAX)
}

fn become_program(identity: Identity, steps: &mut io::PipeWriter) -> Result<Infallible, String> {
    let text = |error: io::Error| error.to_string();
    let mut input = BufReader::new(io::stdin());
    let launch: Launch = serde_json::from_str(&line(&mut input).map_err(text)?)
        .map_err(|error| error.to_string())?;
    if let Some(places) = &launch.sandbox {
        sandbox::enter(places, identity)?;
    }
    let program = find(&launch)?;
    limit(launch.limits)?;
    // Asked for first, looked at second: a supervisor that died in between says nothing.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| error.to_string())?;
    tell(steps, &Step::Ready).map_err(text)?;
    line(&mut input).map_err(text)?;
    let log: OwnedFd = io::stderr().as_fd().try_clone_to_owned().map_err(text)?;
    steps.flush().map_err(text)?;
    let error = Command::new(&program)
        .arg0(&launch.program)
        .args(&launch.args)
        .env_clear()
        .envs(&launch.env)
        .current_dir(&launch.dir)
        .stdin(Stdio::null())
        .stdout(log)
        .exec();
    let dir = launch.dir.display();
    Err(format!(
        "cannot start \"{}\" in \"{dir}\": {error}",
        launch.program
    ))
}

fn limit(limits: Limits) -> Result<(), String> {
    let wanted = [
        (Resource::RLIMIT_CORE, Some(0)),
        (Resource::RLIMIT_DATA, limits.data),
        (Resource::RLIMIT_FSIZE, limits.file),
    ];
    for (resource, limit) in wanted {
        let Some(limit) = limit else { continue };
        getrlimit(resource)
            .and_then(|(_, most)| setrlimit(resource, limit.min(most), limit.min(most)))
            .map_err(|error| format!("cannot set a limit: {error}"))?;
    }
    Ok(())
}

/// The file that a command names, by the rules of `exec` in a container.
fn find(launch: &Launch) -> Result<PathBuf, String> {
    let Launch { program, dir, .. } = launch;
    if program.is_empty() {
        return Err("no command specified".to_owned());
    }
    if program.contains('/') {
        let file = dir.join(program);
        return usable(&file).map(|()| file).map_err(|error| {
            let source = foreign(launch, error);
            format!("exec: \"{program}\": {error}{source}")
        });
    }
    let path = launch.env.get("PATH");
    let mut refusal = "executable file not found in $PATH";
    for folder in path.map_or("", String::as_str).split(':') {
        let file = dir.join(folder).join(program);
        match usable(&file) {
            Ok(()) => return Ok(file),
            Err(nix::Error::EACCES) => refusal = "permission denied",
            Err(_) => {}
        }
    }
    Err(format!("exec: \"{program}\": {refusal}"))
}

fn usable(file: &Path) -> Result<(), nix::Error> {
    if file.is_dir() {
        return Err(nix::Error::EACCES);
    }
    nix::unistd::access(file, AccessFlags::X_OK)
}

/// Where a program lies that the container's user may not run: what a person can put right.
fn foreign(launch: &Launch, error: nix::Error) -> String {
    let places = launch.sandbox.as_deref().unwrap_or_default();
    let is_it = |it: &&Place| it.at == Path::new(&launch.program);
    match places.iter().rfind(is_it).map(|it| &it.shows) {
        Some(Shows::ReadOnly(file)) if error == nix::Error::EACCES => format!(
            " (let user {CONTAINER_USER} run \"{}\", for example with \"chmod a+rx\")",
            file.display()
        ),
        _ => String::new(),
    }
}
