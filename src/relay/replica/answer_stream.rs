//! A long answer to a statement, on its way from the replicator that reads it to the client that waits for it.
//!
//! The replica's lane stands still while its statement runs, so a slow client must not slow the reading down for long. A bounded
//! number of bytes waits for the client; once they are full, the client must take half of them within [`PATIENCE`], else it
//! is given up: its connection ends, and the answer goes on being read and judged. So a client that is too slow costs a lane
//! two seconds, and a client that is just quick enough takes 256 KiB a second with the default of `max_statement_answer_buffer`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::stats::RelayStats;

/// All streams of a relay together hold so many times what one may hold; past it each holds one piece. So clients that read
/// nothing of answers that are over do not fill the memory.
const STREAMS: u64 = 8;

/// How long a client may take to make room.
const PATIENCE: Duration = Duration::from_secs(2);

/// Both ends of a new stream that holds at most `most` bytes, or one piece that is larger.
pub(in crate::relay) fn answer_stream(
    most: usize,
    stats: Arc<RelayStats>,
) -> (AnswerWriter, AnswerReader) {
    let shared = Arc::new(Shared {
        most,
        stats,
        state: Mutex::new(State::default()),
        room: Notify::new(),
        pieces: Notify::new(),
    });
    let writer = AnswerWriter(Arc::clone(&shared));
    (writer, AnswerReader(shared))
}

struct Shared {
    most: usize,
    stats: Arc<RelayStats>,
    state: Mutex<State>,
    /// The reader took something, or left.
    room: Notify,
    /// The writer put something in, or is done, or gave the reader up.
    pieces: Notify,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// Since when the client has to make room.
    full_since: Option<Instant>,
    /// No more will come.
    is_over: bool,
    /// The client is gone, or was too slow.
    is_left: bool,
    /// The client was too slow.
    is_given_up: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Puts the piece in if there is room; else says until when there must be.
    fn put(&self, piece: &Bytes) -> Put {
        let mut state = self.state();
        if state.is_left {
            return Put::Left;
        }
        let length = piece.len() as u64;
        let bytes = state.bytes.saturating_add(piece.len());
        // Once full, half must be taken before more is put in: else a client that takes little looks like one that is quick.
        let in_all = (self.most as u64).saturating_mul(STREAMS);
        let fits = state.full_since.is_none() && (bytes <= self.most || state.bytes == 0);
        let has_room = |before: u64| before.saturating_add(length) <= in_all || state.bytes == 0;
        if !fits || !self.stats.answer_buffer.add_if(length, has_room) {
            let since = *state.full_since.get_or_insert_with(Instant::now);
            return Put::Full(since + PATIENCE);
        }
        state.pieces.push_back(piece.clone());
        state.bytes = bytes;
        drop(state);
        self.pieces.notify_one();
        Put::Done
    }

    fn leave(&self, given_up: bool) {
        let mut state = self.state();
        state.is_left = true;
        state.is_given_up |= given_up;
        state.pieces.clear();
        let bytes = std::mem::take(&mut state.bytes);
        drop(state);
        self.stats.answer_buffer.subtract(bytes as u64);
        self.room.notify_one();
        self.pieces.notify_one();
    }
}

enum Put {
    Done,
    /// There must be room by then.
    Full(Instant),
    Left,
}

/// The replicator's end. Dropped, it says that no more will come.
pub(in crate::relay) struct AnswerWriter(Arc<Shared>);

impl AnswerWriter {
    /// Says later whether this end is still there.
    pub(in crate::relay) fn watch(&self) -> WriterWatch {
        WriterWatch(Arc::clone(&self.0))
    }

    /// Hands the piece over, once there is room. False if the client is gone or is given up now: nothing more is wanted.
    pub(in crate::relay) async fn push(&self, piece: Bytes) -> bool {
        loop {
            match self.0.put(&piece) {
                Put::Done => return true,
                Put::Left => return false,
                Put::Full(until) => {
                    if tokio::time::timeout_at(until, self.0.room.notified())
                        .await
                        .is_err()
                    {
                        self.0.stats.slow_answers.increment();
                        self.0.leave(true);
                        return false;
                    }
                }
            }
        }
    }
}

impl Drop for AnswerWriter {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.pieces.notify_one();
    }
}

/// Knows whether the replicator's end is still there.
pub(in crate::relay) struct WriterWatch(Arc<Shared>);

impl WriterWatch {
    pub(in crate::relay) fn is_over(&self) -> bool {
        self.0.state().is_over
    }
}

