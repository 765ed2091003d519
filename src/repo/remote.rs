//! A repository behind a network: lists its refs and fetches from it. Blocking.

use std::num::NonZeroU32;
use std::path::Path;

use gix::ObjectId;
use gix::progress::Discard;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::refspec::parse::Operation;
use gix::remote::Direction;
use gix::remote::fetch::Shallow;
use gix::remote::fetch::Tags;
use gix::remote::ref_map::Options;

use super::Access;
use super::Error;
use super::Reference;
use super::transport;
use super::transport::Line;
use crate::model::RepoUrl;

pub use super::transport::Stop;

/// Most bytes of a list of refs: a million of them.
const MAX_LISTING: u64 = 64 << 20;
/// A ref that no server has. Asked for beside a commit, it keeps servers from listing all refs.
const NO_REF: &str = "refs/axon/none";

/// A repository behind a network, and how to get in.
#[derive(Clone, Debug)]
pub struct Remote {
    url: RepoUrl,
    access: Access,
}

/// What is to be fetched.
#[derive(Clone, Debug, Default)]
pub struct Fetch {
    /// Refspecs.
    pub specs: Vec<String>,
    /// How many commits of each history; all, if absent.
    pub depth: Option<NonZeroU32>,
    /// Whether tags of what is fetched come with it.
    pub tags: bool,
}

/// How servers say that they have no such commit, or none that may be asked for by its name.
const UNKNOWN: [&str; 2] = ["not our ref", "not valid"];

type Connection<'a, 'repo> = gix::remote::Connection<'a, 'a, 'repo, Box<dyn Transport + Send>>;

impl Remote {
    /// Refuses a credential that is not for such a URL, or that others could read on its way.
    pub fn new(url: RepoUrl, access: Access) -> Result<Self, Error> {
        access.check(&url)?;
        Ok(Self { url, access })
    }

    pub fn url(&self) -> &RepoUrl {
        &self.url
    }

    /// Says that it has no such reference.
    pub fn no_reference(&self, reference: &Reference) -> Error {
        reference.missing(&self.url)
    }

    /// The commit that `reference` stands at. `repo` lends its settings; nothing is written to it.
    pub fn find(
        &self,
        repo: &gix::Repository,
        reference: &Reference,
        stop: &Stop,
    ) -> Result<ObjectId, Error> {
        self.find_ref(repo, reference, stop).map(|(_, id)| id)
    }

    /// Name and commit of the ref that `reference` means. The default branch has its own name where
    /// the server tells it.
    pub fn find_ref(
        &self,
        repo: &gix::Repository,
        reference: &Reference,
        stop: &Stop,
    ) -> Result<(String, ObjectId), Error> {
        let names = reference.candidates();
        let found = self.list(repo, &names, stop)?;
        for name in &names {
            for found in &found {
                let (full, target, peeled) = found.unpack();
                if full == name.as_bytes()
                    && let Some(id) = peeled.or(target)
                {
                    return Ok((
                        branch_name(found).unwrap_or_else(|| name.clone()),
                        id.to_owned(),
                    ));
                }
            }
        }
        Err(self.no_reference(reference))
    }

    /// The refs of exactly these names that the server has: one `ls-refs`.
    fn list(
        &self,
        repo: &gix::Repository,
        names: &[String],
        stop: &Stop,
    ) -> Result<Vec<gix::protocol::handshake::Ref>, Error> {
        let line = Line::new(&self.access, MAX_LISTING, stop);
        let failed = |error: gix::Error| Error::of_server(&self.url, &line, &error);
        let remote = self.remote(repo)?;
        let remote = remote
            .with_refspecs(names.iter().map(String::as_str), Direction::Fetch)
            .map_err(failed)?;
        let remote = remote.with_fetch_tags(Tags::None);
        let (map, _) = self
            .connect(&remote, &line)?
            .ref_map(Discard, Options::default())
            .map_err(failed)?;
        Ok(map.remote_refs)
    }

