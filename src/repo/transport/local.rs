//! Servers that are no repository's: this very machine, and what hangs on its own link. A controller
//! that tenants name URLs to must not ask those for them, whatever a name resolves to.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;

use reqwest::dns::Addrs;
use reqwest::dns::Name;
use reqwest::dns::Resolve;
use reqwest::dns::Resolving;

/// All that a name stands for is local.
#[derive(Debug, thiserror::Error)]
#[error("the host is this machine, or on its own link")]
pub(super) struct Local;

/// Whether only this machine or its link is reached at the address: loopback, link-local (where clouds
/// serve credentials), and the address that stands for none.
fn is_local(address: IpAddr) -> bool {
    let v4 = |it: Ipv4Addr| it.is_loopback() || it.is_link_local() || it.is_unspecified();
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => v4(address),
            None => v6(address),
        },
    }
}

fn v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unspecified() || address.is_unicast_link_local()
}

/// Whether the host of a URL is an address of this kind. Names are looked at when they are resolved.
pub(super) fn is_local_literal(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse().is_ok_and(is_local)
}

/// The addresses of `host` that are not local.
pub(super) fn resolved(host: &str, port: u16) -> io::Result<Result<Vec<SocketAddr>, Local>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let all: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    Ok(away(all))
}

fn away(all: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Local> {
    let had_any = !all.is_empty();
    let away: Vec<SocketAddr> = all.into_iter().filter(|it| !is_local(it.ip())).collect();
    if away.is_empty() && had_any {
        Err(Local)
    } else {
        Ok(away)
    }
}

/// Resolves names for an HTTP client to what is not local.
pub(super) struct Away;

impl Resolve for Away {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            // Whoever connects puts the port of the URL in its place.
            let found = tokio::task::spawn_blocking(move || resolved(&name, 0)).await??;
            Ok(Box::new(found?.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_local() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:169.254.169.254]",
        ] {
            assert!(is_local_literal(host), "{host}");
        }
        for host in [
            "10.0.0.1",
            "192.168.1.1",
            "1.1.1.1",
            "[2001:db8::1]",
            "localhost",
            "x.io",
        ] {
            assert!(!is_local_literal(host), "{host}");
        }
        assert!(resolved("localhost", 80).unwrap().is_err());
    }

    #[test]
    fn a_name_with_two_faces_shows_the_other() {
        let all = ["127.0.0.1:1", "10.0.0.1:1"].map(|it| it.parse().unwrap());
        assert_eq!(away(all.to_vec()).unwrap(), [all[1]]);
        assert!(away(all[..1].to_vec()).is_err());
        assert!(away(Vec::new()).unwrap().is_empty());
    }
}
