//! One exchange with a server: how long it may take, how much may come, and what ended it.

use std::io;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::repo::Access;

/// How often a reader that waits looks whether it is to stop.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Ends exchanges early.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(in crate::repo) fn flag(&self) -> &AtomicBool {
        &self.0
    }
}

/// What ended an exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::repo) enum Failure {
    #[error("it does not answer")]
    Silent,
    #[error("it takes too long")]
    Slow,
    #[error("reading was interrupted")]
    Stopped,
    #[error("it sends more than {0} bytes")]
    TooMuch(u64),
    #[error("status {0}")]
    Status(u16),
    #[error("it redirects to {0}")]
    Redirected(&'static str),
    /// The host is at an address that is not to be connected to.
    #[error("{0} is an address of this machine or its link")]
    Local(IpAddr),
    /// The credential is refused.
    #[error("{0}")]
    Refused(String),
    /// The server has another key than it should, or one that is not known.
    #[error("{0}")]
    HostKey(String),
    #[error("{0}")]
    NoRepository(String),
    #[error("{0}")]
    Unreachable(String),
    /// The credential cannot be used at all.
    #[error("{0}")]
    Unfit(&'static str),
}

/// One exchange. Clones are the same.
#[derive(Clone, Debug)]
pub(in crate::repo) struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stop: Stop,
    silence: Duration,
    until: Option<Instant>,
    max_bytes: u64,
    max_object: u64,
    bytes: AtomicU64,
    failure: Mutex<Option<Failure>>,
}

impl Line {
    /// Begins now. At most `max_bytes` will be read.
    pub(in crate::repo) fn new(access: &Access, max_bytes: u64, stop: &Stop) -> Self {
        Self(Arc::new(Inner {
            stop: stop.clone(),
            silence: access.silence,
            until: Instant::now().checked_add(access.deadline),
            max_bytes,
            max_object: access.max_object,
            bytes: AtomicU64::new(0),
            failure: Mutex::default(),
        }))
    }

    pub(super) fn silence(&self) -> Duration {
        self.0.silence
    }

    /// Most bytes of one object.
    pub(in crate::repo) fn max_object(&self) -> u64 {
        self.0.max_object
    }

    /// What ended it: the first thing that went wrong.
    pub(in crate::repo) fn failure(&self) -> Option<Failure> {
        let failure = self.0.failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what went wrong, and gives it a shape that libraries take.
    pub(super) fn fail(&self, failure: Failure) -> io::Error {
        let mut first = self
            .0
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| failure.clone());
        io::Error::other(failure)
    }

    /// Fails when it is over.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.0.until.is_some_and(|until| Instant::now() >= until) {
            return Err(self.fail(Failure::Slow));
        }
        if self.0.stop.0.load(Ordering::Relaxed) {
            return Err(self.fail(Failure::Stopped));
        }
        Ok(())
    }

    fn count(&self, bytes: usize) -> io::Result<()> {
        let all = self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if all > self.0.max_bytes {
            return Err(self.fail(Failure::TooMuch(self.0.max_bytes)));
        }
        Ok(())
    }
}

/// Reads within the limits of a line. What it reads from gives up waiting now and then, with
/// `WouldBlock`; or by itself after the longest silence, with `TimedOut`.
#[derive(Debug)]
pub(in crate::repo) struct Guard<R> {
    from: R,
    line: Line,
}

impl<R> Guard<R> {
    pub(super) fn new(from: R, line: &Line) -> Self {
        Self {
            from,
            line: line.clone(),
        }
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            self.line.check()?;
            match self.from.read(buffer) {
                Ok(bytes) => {
                    self.line.count(bytes)?;
                    return Ok(bytes);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock if began.elapsed() < self.line.silence() => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Err(self.line.fail(Failure::Silent));
                    }
                    _ => return Err(self.line.fail(Failure::Unreachable(told(&error)))),
                },
            }
        }
    }
}

/// The innermost cause of an error: the outer ones name addresses and types of libraries.
pub(super) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
