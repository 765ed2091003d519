//! One client per API and credential.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Uri;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Limited;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use octocrab::AuthState;
use octocrab::Octocrab;
use octocrab::OctocrabBuilder;
use octocrab::service::middleware::auth_header::AuthHeaderLayer;
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::service::middleware::extra_headers::ExtraHeadersLayer;
use serde_json::Value;
use tower::BoxError;
use tower::Service;

use super::error::Error;
use crate::model::Digest;
use crate::model::Secret;
use crate::model::address;

/// Who we are, as GitHub demands to be told.
const USER_AGENT: &str = concat!("axon/", env!("CARGO_PKG_VERSION"));
/// Version of the API that this module is written for.
const API_VERSION: &str = "2022-11-28";
/// Longest wait for one answer, body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer: a page of 100 issues of GitHub's longest bodies, with room for JSON's escapes.
const MAX_ANSWER: usize = 32 << 20;
/// A repository that was renamed answers with one redirect.
const MAX_REDIRECTS: usize = 3;
/// Clients that are kept. More than that many credentials are cheaper rebuilt than remembered.
const MAX_CLIENTS: usize = 64;

/// Root of a GitHub API, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiUrl {
    root: String,
    /// Whether it may be at an address of this machine or its link.
    may_be_local: bool,
}

impl ApiUrl {
    /// The API of a host, which may carry a port, and, where that is said, be this machine.
    pub fn of_host(authority: &str, may_be_local: bool) -> Self {
        let root = match authority {
            "github.com" | "www.github.com" => "https://api.github.com".into(),
            other => format!("https://{other}/api/v3"),
        };
        Self { root, may_be_local }
    }

    /// An API at a place of its own, wherever that is.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let url = text.trim_end_matches('/');
        let good = url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
                && uri.query().is_none()
        });
        if good {
            Ok(Self {
                root: url.to_owned(),
                may_be_local: true,
            })
        } else {
            // What stands before "@" may be a credential.
            let shown = text.rsplit('@').next().unwrap_or_default();
            Err(Error::InvalidUrl(shown.chars().take(100).collect()))
        }
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.root)
    }
}

/// Clients by API and credential, so that connections are shared.
#[derive(Debug, Default)]
pub struct Clients {
    kept: Mutex<BTreeMap<(ApiUrl, Option<Digest>), Client>>,
}

impl Clients {
    /// The client for an API and a token; made when there is none yet.
    pub fn get(&self, api: &ApiUrl, token: Option<&Secret>) -> Result<Client, Error> {
        let key = (
            api.clone(),
            token.map(|token| Digest::of(token.expose().as_bytes())),
        );
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = kept.get(&key) {
            return Ok(client.clone());
        }
        let client = Client::new(api, token)?;
        if kept.len() >= MAX_CLIENTS {
            kept.clear();
        }
        kept.insert(key, client.clone());
        Ok(client)
    }
}

/// A client of one GitHub API with one credential.
#[derive(Clone)]
pub struct Client {
    octocrab: Octocrab,
    base: Uri,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Client({})", self.base)
    }
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    /// A client with a stack of our own below octocrab's layers: octocrab's default one retries
    /// inside the call, follows redirects to any host and cannot change its `User-Agent`.
    pub fn new(api: &ApiUrl, token: Option<&Secret>) -> Result<Self, Error> {
        let base: Uri = api
            .root
            .parse()
            .map_err(|_| Error::InvalidUrl(api.root.clone()))?;
        let literal = base.host().and_then(address::local_literal);
        if let Some(local) = literal.filter(|_| !api.may_be_local) {
            return Err(Error::Local(local));
        }
        let credential = token.map(bearer).transpose()?;
        let provider = rustls::crypto::ring::default_provider();
        let mut tcp = HttpConnector::new_with_resolver(resolver(api.may_be_local));
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(|error| Error::of_transport(&error))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let service =
            hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        let headers = vec![
            (header::USER_AGENT, HeaderValue::from_static(USER_AGENT)),
            (
                header::ACCEPT,
                HeaderValue::from_static("application/vnd.github+json"),
            ),
            (
                header::HeaderName::from_static("x-github-api-version"),
                HeaderValue::from_static(API_VERSION),
            ),
        ];
        // A later issue puts octocrab's `HttpCacheLayer` on top of these, for conditional requests.
        let built = OctocrabBuilder::new_empty()
            .with_service(service)
            .with_layer(&ExtraHeadersLayer::new(Arc::new(headers)))
            .with_layer(&BaseUriLayer::new(base.clone()))
            .with_layer(&AuthHeaderLayer::new(
                credential,
                base.clone(),
                base.clone(),
            ))
            .with_auth(AuthState::None)
            .build();
        match built {
            Ok(octocrab) => Ok(Self { octocrab, base }),
            Err(never) => match never {},
        }
    }

    /// GET of a path under the API's root.
    pub(super) async fn get(&self, path: &str, now: Timestamp) -> Result<Answer, Error> {
        tokio::time::timeout(REQUEST_TIMEOUT, self.get_redirected(path, now))
            .await
            .map_err(|_| Error::Unavailable("no answer in time".into()))?
    }

    /// POST to a path under the API's root. Never repeated, and never redirected.
    pub(super) async fn post(
        &self,
        path: &str,
        body: Option<&Value>,
        now: Timestamp,
    ) -> Result<Answer, Error> {
        let ask = async {
            let response = self.octocrab._post(path, body).await;
            let (parts, body) = response
                .map_err(|error| Error::of_transport(&error))?
                .into_parts();
            if parts.status.is_redirection() {
                return Err(Error::Redirected);
            }
            if !parts.status.is_success() {
                return Err(Error::of_answer(parts.status, &parts.headers, now));
            }
            read(parts.headers, body).await
        };
        tokio::time::timeout(REQUEST_TIMEOUT, ask)
            .await
            .map_err(|_| Error::Unavailable("no answer in time".into()))?
    }

    async fn get_redirected(&self, path: &str, now: Timestamp) -> Result<Answer, Error> {
        let mut target = path.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let response = self
                .octocrab
                ._get(target.as_str())
                .await
                .map_err(|error| Error::of_transport(&error))?;
            let (parts, body) = response.into_parts();
            if parts.status.is_redirection() {
                target = self.redirect(&parts.headers)?;
                continue;
            }
            if !parts.status.is_success() {
                return Err(Error::of_answer(parts.status, &parts.headers, now));
            }
            return read(parts.headers, body).await;
        }
        Err(Error::Redirected)
    }

    /// Where a redirect leads, as long as that is the same API: its path below the root.
    fn redirect(&self, headers: &HeaderMap) -> Result<String, Error> {
        let target = headers
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok())
            .and_then(|location| location.parse::<Uri>().ok())
            .ok_or(Error::Redirected)?;
        let same = target.authority().is_none()
            || (target.authority() == self.base.authority()
                && target.scheme() == self.base.scheme());
        let below = target
            .path_and_query()
            .and_then(|it| {
                it.as_str()
                    .strip_prefix(self.base.path().trim_end_matches('/'))
            })
            .filter(|path| path.starts_with('/'));
        match below {
            Some(path) if same => Ok(path.to_owned()),
            Some(_) | None => Err(Error::Redirected),
        }
    }
}