    /// Fetches into `repo`.
    pub fn fetch(&self, repo: &gix::Repository, fetch: &Fetch, stop: &Stop) -> Result<(), Error> {
        let line = Line::new(&self.access, self.access.max_bytes, stop);
        let failed = |error: gix::Error| Error::of_server(&self.url, &line, &error);
        let remote = self.remote(repo)?;
        let specs = fetch.specs.iter().map(String::as_str);
        let remote = remote
            .with_refspecs(specs, Direction::Fetch)
            .map_err(failed)?;
        let remote = remote.with_fetch_tags(if fetch.tags {
            Tags::Included
        } else {
            Tags::None
        });
        let narrow = gix::refspec::parse(NO_REF.into(), Operation::Fetch).map_err(failed)?;
        let options = Options {
            extra_refspecs: vec![narrow.to_owned()],
            ..Options::default()
        };
        let prepared = self
            .connect(&remote, &line)?
            .prepare_fetch(Discard, options)
            .map_err(failed)?;
        let shallow = fetch
            .depth
            .map_or(Shallow::NoChange, Shallow::DepthAtRemote);
        prepared
            .with_shallow(shallow)
            .receive(Discard, stop.flag())
            .map_err(|error| self.refused(failed(error), fetch))?;
        Ok(())
    }

    /// A server that does not have a commit says so in words of its own.
    fn refused(&self, error: Error, fetch: &Fetch) -> Error {
        let unknown = matches!(&error, Error::Unreachable { source, .. }
            if UNKNOWN.iter().any(|words| source.text.contains(words)));
        match fetch.specs.first().filter(|_| unknown) {
            Some(spec) => {
                let wanted = spec
                    .trim_start_matches('+')
                    .split(':')
                    .next()
                    .unwrap_or_default();
                Error::no_reference(&self.url, wanted)
            }
            None => error,
        }
    }

    fn remote<'repo>(&self, repo: &'repo gix::Repository) -> Result<gix::Remote<'repo>, Error> {
        repo.remote_at_without_url_rewrite(self.url.to_string().as_str())
            .map_err(|error| Error::damaged(&self.url, &error))
    }

    fn connect<'a, 'repo>(
        &self,
        remote: &'a gix::Remote<'repo>,
        line: &Line,
    ) -> Result<Connection<'a, 'repo>, Error> {
        let transport = transport::open(&self.url, &self.access, line)?;
        // No other credential is ever looked for, nobody is asked, and no setting is read.
        Ok(remote
            .to_connection_with_transport(transport)
            .with_credentials(|_| Ok(None))
            .with_transport_options(Box::new(())))
    }
}

/// The branch that a symbolic ref stands for.
fn branch_name(found: &gix::protocol::handshake::Ref) -> Option<String> {
    match found {
        gix::protocol::handshake::Ref::Symbolic { target, .. } => Some(target.to_string()),
        gix::protocol::handshake::Ref::Peeled { .. }
        | gix::protocol::handshake::Ref::Direct { .. }
        | gix::protocol::handshake::Ref::Unborn { .. } => None,
    }
}

/// Some identity is needed for reference logs, though never asked for.
const SETTINGS: [&str; 2] = ["user.name=Axon", "user.email=axon@localhost"];

/// Settings for repositories of ours: nothing is taken from the user's or the system's.
pub fn options() -> gix::open::Options {
    gix::open::Options::isolated()
        .with(gix::sec::Trust::Full)
        .config_overrides(SETTINGS)
}

/// The same for a repository that takes no object of more than so many bytes.
pub fn limited(max_object: u64) -> gix::open::Options {
    let limit = format!("gitoxide.objects.allocLimit={max_object}");
    let settings = SETTINGS.map(str::to_owned).into_iter();
    options().config_overrides(settings.chain([limit]))
}

/// Makes an empty repository.
pub fn init(path: &Path, kind: gix::create::Kind) -> Result<gix::Repository, gix::Error> {
    let made = gix::ThreadSafeRepository::init_opts(
        path,
        kind,
        gix::create::Options::default(),
        options(),
    )?;
    Ok(made.to_thread_local())
}
