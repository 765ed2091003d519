//! `https://` and `http://`. The credential goes to the host of the URL and to no other, wherever that
//! host redirects to.

mod exchange;

use std::io;
use std::io::BufReader;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::http::GetResponse;
use gix::protocol::transport::client::blocking_io::http::Http;
use gix::protocol::transport::client::blocking_io::http::PostBodyDataKind;
use gix::protocol::transport::client::blocking_io::http::PostResponse;
use gix::protocol::transport::client::blocking_io::http::Transport;
use reqwest::Method;
use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::blocking::Response;
use reqwest::header::AUTHORIZATION;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;

use self::exchange::Body;
use self::exchange::Exchange;
use self::exchange::Head;
use self::exchange::Question;
use self::exchange::answer;
use super::address::Outside;
use super::line::Failure;
use super::line::Line;
use super::line::told;
use crate::model::RepoUrl;
use crate::model::address::Local;
use crate::model::address::local_literal;
use crate::repo::Access;

/// Most redirects that are followed: a host's other name, then the repository's.
const MAX_REDIRECTS: usize = 5;
/// Clients that are kept. There is one for each length of silence, so these are more than enough.
const MAX_CLIENTS: usize = 8;
/// Connections that are kept open to one host, for the next poll.
const IDLE_CONNECTIONS: usize = 2;

pub(super) fn open(
    url: &RepoUrl,
    access: &Access,
    line: &Line,
) -> io::Result<Transport<Connection>> {
    let home = Url::parse(&url.to_string()).map_err(io::Error::other)?;
    let header = access.credentials.as_ref().and_then(|credentials| {
        let value = credentials.authorization()?;
        HeaderValue::from_str(value.expose()).ok()
    });
    let connection = Connection {
        client: client(access.silence, url.is_loopback(), access.local_addresses)?,
        local_addresses: access.local_addresses,
        other_hosts: access.other_hosts,
        line: line.clone(),
        home,
        authorization: header.map(|mut value| {
            value.set_sensitive(true);
            value
        }),
        moved: None,
    };
    let url = gix::Url::try_from(url.to_string().as_str()).map_err(io::Error::other)?;
    Ok(Transport::new_http(connection, url, Protocol::V2, false))
}

/// What tells one client from another: length of silence, whether no proxy is used, and whether local
/// addresses are connected to.
type Kind = (Duration, bool, bool);

/// The client for a length of silence. Shared, so that the next poll finds a connection open.
fn client(silence: Duration, direct: bool, local: bool) -> io::Result<Client> {
    static KEPT: Mutex<Vec<(Kind, Client)>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kind = (silence, direct, local);
    let same = |it: &&(Kind, Client)| it.0 == kind;
    if let Some((_, client)) = kept.iter().find(same) {
        return Ok(client.clone());
    }
    let builder = Client::builder()
        .timeout(silence)
        .connect_timeout(silence)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .redirect(Policy::none());
    let builder = if direct { builder.no_proxy() } else { builder };
    let builder = if local {
        builder
    } else {
        builder.dns_resolver(Outside::shared())
    };
    let client = builder.build().map_err(io::Error::other)?;
    if kept.len() < MAX_CLIENTS {
        kept.push((kind, client.clone()));
    }
    Ok(client)
}

/// Asks one server.
pub(super) struct Connection {
    client: Client,
    line: Line,
    local_addresses: bool,
    other_hosts: bool,
    /// The only place that the credential is for.
    home: Url,
    authorization: Option<HeaderValue>,
    /// Where the repository is, if the server redirected.
    moved: Option<String>,
}

