//! Objects, revisions and changes: what etcd is to a cluster.
//!
//! One writer thread owns the file. Reads come from memory; a write is answered after it is synced
//! to disk. The store knows keys, revisions and JSON, and nothing of resources or HTTP.

mod database;
mod key;
mod memory;
mod witness;
mod writer;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::watch;

pub(crate) use self::key::Key;
pub(crate) use self::key::Scope;
pub(crate) use self::memory::Change;
pub(crate) use self::memory::Entry;
pub(crate) use self::memory::Event;
pub(crate) use self::memory::Memory;
pub(crate) use self::memory::OutOfReach;
pub(crate) use self::writer::Action;
pub(crate) use self::writer::Expected;
pub(crate) use self::writer::WriteError;

pub(crate) use self::witness::Witness as Lock;

/// Locks `dir` for a cluster that stores nothing there.
pub(crate) fn lock(dir: &Path) -> Result<Lock, Error> {
    Lock::lock(dir)
}

/// How many writes may wait for the writer before callers wait too.
const QUEUE: usize = 256;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open the store \"{}\"", path.display())]
    Open {
        path: PathBuf,
        source: rusqlite::Error,
    },
    /// Something is lost or altered. It is not served: what is left of it may be wrong.
    #[error("the store \"{}\" is damaged: {why}", path.display())]
    Corrupt { path: PathBuf, why: String },
    #[error(
        "the store \"{}\" was written by another version of this program: it has layout {found}, \
         and this one reads {read}",
        path.display()
    )]
    Layout {
        path: PathBuf,
        found: i64,
        read: i64,
    },
    #[error("\"{}\" is in use by another process", path.display())]
    InUse { path: PathBuf },
    #[error("cannot use the directory \"{}\"", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot start the writer of the store")]
    Thread(#[source] io::Error),
}

/// The store. Dropping it ends the writer after the writes that were accepted.
pub(crate) struct Store {
    memory: Arc<RwLock<Memory>>,
    requests: Mutex<Option<mpsc::SyncSender<writer::Request>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    tip: watch::Receiver<u64>,
    /// Why the disk takes no more, once it does not.
    trouble: watch::Receiver<Option<String>>,
}

impl Store {
    /// Opens the store in `dir`, or one of memory only.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Self, Error> {
        let mut database = database::Database::open(dir)?;
        let memory = database.load()?;
        let (tip, seen) = watch::channel(memory.revision());
        let memory = Arc::new(RwLock::new(memory));
        let (requests, queue) = mpsc::sync_channel(QUEUE);
        let (broken, trouble) = watch::channel(None);
        let shared = Arc::clone(&memory);
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                writer::run(database, &shared, &queue, &writer::Signals { tip, broken });
            })
            .map_err(Error::Thread)?;
        Ok(Self {
            memory,
            requests: Mutex::new(Some(requests)),
            writer: Mutex::new(Some(writer)),
            tip: seen,
            trouble,
        })
    }

    /// What is stored now. Do not hold it across other work.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().expect("no holder of this lock panics")
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.read().get(key).cloned()
    }

    /// Tells when `resource` changes.
    pub(crate) fn subscribe(&self, resource: &str) -> watch::Receiver<u64> {
        self.memory
            .write()
            .expect("no holder of this lock panics")
            .subscribe(resource)
    }

    /// Tells when anything changes.
    pub(crate) fn tip(&self) -> watch::Receiver<u64> {
        self.tip.clone()
    }

    /// Tells once a write could not be put on disk.
    pub(crate) fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    /// What the garbage collector has to look at since the last call.
    pub(crate) fn take_touched(&self) -> BTreeSet<Key> {
        self.memory
            .write()
            .expect("no holder of this lock panics")
            .take_touched()
    }

    /// Writes and waits until it is safe on disk: not for the async runtime's own threads.
    pub(crate) fn write(
        &self,
        key: &Key,
        expected: Expected,
        action: Action,
    ) -> Result<Arc<Entry>, WriteError> {
        self.begin(key, expected, action)?.wait()
    }

    /// Hands a write in. One after the other, they are carried out in this order, and several at once.
    pub(crate) fn begin(
        &self,
        key: &Key,
        expected: Expected,
        action: Action,
    ) -> Result<Begun, WriteError> {
        let sender = self
            .requests
            .lock()
            .expect("no holder of this lock panics")
            .clone()
            .ok_or(WriteError::Closed)?;
        let (reply, answer) = mpsc::sync_channel(1);
        let request = writer::Request {
            key: key.clone(),
            expected,
            action,
            reply,
        };
        sender.send(request).map_err(|_| WriteError::Closed)?;
        Ok(Begun(answer))
    }

    /// Takes no more writes and waits for those accepted.
    pub(crate) fn close(&self) {
        let sender = self
            .requests
            .lock()
            .expect("no holder of this lock panics")
            .take();
        drop(sender);
        let writer = self
            .writer
            .lock()
            .expect("no holder of this lock panics")
            .take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the writer of the store ended abnormally");
        }
    }
}

/// A write that was handed in.
pub(crate) struct Begun(mpsc::Receiver<Result<Arc<Entry>, WriteError>>);

impl Begun {
    /// Waits until it is safe on disk: not for the async runtime's own threads.
    pub(crate) fn wait(self) -> Result<Arc<Entry>, WriteError> {
        self.0.recv().map_err(|_| WriteError::Closed)?
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}
