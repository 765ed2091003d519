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
use crate::model::Desired;
use crate::model::Key;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::object::DesiredSet;
use crate::model::run::Outcome;
use crate::model::run::RunDigest;
use crate::model::run::RunRecord;
use crate::model::run::record_key;
use crate::sync::Options;
use crate::sync::PARALLEL;
use crate::sync::decide::has_run;
use crate::sync::world::Identity;
use crate::sync::world::Standing;
use crate::sync::world::World;
use crate::sync::world::is_unfinished;
use crate::sync::world::standing;

/// Reads all that a plan from there to `set` has to know.
pub(super) async fn read(
    cluster: &Cluster,
    set: &DesiredSet,
    identity: &Identity,
    options: Options,
) -> Result<World, Error> {
    let mut world = members(cluster, identity).await?;
    strangers(cluster, set, identity, options, &mut world).await?;
    world.running = running(cluster, set, identity, &world).await?;
    Ok(world)
}

/// The records of a sync's runs.
pub(super) async fn records(
    cluster: &Cluster,
    identity: &Identity,
) -> Result<BTreeMap<String, RunRecord>, Error> {
    let selector = format!(
        "{}={},{}={}",
        labels::RECORD,
        labels::RECORD_RUN,
        labels::SYNC,
        identity.sync
    );
    let objects = cluster.list(Resource::Record, &selector).await?;
    Ok(objects
        .iter()
        .map(record)
        .map(|record| (record.name.clone(), record))
        .collect())
}

/// The objects of a kind that carry the label of the sync.
pub(super) async fn labelled(
    cluster: &Cluster,
    kind: Kind,
    identity: &Identity,
) -> Result<Vec<Object>, Error> {
    let selector = format!("{}={}", labels::SYNC, identity.sync);
    cluster.list(Resource::Declared(kind), &selector).await
}

async fn members(cluster: &Cluster, identity: &Identity) -> Result<World, Error> {
    let kinds = try_join_all(Kind::ALL.map(|kind| async move {
        let objects = labelled(cluster, kind, identity).await?;
        Ok(objects.into_iter().map(move |object| (kind, object)))
    }));
    let (kinds, records) = futures::try_join!(kinds, records(cluster, identity))?;
    Ok(World {
        objects: kinds
            .into_iter()
            .flatten()
            .filter_map(|(kind, object)| Some((key_of(kind, &object)?, object)))
            .collect(),
        records,
        running: BTreeMap::new(),
    })
}

/// Finds objects without our label that have the name of one that is to be created, and the
/// Workspaces that are named but not declared.
async fn strangers(
    cluster: &Cluster,
    set: &DesiredSet,
    identity: &Identity,
    options: Options,
    world: &mut World,
) -> Result<(), Error> {
    let mut wanted: BTreeSet<Key> = set
        .objects
        .iter()
        .filter(|it| is_new(it, identity, world))
        .map(|it| it.key.clone())
        .collect();
    wanted.extend(
        set.external_workspaces
            .iter()
            .map(|(name, _)| Key {
                kind: Kind::Workspace,
                name: name.clone(),
            })
            .filter(|key| !world.objects.contains_key(key)),
    );
    let kinds: BTreeSet<Kind> = wanted.iter().map(|key| key.kind).collect();
    let lists = try_join_all(kinds.into_iter().map(|kind| async move {
        let objects = cluster.list_metadata(Resource::Declared(kind)).await?;
        Ok(objects.into_iter().map(move |object| (kind, object)))
    }))
    .await?;
    let found: Vec<(Key, Object)> = lists
        .into_iter()
        .flatten()
        .filter_map(|(kind, object)| Some((key_of(kind, &object)?, object)))
        .filter(|(key, _)| wanted.contains(key))
        .collect();
    let whole: Vec<Option<(Key, Object)>> = stream::iter(found)
        .map(|(key, object)| async move {
            // What stays blocked need not be compared.
            if let Standing::Blocked(_) = standing(&key, &object, identity, options.adopt) {
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

fn is_new(desired: &Desired, identity: &Identity, world: &World) -> bool {
    !world.objects.contains_key(&desired.key) && has_run(desired, world, identity).is_none()
}

/// Counts the unfinished Tasks of the spawners that are to be deleted.
async fn running(
    cluster: &Cluster,
    set: &DesiredSet,
    identity: &Identity,
    world: &World,
) -> Result<BTreeMap<ObjectName, usize>, Error> {
    let spawners: Vec<ObjectName> = world
        .leaving(identity, set)
        .filter(|(key, _)| key.kind == Kind::TaskSpawner)
        .map(|(key, _)| key.name.clone())
        .collect();
    stream::iter(spawners)
        .map(|name| async move {
            let selector = format!("{}={name}", labels::TASK_SPAWNER);
            let tasks = cluster
                .list(Resource::Declared(Kind::Task), &selector)
                .await?;
            let unfinished = tasks.iter().filter(|task| is_unfinished(task)).count();
            Ok((name, unfinished))
        })
        .buffered(PARALLEL)
        .try_collect()
        .await
}

fn key_of(kind: Kind, object: &Object) -> Option<Key> {
    let name = ObjectName::parse(object.name()).ok()?;
    Some(Key { kind, name })
}

fn record(object: &Object) -> RunRecord {
    let field = |key: &str| object.text(&format!("/data/{key}"));
    let owned = |key: &str| field(key).unwrap_or_default().to_owned();
    RunRecord {
        name: object.name().to_owned(),
        task: owned(record_key::TASK),
        task_uid: owned(record_key::TASK_UID),
        run: RunDigest::from_annotation(field(record_key::RUN).unwrap_or_default()),
        outcome: match field(record_key::OUTCOME) {
            Some("Succeeded") => Outcome::Succeeded,
            Some("Failed") => Outcome::Failed,
            Some(_) | None => Outcome::Unknown,
        },
        finished: field(record_key::FINISHED).map(str::to_owned),
        item: field(record_key::ITEM).map(str::to_owned),
    }
}
