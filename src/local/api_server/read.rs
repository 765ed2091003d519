//! Get and list.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use super::call::Call;
use super::call::Part;
use super::error::ApiError;
use super::reply;
use super::reply::Reply;
use super::request::check_list;
use super::selector::Selector;
use super::view::View;
use crate::local::store::Entry;
use crate::local::store::Key;
use crate::local::store::Memory;
use crate::local::store::OutOfReach;

pub(super) fn get(call: &Call) -> Result<Reply, ApiError> {
    let entry = call.stored()?;
    if call.part == Part::Log {
        return super::pod_log::answer(call, &entry);
    }
    let view = View::of(call);
    Ok(reply::json(StatusCode::OK, view.object(call, &entry)))
}

/// Where a page ends, and at which revision the list is taken.
struct Continue {
    revision: u64,
    last: Key,
}

impl Continue {
    fn token(&self) -> String {
        let plain =
            json!({"rv": self.revision, "ns": self.last.namespace(), "name": self.last.name()});
        URL_SAFE_NO_PAD.encode(plain.to_string())
    }

    fn parse(token: &str, storage: &str) -> Option<Self> {
        let plain = URL_SAFE_NO_PAD.decode(token).ok()?;
        let plain: Value = serde_json::from_slice(&plain).ok()?;
        Some(Self {
            revision: plain["rv"].as_u64()?,
            last: Key::new(storage, plain["ns"].as_str()?, plain["name"].as_str()?),
        })
    }
}

pub(super) fn selector(call: &Call) -> Result<Selector, ApiError> {
    Selector::parse(
        call.query.get("labelSelector"),
        call.query.get("fieldSelector"),
        &call.resource.storage,
    )
}

pub(super) fn list(call: &Call) -> Result<Reply, ApiError> {
    check_list(&call.query)?;
    let selector = selector(call)?;
    let limit = call.query.number("limit")?.unwrap_or(0);
    // Whoever takes any revision gets the whole list.
    let limit = if call.query.get("resourceVersion") == Some("0") {
        0
    } else {
        usize::try_from(limit).unwrap_or(usize::MAX)
    };
    let page = page(call, &selector, limit)?;
    let view = View::of(call);
    Ok(reply::json(StatusCode::OK, view.list(call, &page)))
}

/// Some or all objects of a collection.
pub(super) struct Page {
    pub(super) revision: u64,
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) next: Option<String>,
    /// How many more there are; not told when a selector is used.
    pub(super) remaining: Option<usize>,
}

/// `limit` 0 is no limit.
pub(super) fn page(call: &Call, selector: &Selector, limit: usize) -> Result<Page, ApiError> {
    let token = call.query.get("continue");
    let from = match token {
        Some(token) => Some(
            Continue::parse(token, &call.resource.storage)
                .ok_or_else(|| ApiError::bad_request("continue key is not valid"))?,
        ),
        None => None,
    };
    let memory = call.server.store.read();
    let asked = asked_revision(call, &memory)?;
    let at = from.as_ref().map(|it| it.revision).or(asked);
    let start = from.as_ref().map(|it| &it.last);
    let scope = call.scope();
    let current = memory.revision();
    let revision = at.unwrap_or(current);
    let page = if revision == current {
        let all = memory.range(&scope, start);
        let all = all.map(|(key, entry)| (key.clone(), Arc::clone(entry)));
        first(all, selector, limit, revision)
    } else {
        let all = memory
            .range_at(&scope, start, revision)
            .map_err(|error| out_of_reach(error, revision))?;
        first(all.into_iter(), selector, limit, revision)
    };
    Ok(page)
}

/// The first `limit` objects that match. Whether more follow is told of all objects, as in Kubernetes: none of
/// them need match.
fn first(
    mut all: impl Iterator<Item = (Key, Arc<Entry>)>,
    selector: &Selector,
    limit: usize,
    revision: u64,
) -> Page {
    let mut page = Page {
        revision,
        entries: Vec::new(),
        next: None,
        remaining: None,
    };
    while let Some((key, entry)) = all.next() {
        if selector.matches(&key, &entry) {
            page.entries.push(entry);
        }
        if limit > 0 && page.entries.len() >= limit {
            let rest = if selector.is_of_one() { 0 } else { all.count() };
            if rest > 0 {
                page.remaining = (*selector == Selector::default()).then_some(rest);
                page.next = Some(
                    Continue {
                        revision,
                        last: key,
                    }
                    .token(),
                );
            }
            break;
        }
    }
    page
}

/// The one revision that a list asks for. None: any, so the latest.
fn asked_revision(call: &Call, memory: &Memory) -> Result<Option<u64>, ApiError> {
    let asked = call.query.number("resourceVersion")?;
    let Some(revision) = asked.filter(|revision| *revision > 0) else {
        return Ok(None);
    };
    if revision > memory.revision() {
        let current = memory.revision();
        return Err(out_of_reach(OutOfReach::Future { current }, revision));
    }
    let exact = call.query.get("resourceVersionMatch") == Some("Exact");
    Ok(exact.then_some(revision))
}

pub(super) fn out_of_reach(error: OutOfReach, asked: u64) -> ApiError {
    match error {
        OutOfReach::Compacted { oldest } => {
            ApiError::expired(format!("too old resource version: {asked} ({oldest})"))
        }
        OutOfReach::Future { current } => {
            let mut error = ApiError::new(
                StatusCode::GATEWAY_TIMEOUT,
                "Timeout",
                format!("Too large resource version: {asked}, current: {current}"),
            );
            error.details = Some(json!({
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            }));
            error
        }
    }
}

/// A list as JSON, made of the bytes that are stored.
pub(super) fn joined(head: &Value, items: impl Iterator<Item = Bytes>) -> Bytes {
    let mut out = head.to_string().into_bytes();
    out.pop();
    out.extend_from_slice(b",\"items\":[");
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&item);
    }
    out.extend_from_slice(b"]}");
    out.into()
}
