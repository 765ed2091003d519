//! Files of a store, as a kill leaves them, changed in every way a disk or a hand may change them.
//!
//! What is served afterwards is what was acknowledged, all of it; otherwise the start fails and names
//! the file.

use std::fs;
use std::path::Path;

use axon::local::Cluster;
use axon::local::Options;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::api::ListParams;
use kube::api::PostParams;
use serde_json::json;

use super::Random;
use crate::counts;

const FILES: [&str; 3] = ["store.db", "store.db-wal", "lock"];
/// How many damages are tried on each of two stores.
const DAMAGES: u64 = 120;

/// Objects by name and revision, and the revision of the list.
type Content = (Vec<(String, String, String)>, String);

/// The content; the text of the error if it is not served.
async fn open(dir: &Path) -> Result<Content, String> {
    let options = Options {
        ephemeral: false,
        ..Options::control_plane(dir)
    };
    let cluster = match Cluster::start(options).await {
        Ok(cluster) => cluster,
        Err(error) => {
            let is_damaged = error.is_damaged_store();
            let text = format!("{:#}", anyhow::Error::from(error));
            assert!(is_damaged, "{text}");
            return Err(text);
        }
    };
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let list = maps.list(&ListParams::default()).await.unwrap();
    let shown = |map: &ConfigMap| {
        let data = serde_json::to_string(&map.data).unwrap();
        (map.name_any(), map.resource_version().unwrap(), data)
    };
    let content = list.items.iter().map(shown).collect();
    cluster.stop().await;
    Ok((content, list.metadata.resource_version.unwrap()))
}

fn copy(from: &Path, to: &Path) {
    for file in FILES {
        if from.join(file).exists() {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

/// Fills a store, and copies its files into `killed` while it is open.
async fn fill(dir: &Path, killed: &Path) {
    let options = Options {
        ephemeral: false,
        ..Options::control_plane(dir)
    };
    let cluster = Cluster::start(options).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    for index in 0..40 {
        let map = serde_json::from_value(json!({
            "metadata": {"name": format!("m{index}")}, "data": {"k": "v".repeat(index * 40)},
        }));
        let map = map.unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    for index in (0..40).step_by(7) {
        let gone = DeleteParams::default();
        maps.delete(&format!("m{index}"), &gone).await.unwrap();
    }
    copy(dir, killed);
    cluster.stop().await;
}

/// Changes one of the files in `dir`, and says how.
fn damage(dir: &Path, random: &mut Random) -> String {
    let there: Vec<_> = FILES.iter().filter(|it| dir.join(it).exists()).collect();
    let count = u64::try_from(there.len()).unwrap();
    let file = there[usize::try_from(random.below(count)).unwrap()];
    let path = dir.join(file);
    let mut bytes = fs::read(&path).unwrap();
    let length = u64::try_from(bytes.len()).unwrap();
    let at = usize::try_from(random.below(length.max(1))).unwrap();
    let how = match random.below(8) {
        0 => {
            fs::remove_file(&path).unwrap();
            return format!("{file} is gone");
        }
        1 | 2 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        3 => {
            let end = (at + 4096).min(bytes.len());
            bytes[at..end].fill(0);
            format!("zeros at {at}")
        }
        _ => {
            let flip = u8::try_from(1 + random.below(255)).unwrap();
            bytes[at] ^= flip;
            format!("byte {at} changed by {flip:#x}")
        }
    };
    fs::write(&path, bytes).unwrap();
    format!("{file}: {how}")
}

#[tokio::test]
async fn a_damaged_store_is_said_with_its_path_or_served_whole() {
    let (stopped, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(stopped.path(), killed.path()).await;
    let mut random = Random::new(0xda_4a6e);
    let (mut said, mut whole) = (0, 0);
    for from in [stopped.path(), killed.path()] {
        let intact = tempfile::tempdir().unwrap();
        copy(from, intact.path());
        let expected = open(intact.path()).await.unwrap();
        assert_eq!(expected.0.len(), 34);
        for _ in 0..DAMAGES {
            let dir = tempfile::tempdir().unwrap();
            copy(from, dir.path());
            let how = damage(dir.path(), &mut random);
            match open(dir.path()).await {
                Ok(content) => {
                    assert_eq!(content, expected, "{how}");
                    whole += 1;
                }
                Err(text) => {
                    let path = dir.path().to_str().unwrap();
                    assert!(text.contains(path), "{how}: {text}");
                    // It stays so: what the first start left behind is not served either.
                    assert!(
                        open(dir.path()).await.is_err(),
                        "{how}: served the second time"
                    );
                    said += 1;
                }
            }
        }
    }
    assert!(said > DAMAGES / 2, "{said} said, {whole} whole");
    let told = format!("{said} damages said, {whole} that touched nothing in use served whole");
    counts::tell("damaged store", &told);
}

/// What SQLite alone takes for an empty or an older store.
#[tokio::test]
async fn a_store_that_lost_its_end_is_not_served() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(dir.path(), killed.path()).await;
    let cut: [(&str, Option<u64>); 5] = [
        ("store.db-wal", None),
        ("store.db-wal", Some(0)),
        ("store.db-wal", Some(40_000)),
        ("store.db", None),
        ("store.db", Some(0)),
    ];
    for (file, length) in cut {
        let dir = tempfile::tempdir().unwrap();
        copy(killed.path(), dir.path());
        match length {
            None => fs::remove_file(dir.path().join(file)).unwrap(),
            Some(length) => {
                let file = fs::File::options().write(true).open(dir.path().join(file));
                file.unwrap().set_len(length).unwrap();
            }
        }
        let error = open(dir.path()).await.unwrap_err();
        assert!(
            error.contains("had been acknowledged"),
            "{file} {length:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_store_of_another_version_is_said_and_kept() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(dir.path(), killed.path()).await;
    let set = |layout: i64| {
        let file = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
        let sql = "UPDATE facts SET value = ?1 WHERE name = 'layout'";
        assert_eq!(file.execute(sql, [layout]).unwrap(), 1);
    };
    set(1);
    let error = open(dir.path()).await.unwrap_err();
    assert!(
        error.contains("was written by another version of this program: it has layout 1"),
        "{error}"
    );
    set(2);
    assert_eq!(open(dir.path()).await.unwrap().0.len(), 34);
}
