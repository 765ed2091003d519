//! Connections: how many, how long, and which one goes when there are too many.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Front;

/// Connections that are open at once.
const MAX: usize = 256;
/// What a connection may keep others waiting when there are [`MAX`]: after that the oldest one goes
/// for the next that comes, so that slow clients do not keep out a probe of the kubelet's.
const GRACE: Duration = Duration::from_secs(1);
/// How long a client may take to send the head of a request, and a connection may rest.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection lasts; a request that is under way then has [`END`] to end.
const LIFE: Duration = Duration::from_mins(1);
/// Longer than a delivery may take to arrive.
const END: Duration = Duration::from_secs(15);
/// How many headers a request may have, and how many bytes its head; GitHub sends a dozen in 1 KiB.
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 << 10;
/// How long open requests may take to end when the process stops.
const STOP: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be taken (out of file descriptors).
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait to be taken; the kernel loses those beyond it, and with them deliveries, which senders do not
/// repeat. The runtime's own number is 128.
const BACKLOG: u32 = 1024;

/// Listens on `address`.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then lets open requests end.
pub(super) async fn serve(front: Front, listener: TcpListener, stop: CancellationToken) {
    let front = Arc::new(front);
    let mut open = Open::default();
    loop {
        let room = open.room();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = open.tasks.join_next(), if !open.tasks.is_empty() => tell(ended),
            accepted = accept(&listener, room) => match accepted {
                Ok(stream) => {
                    let (front, stop) = (Arc::clone(&front), stop.clone());
                    open.take(connection(front, stream, stop));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let ending = async {
        while let Some(ended) = open.tasks.join_next().await {
            tell(ended);
        }
    };
    if timeout(STOP, ending).await.is_err() {
        tracing::debug!("connections were still open at the end");
    }
}

/// The connections that are open.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    /// The oldest first.
    since: VecDeque<(Instant, AbortHandle)>,
}

impl Open {
    /// When the next connection may be taken.
    fn room(&self) -> Instant {
        match self.since.front() {
            Some((since, _)) if self.tasks.len() >= MAX => *since + GRACE,
            Some(_) | None => Instant::now(),
        }
    }

    fn take(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.since.retain(|(_, task)| !task.is_finished());
        if self.since.len() >= MAX
            && let Some((_, oldest)) = self.since.pop_front()
        {
            oldest.abort();
        }
        let task = self.tasks.spawn(connection);
        self.since.push_back((Instant::now(), task));
    }
}

async fn accept(listener: &TcpListener, from: Instant) -> io::Result<TcpStream> {
    sleep_until(from).await;
    listener.accept().await.map(|(stream, _)| stream)
}

async fn connection(front: Arc<Front>, stream: TcpStream, stop: CancellationToken) {
    let service = service_fn(|request| front.answer(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => Ok(served),
        () = ends(&stop) => {
            connection.as_mut().graceful_shutdown();
            timeout(END, connection).await
        }
    };
    match served {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        Err(_) => tracing::debug!("a connection did not end in time"),
    }
}

/// When a connection is asked to end.
async fn ends(stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = sleep(LIFE) => {}
    }
}

fn tell(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection panicked");
    }
}
