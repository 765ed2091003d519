//! The file: SQLite with a write-ahead log, every commit synced before it counts.
//!
//! Each row carries a digest of its content, and a seal stands for all of them at one revision: a
//! damaged file, one with a row too few, or an older one than was acknowledged, is said and never
//! served.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::params;
use sha2::Digest;
use sha2::Sha256;

use super::Error;
use super::key::Key;
use super::memory::Entry;
use super::memory::Memory;
use super::witness;
use super::witness::Witness;

/// Layout of the tables. Another one is refused rather than guessed at.
const LAYOUT: i64 = 2;

/// One process has the file: no index in shared memory that could disagree with it.
const SETTINGS: &str = "
    PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    PRAGMA cache_size = -1024; PRAGMA cell_size_check = ON;";

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS objects (
        key TEXT PRIMARY KEY, revision INTEGER NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL
    ) WITHOUT ROWID;";

/// The open file.
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    /// The digests of all rows, each folded into the others.
    sum: u64,
    /// After the connection, which is closed before the lock goes.
    witness: Option<Witness>,
}

impl Database {
    /// Opens or creates the file in `dir`, or a database of memory only.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, Error> {
        let witness = dir.map(Witness::lock).transpose()?;
        let path = dir.map_or_else(|| "memory".into(), |dir| dir.join("store.db"));
        let opened = match dir {
            Some(_) => Connection::open(&path),
            None => Connection::open_in_memory(),
        };
        let connection = opened.map_err(|source| unreadable(&path, source))?;
        let database = Self {
            connection,
            path,
            sum: 0,
            witness,
        };
        database.batch(SETTINGS)?;
        database.batch(TABLES)?;
        database.check()?;
        Ok(database)
    }

    fn batch(&self, sql: &str) -> Result<(), Error> {
        let done = self.connection.execute_batch(sql);
        done.map_err(|source| self.unreadable(source))
    }

    fn check(&self) -> Result<(), Error> {
        let verdict: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|source| self.unreadable(source))?;
        if verdict != "ok" {
            return Err(self.corrupt(verdict));
        }
        match self.fact("layout")? {
            None => self
                .connection
                .execute("INSERT INTO facts VALUES ('layout', ?1)", [LAYOUT])
                .map(drop)
                .map_err(|source| self.unreadable(source)),
            Some(LAYOUT) => Ok(()),
            Some(found) => Err(Error::Layout {
                path: self.path.clone(),
                found,
                read: LAYOUT,
            }),
        }
    }

    /// Everything that is stored.
    pub(super) fn load(&mut self) -> Result<Memory, Error> {
        let revision = self.fact("revision")?.unwrap_or(1).unsigned_abs();
        let (objects, sum) = self.rows(revision)?;
        let sealed = self.fact("seal")?;
        if sealed.is_none() && !objects.is_empty()
            || sealed.is_some_and(|sealed| sealed != seal(revision, sum))
        {
            return Err(self.corrupt("objects are missing from it".into()));
        }
        self.compare(revision)?;
        self.sum = sum;
        Ok(Memory::new(objects, revision))
    }

    /// A store that ends before what was acknowledged has lost its end.
    fn compare(&self, revision: u64) -> Result<(), Error> {
        let Some(witness) = &self.witness else {
            return Ok(());
        };
        let path = witness::path(self.path.parent().unwrap_or(&self.path));
        let newest = witness.newest().map_err(|source| Error::Directory {
            path: path.clone(),
            source,
        })?;
        match newest {
            None => Err(Error::Corrupt {
                path,
                why: "it does not say the newest revision".into(),
            }),
            Some(newest) if newest > revision => Err(self.corrupt(format!(
                "it ends at revision {revision}, and revision {newest} had been acknowledged"
            ))),
            Some(_) => Ok(()),
        }
    }

    /// The rows, each whole, and the sum of their digests.
    fn rows(&self, revision: u64) -> Result<(BTreeMap<Key, Arc<Entry>>, u64), Error> {
        let mut objects = BTreeMap::new();
        let mut sum = 0;
        let mut statement = self
            .connection
            .prepare("SELECT key, revision, digest, body FROM objects")
            .map_err(|source| self.unreadable(source))?;
        let rows = statement
            .query_map([], |row| {
                let key: String = row.get(0)?;
                let at: i64 = row.get(1)?;
                let digest: Vec<u8> = row.get(2)?;
                let body: Vec<u8> = row.get(3)?;
                Ok((key, at.unsigned_abs(), digest, body))
            })
            .map_err(|source| self.unreadable(source))?;
        for row in rows {
            let (key, at, stored, body) = row.map_err(|source| self.unreadable(source))?;
            if digest(&key, at, &body) != stored.as_slice() || at > revision {
                return Err(self.corrupt(format!("object {key:?} is damaged")));
            }
            sum ^= folded(&stored);
            let entry = Entry::read(at, body);
            let (Some(entry), Some(key)) = (entry, Key::parse(key)) else {
                return Err(self.corrupt("an object cannot be read".into()));
            };
            objects.insert(key, Arc::new(entry));
        }
        Ok((objects, sum))
    }

    /// Writes a batch as one: all of it or nothing. `None` deletes.
    pub(super) fn commit(
        &mut self,
        revision: u64,
        changes: &[(Key, Option<Arc<Entry>>)],
    ) -> io::Result<()> {
        let sum = self.put(revision, changes).map_err(io::Error::other)?;
        self.sum = sum;
        match &self.witness {
            Some(witness) => witness.note(revision),
            None => Ok(()),
        }
    }

    fn put(
        &mut self,
        revision: u64,
        changes: &[(Key, Option<Arc<Entry>>)],
    ) -> Result<u64, rusqlite::Error> {
        let mut sum = self.sum;
        let transaction = self.connection.transaction()?;
        {
            let mut look =
                transaction.prepare_cached("SELECT digest FROM objects WHERE key = ?1")?;
            let mut put = transaction
                .prepare_cached("INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4)")?;
            let mut delete = transaction.prepare_cached("DELETE FROM objects WHERE key = ?1")?;
            for (key, entry) in changes {
                let name = key.as_str();
                let before: Option<Vec<u8>> =
                    look.query_row([name], |row| row.get(0)).optional()?;
                sum ^= before.as_deref().map_or(0, folded);
                match entry {
                    Some(entry) => {
                        let digest = digest(name, entry.revision, &entry.json);
                        sum ^= folded(&digest);
                        let at = entry.revision.cast_signed();
                        put.execute(params![name, at, &digest[..], &entry.json[..]])?;
                    }
                    None => {
                        delete.execute([name])?;
                    }
                }
            }
            let mut set =
                transaction.prepare_cached("INSERT OR REPLACE INTO facts VALUES (?1, ?2)")?;
            set.execute(params!["revision", revision.cast_signed()])?;
            set.execute(params!["seal", seal(revision, sum)])?;
        }
        transaction.commit()?;
        Ok(sum)
    }

    fn fact(&self, name: &str) -> Result<Option<i64>, Error> {
        self.connection
            .query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()
            .map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: rusqlite::Error) -> Error {
        unreadable(&self.path, source)
    }

    fn corrupt(&self, why: String) -> Error {
        Error::Corrupt {
            path: self.path.clone(),
            why,
        }
    }
}

/// What SQLite cannot make sense of is damaged; anything else may be put right.
fn unreadable(path: &Path, source: rusqlite::Error) -> Error {
    let path = path.to_path_buf();
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            Error::InUse { path }
        }
        Some(
            rusqlite::ErrorCode::CannotOpen
            | rusqlite::ErrorCode::DiskFull
            | rusqlite::ErrorCode::PermissionDenied
            | rusqlite::ErrorCode::ReadOnly
            | rusqlite::ErrorCode::OutOfMemory
            | rusqlite::ErrorCode::SystemIoFailure,
        ) => Error::Open { path, source },
        _ => Error::Corrupt {
            path,
            why: source.to_string(),
        },
    }
}

fn folded(digest: &[u8]) -> u64 {
    let first = digest.iter().take(size_of::<u64>());
    first.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// What stands for all objects at `revision`.
fn seal(revision: u64, sum: u64) -> i64 {
    let digest = digest("seal", revision, &sum.to_be_bytes());
    folded(&digest).cast_signed()
}

fn digest(key: &str, revision: u64, body: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(key.as_bytes());
    hash.update(revision.to_be_bytes());
    hash.update(body);
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}
