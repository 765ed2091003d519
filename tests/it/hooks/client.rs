//! A sender that can be as wrong as it likes.

use std::net::SocketAddr;

use ring::hmac;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A request, before it is sent.
#[derive(Clone)]
pub(super) struct Delivery {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    chunked: bool,
    pub(super) body: Vec<u8>,
}

impl Delivery {
    pub(super) fn new(path: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            method: "POST".into(),
            path: path.into(),
            headers: Vec::new(),
            chunked: false,
            body,
        }
    }

    pub(super) fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    pub(super) fn path(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub(super) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    pub(super) fn signed(self, secret: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, &self.body);
        let digits: Vec<_> = tag.as_ref().iter().map(|it| format!("{it:02x}")).collect();
        let digits = digits.concat();
        self.header("X-Hub-Signature-256", &format!("sha256={digits}"))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut lines = vec![
            format!("{} {} HTTP/1.1", self.method, self.path),
            "Host: x".to_owned(),
            "Connection: close".to_owned(),
        ];
        let headers = self.headers.iter();
        lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
        let has_length = self
            .headers
            .iter()
            .any(|(name, _)| name == "Content-Length");
        if self.chunked {
            lines.push("Transfer-Encoding: chunked".to_owned());
        } else if !has_length {
            lines.push(format!("Content-Length: {}", self.body.len()));
        }
        let text = lines.join("\r\n") + "\r\n";
        let mut bytes = (text + "\r\n").into_bytes();
        if self.chunked {
            for chunk in self.body.chunks(10_000) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// All but the date.
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

/// Sends, and reads to the end; none if the connection broke first.
pub(super) async fn send(address: SocketAddr, delivery: &Delivery) -> Option<Answer> {
    exchange(address, &delivery.bytes()).await
}

pub(super) async fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    exchange(address, request.as_bytes()).await
}

/// A connection on which no more than `begun` is sent.
pub(super) async fn open(address: SocketAddr, begun: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may have closed already.
    stream.write_all(begun.as_bytes()).await.ok();
    stream
}

/// Awaits that the other side closes.
pub(super) async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // However it ends.
    stream.read_to_end(&mut rest).await.ok();
}

async fn exchange(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    // One that is refused early is not read to its end.
    stream.write_all(request).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    Some(Answer {
        status,
        headers: lines
            .filter(|line| !line.to_lowercase().starts_with("date:"))
            .map(str::to_owned)
            .collect(),
        body: body.to_owned(),
    })
}
