//! From a container's spec to the process that stands for it. Pure but for making directories.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::Pod;

use super::env;
use super::expand::expand;
use super::launch::Launch;
use super::paths::Paths;
use super::sources::Sources;
use super::volumes;
use crate::local::images::Image;

/// Where a container's last words go unless it names another place.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// How much of what a container prints is kept.
const LOG_LIMIT: u64 = 64 * 1024 * 1024;

/// Why a container waits, in the kubelet's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Waiting {
    pub(super) fn image(message: String) -> Self {
        Self {
            reason: "ImagePullBackOff",
            message,
        }
    }

    pub(super) fn config(message: String) -> Self {
        Self {
            reason: "CreateContainerConfigError",
            message,
        }
    }
}

/// Where the files of one Pod lie.
pub(super) struct Places {
    /// The directory of the Pod: volumes, termination messages, working directories.
    pub(super) dir: PathBuf,
    /// The directory of its logs.
    pub(super) logs: PathBuf,
}

impl Places {
    pub(super) fn volumes(&self) -> PathBuf {
        self.dir.join("volumes")
    }

    /// Removes all of the Pod from this machine.
    pub(super) fn remove(&self) -> io::Result<()> {
        for dir in [&self.dir, &self.logs] {
            match fs::remove_dir_all(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn container(&self, name: &str) -> PathBuf {
        self.dir.join("containers").join(name)
    }

    pub(super) fn termination_log(&self, container: &str) -> PathBuf {
        self.container(container).join("termination-log")
    }

    fn log(&self, container: &str) -> PathBuf {
        self.logs.join(format!("{container}.log"))
    }

    /// Where a container works that names no directory, and its home if nobody gives one.
    fn scratch(&self, container: &str) -> PathBuf {
        self.container(container).join("work")
    }
}

/// Names become parts of paths: whoever let them in, they must not lead elsewhere.
pub(super) fn check_names(pod: &Pod) -> Result<(), volumes::Error> {
    let spec = pod.spec.clone().unwrap_or_default();
    let containers = spec.init_containers.into_iter().flatten();
    let names = containers
        .chain(spec.containers)
        .map(|it| it.name)
        .chain(spec.volumes.into_iter().flatten().map(|it| it.name));
    for name in names {
        if volumes::below(&name).is_none_or(|it| it.components().count() != 1) {
            return Err(volumes::Error::Path(name));
        }
    }
    Ok(())
}

/// All that is needed to start the container.
pub(super) fn launch(
    container: &Container,
    pod: &Pod,
    sources: &Sources,
    image: &Image,
    places: &Places,
    base: &BTreeMap<String, String>,
) -> Result<Launch, Waiting> {
    let mut base = base.clone();
    let scratch = places.scratch(&container.name);
    base.entry("HOME".to_owned())
        .or_insert_with(|| scratch.display().to_string());
    let env = env::environment(container, pod, sources, &base)
        .map_err(|error| Waiting::config(error.to_string()))?;
    let paths = paths(container, image, places)?;
    let words = container
        .command
        .iter()
        .flatten()
        .chain(container.args.iter().flatten());
    let mut words = words.map(|word| paths.argument(&expand(word, &env)));
    let program = words.next().unwrap_or_default();
    let args = words.collect();
    let dir = working_dir(container, &paths, &scratch)
        .and_then(|dir| prepare(container, places, &scratch).map(|()| dir))
        .map_err(|error| Waiting::config(format!("cannot make a directory: {error}")))?;
    Ok(Launch {
        program,
        args,
        env,
        dir,
        log: places.log(&container.name),
        log_limit: LOG_LIMIT,
    })
}

fn paths(container: &Container, image: &Image, places: &Places) -> Result<Paths, Waiting> {
    let mut paths = Paths::default();
    for (inside, host) in &image.files {
        paths.add(inside, host);
    }
    for mount in container.volume_mounts.iter().flatten() {
        let mut host = places.volumes().join(&mount.name);
        if mount.sub_path_expr.is_some() {
            let name = &mount.name;
            return Err(Waiting::config(format!(
                "mount of volume \"{name}\" uses subPathExpr, which this node does not offer"
            )));
        }
        if let Some(sub) = mount.sub_path.as_deref().filter(|it| !it.is_empty()) {
            let below = volumes::below(sub)
                .ok_or_else(|| Waiting::config(format!("subPath \"{sub}\" leaves its volume")))?;
            host.push(below);
        }
        paths.add(&mount.mount_path, host);
    }
    let end = container.termination_message_path.as_deref();
    paths.add(
        end.unwrap_or(TERMINATION_LOG),
        places.termination_log(&container.name),
    );
    Ok(paths)
}

/// The directory to start in. One inside a volume is made, as a container engine does.
fn working_dir(container: &Container, paths: &Paths, scratch: &Path) -> io::Result<PathBuf> {
    let named = container.working_dir.as_deref().filter(|it| !it.is_empty());
    let Some(named) = named else {
        return Ok(scratch.to_owned());
    };
    match paths.path(named) {
        Some(host) => {
            fs::create_dir_all(&host)?;
            Ok(host.into())
        }
        None => Ok(named.into()),
    }
}

/// Makes what the container finds there before it starts.
fn prepare(container: &Container, places: &Places, scratch: &Path) -> io::Result<()> {
    fs::create_dir_all(scratch)?;
    fs::create_dir_all(&places.logs)?;
    fs::File::create(places.termination_log(&container.name))?;
    for mount in container.volume_mounts.iter().flatten() {
        if let Some(sub) = mount.sub_path.as_deref().and_then(volumes::below) {
            let host = places.volumes().join(&mount.name).join(sub);
            if !host.exists() {
                fs::create_dir_all(host)?;
            }
        }
    }
    Ok(())
}
