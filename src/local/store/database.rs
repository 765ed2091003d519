//! The file: SQLite with a write-ahead log, every commit synced before it counts.
//!
//! Each row carries a digest of its content, so that a damaged file is said and never served.

use std::collections::BTreeMap;
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

/// Layout of the tables. Another one is refused rather than guessed at.
const LAYOUT: i64 = 1;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS objects (
        key TEXT PRIMARY KEY, revision INTEGER NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL
    ) WITHOUT ROWID;";

/// The open file.
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
}

impl Database {
    /// Opens or creates the file, or a database of memory only.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let shown = path.map_or_else(|| "memory".into(), Path::to_path_buf);
        let opened = match path {
            Some(path) => Connection::open(path),
            None => Connection::open_in_memory(),
        };
        let failed = |source| Error::Open {
            path: shown.clone(),
            source,
        };
        let connection = opened.map_err(failed)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;",
            )
            .map_err(failed)?;
        connection.execute_batch(TABLES).map_err(failed)?;
        let database = Self {
            connection,
            path: shown.clone(),
        };
        database.check()?;
        Ok(database)
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
                .map_err(|source| Error::Open {
                    path: self.path.clone(),
                    source,
                }),
            Some(LAYOUT) => Ok(()),
            Some(other) => Err(self.corrupt(format!("it has layout {other}, not {LAYOUT}"))),
        }
    }

    /// Everything that is stored.
    pub(super) fn load(&self) -> Result<Memory, Error> {
        let revision = self.fact("revision")?.unwrap_or(1).unsigned_abs();
        let mut objects = BTreeMap::new();
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
                return Err(self.corrupt(format!("object {key} is damaged")));
            }
            let entry = Entry::read(at, body);
            let (Some(entry), Some(key)) = (entry, Key::parse(key)) else {
                return Err(self.corrupt("an object cannot be read".into()));
            };
            objects.insert(key, Arc::new(entry));
        }
        Ok(Memory::new(objects, revision))
    }

    /// Writes a batch as one: all of it or nothing. `None` deletes.
    pub(super) fn commit(
        &mut self,
        revision: u64,
        changes: &[(Key, Option<Arc<Entry>>)],
    ) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction
                .prepare_cached("INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4)")?;
            let mut delete = transaction.prepare_cached("DELETE FROM objects WHERE key = ?1")?;
            for (key, entry) in changes {
                let name = key.as_str();
                match entry {
                    Some(entry) => {
                        let sum = digest(name, entry.revision, &entry.json);
                        let at = entry.revision.cast_signed();
                        put.execute(params![name, at, &sum[..], &entry.json[..]])?;
                    }
                    None => {
                        delete.execute([name])?;
                    }
                }
            }
            transaction
                .prepare_cached("INSERT OR REPLACE INTO facts VALUES ('revision', ?1)")?
                .execute([revision.cast_signed()])?;
        }
        transaction.commit()
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
        Error::Open {
            path: self.path.clone(),
            source,
        }
    }

    fn corrupt(&self, why: String) -> Error {
        Error::Corrupt {
            path: self.path.clone(),
            why,
        }
    }
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
