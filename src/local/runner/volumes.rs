//! The volumes of a Pod as directories on this machine.
//!
//! They are filled before the first container starts, and brought up to date while the Pod runs, as a
//! kubelet does it: whoever reads a file finds the old or the new one, whole. Kinds that need more than a
//! directory (claims, host paths, tokens of service accounts) are refused by name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::DownwardAPIVolumeFile;
use k8s_openapi::api::core::v1::KeyToPath;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::Volume;
use k8s_openapi::api::core::v1::VolumeProjection;
use thiserror::Error;

use super::fields;
use super::isolation::Owner;
use super::sources::Sources;

/// The mode of files that nobody gave another.
const DEFAULT_MODE: i32 = 0o644;
/// The mode of a file while it is written.
const OWN_EYES: u32 = 0o600;
/// What it is called until then: no key has such a name.
const NEW: &str = "..new";

/// Why a volume cannot be made. What is missing may appear, so it is tried again.
#[derive(Debug, Error)]
pub(super) enum Error {
    #[error("{kind} \"{name}\" not found")]
    NoObject { kind: &'static str, name: String },
    #[error("{kind} \"{name}\" has no key \"{key}\"")]
    NoKey {
        kind: &'static str,
        name: String,
        key: String,
    },
    #[error("volume \"{0}\" is of a kind that this node does not offer")]
    Unsupported(String),
    #[error("path \"{0}\" leaves its volume")]
    Path(String),
    #[error("cannot write volume \"{name}\"")]
    Write {
        name: String,
        #[source]
        source: io::Error,
    },
}

/// One file of a volume.
struct Entry {
    content: Vec<u8>,
    mode: u32,
}

/// The files of one volume by path. Holds secret values: not to be printed.
type Files = BTreeMap<PathBuf, Entry>;

/// Makes the directories of all volumes below `dir`.
pub(super) fn make(dir: &Path, pod: &Pod, sources: &Sources, owner: Owner) -> Result<(), Error> {
    let volumes = pod.spec.as_ref().and_then(|it| it.volumes.as_deref());
    for volume in volumes.unwrap_or_default() {
        let files = files(volume, pod, sources)?;
        write(&dir.join(&volume.name), &files, owner).map_err(|source| Error::Write {
            name: volume.name.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Whether containers may write to the volume: those that hold copies of objects are read-only.
pub(super) fn is_writable(pod: &Pod, name: &str) -> bool {
    let volumes = pod.spec.as_ref().and_then(|it| it.volumes.as_deref());
    let mut all = volumes.unwrap_or_default().iter();
    all.any(|it| it.name == name && it.empty_dir.is_some())
}

/// Removes the volumes that hold copies of Secrets and the like, once nobody reads them.
pub(super) fn clear(dir: &Path, pod: &Pod) {
    let volumes = pod.spec.as_ref().and_then(|it| it.volumes.as_deref());
    for volume in volumes.unwrap_or_default() {
        if volume.empty_dir.is_none() {
            // What stays is removed with the directory of the Pod.
            let _ = fs::remove_dir_all(dir.join(&volume.name));
        }
    }
}

/// Brings what holds copies of objects up to date. What is missing by now stays as it was.
pub(super) fn refresh(dir: &Path, pod: &Pod, sources: &Sources, owner: Owner) -> Result<(), Error> {
    let volumes = pod.spec.as_ref().and_then(|it| it.volumes.as_deref());
    for volume in volumes.unwrap_or_default() {
        let Ok(files) = files(volume, pod, sources) else {
            continue;
        };
        if volume.empty_dir.is_some() {
            continue;
        }
        let dir = dir.join(&volume.name);
        let done = write(&dir, &files, owner).and_then(|()| remove_others(&dir, &dir, &files));
        done.map_err(|source| Error::Write {
            name: volume.name.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Whether any volume of the Pod holds copies of objects.
pub(super) fn has_copies(pod: &Pod) -> bool {
    let volumes = pod.spec.as_ref().and_then(|it| it.volumes.as_deref());
    let mut all = volumes.unwrap_or_default().iter();
    all.any(|it| it.empty_dir.is_none())
}

/// Removes the files of keys that have gone.
fn remove_others(root: &Path, dir: &Path, files: &Files) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(root, &path, files)?;
        } else if !path
            .strip_prefix(root)
            .is_ok_and(|it| files.contains_key(it))
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn files(volume: &Volume, pod: &Pod, sources: &Sources) -> Result<Files, Error> {
    let mut files = Files::new();
    if volume.empty_dir.is_some() {
        return Ok(files);
    }
    if let Some(it) = &volume.secret {
        let name = it.secret_name.as_deref().unwrap_or_default();
        let mode = it.default_mode.unwrap_or(DEFAULT_MODE);
        let keys = Keys::new("secret", name, it.items.as_deref(), it.optional);
        keys.take(sources.secret(name), mode, &mut files)?;
    } else if let Some(it) = &volume.config_map {
        let mode = it.default_mode.unwrap_or(DEFAULT_MODE);
        let keys = Keys::new("configmap", &it.name, it.items.as_deref(), it.optional);
        keys.take(sources.config_map(&it.name), mode, &mut files)?;
    } else if let Some(it) = &volume.downward_api {
        let mode = it.default_mode.unwrap_or(DEFAULT_MODE);
        downward(volume, it.items.as_deref(), mode, pod, &mut files)?;
    } else if let Some(it) = &volume.projected {
        let mode = it.default_mode.unwrap_or(DEFAULT_MODE);
        for source in it.sources.iter().flatten() {
            project(volume, source, mode, pod, sources, &mut files)?;
        }
    } else {
        return Err(Error::Unsupported(volume.name.clone()));
    }
    Ok(files)
}

fn project(
    volume: &Volume,
    source: &VolumeProjection,
    mode: i32,
    pod: &Pod,
    sources: &Sources,
    files: &mut Files,
) -> Result<(), Error> {
    if let Some(it) = &source.secret {
        let keys = Keys::new("secret", &it.name, it.items.as_deref(), it.optional);
        keys.take(sources.secret(&it.name), mode, files)
    } else if let Some(it) = &source.config_map {
        let keys = Keys::new("configmap", &it.name, it.items.as_deref(), it.optional);
        keys.take(sources.config_map(&it.name), mode, files)
    } else if let Some(it) = &source.downward_api {
        downward(volume, it.items.as_deref(), mode, pod, files)
    } else {
        Err(Error::Unsupported(volume.name.clone()))
    }
}

/// Which keys of an object become files.
struct Keys<'a> {
    kind: &'static str,
    name: &'a str,
    items: Option<&'a [KeyToPath]>,
    optional: bool,
}

impl<'a> Keys<'a> {
    fn new(
        kind: &'static str,
        name: &'a str,
        items: Option<&'a [KeyToPath]>,
        optional: Option<bool>,
    ) -> Self {
        Self {
            kind,
            name,
            items: items.filter(|it| !it.is_empty()),
            optional: optional == Some(true),
        }
    }

    fn take(
        &self,
        content: Option<&BTreeMap<String, Vec<u8>>>,
        mode: i32,
        files: &mut Files,
    ) -> Result<(), Error> {
        let Some(content) = content else {
            if self.optional {
                return Ok(());
            }
            return Err(Error::NoObject {
                kind: self.kind,
                name: self.name.to_owned(),
            });
        };
        let Some(items) = self.items else {
            for (key, value) in content {
                add(files, key, value.clone(), mode)?;
            }
            return Ok(());
        };
        for item in items {
            match content.get(&item.key) {
                Some(value) => {
                    add(files, &item.path, value.clone(), item.mode.unwrap_or(mode))?;
                }
                None if self.optional => {}
                None => {
                    return Err(Error::NoKey {
                        kind: self.kind,
                        name: self.name.to_owned(),
                        key: item.key.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn downward(
    volume: &Volume,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: i32,
    pod: &Pod,
    files: &mut Files,
) -> Result<(), Error> {
    for item in items.unwrap_or_default() {
        let field = item.field_ref.as_ref();
        let resource = item.resource_field_ref.as_ref();
        let value = field
            .and_then(|it| fields::field(pod, &it.field_path))
            .or_else(|| fields::resource(pod, None, resource?))
            .ok_or_else(|| Error::Unsupported(volume.name.clone()))?;
        add(
            files,
            &item.path,
            value.into_bytes(),
            item.mode.unwrap_or(mode),
        )?;
    }
    Ok(())
}

fn add(files: &mut Files, path: &str, content: Vec<u8>, mode: i32) -> Result<(), Error> {
    let plain = below(path).ok_or_else(|| Error::Path(path.to_owned()))?;
    let mode = u32::try_from(mode & 0o777).unwrap_or_default();
    files.insert(plain, Entry { content, mode });
    Ok(())
}

/// A path that stays below where it starts.
pub(super) fn below(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (plain && path.components().next().is_some()).then(|| path.to_owned())
}

fn write(dir: &Path, files: &Files, owner: Owner) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    owner.take(dir)?;
    for (path, entry) in files {
        make_inside(dir, path.parent().unwrap_or(Path::new("")), owner)?;
        let path = dir.join(path);
        if !is_as(&path, entry) {
            // Beside it first: whoever reads it meanwhile finds a whole one.
            let new = dir.join(NEW);
            if let Err(error) = fs::remove_file(&new)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(OWN_EYES)
                .open(&new)?;
            file.write_all(&entry.content)?;
            // Whatever the mask of this process is.
            file.set_permissions(fs::Permissions::from_mode(entry.mode))?;
            owner.take(&new)?;
            fs::rename(&new, &path)?;
        }
    }
    Ok(())
}

/// Whether the file is there already.
fn is_as(path: &Path, entry: &Entry) -> bool {
    let is_same = |found: fs::Metadata| {
        found.is_file()
            && found.len() == entry.content.len() as u64
            && found.permissions().mode() & 0o777 == entry.mode
    };
    fs::symlink_metadata(path).is_ok_and(is_same)
        && fs::read(path).is_ok_and(|it| it == entry.content)
}

/// Makes a directory in a volume and those above it. A link that a container left there is not followed.
pub(super) fn make_inside(volume: &Path, below: &Path, owner: Owner) -> io::Result<()> {
    let mut at = volume.to_owned();
    for part in below.components() {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(_) => {
                fs::create_dir(&at)?;
                owner.take(&at)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn made(volume: Value) -> Result<BTreeMap<String, String>, String> {
        let mut volume = volume;
        volume["name"] = json!("v");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {"a": "b"}},
            "spec": {"containers": [], "volumes": [volume]}}))
        .unwrap();
        let mut sources = Sources::default();
        let secret = json!({"data": {"token": "czNjcmV0", "other": "eA=="}});
        sources.add_secret("s", serde_json::from_value(secret).unwrap());
        let map = json!({"data": {"A": "map"}});
        sources.add_config_map("m", serde_json::from_value(map).unwrap());
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), &pod, &sources, Owner::default()).map_err(|error| error.to_string())?;
        make(dir.path(), &pod, &sources, Owner::default()).map_err(|error| error.to_string())?;
        let root = dir.path().join("v");
        let mut found = BTreeMap::new();
        collect(&root, &root, &mut found);
        Ok(found)
    }

    fn collect(root: &Path, dir: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                let text = fs::read_to_string(&path).unwrap();
                found.insert(name.to_owned(), format!("{mode:o} {text}"));
            }
        }
    }

    fn check(volume: Value, expected: &[(&str, &str)]) {
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        assert_eq!(made(volume), Ok(expected));
    }

    fn check_error(volume: Value, expected: &str) {
        assert_eq!(made(volume), Err(expected.to_owned()));
    }

    #[test]
    fn each_kind_has_its_files() {
        check(json!({"emptyDir": {}}), &[]);
        check(
            json!({"secret": {"secretName": "s", "defaultMode": 0o400}}),
            &[("token", "400 s3cret"), ("other", "400 x")],
        );
        check(
            json!({"configMap": {"name": "m", "items": [{"key": "A", "path": "deep/a", "mode": 0o600}]}}),
            &[("deep/a", "600 map")],
        );
        check(
            json!({"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}),
            &[("labels", "644 a=\"b\"")],
        );
        check(
            json!({"projected": {"sources": [
                {"secret": {"name": "s", "items": [{"key": "token", "path": "t"}]}},
                {"configMap": {"name": "m"}}, {"configMap": {"name": "no", "optional": true}}]}}),
            &[("t", "644 s3cret"), ("A", "644 map")],
        );
    }

    #[test]
    fn what_cannot_be_is_named() {
        check_error(
            json!({"secret": {"secretName": "no"}}),
            "secret \"no\" not found",
        );
        check_error(
            json!({"secret": {"secretName": "s", "items": [{"key": "no", "path": "x"}]}}),
            "secret \"s\" has no key \"no\"",
        );
        check_error(
            json!({"secret": {"secretName": "s", "items": [{"key": "token", "path": "../x"}]}}),
            "path \"../x\" leaves its volume",
        );
        check_error(
            json!({"hostPath": {"path": "/"}}),
            "volume \"v\" is of a kind that this node does not offer",
        );
    }

    #[test]
    fn what_changes_comes_into_volumes_that_are_there() {
        let volume = |name: &str| {
            let secret = json!({"secret": {"name": name, "optional": true}});
            json!({"name": "v", "projected": {"sources": [secret]}})
        };
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [], "volumes": [volume("s"), {"name": "e", "emptyDir": {}}]}}))
        .unwrap();
        let of = |data: Value| {
            let mut sources = Sources::default();
            sources.add_secret("s", serde_json::from_value(json!({"data": data})).unwrap());
            sources
        };
        let dir = tempfile::tempdir().unwrap();
        let seen = || {
            let root = dir.path().join("v");
            let mut found = BTreeMap::new();
            collect(&root, &root, &mut found);
            found.into_values().collect::<Vec<_>>()
        };
        let owner = Owner::default();
        make(
            dir.path(),
            &pod,
            &of(json!({"a": "eA==", "b": "eQ=="})),
            owner,
        )
        .unwrap();
        fs::write(dir.path().join("e/own"), "mine").unwrap();
        assert_eq!(seen(), ["644 x", "644 y"]);
        let before = fs::File::open(dir.path().join("v/a")).unwrap();
        refresh(dir.path(), &pod, &of(json!({"a": "eno="})), owner).unwrap();
        assert_eq!(seen(), ["644 zz"]);
        // Whoever had it open reads on in the old one.
        assert_eq!(before.metadata().unwrap().len(), 1);
        assert_eq!(
            fs::read_to_string(dir.path().join("e/own")).unwrap(),
            "mine"
        );
    }
}
