//! The subresource that says on which node a Pod is: no other write may.

use http::StatusCode;
use serde_json::json;

use super::call::Call;
use super::error::ApiError;
use super::reply;
use super::reply::Reply;
use super::write;
use crate::local::store::Action;
use crate::local::store::Expected;
use crate::local::store::WriteError;

/// Names the node of a Pod that has none.
pub(super) fn bind(call: &Call) -> Result<Reply, ApiError> {
    let sent = call.decode()?;
    let node = sent["target"]["name"].as_str().unwrap_or_default();
    if node.is_empty() {
        let why = "a Binding names a node in \"target.name\"";
        return Err(ApiError::bad_request(why));
    }
    for _ in 0..write::MAX_RETRIES {
        let stored = call.stored()?;
        write::check_uid(call, &stored, &sent)?;
        let pod = stored.object();
        if let Some(at) = pod["spec"]["nodeName"].as_str().filter(|it| !it.is_empty()) {
            let why = format!("pod {} is already assigned to node \"{at}\"", call.name);
            return Err(ApiError::conflict(&call.resource, &call.name, &why));
        }
        let mut bound = pod.clone();
        bound["spec"]["nodeName"] = node.into();
        call.with_writer(|writer| writer.update(Some(&pod), &mut bound));
        if call.options.dry_run {
            return Ok(done());
        }
        let expected = Expected::Revision(stored.revision);
        let key = call.key(&call.name);
        match call.server.store.write(&key, expected, Action::Put(bound)) {
            Ok(_) => return Ok(done()),
            Err(WriteError::Changed) => {}
            Err(error) => return Err(write::failed(&error)),
        }
    }
    Err(ApiError::modified(&call.resource, &call.name))
}

fn done() -> Reply {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    reply::value(StatusCode::CREATED, &status)
}
