//! What a replica said when it refused a record.

use std::sync::Arc;

use crate::influx::{may_be_half_done, shorten};
use crate::stats::RelayStats;

/// Bytes of a refusal's words that stand in a dead letter.
const MAX_REMEMBERED: usize = 2048;

/// A refusal as the replica said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    words: Arc<Words>,
}

/// What a replica said: decoded text, never a piece of an answer's JSON.
#[derive(Debug)]
struct Words {
    text: Box<str>,
    /// Where a long text is counted.
    counted: Option<Arc<RelayStats>>,
}

impl Refusal {
    /// A refusal in these words, of which 2 KiB are kept.
    pub fn new(status: u16, words: &str) -> Refusal {
        Refusal::shortened(status, words, MAX_REMEMBERED)
    }

    fn shortened(status: u16, words: &str, most: usize) -> Refusal {
        Refusal {
            status,
            words: Arc::new(Words {
                text: shorten(words, most).into(),
                counted: None,
            }),
        }
    }

    /// The same with all of its words, for clients that wait, as long as there is room among `most` bytes of such texts.
    pub(in crate::relay) fn in_full(
        status: u16,
        words: String,
        stats: &Arc<RelayStats>,
        most: usize,
    ) -> Refusal {
        let length = words.len() as u64;
        let has_room = |before: u64| before.saturating_add(length) <= most as u64;
        if words.len() <= MAX_REMEMBERED || !stats.refusal_texts.add_if(length, has_room) {
            return Refusal::new(status, &words);
        }
        Refusal {
            status,
            words: Arc::new(Words {
                text: words.into(),
                counted: Some(Arc::clone(stats)),
            }),
        }
    }

    /// Its words, as a client hears them.
    pub fn words(&self) -> &str {
        &self.words.text
    }

    /// Whether the record may be carried out in part.
    pub(super) fn may_be_half_done(&self) -> bool {
        may_be_half_done(self.words())
    }

    /// The same refusal in so few words that many can be remembered: at most `most` bytes, and the memory of `like` where that
    /// says the same.
    pub(super) fn remembered(&self, most: usize, like: Option<&Refusal>) -> Refusal {
        let short = match self.words.counted.is_none() && self.words().len() <= most {
            true => self.clone(),
            false => Refusal::shortened(self.status, self.words(), most.min(MAX_REMEMBERED)),
        };
        match like.filter(|like| like.words() == short.words()) {
            Some(like) => Refusal {
                status: self.status,
                words: Arc::clone(&like.words),
            },
            None => short,
        }
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Words) -> bool {
        self.text == other.text
    }
}

impl Eq for Words {}

impl Drop for Words {
    fn drop(&mut self) {
        if let Some(stats) = &self.counted {
            stats.refusal_texts.subtract(self.text.len() as u64);
        }
    }
}
