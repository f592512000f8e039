//! Slows one request down to what `bandwidth` lets pass: its body is read, and its answer written, a piece at a time.
//!
//! Nothing is held for the wait but what was there before. Bytes that are not read wait in the client's own kernel and in ours, answers
//! that are not written with their server.
//!
//! The wait is not the client's, so Pingora's timeout of an answer, which cannot tell, is off for such a request; `timeout.client` is
//! kept here for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::protocols::Stream;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep_until};

use super::bandwidth::{Bandwidth, Limit};
use crate::config::model;
use crate::source::Source;
use crate::stats::{Counter, ThrottleStats};

/// What slows one request.
#[derive(Debug)]
pub(in crate::proxy) struct Throttle {
    body: Option<Lane>,
    answer: Option<Lane>,
    /// `timeout.client`.
    longest: Duration,
    /// Until when the client, which takes nothing of the answer now, has to take something.
    untaken: Option<Pin<Box<Sleep>>>,
}

/// One direction.
#[derive(Debug)]
struct Lane {
    limit: Limit,
    /// When the next bytes may pass.
    free_at: Instant,
    /// Bytes are charged, and do not wait.
    hurries: bool,
    waiting: Option<Waiting>,
    /// It has waited.
    is_slowed: bool,
    /// How many have.
    slowed: Counter,
    /// How long, in microseconds.
    waited: Counter,
}

/// Until bytes may pass.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Throttle {
    /// For a request of `source` that begins now.
    pub(in crate::proxy) fn new(
        limits: &model::Bandwidth,
        bandwidth: &Bandwidth,
        source: Source,
        longest: Duration,
        stats: &ThrottleStats,
    ) -> Self {
        let now = Instant::now().into_std();
        let most = limits.max_sources;
        let body = Limit::new(
            limits.in_per_request,
            limits.in_per_source,
            &bandwidth.bodies,
            source,
            most,
            now,
        );
        let answer = Limit::new(
            limits.out_per_request,
            limits.out_per_source,
            &bandwidth.answers,
            source,
            most,
            now,
        );
        Self {
            body: body.map(|limit| Lane::new(limit, &stats.bodies, &stats.body_micros)),
            answer: answer.map(|limit| Lane::new(limit, &stats.answers, &stats.answer_micros)),
            longest,
            untaken: None,
        }
    }

    /// Whether it slows answers.
    pub(super) fn is_of_answers(&self) -> bool {
        self.answer.is_some()
    }

    /// Charges for bytes of the body that had come before; says how long the request is to wait for that.
    pub(super) fn came_before(&mut self, bytes: usize) -> Duration {
        // A request without a body owes nothing.
        let Some(lane) = self.body.as_mut().filter(|_| bytes > 0) else {
            return Duration::ZERO;
        };
        lane.passed(bytes);
        let wait = lane.free_at.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            lane.note_slowed();
            lane.waited.add(micros(wait));
        }
        wait
    }

    /// How many bytes of the body may be read now.
    pub(super) fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        match &mut self.body {
            Some(lane) => lane.poll_piece(context),
            None => Poll::Ready(usize::MAX),
        }
    }

    /// So many have been read.
    pub(super) fn came(&mut self, bytes: usize) {
        if let Some(lane) = &mut self.body {
            lane.passed(bytes);
        }
    }

    /// Writes some of `text`, a piece of an answer.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut Stream,
        text: &[u8],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(lane) = &mut self.answer else {
            return Pin::new(stream).poll_write(context, text);
        };
        let Poll::Ready(most) = lane.poll_piece(context) else {
            // What was written leaves meanwhile.
            if let Poll::Ready(Err(error)) = Pin::new(stream).poll_flush(context) {
                return Poll::Ready(Err(error));
            }
            return Poll::Pending;
        };
        let text = text.get(..most).unwrap_or(text);
        match Pin::new(stream).poll_write(context, text) {
            Poll::Ready(written) => {
                self.untaken = None;
                let written = written?;
                lane.passed(written);
                Poll::Ready(Ok(written))
            }
            Poll::Pending => {
                let longest = self.longest;
                let fresh = || Box::pin(tokio::time::sleep(longest));
                let timer = self.untaken.get_or_insert_with(fresh);
                ready!(timer.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// The answer waits no more, because somebody waits for its end. It is charged all the same.
    pub(super) fn hurry(&mut self) {
        if let Some(lane) = &mut self.answer {
            lane.hurries = true;
        }
    }
}

impl Lane {
    fn new(mut limit: Limit, slowed: &Counter, waited: &Counter) -> Self {
        let now = Instant::now();
        // What others of its address have had comes first.
        let free_at = Instant::from_std(limit.charge(0, now.into_std()));
        Self {
            limit,
            free_at,
            hurries: false,
            waiting: None,
            is_slowed: false,
            slowed: slowed.clone(),
            waited: waited.clone(),
        }
    }

    /// How many bytes may pass now.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        if !self.hurries && self.free_at > Instant::now() {
            self.note_slowed();
            let free_at = self.free_at;
            let waiting = self.waiting.get_or_insert_with(|| Waiting {
                since: Instant::now(),
                timer: Box::pin(sleep_until(free_at)),
            });
            ready!(waiting.timer.as_mut().poll(context));
        }
        self.waited();
        Poll::Ready(self.limit.piece())
    }

    fn passed(&mut self, bytes: usize) {
        let now = Instant::now().into_std();
        self.free_at = Instant::from_std(self.limit.charge(bytes, now));
    }

    fn note_slowed(&mut self) {
        if !self.is_slowed {
            self.is_slowed = true;
            self.slowed.increment();
        }
    }

    /// Counts the wait that has ended.
    fn waited(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.waited.add(micros(waiting.since.elapsed()));
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.waited();
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
