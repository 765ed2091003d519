//! Where a host is, and whether it may be connected to.
//!
//! Who may name a repository must not thereby reach what only this machine can: its own services, or
//! the cloud's on its link.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
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

/// Says that a host is at an address that is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is an address of this machine or its link")]
pub(super) struct Local(pub(super) IpAddr);

/// Whether an address is of this machine or its link alone.
pub(super) fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unicast_link_local()
                || embedded(address).is_some_and(is_local_v4)
        }
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    // "0.0.0.0/8" is this machine, too.
    address.is_loopback() || address.is_link_local() || address.octets()[0] == 0
}

/// The address that a translator of networks (RFC 6052) would connect to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else {
        return None;
    };
    Some(Ipv4Addr::from_bits(
        (u32::from(high) << 16) | u32::from(low),
    ))
}

/// The addresses of `host` that may be connected to; if there is none, one that may not.
fn allowed(addresses: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Option<Local>> {
    let (local, good): (Vec<_>, Vec<_>) = addresses.partition(|it| is_local(it.ip()));
    if good.is_empty() {
        return Err(local.first().map(|it| Local(it.ip())));
    }
    Ok(good)
}

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

/// The refusal that an error of the http client comes from.
pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<IpAddr> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(Local(address)) = error.downcast_ref() {
            return Some(*address);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_machine_reaches() {
        let check = |text: &str, expected: bool| {
            assert_eq!(is_local(text.parse().unwrap()), expected, "{text}");
        };
        for local in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ] {
            check(local, true);
        }
        for outside in [
            "10.0.0.1",
            "192.168.1.1",
            "140.82.121.4",
            "fd00::1",
            "2606:50c0:8000::153",
            "64:ff9b::8c52:7904",
        ] {
            check(outside, false);
        }
    }
}