/// The client's end. Dropped, it says that the client is gone.
pub struct AnswerReader(Arc<Shared>);

impl AnswerReader {
    /// The next piece; `None` when no more will come, which may be because the client was given up.
    pub(in crate::relay) async fn next(&mut self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.0.state();
                if let Some(piece) = state.pieces.pop_front() {
                    state.bytes = state.bytes.saturating_sub(piece.len());
                    if state.bytes <= self.0.most / 2 {
                        state.full_since = None;
                    }
                    drop(state);
                    self.0.stats.answer_buffer.subtract(piece.len() as u64);
                    self.0.room.notify_one();
                    return Some(piece);
                }
                if state.is_over || state.is_left {
                    return None;
                }
            }
            self.0.pieces.notified().await;
        }
    }

    /// Returns once the client is given up.
    pub(in crate::relay) async fn given_up(&self) {
        while !self.0.state().is_given_up {
            self.0.pieces.notified().await;
        }
    }
}

impl Drop for AnswerReader {
    fn drop(&mut self) {
        self.0.leave(false);
    }
}

impl std::fmt::Debug for AnswerReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AnswerReader")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1000;

    fn piece(length: usize) -> Bytes {
        Bytes::from(vec![b'x'; length])
    }

    fn stream() -> (AnswerWriter, AnswerReader, Arc<RelayStats>) {
        let stats = Arc::new(RelayStats::default());
        let (writer, reader) = answer_stream(MOST, Arc::clone(&stats));
        (writer, reader, stats)
    }

    #[tokio::test(start_paused = true)]
    async fn everything_arrives_in_order_and_then_the_end() {
        let (writer, mut reader, stats) = stream();
        let writing = async move {
            for length in 1..=300 {
                assert!(writer.push(piece(length)).await);
            }
        };
        let reading = async {
            for length in 1..=300 {
                assert_eq!(reader.next().await, Some(piece(length)));
            }
            assert_eq!(reader.next().await, None);
        };
        tokio::join!(writing, reading);
        assert!(stats.answer_buffer.highest() <= MOST as u64);
        assert_eq!(
            (stats.answer_buffer.get(), stats.slow_answers.get()),
            (0, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_little_is_given_up_as_one_that_takes_nothing() {
        for pause in [Duration::from_secs(3600), Duration::from_millis(900)] {
            let (writer, mut reader, stats) = stream();
            let begun = Instant::now();
            let writing = async {
                while writer.push(piece(100)).await {}
                Instant::now()
            };
            let reading = async {
                loop {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => { reader.next().await; }
                        () = reader.given_up() => return,
                    }
                }
            };
            let (ended, ()) = tokio::join!(writing, reading);
            assert!(ended - begun <= PATIENCE + pause.min(PATIENCE), "{pause:?}");
            assert_eq!(stats.slow_answers.get(), 1);
            assert_eq!((reader.next().await, stats.answer_buffer.get()), (None, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_half_in_time_is_kept() {
        let (writer, mut reader, stats) = stream();
        let writing = async {
            for _ in 0..100 {
                assert!(writer.push(piece(100)).await);
            }
        };
        let reading = async {
            for _ in 0..50 {
                tokio::time::sleep(Duration::from_millis(300)).await;
                reader.next().await;
                reader.next().await;
            }
        };
        tokio::join!(writing, reading);
        assert_eq!(stats.slow_answers.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn many_clients_that_read_nothing_share_what_eight_may_hold() {
        let stats = Arc::new(RelayStats::default());
        let mut streams = Vec::new();
        for _ in 0..20 {
            let (writer, reader) = answer_stream(MOST, Arc::clone(&stats));
            for _ in 0..9 {
                let _ = tokio::time::timeout(Duration::from_secs(1), writer.push(piece(100))).await;
            }
            streams.push((writer, reader));
        }
        let held = stats.answer_buffer.get();
        assert!((8000..=8000 + 12 * 100).contains(&held), "{held}");
        streams.clear();
        assert_eq!(stats.answer_buffer.get(), 0);
    }

    #[tokio::test]
    async fn a_client_that_left_is_not_waited_for() {
        let (writer, reader, stats) = stream();
        assert!(writer.push(piece(MOST)).await);
        drop(reader);
        assert!(!writer.push(piece(MOST)).await);
        assert_eq!(
            (stats.answer_buffer.get(), stats.slow_answers.get()),
            (0, 0)
        );
    }
}
