//! From a container's spec to the process that stands for it. Pure but for making directories.
//!
//! A confined container finds its volumes at the paths that it names. Where containers cannot be confined,
//! the paths in its command are rewritten instead.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::Pod;

use super::Options;
use super::env;
use super::expand::expand;
use super::isolation;
use super::isolation::Confined;
use super::isolation::Isolation;
use super::isolation::Owner;
use super::isolation::View;
use super::launch::Launch;
use super::launch::Limits;
use super::launch::Place;
use super::launch::Shows;
use super::paths::Paths;
use super::quantity;
use super::sources::Sources;
use super::volumes;
use crate::local::images::Image;
use crate::local::images::Lent;

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
    /// The image of this container is not there.
    pub(super) fn image(container: &Container, message: String) -> Self {
        let is_never_pulled = container.image_pull_policy.as_deref() == Some("Never");
        Self {
            reason: if is_never_pulled {
                "ErrImageNeverPull"
            } else {
                "ImagePullBackOff"
            },
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
    /// What it was lent of this machine.
    pub(super) lent: OnceLock<Vec<Lent>>,
}

impl Places {
    pub(super) fn volumes(&self) -> PathBuf {
        self.dir.join("volumes")
    }

    /// What the Pod was lent lies here.
    pub(super) fn loan(&self) -> PathBuf {
        self.dir.join("lent")
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

    fn temporary(&self, container: &str) -> PathBuf {
        self.container(container).join("tmp")
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

/// What is known of a container besides its spec and what that refers to.
pub(super) struct Setting<'a> {
    pub(super) pod: &'a Pod,
    pub(super) image: &'a Image,
    pub(super) places: &'a Places,
    pub(super) options: &'a Options,
}

/// One piece of a container's files: the path that it names, and what is there.
struct Mount {
    at: PathBuf,
    host: PathBuf,
    writable: bool,
}

/// All that is needed to start the container.
pub(super) fn launch(
    container: &Container,
    sources: &Sources,
    setting: &Setting<'_>,
) -> Result<Launch, Waiting> {
    let Setting {
        pod,
        places,
        options,
        ..
    } = *setting;
    let scratch = places.scratch(&container.name);
    let mut base = options.base_env.clone();
    let home = match options.isolation {
        Isolation::Confined(_) => isolation::HOME.to_owned(),
        Isolation::Open => scratch.display().to_string(),
    };
    base.entry("HOME".to_owned()).or_insert(home);
    let env = env::environment(container, pod, sources, &base)
        .map_err(|error| Waiting::config(error.to_string()))?;
    let mounts = mounts(container, setting)?;
    let mut paths = Paths::default();
    for mount in &mounts {
        paths.add(&mount.at, &mount.host);
    }
    let named = container.working_dir.as_deref().filter(|it| !it.is_empty());
    let owner = Owner::of(&options.isolation);
    let made = prepare(container, places, owner).and_then(|()| match named {
        // One inside a volume is made, as a container engine does.
        Some(named) => paths.within(named).map_or(Ok(()), |(top, below)| {
            volumes::make_inside(&top, &below, owner)
        }),
        None => Ok(()),
    });
    made.map_err(|error| Waiting::config(format!("cannot make a directory: {error}")))?;
    let words = container.command.iter().chain(&container.args).flatten();
    let words = words.map(|word| expand(word, &env));
    let (mut words, dir, sandbox): (Vec<_>, PathBuf, _) = match &options.isolation {
        Isolation::Open => {
            let dir = named.map(|it| paths.path(it).unwrap_or_else(|| it.to_owned()));
            let words = words.map(|word| paths.argument(&word)).collect();
            (words, dir.map_or(scratch, PathBuf::from), None)
        }
        Isolation::Confined(confined) => {
            let dir = PathBuf::from(named.unwrap_or(isolation::HOME));
            let path = env.get("PATH").map_or("", String::as_str);
            let view = view(confined, path, &dir, &mounts, container, setting)
                .map_err(|error| Waiting::config(format!("cannot show files: {error}")))?;
            (words.collect(), dir, Some(view))
        }
    };
    Ok(Launch {
        program: if words.is_empty() {
            String::new()
        } else {
            words.remove(0)
        },
        args: words,
        env,
        dir,
        log: places.log(&container.name),
        log_limit: LOG_LIMIT,
        limits: limits(container),
        sandbox,
    })
}

/// What the container's spec and image put where: deeper paths after those that hold them.
fn mounts(container: &Container, setting: &Setting<'_>) -> Result<Vec<Mount>, Waiting> {
    let places = setting.places;
    let image = setting.image.files.iter().map(|(inside, host)| Mount {
        at: inside.into(),
        host: host.clone(),
        writable: false,
    });
    let mut mounts: Vec<_> = image.collect();
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
        mounts.push(Mount {
            at: mount.mount_path.clone().into(),
            host,
            writable: mount.read_only != Some(true)
                && volumes::is_writable(setting.pod, &mount.name),
        });
    }
    let end = container.termination_message_path.as_deref();
    mounts.push(Mount {
        at: end.unwrap_or(TERMINATION_LOG).into(),
        host: places.termination_log(&container.name),
        writable: true,
    });
    mounts.sort_by_key(|it| it.at.components().count());
    Ok(mounts)
}

/// All that a confined container sees of files.
fn view(
    confined: &Confined,
    path: &str,
    dir: &Path,
    mounts: &[Mount],
    container: &Container,
    setting: &Setting<'_>,
) -> io::Result<Vec<Place>> {
    let Setting {
        places, options, ..
    } = *setting;
    let state = options.pods.parent().unwrap_or(&options.pods);
    let mut view = View::new(confined.home.as_deref(), &state.canonicalize()?);
    let own = [
        (isolation::HOME, places.scratch(&container.name)),
        ("/tmp", places.temporary(&container.name)),
        ("/var/tmp", places.temporary(&container.name)),
    ];
    for (at, host) in own {
        let shows = Shows::Writable(host.canonicalize()?);
        view.places.push(Place::new(at, shows));
    }
    view.programs(path);
    view.users(&places.container(&container.name))?;
    if !dir.exists() {
        view.places.push(Place::new(dir, Shows::Nothing));
    }
    let lent = places.lent.get().into_iter().flatten();
    let lent = lent.map(|it| Mount {
        at: it.at.clone(),
        host: it.path.clone(),
        writable: it.writable,
    });
    let lent: Vec<_> = lent.collect();
    for mount in lent.iter().chain(mounts) {
        let host = mount.host.canonicalize()?;
        let shows = if mount.writable {
            Shows::Writable(host)
        } else {
            Shows::ReadOnly(host)
        };
        view.places.push(Place::new(&mount.at, shows));
    }
    Ok(view.places)
}

/// What the container's own limits mean for each of its processes.
fn limits(container: &Container) -> Limits {
    let limits = container
        .resources
        .as_ref()
        .and_then(|it| it.limits.as_ref());
    let limit = |name: &str| limits?.get(name).and_then(quantity::units);
    Limits {
        data: limit("memory"),
        file: limit("ephemeral-storage"),
    }
}

/// Makes what the container finds there before it starts.
fn prepare(container: &Container, places: &Places, owner: Owner) -> io::Result<()> {
    let name = &container.name;
    for dir in [places.scratch(name), places.temporary(name)] {
        fs::create_dir_all(&dir)?;
        owner.take(&dir)?;
    }
    fs::set_permissions(places.temporary(name), fs::Permissions::from_mode(0o1777))?;
    fs::create_dir_all(&places.logs)?;
    fs::File::create(places.termination_log(name))?;
    owner.take(&places.termination_log(name))?;
    for mount in container.volume_mounts.iter().flatten() {
        if let Some(sub) = mount.sub_path.as_deref().and_then(volumes::below) {
            let volume = places.volumes().join(&mount.name);
            match volume.join(&sub).canonicalize() {
                // An earlier container may have left a link.
                Ok(found) if !found.starts_with(volume.canonicalize()?) => {
                    return Err(io::Error::other("subPath leads out of its volume"));
                }
                Ok(_) => {}
                Err(_) => volumes::make_inside(&volume, &sub, owner)?,
            }
        }
    }
    Ok(())
}
