//! What a RepoSync that goes leaves behind though it was to delete its objects: those that carry its id
//! and were declared elsewhere. They are not provably its own; but nobody is to find them by chance.

use crate::api::labels;
use crate::cluster;
use crate::cluster::Cluster;
use crate::cluster::Resource;
use crate::controller::repo_sync::delete::Owner;
use crate::controller::repo_sync::delete::Removal;
use crate::model::Home;
use crate::model::Key;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::Origin;

/// Objects that are named; the rest is counted.
const MAX_NAMED: usize = 5;

/// What is to be said of them; nothing where there are none.
pub(super) async fn of(cluster: &Cluster, owner: &Owner) -> Option<Removal> {
    match find(cluster, owner).await {
        Ok(left) if left.is_empty() => None,
        Ok(left) => Some(Removal::GivenUp(told(&left, owner))),
        Err(error) => {
            tracing::warn!(%error, "cannot see what a RepoSync that goes leaves behind");
            None
        }
    }
}

async fn find(cluster: &Cluster, owner: &Owner) -> Result<Vec<(Key, Origin)>, cluster::Error> {
    let home = Home::new(&owner.source, &owner.root);
    let selector = format!("{}={}", labels::SYNC, owner.id);
    let mut left = Vec::new();
    for kind in Kind::ALL {
        let objects = cluster.list(Resource::Declared(kind), &selector).await?;
        for object in objects.iter().filter(|it| !it.is_terminating()) {
            let Ok(name) = ObjectName::parse(object.name()) else {
                continue;
            };
            let key = Key { kind, name };
            let origin = object.annotation(labels::ORIGIN);
            let origin = origin.map(Origin::from_annotation);
            // A copy that somebody made is not meant by any configuration.
            if let Some(origin) = origin.filter(|it| it.names(&key))
                && origin != home.origin(&key)
            {
                left.push((key, origin));
            }
        }
    }
    Ok(left)
}

fn told(left: &[(Key, Origin)], owner: &Owner) -> String {
    let named = left.iter().take(MAX_NAMED);
    let named: Vec<String> = named
        .map(|(key, origin)| format!("{key} (from \"{origin}\")"))
        .collect();
    let more = left.len().saturating_sub(MAX_NAMED);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "they carry the sync id \"{}\", but were declared elsewhere: {}{more}",
        owner.id,
        named.join(", ")
    )
}
