//! What the API server was asked, from its own log.

use std::fs;

use serde_json::Value;

use crate::node::Node;
use crate::node::eventually;

/// All requests so far. The log is written in batches, so a request of our own is awaited in it.
pub(crate) fn requests(node: &Node) -> Vec<Value> {
    let length = fs::metadata(&node.audit_log).unwrap().len();
    let mark = format!("/readyz?mark={length}-{:?}", std::thread::current().id());
    let mark = mark.replace(['(', ')'], "-");
    node.kubectl(&["get", "--raw", &mark]);
    eventually("the audit log is written", || {
        let log = fs::read_to_string(&node.audit_log).unwrap();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let parse = |line| serde_json::from_str(line).unwrap();
        whole
            .contains(&mark)
            .then(|| whole.lines().map(parse).collect())
    })
}

/// How many objects of `resource` were created in a namespace, in all.
pub(crate) fn created(node: &Node, namespace: &str, resource: &str) -> usize {
    let is_creation = |event: &Value| {
        event["verb"] == "create"
            && event["objectRef"]["namespace"] == namespace
            && event["objectRef"]["resource"] == resource
            && event["objectRef"]["subresource"].is_null()
            && event["responseStatus"]["code"] == 201
    };
    requests(node).iter().filter(|it| is_creation(it)).count()
}
