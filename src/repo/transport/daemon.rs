//! `git://`: plain TCP, without credential and without protection.

use std::io;
use std::io::BufWriter;
use std::net::TcpStream;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;

use super::address;
use super::line::Failure;
use super::line::Guard;
use super::line::Line;
use super::line::TICK;
use super::line::told;
use super::remote_path;
use crate::model::RepoUrl;
use crate::repo::Access;

/// Port of git's daemon.
const PORT: u16 = 9418;

pub(super) fn open(
    url: &RepoUrl,
    access: &Access,
    line: &Line,
) -> io::Result<Connection<Guard<TcpStream>, BufWriter<TcpStream>>> {
    let path = remote_path(url).ok_or_else(|| line.fail(no_path()))?;
    let stream = connect(url, access, line)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(line.silence()))?;
    // A request is many small writes and one flush: it goes out whole, and at once.
    stream.set_nodelay(true)?;
    let write = BufWriter::new(stream.try_clone()?);
    Ok(Connection::new(
        Guard::new(stream, line),
        write,
        Protocol::V2,
        path,
        Some((url.host(), url.port())),
        ConnectMode::Daemon,
        false,
    ))
}

/// Tries the addresses of the host one after the other.
fn connect(url: &RepoUrl, access: &Access, line: &Line) -> io::Result<TcpStream> {
    let unreachable = |error: &io::Error| line.fail(Failure::Unreachable(told(error)));
    let port = url.port().unwrap_or(PORT);
    let addresses = address::resolve(url.host(), port, access.local_addresses, line)?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        line.check()?;
        match TcpStream::connect_timeout(&address, line.silence()) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(unreachable(&last))
}

fn no_path() -> Failure {
    Failure::NoRepository("its path has characters that no path has".into())
}