impl Http for Connection {
    type Headers = Head;
    type ResponseBody = BufReader<Body>;
    type PostBody = Question;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<GetResponse<Head, BufReader<Body>>, gix::Error> {
        let tail = url.strip_prefix(base_url).unwrap_or_default().to_owned();
        let ask = self.asks(Method::GET, url, headers)?;
        let response = self.follow(ask, &tail).map_err(gix::Error::from_error)?;
        let (headers, body) = answer(Exchange::answered(response, &self.line));
        Ok(GetResponse { headers, body })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _kind: PostBodyDataKind,
    ) -> Result<PostResponse<Head, BufReader<Body>, Question>, gix::Error> {
        let ask = self.asks(Method::POST, url, headers)?;
        let (headers, body) = answer(Exchange::asking(ask, &self.line));
        Ok(PostResponse {
            post_body: headers.question(),
            headers,
            body,
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> Result<(), gix::Error> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.moved.clone()
    }
}

impl Connection {
    fn asks(
        &self,
        method: Method,
        url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Ask, gix::Error> {
        let url = Url::parse(url).map_err(gix::Error::from_error)?;
        let parsed = headers.into_iter().filter_map(|line| {
            let (name, value) = line.as_ref().split_once(':')?;
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::try_from(value.trim()).ok()?))
        });
        let headers = parsed.collect();
        Ok(Ask {
            client: self.client.clone(),
            local_addresses: self.local_addresses,
            authorization: self.authorization_for(&url),
            method,
            url,
            headers,
        })
    }

    fn authorization_for(&self, url: &Url) -> Option<HeaderValue> {
        let origin = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port_or_known_default(),
            )
        };
        let header = self.authorization.as_ref();
        header
            .filter(|_| origin(url) == origin(&self.home))
            .cloned()
    }

    /// Asks, and asks again where a redirect says so.
    fn follow(&mut self, mut ask: Ask, tail: &str) -> io::Result<Response> {
        for redirects in 0..=MAX_REDIRECTS {
            let response = ask.send(Vec::new(), &self.line)?;
            if !response.status().is_redirection() {
                if redirects > 0 {
                    let base = ask.url.as_str().strip_suffix(tail);
                    self.moved = base.map(str::to_owned);
                }
                return Ok(response);
            }
            let to = redirected(&ask.url, &response, tail).and_then(|to| {
                if self.other_hosts || to.host() == self.home.host() {
                    Ok(to)
                } else {
                    Err(Failure::Redirected("another host"))
                }
            });
            ask.url = to.map_err(|failure| self.line.fail(failure))?;
            ask.authorization = self.authorization_for(&ask.url);
        }
        Err(self.line.fail(Failure::Redirected("too many places")))
    }
}

/// Where a redirect leads, as long as it is to a repository and not into the clear.
fn redirected(from: &Url, response: &Response, tail: &str) -> Result<Url, Failure> {
    let location = response.headers().get(LOCATION);
    let to = location
        .and_then(|it| it.to_str().ok())
        .and_then(|it| from.join(it).ok())
        .ok_or(Failure::Redirected("nowhere"))?;
    let safe = to.scheme() == from.scheme() || to.scheme() == "https";
    if !safe || !matches!(to.scheme(), "http" | "https") {
        return Err(Failure::Redirected("a place that is not https"));
    }
    let plain = to.username().is_empty() && to.password().is_none();
    if !plain || !to.as_str().ends_with(tail) {
        return Err(Failure::Redirected("what is not a repository"));
    }
    Ok(to)
}

/// A request that is ready but for its body.
struct Ask {
    client: Client,
    local_addresses: bool,
    method: Method,
    url: Url,
    headers: HeaderMap,
    authorization: Option<HeaderValue>,
}

impl Ask {
    fn send(&self, body: Vec<u8>, line: &Line) -> io::Result<Response> {
        line.check()?;
        let literal = self.url.host_str().and_then(local_literal);
        if let Some(Local(address)) = literal.filter(|_| !self.local_addresses) {
            return Err(line.fail(Failure::Local(address)));
        }
        let mut headers = self.headers.clone();
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let request = self
            .client
            .request(self.method.clone(), self.url.clone())
            .headers(headers);
        let request = if self.method == Method::POST {
            request.body(body)
        } else {
            request
        };
        let response = request.send().map_err(|error| {
            line.fail(if error.is_timeout() {
                Failure::Silent
            } else if let Some(Local(address)) = Local::behind(&error) {
                Failure::Local(address)
            } else {
                Failure::Unreachable(told(&error))
            })
        })?;
        let status = response.status();
        let follow = status.is_redirection() && self.method == Method::GET;
        if status.is_success() || follow {
            Ok(response)
        } else {
            Err(line.fail(Failure::Status(status.as_u16())))
        }
    }
}
