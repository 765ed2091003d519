//! Where a host is, and whether it may be connected to.

use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use reqwest::dns::Addrs;
use reqwest::dns::Name;
use reqwest::dns::Resolve;
use reqwest::dns::Resolving;

use super::line::Failure;
use super::line::Line;
use super::line::told;
use crate::model::address::Local;
use crate::model::address::allowed;

/// The addresses of `host`; without those of this machine and its link, unless `local` are allowed.
pub(super) fn resolve(
    host: &str,
    port: u16,
    local: bool,
    line: &Line,
) -> io::Result<Vec<SocketAddr>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = (host, port).to_socket_addrs();
    let found = found.map_err(|error| line.fail(Failure::Unreachable(told(&error))))?;
    if local {
        return Ok(found.collect());
    }
    allowed(found).map_err(|refused| match refused {
        Some(Local(address)) => line.fail(Failure::Local(address)),
        None => line.fail(Failure::Unreachable("its host has no address".into())),
    })
}

/// Finds the addresses of hosts for http, without those of this machine and its link.
pub(super) struct Outside;

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::task::spawn_blocking(move || (host, 0).to_socket_addrs());
            match allowed(found.await??) {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(Some(refused)) => Err(refused.into()),
                Err(None) => Err(io::Error::from(io::ErrorKind::NotFound).into()),
            }
        })
    }
}

impl Outside {
    pub(super) fn shared() -> Arc<Self> {
        Arc::new(Self)
    }
}
