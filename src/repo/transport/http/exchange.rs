//! One request and its answer, in the pieces that gix reads and writes.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Cursor;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use reqwest::blocking::Response;

use super::Ask;
use crate::repo::transport::line::Guard;
use crate::repo::transport::line::Line;

/// A request and its answer. It is sent when the answer is first looked at: only then is its body
/// complete.
pub(super) struct Exchange {
    line: Line,
    state: State,
}

enum State {
    Asking(Ask, Vec<u8>),
    Answered(Vec<u8>, Guard<Answer>),
    Over,
}

impl Exchange {
    /// One that will be sent.
    pub(super) fn asking(ask: Ask, line: &Line) -> Self {
        Self {
            line: line.clone(),
            state: State::Asking(ask, Vec::new()),
        }
    }

    pub(super) fn answered(response: Response, line: &Line) -> Self {
        let mut head = Vec::new();
        for (name, value) in response.headers() {
            head.extend_from_slice(name.as_str().as_bytes());
            head.push(b':');
            head.extend_from_slice(value.as_bytes());
            head.push(b'\n');
        }
        Self {
            line: line.clone(),
            state: State::Answered(head, Guard::new(Answer(response), line)),
        }
    }

    fn answer(&mut self) -> io::Result<(&[u8], &mut Guard<Answer>)> {
        if matches!(self.state, State::Asking(..))
            && let State::Asking(ask, body) = std::mem::replace(&mut self.state, State::Over)
        {
            let response = ask.send(body, &self.line)?;
            *self = Self::answered(response, &self.line);
        }
        match &mut self.state {
            State::Answered(head, body) => Ok((head, body)),
            State::Asking(..) | State::Over => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// The body of an answer as it comes. The client's own error for a silence is of no kind.
struct Answer(Response);

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let inner = error.get_ref().and_then(|it| it.downcast_ref());
            if inner.is_some_and(reqwest::Error::is_timeout) {
                io::ErrorKind::TimedOut.into()
            } else {
                error
            }
        })
    }
}

type Shared = Arc<Mutex<Exchange>>;

fn lock(exchange: &Shared) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Headers and body as they are read.
pub(super) fn answer(exchange: Exchange) -> (Head, BufReader<Body>) {
    let exchange = Arc::new(Mutex::new(exchange));
    let head = Head {
        exchange: Arc::clone(&exchange),
        text: None,
    };
    (head, BufReader::new(Body(exchange)))
}

/// Takes the body of a request.
pub(in crate::repo::transport) struct Question(Shared);

impl Write for Question {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut lock(&self.0).state {
            State::Asking(_, body) => body.write(bytes),
            State::Answered(..) | State::Over => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The headers of an answer, line by line.
pub(in crate::repo::transport) struct Head {
    exchange: Shared,
    text: Option<Cursor<Vec<u8>>>,
}

impl Head {
    /// Takes the body of the request, until its answer is looked at.
    pub(super) fn question(&self) -> Question {
        Question(Arc::clone(&self.exchange))
    }

    fn text(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if self.text.is_none() {
            let head = lock(&self.exchange).answer()?.0.to_vec();
            self.text = Some(Cursor::new(head));
        }
        Ok(self.text.get_or_insert_default())
    }
}

impl Read for Head {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.text()?.read(buffer)
    }
}

impl BufRead for Head {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.text()?.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        if let Some(text) = &mut self.text {
            text.consume(bytes);
        }
    }
}

/// The body of an answer.
pub(in crate::repo::transport) struct Body(Shared);

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        lock(&self.0).answer()?.1.read(buffer)
    }
}
