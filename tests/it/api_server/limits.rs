//! What the HTTPS front refuses: too much, too slow, and whoever shows nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axon::local::Cluster;
use axon::local::Options;
use base64::Engine as _;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

struct Front {
    cluster: Cluster,
    address: String,
    token: String,
    connector: TlsConnector,
    _dir: tempfile::TempDir,
}

impl Front {
    async fn start() -> Self {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            listen: true,
            ..Options::control_plane(dir.path())
        };
        let cluster = Cluster::start(options).await.unwrap();
        let (address, authority, token) = read(cluster.kubeconfig());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&authority).unwrap())
            .unwrap();
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            cluster,
            address,
            token,
            connector: TlsConnector::from(Arc::new(config)),
            _dir: dir,
        }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        self.connector.connect(name, stream).await.unwrap()
    }

    /// The code of the answer to `head`, with the token and `more` headers, and a body.
    async fn code(&self, line: &str, more: &str, body: &str) -> u16 {
        let token = &self.token;
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}");
        self.ask(&format!(
            "{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }

    async fn ask(&self, request: &str) -> u16 {
        let mut stream = self.connect().await;
        // It may answer before it has read everything.
        stream.write_all(request.as_bytes()).await.ok();
        answer(&mut stream).await
    }
}

/// The code of an answer.
async fn answer(stream: &mut TlsStream<TcpStream>) -> u16 {
    let mut head = [0; 12];
    let read = tokio::time::timeout(Duration::from_mins(1), stream.read_exact(&mut head));
    read.await.unwrap().unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

/// Address, authority and token.
fn read(kubeconfig: &Path) -> (String, Vec<u8>, String) {
    let text = std::fs::read_to_string(kubeconfig).unwrap();
    let after = |key: &str| {
        let line = text.lines().find_map(|it| it.trim().strip_prefix(key));
        line.unwrap().trim().to_owned()
    };
    let authority = after("certificate-authority-data:");
    let authority = base64::engine::general_purpose::STANDARD
        .decode(authority)
        .unwrap();
    (after("server: https://"), authority, after("token:"))
}

#[tokio::test]
async fn no_path_is_served_to_whoever_shows_nothing() {
    let it = Front::start().await;
    for path in [
        "/",
        "/healthz",
        "/livez",
        "/readyz",
        "/version",
        "/api",
        "/apis",
        "/api/v1",
        "/openapi/v2",
        "/openapi/v3",
        "/metrics",
        "/api/v1/namespaces",
        "/nothing",
        "/api/v1/namespaces/default/secrets?watch=true",
    ] {
        for header in [
            "",
            "Authorization: Bearer wrong\r\n",
            "Authorization: Basic eDp5\r\n",
        ] {
            let asked = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n");
            assert_eq!(it.ask(&asked).await, 401, "{path} {header}");
        }
    }
    assert_eq!(it.code("GET /healthz", "", "").await, 200);
    it.cluster.stop().await;
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_is_refused() {
    let it = Front::start().await;
    let maps = "POST /api/v1/namespaces/default/configmaps";
    let json = "Content-Type: application/json\r\n";
    let large = format!("{{\"data\":{{\"k\":\"{}\"}}}}", "v".repeat(4 << 20));
    assert_eq!(it.code(maps, json, &large).await, 413);
    let deep = format!(
        "{{\"metadata\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(it.code(maps, json, &deep).await, 400);
    let long = format!("X: {}\r\n", "v".repeat(300 << 10));
    assert_eq!(it.code("GET /version", &long, "").await, 431);
    let many = "X: v\r\n".repeat(100);
    assert_eq!(it.code("GET /version", &many, "").await, 431);
    assert_eq!(it.code("GET /version", "", "").await, 200);
    it.cluster.stop().await;
}

#[tokio::test]
async fn whoever_sends_too_slowly_is_given_up() {
    let it = Front::start().await;
    let mut head = it.connect().await;
    head.write_all(b"GET /version HTTP/1.1\r\nHost: x\r\n")
        .await
        .unwrap();
    let mut body = it.connect().await;
    let token = &it.token;
    let begun = format!(
        "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\
         Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n\r\n{{"
    );
    body.write_all(begun.as_bytes()).await.unwrap();
    let silent = TcpStream::connect(&it.address).await.unwrap();
    let given_up = async {
        let mut rest = Vec::new();
        head.read_to_end(&mut rest).await.ok();
        let told = String::from_utf8_lossy(&rest).into_owned();
        assert!(
            told.is_empty() || told.starts_with("HTTP/1.1 408"),
            "{told}"
        );
    };
    let shaken = async {
        let mut silent = silent;
        let mut rest = Vec::new();
        silent.read_to_end(&mut rest).await.ok();
    };
    let all = async { tokio::join!(given_up, shaken, answer(&mut body)) };
    let ((), (), code) = tokio::time::timeout(Duration::from_mins(2), all)
        .await
        .unwrap();
    assert_eq!(code, 408);
    it.cluster.stop().await;
}