/// Finds the addresses of hosts; without those of this machine and its link, unless that is allowed.
fn resolver(
    may_be_local: bool,
) -> impl Service<Name, Response = std::vec::IntoIter<SocketAddr>, Error = BoxError, Future: Send>
+ Clone
+ Send {
    tower::service_fn(move |name: Name| async move {
        let found = GaiResolver::new().call(name).await?;
        if may_be_local {
            return Ok(found.collect::<Vec<_>>().into_iter());
        }
        match address::allowed(found) {
            Ok(addresses) => Ok(addresses.into_iter()),
            Err(Some(local)) => Err(local.into()),
            Err(None) => Err(BoxError::from("its host has no address")),
        }
    })
}

/// Reads an answer to its end.
async fn read<B>(headers: HeaderMap, body: B) -> Result<Answer, Error>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body
        .map_err(|error| Error::of_transport(&*error))?
        .to_bytes();
    Ok(Answer { headers, body })
}

fn bearer(token: &Secret) -> Result<HeaderValue, Error> {
    let text = token.expose().trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::InvalidToken);
    }
    let mut value =
        HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| Error::InvalidToken)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_only_this_machine_reaches_is_not_asked() {
        let literal = Client::new(&ApiUrl::of_host("127.0.0.1:1", false), None);
        assert!(matches!(literal, Err(Error::Local(_))), "{literal:?}");
        let asked = |may_be_local: bool| async move {
            let api = ApiUrl::of_host("localhost:1", may_be_local);
            let client = Client::new(&api, None).unwrap();
            client.get("/x", Timestamp::UNIX_EPOCH).await.err().unwrap()
        };
        let refused = asked(false).await;
        assert!(matches!(refused, Error::Local(_)), "{refused:?}");
        let nobody_listens = asked(true).await;
        assert!(
            matches!(nobody_listens, Error::Unavailable(_)),
            "{nobody_listens:?}"
        );
    }

    #[test]
    fn roots() {
        let check = |host: &str, expected: &str| {
            assert_eq!(ApiUrl::of_host(host, false).to_string(), expected);
        };
        check("github.com", "https://api.github.com");
        check(
            "git.acme.example:8443",
            "https://git.acme.example:8443/api/v3",
        );
        assert_eq!(
            ApiUrl::parse("http://127.0.0.1:81/api/")
                .unwrap()
                .to_string(),
            "http://127.0.0.1:81/api"
        );
        for bad in [
            "",
            "api.github.com",
            "ftp://x/",
            "https://u:hunter2@x/",
            "https://x/?y=1",
        ] {
            let error = ApiUrl::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_token_that_no_header_can_hold_is_refused_and_not_told() {
        for bad in ["", "hunter2\nx", "hunter2 x", "hunter2ä"] {
            let api = ApiUrl::of_host("github.com", false);
            let error = Client::new(&api, Some(&Secret::new(bad))).unwrap_err();
            assert_eq!(error, Error::InvalidToken);
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }

    #[tokio::test]
    async fn redirects_stay_at_home() {
        let api = ApiUrl::parse("https://ghe.example/api/v3").unwrap();
        let client = Client::new(&api, None).unwrap();
        let check = |location: &'static str, expected: Option<&str>| {
            let headers =
                HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static(location))]);
            assert_eq!(
                client.redirect(&headers).ok().as_deref(),
                expected,
                "{location}"
            );
        };
        check(
            "https://ghe.example/api/v3/repositories/7/issues?page=2",
            Some("/repositories/7/issues?page=2"),
        );
        check("/api/v3/repositories/7", Some("/repositories/7"));
        check("https://evil.example/api/v3/x", None);
        check("http://ghe.example/api/v3/x", None);
        check("https://ghe.example/login", None);
        check("//evil.example/api/v3/x", None);
    }
}
