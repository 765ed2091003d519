//! Which addresses are of this machine and its link alone.
//!
//! Who may name a repository must not thereby reach what only this machine can: its own services, or
//! the cloud's on its link.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

/// Says that a host is at an address that is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is an address of this machine or its link")]
pub struct Local(pub IpAddr);

impl Local {
    /// The refusal that an error of a client comes from.
    pub fn behind(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(local) = error.downcast_ref() {
                return Some(*local);
            }
            cause = error.source();
        }
        None
    }
}

/// The addresses of a host that may be connected to; if there is none, one that may not.
pub fn allowed(
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Option<Local>> {
    let (local, good): (Vec<_>, Vec<_>) = addresses.partition(|it| is_local(it.ip()));
    if good.is_empty() {
        return Err(local.first().map(|it| Local(it.ip())));
    }
    Ok(good)
}

/// The address that a host of a URL is, where that is local. Names are no addresses.
pub fn local_literal(host: &str) -> Option<Local> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = bare.parse().ok()?;
    is_local(address).then_some(Local(address))
}

/// Whether an address is of this machine or its link alone.
pub fn is_local(address: IpAddr) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_addresses() {
        for local in ["127.0.0.1", "[::1]", "169.254.169.254"] {
            assert!(local_literal(local).is_some(), "{local}");
        }
        for other in ["10.0.0.1", "[fd00::1]", "localhost", "example.com"] {
            assert_eq!(local_literal(other), None);
        }
    }

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
