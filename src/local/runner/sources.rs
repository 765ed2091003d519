//! The Secrets and ConfigMaps that a Pod names, read once before they are needed.
//!
//! Holds secret values: nothing here can be printed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::core::v1::Volume;
use kube::Api;
use kube::Client;

type Content = BTreeMap<String, Vec<u8>>;

/// Names of Secrets and ConfigMaps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    secrets: BTreeSet<String>,
    config_maps: BTreeSet<String>,
}

/// What they hold; a name without an object is absent.
#[derive(Default)]
pub(super) struct Sources {
    secrets: BTreeMap<String, Content>,
    config_maps: BTreeMap<String, Content>,
}

impl Wanted {
    /// All that the environment of a container refers to.
    pub(super) fn by_container(container: &Container) -> Self {
        let mut wanted = Self::default();
        for from in container.env_from.iter().flatten() {
            if let Some(it) = &from.secret_ref {
                wanted.secrets.insert(it.name.clone());
            }
            if let Some(it) = &from.config_map_ref {
                wanted.config_maps.insert(it.name.clone());
            }
        }
        for from in container
            .env
            .iter()
            .flatten()
            .filter_map(|it| it.value_from.as_ref())
        {
            if let Some(it) = &from.secret_key_ref {
                wanted.secrets.insert(it.name.clone());
            }
            if let Some(it) = &from.config_map_key_ref {
                wanted.config_maps.insert(it.name.clone());
            }
        }
        wanted
    }

    /// All that the volumes are filled from.
    pub(super) fn by_volumes(volumes: &[Volume]) -> Self {
        let mut wanted = Self::default();
        for volume in volumes {
            if let Some(name) = volume
                .secret
                .as_ref()
                .and_then(|it| it.secret_name.as_ref())
            {
                wanted.secrets.insert(name.clone());
            }
            if let Some(it) = &volume.config_map {
                wanted.config_maps.insert(it.name.clone());
            }
            let projected = volume.projected.as_ref().and_then(|it| it.sources.as_ref());
            for source in projected.into_iter().flatten() {
                if let Some(it) = &source.secret {
                    wanted.secrets.insert(it.name.clone());
                }
                if let Some(it) = &source.config_map {
                    wanted.config_maps.insert(it.name.clone());
                }
            }
        }
        wanted
    }

    /// Reads them from the API server.
    pub(super) async fn read(
        &self,
        client: &Client,
        namespace: &str,
    ) -> Result<Sources, kube::Error> {
        let mut sources = Sources::default();
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        for name in &self.secrets {
            if let Some(it) = secrets.get_opt(name).await? {
                sources.add_secret(name, it);
            }
        }
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        for name in &self.config_maps {
            if let Some(it) = config_maps.get_opt(name).await? {
                sources.add_config_map(name, it);
            }
        }
        Ok(sources)
    }
}

impl Sources {
    pub(super) fn secret(&self, name: &str) -> Option<&Content> {
        self.secrets.get(name)
    }

    pub(super) fn config_map(&self, name: &str) -> Option<&Content> {
        self.config_maps.get(name)
    }

    pub(super) fn add_secret(&mut self, name: &str, secret: Secret) {
        let content = secret
            .data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.0));
        self.secrets.insert(name.to_owned(), content.collect());
    }

    pub(super) fn add_config_map(&mut self, name: &str, map: ConfigMap) {
        let texts = map
            .data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.into_bytes()));
        let binary = map
            .binary_data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.0));
        self.config_maps
            .insert(name.to_owned(), texts.chain(binary).collect());
    }
}
