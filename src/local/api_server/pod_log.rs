//! `pods/log`: what a container wrote, from the file that the runner keeps.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use serde_json::Value;
use tower::BoxError;

use super::Inner;
use super::call::Call;
use super::error::ApiError;
use super::reply;
use super::reply::Reply;
use crate::local::store::Entry;
use crate::local::store::Key;

/// How much of a log is read at once.
const CHUNK: u64 = 64 << 10;
/// How much of a log is sent when no other limit is asked for.
const MAX_BYTES: u64 = 64 << 20;
/// How much of a log is looked at to find its last lines.
const MAX_TAIL_BYTES: u64 = 16 << 20;
/// How often a followed file is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

pub(super) fn answer(call: &Call, entry: &Entry) -> Result<Reply, ApiError> {
    let pod = entry.object();
    let container = container(call, &pod)?;
    for unserved in ["sinceTime", "sinceSeconds", "timestamps", "previous"] {
        let asked = call.query.get(unserved).filter(|it| *it != "false");
        if asked.is_some() {
            return Err(ApiError::bad_request(format!(
                "this server does not serve the log option \"{unserved}\""
            )));
        }
    }
    let status = container_status(&pod, &container);
    let is_started = status["state"]["running"].is_object()
        || status["state"]["terminated"].is_object()
        || status["lastState"]["terminated"].is_object();
    if !is_started {
        let reason = status["state"]["waiting"]["reason"].as_str();
        let reason = reason.unwrap_or("ContainerCreating");
        return Err(ApiError::bad_request(format!(
            "container \"{container}\" in pod \"{}\" is waiting to start: {reason}",
            call.name
        )));
    }
    let namespace = call.namespace.as_deref().unwrap_or_default();
    let path = call
        .server
        .logs
        .container(namespace, &call.name, &entry.uid, &container)
        .ok_or_else(ApiError::no_such_path)?;
    let tail = call.query.number("tailLines")?;
    let limit = call.query.number("limitBytes")?;
    let start = start(&path, tail).map_err(ApiError::internal)?;
    let reader = Reader {
        server: Arc::clone(&call.server),
        key: call.key(&call.name),
        container,
        path,
        position: start,
        left: limit.unwrap_or(MAX_BYTES),
        follow: call.query.flag("follow"),
    };
    Ok(reply::stream("text/plain", reader.chunks()))
}

/// The container that is asked for; it may be left out if there is only one.
fn container(call: &Call, pod: &Value) -> Result<String, ApiError> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        let names = containers.filter_map(|it| it["name"].as_str().map(Into::into));
        names.collect()
    };
    let (main, init) = (names("containers"), names("initContainers"));
    match (call.query.get("container"), main.as_slice()) {
        (Some(name), _) if main.iter().chain(&init).any(|it| it == name) => Ok(name.into()),
        (Some(name), _) => Err(ApiError::bad_request(format!(
            "container {name} is not valid for pod {}",
            call.name
        ))),
        (None, [one]) => Ok(one.clone()),
        (None, _) => {
            let mut message = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                call.name,
                main.join(" ")
            );
            if !init.is_empty() {
                message = format!(
                    "{message} or one of the init containers: [{}]",
                    init.join(" ")
                );
            }
            Err(ApiError::bad_request(message))
        }
    }
}

fn container_status<'a>(pod: &'a Value, container: &str) -> &'a Value {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let mut all = lists
        .iter()
        .filter_map(|list| pod["status"][*list].as_array())
        .flatten();
    all.find(|it| it["name"] == container)
        .unwrap_or(&Value::Null)
}

/// Where to begin so that the last `tail` lines are sent.
fn start(path: &Path, tail: Option<u64>) -> io::Result<u64> {
    let Some(tail) = tail else {
        return Ok(0);
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MAX_TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::new(file.take(MAX_TAIL_BYTES));
    let tail = usize::try_from(tail).unwrap_or(usize::MAX);
    let mut starts = VecDeque::new();
    let (mut position, mut line) = (from, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        starts.push_back(position);
        if starts.len() > tail {
            starts.pop_front();
        }
        position += read as u64;
    }
    Ok(starts.front().copied().unwrap_or(length))
}

/// Reads on in a log.
struct Reader {
    server: Arc<Inner>,
    key: Key,
    container: String,
    path: PathBuf,
    position: u64,
    left: u64,
    follow: bool,
}

impl Reader {
    fn chunks(self) -> impl futures::Stream<Item = Result<Bytes, BoxError>> + Send + 'static {
        stream::unfold(self, |mut reader| async move {
            let chunk = reader.next().await.transpose()?;
            Some((chunk.map_err(Into::into), reader))
        })
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            // Asked before reading: what is written until the end is read below.
            let is_over = !self.follow || self.has_ended();
            let (path, position) = (self.path.clone(), self.position);
            let most = CHUNK.min(self.left);
            let read = tokio::task::spawn_blocking(move || read(&path, position, most)).await;
            let chunk = read.map_err(io::Error::other)??;
            if !chunk.is_empty() {
                self.position += chunk.len() as u64;
                self.left -= chunk.len() as u64;
                return Ok(Some(chunk));
            }
            if is_over {
                return Ok(None);
            }
            tokio::select! {
                () = self.server.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
            }
        }
    }

    fn has_ended(&self) -> bool {
        let Some(entry) = self.server.store.get(&self.key) else {
            return true;
        };
        let pod = entry.object();
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        container_status(&pod, &self.container)["state"]["terminated"].is_object()
            || matches!(phase, "Succeeded" | "Failed")
    }
}

fn read(path: &Path, position: u64, most: u64) -> io::Result<Bytes> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Bytes::new()),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(position))?;
    let mut chunk = Vec::new();
    file.take(most).read_to_end(&mut chunk)?;
    Ok(chunk.into())
}
