//! https in front of the git server, by a certificate that the images trust.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::node::var;

/// Passes on what comes by TLS until it is dropped.
pub(crate) struct Tls {
    address: SocketAddr,
    /// Dropped to stop it.
    _stop: oneshot::Sender<()>,
}

impl Tls {
    /// Listens on `address` for the server behind the URL `behind`.
    pub(crate) fn in_front_of(behind: &str, address: &str) -> Self {
        let behind = behind.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = std::net::TcpListener::bind((address, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(&listener, behind) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            _stop: stop,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

async fn accept(listener: &TcpListener, behind: SocketAddr) {
    let acceptor = TlsAcceptor::from(Arc::new(config()));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that goes away is no failure of the test.
            let Ok(mut from) = acceptor.accept(stream).await else {
                return;
            };
            let mut to = TcpStream::connect(behind).await.unwrap();
            let _ = copy_bidirectional(&mut from, &mut to).await;
        });
    }
}

/// The certificate that `tests/cluster/images` made.
fn config() -> ServerConfig {
    let dir = var("AXON_TEST_TLS").expect("make e2e says where the certificate is");
    let dir = Path::new(&dir);
    let certificate = CertificateDer::from_pem_file(dir.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}
