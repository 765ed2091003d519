//! What the checkout gets into a repository with: a mounted Secret, read at each use.

use std::io;
use std::path::Path;

use axon_helper::secret_files;
use serde_json::json;

use crate::model::GitCredentials;
use crate::model::GitKeys;
use crate::model::InvalidCredentials;
use crate::model::Secret;
use crate::model::sensitive;
use crate::model::sensitive::Known;
use crate::repo::Credentials;

/// Why the mounted Secret is no credential. Never holds a value of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot read the credential in \"{dir}\"")]
    Read { dir: String, source: io::Error },
    #[error("cannot use the credential in \"{dir}\"")]
    Invalid {
        dir: String,
        source: InvalidCredentials,
    },
}

/// The credential in `dir` as it is now.
pub(super) fn read(dir: &Path) -> Result<Option<Credentials>, Error> {
    let shown = || dir.display().to_string();
    let keys = [GitKeys::Token, GitKeys::Basic, GitKeys::Ssh].map(GitKeys::names);
    let keys = keys.concat();
    let values = secret_files::read(dir, &keys).map_err(|source| Error::Read {
        dir: shown(),
        source,
    })?;
    let pairs = keys.into_iter().zip(values);
    let data = pairs.filter_map(|(key, value)| Some((key.to_owned(), Secret::new(value?))));
    let found = GitCredentials::from_secret(&data.collect()).map_err(|source| Error::Invalid {
        dir: shown(),
        source,
    })?;
    Ok(Credentials::of(&found))
}

/// `text`, which may repeat what a server said, without what the Secret in `dir` holds.
pub(super) fn hidden(text: &str, dir: Option<&Path>) -> String {
    let values = dir.and_then(|dir| secret_files::read(dir, &GitKeys::SECRET).ok());
    let values: Vec<String> = values.into_iter().flatten().flatten().collect();
    sensitive::line(text, &Known::of(&json!({"secret": values})))
}
