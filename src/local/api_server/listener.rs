//! The HTTPS front: nothing is served without the client certificate or the token.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::StatusCode;
use http::header;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Server;
use super::error::ApiError;
use super::patience::Patience;
use super::reply;
use super::reply::Reply;

/// How many connections are open at once; more wait. A watch takes one; a process may often have
/// 1024 files.
const MAX_CONNECTIONS: usize = 768;
/// Connections that wait to be taken: as many as may be opened at once. The runtime's own number is 128, and the kernel
/// keeps those beyond it waiting for a second.
const BACKLOG: u32 = 1024;
/// How long a client may leave unread what it asked for.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// How many headers a request may have.
const MAX_HEADERS: usize = 64;
/// How long a client may take to shake hands, and to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a request's head is read.
const MAX_HEAD: usize = 64 << 10;
/// How long open requests may take to end when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be taken (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on a free port of 127.0.0.1.
pub(crate) fn bind() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then lets open requests end.
pub(crate) async fn serve(
    server: Server,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    token: String,
    stop: CancellationToken,
) {
    let front = Arc::new(Front {
        server,
        acceptor: TlsAcceptor::from(tls),
        token: Sha256::digest(token.as_bytes()).into(),
        stop: stop.clone(),
    });
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, slot)) = accepted else {
            continue;
        };
        let front = Arc::clone(&front);
        open.spawn(async move {
            front.connection(stream).await;
            drop(slot);
        });
    }
    open.close();
    if tokio::time::timeout(STOP_TIMEOUT, open.wait())
        .await
        .is_err()
    {
        tracing::debug!("connections were still open at the end");
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    let accepted = listener.accept().await.and_then(|(stream, _)| {
        // An event of a watch, or the end of a handshake, does not wait for the client to say that it
        // has the one before.
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    match accepted {
        Ok(stream) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

struct Front {
    server: Server,
    acceptor: TlsAcceptor,
    /// Digest of the token: what is compared takes the same time whatever is sent.
    token: [u8; 32],
    stop: CancellationToken,
}

impl Front {
    async fn connection(&self, stream: TcpStream) {
        let stream = Patience::new(stream, READ_TIMEOUT);
        let shaken = tokio::time::timeout(HEAD_TIMEOUT, self.acceptor.accept(stream)).await;
        let Ok(Ok(stream)) = shaken else {
            tracing::debug!("a client did not complete the TLS handshake");
            return;
        };
        let (_, tls) = stream.get_ref();
        let has_certificate = tls.peer_certificates().is_some_and(|it| !it.is_empty());
        let service = service_fn(|request| self.answer(request, has_certificate));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        has_certificate: bool,
    ) -> Result<Reply, std::convert::Infallible> {
        if !has_certificate && !self.has_token(&request) {
            let error = ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
            return Ok(reply::error(&error));
        }
        Ok(self.server.answer(request).await)
    }

    fn has_token(&self, request: &Request<Incoming>) -> bool {
        let sent = request.headers().get(header::AUTHORIZATION);
        let sent = sent.and_then(|it| it.to_str().ok());
        let sent = sent.and_then(|it| it.strip_prefix("Bearer "));
        sent.is_some_and(|sent| {
            let digest: [u8; 32] = Sha256::digest(sent.as_bytes()).into();
            digest == self.token
        })
    }
}
