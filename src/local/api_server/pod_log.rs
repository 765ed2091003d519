//! `pods/log`: what a container wrote, from the file that the runner keeps.

use http::StatusCode;

use super::call::Call;
use super::error::ApiError;
use super::reply;
use super::reply::Reply;
use crate::local::store::Entry;

pub(super) fn answer(call: &Call, entry: &Entry) -> Result<Reply, ApiError> {
    let _ = (call, entry, StatusCode::OK, reply::text);
    Err(ApiError::method_not_allowed())
}
