//! What a replica answers over HTTP: webhook deliveries, and whether it is alive and ready.
//!
//! Every replica serves, not only the one that leads: a delivery ends in an annotation on its
//! RepoSync, and whoever leads acts on that. Strangers can reach this. So everything is bounded
//! before it is looked at, nothing that a stranger sends becomes part of a request to the API server,
//! and all that is refused is refused with one answer, after one time.
//!
//! By hyper alone: three paths that are compared byte for byte need no router, and limits on heads,
//! connections and their ends are set at this level anyway.

mod answer;
mod body;
mod coalesce;
mod delivery;
mod hooks;
mod keys;
mod known;
mod listener;
mod route;
mod signature;
mod trigger;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use http::Request;
use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::answer::Answer;
use self::hooks::Hooks;
use self::known::Known;
use self::route::Route;
use super::options::Options;

/// Listens on `address`.
///
/// # Errors
///
/// The address is in use, or not one of this machine.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    listener::bind(address)
}

/// Serves on `listener` until `stop`, then lets open requests end.
pub async fn serve(
    client: Client,
    options: &Options,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let (known, watch) = Known::watch(options.scope(&client));
    let front = Front {
        known: known.clone(),
        hooks: Hooks::new(client, known),
    };
    tokio::select! {
        () = watch => tracing::error!("the watch of RepoSyncs ended"),
        () = listener::serve(front, listener, stop) => {}
    }
}

/// What answers requests.
struct Front {
    known: Known,
    hooks: Hooks,
}

impl Front {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
        let answer = match Route::of(request.method(), request.uri().path()) {
            Route::Alive => Answer::Fine,
            Route::Ready if self.known.is_complete() => Answer::Fine,
            Route::Ready => Answer::NotReady,
            Route::Hook(target) => self.hooks.take(&target, request).await,
            Route::Unknown => Answer::NotFound,
        };
        Ok(answer.response())
    }
}
