//! Reads what the cluster holds: one LIST per kind and one of run records; more only for what is to be
//! created, adopted, or deleted with Tasks of its own.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use futures::StreamExt;
use futures::TryStreamExt;
use futures::future::try_join_all;
use futures::stream;

use crate::api::labels;
use crate::cluster::Cluster;
use crate::cluster::Error;
use crate::cluster::Object;
use crate::cluster::Resource;
use crate::model::Key;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::names::cut;
use crate::model::object::DesiredSet;
use crate::model::run::RunRecord;
use crate::sync::Options;
use crate::sync::PARALLEL;
use crate::sync::view::View;
use crate::sync::view::key_of;
use crate::sync::world::Identity;
use crate::sync::world::Standing;
use crate::sync::world::World;
use crate::sync::world::is_running_for;
use crate::sync::world::record_of;
use crate::sync::world::sorted;
use crate::sync::world::standing;

/// Up to so many names of a kind are asked for one by one; more are found in a list of the kind.
const FEW: usize = 2;

/// Reads all that a plan from there to `set` has to know. Names that `seen` does not hold are nobody's.
pub(super) async fn read(
    cluster: &Cluster,
    set: &DesiredSet,
    identity: &Identity,
    options: &Options,
    seen: Option<&View>,
) -> Result<World, Error> {
    let mut world = members(cluster, identity).await?;
    let mut wanted = world.wanted(set, identity);
    if let Some(seen) = seen {
        let there = seen.keys();
        wanted.retain(|key| there.contains(key));
    }
    strangers(cluster, wanted, identity, options, &mut world).await?;
    world.running = running(cluster, set, identity, &world).await?;
    Ok(world)
}

/// The records of a sync's runs.
pub(super) async fn records(
    cluster: &Cluster,
    identity: &Identity,
) -> Result<BTreeMap<String, RunRecord>, Error> {
    let of_sync = identity.selector();
    let selector = format!("{}={},{of_sync}", labels::RECORD, labels::RECORD_RUN);
    let objects = cluster.list(Resource::Record, &selector).await?;
    Ok(sorted(objects.iter().map(record_of), identity).0)
}

/// The records of the runs of all syncs of the namespace.
async fn all_records(cluster: &Cluster) -> Result<Vec<Object>, Error> {
    let of_any = labels::SYNC;
    let selector = format!("{}={},{of_any}", labels::RECORD, labels::RECORD_RUN);
    cluster.list(Resource::Record, &selector).await
}

/// The objects of a kind that carry the label of the sync.
pub(super) async fn labelled(
    cluster: &Cluster,
    kind: Kind,
    identity: &Identity,
) -> Result<Vec<Object>, Error> {
    cluster
        .list(Resource::Declared(kind), &identity.selector())
        .await
}

async fn members(cluster: &Cluster, identity: &Identity) -> Result<World, Error> {
    let kinds = try_join_all(Kind::ALL.map(|kind| async move {
        let objects = labelled(cluster, kind, identity).await?;
        Ok(objects.into_iter().map(move |object| (kind, object)))
    }));
    let (kinds, records) = futures::try_join!(kinds, all_records(cluster))?;
    let (records, elsewhere) = sorted(records.iter().map(record_of), identity);
    Ok(World {
        objects: kinds
            .into_iter()
            .flatten()
            .filter_map(|(kind, object)| Some((key_of(kind, &object)?, object)))
            .collect(),
        records,
        elsewhere,
        running: BTreeMap::new(),
    })
}

/// Finds what the sync's label does not: by name where there are few, else in a list of metadata.
async fn strangers(
    cluster: &Cluster,
    wanted: BTreeSet<Key>,
    identity: &Identity,
    options: &Options,
    world: &mut World,
) -> Result<(), Error> {
    let mut by_kind: BTreeMap<Kind, BTreeSet<Key>> = BTreeMap::new();
    for key in wanted {
        by_kind.entry(key.kind).or_default().insert(key);
    }
    let found = try_join_all(by_kind.into_iter().map(|(kind, keys)| async move {
        if keys.len() <= FEW {
            return Ok(keys.into_iter().map(|key| (key, None)).collect());
        }
        let objects = cluster.list_metadata(Resource::Declared(kind)).await?;
        let found = objects
            .into_iter()
            .filter_map(|object| Some((key_of(kind, &object)?, Some(object))))
            .filter(|(key, _)| keys.contains(key));
        Ok::<Vec<_>, Error>(found.collect())
    }))
    .await?;
    let whole: Vec<Option<(Key, Object)>> = stream::iter(found.into_iter().flatten())
        .map(|(key, metadata)| async move {
            if let Some(object) = metadata
                // What stays blocked need not be compared.
                && let Standing::Blocked(_) = standing(&key, &object, identity, options.adopt)
            {
                return Ok(Some((key, object)));
            }
            Ok::<_, Error>(cluster.get(&key).await?.map(|object| (key, object)))
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    world.objects.extend(whole.into_iter().flatten());
    Ok(())
}

/// Counts the unfinished Tasks of the spawners that are to be deleted.
async fn running(
    cluster: &Cluster,
    set: &DesiredSet,
    identity: &Identity,
    world: &World,
) -> Result<BTreeMap<ObjectName, usize>, Error> {
    stream::iter(world.spawners_leaving(identity, set))
        .map(|name| async move {
            let selector = format!("{}={}", labels::TASK_SPAWNER, cut(name.as_str()));
            let tasks = cluster
                .list(Resource::Declared(Kind::Task), &selector)
                .await?;
            let unfinished = tasks.iter().filter(|it| is_running_for(&name, it)).count();
            Ok((name, unfinished))
        })
        .buffered(PARALLEL)
        .try_collect()
        .await
}
