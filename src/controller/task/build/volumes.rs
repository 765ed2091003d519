//! The volumes of a Task's Pod: ours, and those of `podOverrides`.

use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use k8s_openapi::api::core::v1::KeyToPath;
use k8s_openapi::api::core::v1::SecretVolumeSource;
use k8s_openapi::api::core::v1::Volume;
use k8s_openapi::api::core::v1::VolumeMount;

use super::pod::AXON_DIR;
use super::pod::GIT_DIR;
use super::pod::WORKSPACE_DIR;
use crate::api::pod_overrides::PodMount;
use crate::api::pod_overrides::PodOverrides;
use crate::api::pod_overrides::PodVolume;
use crate::controller::task::needs::GitSecret;

const WORKSPACE: &str = "workspace";
const AXON: &str = "axon";
const GIT: &str = "axon-git";
/// What owner and group may do with the files of a git Secret: read. The group is the agent's.
const GIT_MODE: i32 = 0o440;

/// All volumes of the Pod.
pub(super) fn of_pod(git: Option<&GitSecret>, overrides: Option<&PodOverrides>) -> Vec<Volume> {
    let mut volumes = vec![empty_dir(WORKSPACE), empty_dir(AXON)];
    volumes.extend(git.map(git_secret));
    let users = overrides.iter().flat_map(|it| &it.volumes);
    volumes.extend(users.map(of_user));
    volumes
}

/// What the checkout sees of them.
pub(super) fn of_checkout(git: Option<&GitSecret>) -> Vec<VolumeMount> {
    let mut mounts = vec![
        mount(WORKSPACE, WORKSPACE_DIR, false),
        mount(AXON, AXON_DIR, false),
    ];
    mounts.extend(git.map(|_| mount(GIT, GIT_DIR, true)));
    mounts
}

/// What the agent sees of them.
pub(super) fn of_agent(
    git: Option<&GitSecret>,
    overrides: Option<&PodOverrides>,
) -> Vec<VolumeMount> {
    let mut mounts = vec![
        mount(WORKSPACE, WORKSPACE_DIR, false),
        mount(AXON, AXON_DIR, true),
    ];
    mounts.extend(git.map(|_| mount(GIT, GIT_DIR, true)));
    let users = overrides.iter().flat_map(|it| &it.volume_mounts);
    mounts.extend(users.map(of_users_mount));
    mounts
}

/// Where the agent finds secret values as files: such files, and directories of them.
pub(super) fn secret_paths(
    git: Option<&GitSecret>,
    overrides: Option<&PodOverrides>,
) -> impl Iterator<Item = String> {
    let volumes = overrides
        .map(|it| it.volumes.as_slice())
        .unwrap_or_default();
    let is_secret = |name: &str| {
        let volume = volumes.iter().find(|it| it.name == name);
        volume.is_some_and(|it| it.secret.is_some())
    };
    let mounts = overrides.into_iter().flat_map(|it| &it.volume_mounts);
    let users = mounts
        .filter(move |it| is_secret(&it.name))
        .map(|it| it.mount_path.clone());
    let git = git.map(|it| format!("{GIT_DIR}/{}", it.kind.secret()));
    git.into_iter().chain(users)
}

/// Only the keys that let git in. The kubelet brings the volume up to date when the Secret changes.
fn git_secret(git: &GitSecret) -> Volume {
    let items = git.kind.names().iter().map(|key| KeyToPath {
        key: (*key).to_owned(),
        path: (*key).to_owned(),
        mode: None,
    });
    Volume {
        name: GIT.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(git.secret.clone()),
            items: Some(items.collect()),
            default_mode: Some(GIT_MODE),
            optional: None,
        }),
        ..Volume::default()
    }
}

fn of_user(volume: &PodVolume) -> Volume {
    let PodVolume {
        name,
        empty_dir,
        config_map,
        secret,
        persistent_volume_claim,
    } = volume.clone();
    Volume {
        name,
        empty_dir,
        config_map,
        secret,
        persistent_volume_claim,
        ..Volume::default()
    }
}

fn of_users_mount(mount: &PodMount) -> VolumeMount {
    let PodMount {
        name,
        mount_path,
        sub_path,
        read_only,
    } = mount.clone();
    VolumeMount {
        name,
        mount_path,
        sub_path,
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn empty_dir(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
