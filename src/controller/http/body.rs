//! Reads a delivery whole, or not at all: bounded in bytes, in time, and over all requests together.

use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

/// Largest delivery.
const MAX: usize = 1 << 20;
/// What most deliveries fit in; more than this only [`LARGE_AT_ONCE`] of them may hold.
const SMALL: usize = 64 << 10;
/// Deliveries beyond [`SMALL`] that are held at once: strangers can send them.
const LARGE_AT_ONCE: usize = 16;
/// How long a delivery may take to arrive.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a delivery was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    /// The client went away.
    Broken,
}

/// A delivery, and its share of the memory for large ones.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
}

/// The memory that deliveries may take.
pub(super) struct Room {
    large: Semaphore,
    limit: Duration,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            large: Semaphore::new(LARGE_AT_ONCE),
            limit: LIMIT,
        }
    }
}

impl Room {
    pub(super) async fn read<B>(&self, body: B) -> Result<Read<'_>, Unread>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        // What announces too much need not be heard.
        if body.size_hint().lower() > MAX as u64 {
            return Err(Unread::TooLarge);
        }
        timeout(self.limit, self.gather(body))
            .await
            .unwrap_or(Err(Unread::TooSlow))
    }

    async fn gather<B>(&self, mut body: B) -> Result<Read<'_>, Unread>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut bytes = BytesMut::new();
        let mut share = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Unread::Broken)?;
            // What is no data are trailers, which mean nothing to us.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let length = bytes.len() + data.len();
            if length > MAX {
                return Err(Unread::TooLarge);
            }
            if length > SMALL && share.is_none() {
                share = Some(self.large.acquire().await.map_err(|_| Unread::Broken)?);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Read {
            bytes: bytes.freeze(),
            _share: share,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body::Frame;
    use http_body_util::Full;
    use http_body_util::StreamBody;

    use super::*;

    /// A body of unknown length, in chunks.
    fn chunks(
        size: usize,
        count: usize,
    ) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let chunk = move |_| Ok(Frame::data(Bytes::from(vec![b'x'; size])));
        StreamBody::new(stream::iter((0..count).map(chunk)))
    }

    #[tokio::test]
    async fn a_mebibyte_and_no_more() {
        let room = Room::default();
        let whole = room.read(chunks(1 << 10, 1 << 10)).await.unwrap();
        assert_eq!(whole.bytes.len(), MAX);
        let announced = room.read(Full::new(Bytes::from(vec![0; MAX + 1]))).await;
        assert_eq!(announced.unwrap_err(), Unread::TooLarge);
        let hidden = room.read(chunks((1 << 10) + 1, 1 << 10)).await;
        assert_eq!(hidden.unwrap_err(), Unread::TooLarge);
    }

    #[tokio::test]
    async fn large_ones_wait_and_small_ones_pass() {
        let room = Room {
            limit: Duration::from_millis(50),
            ..Room::default()
        };
        let mut held = Vec::new();
        for _ in 0..LARGE_AT_ONCE {
            held.push(room.read(chunks(SMALL + 1, 1)).await.unwrap());
        }
        assert_eq!(
            room.read(chunks(SMALL + 1, 1)).await.unwrap_err(),
            Unread::TooSlow
        );
        assert!(room.read(chunks(SMALL, 1)).await.is_ok());
        held.pop();
        assert!(room.read(chunks(SMALL + 1, 1)).await.is_ok());
    }

    #[tokio::test]
    async fn a_silent_sender_is_left() {
        let silent = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let room = Room {
            limit: Duration::from_millis(50),
            ..Room::default()
        };
        assert_eq!(room.read(silent).await.unwrap_err(), Unread::TooSlow);
    }
}
