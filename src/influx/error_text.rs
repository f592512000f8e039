//! The text of an error as haflux keeps it: whole up to 64 KiB, of a longer one the beginning and the end.
//!
//! InfluxDB names every bad line of a body in one text, so the text of one request can take megabytes. Its verdict stands at
//! the beginning, and what became of the rest of the body (`dropped=N`) at the end.

/// Bytes that are kept of the beginning of a long text.
const BEGINNING: usize = 60 * 1024;

/// Bytes that are kept of its end.
const END: usize = 4 * 1024;

/// An error's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorText {
    text: String,
    is_whole: bool,
}

impl ErrorText {
    /// The text, proper UTF-8. Where the middle is left out, a mark says how much.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same, to be kept.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Whether nothing is left out and the answer did not end inside the text.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// Gathers a text, of which it keeps 68 KiB at most, however long it is.
#[derive(Debug, Default)]
pub(super) struct Excerpt {
    beginning: Vec<u8>,
    end: Vec<u8>,
    /// Bytes between the two.
    left_out: u64,
}

impl Excerpt {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = match self.end.is_empty() {
            true => BEGINNING.saturating_sub(self.beginning.len()),
            false => 0,
        };
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.beginning.extend_from_slice(first);
        for piece in rest.chunks(END) {
            self.end.extend_from_slice(piece);
            if self.end.len() > 2 * END {
                self.leave_out(self.end.len() - END);
            }
        }
    }

    fn leave_out(&mut self, count: usize) {
        self.end.drain(..count);
        self.left_out = self.left_out.saturating_add(count as u64);
    }

    /// `has_end`: nothing of the text is missing behind what was pushed.
    pub(super) fn finish(mut self, has_end: bool) -> ErrorText {
        if !has_end {
            let pushed = match self.end.is_empty() {
                true => &mut self.beginning,
                false => &mut self.end,
            };
            cut_before_half_a_character(pushed);
        }
        if self.left_out == 0 && self.beginning.len() + self.end.len() <= BEGINNING + END {
            self.beginning.append(&mut self.end);
            return ErrorText {
                text: lossy(self.beginning),
                is_whole: has_end,
            };
        }
        // The first bytes of the end may be the last ones of a character.
        let surplus = self.end.len().saturating_sub(END);
        let is_inner = |byte: &&u8| (0x80..0xc0).contains(*byte);
        let behind = self.end.get(surplus..).unwrap_or_default();
        let inner = behind.iter().take(3).take_while(is_inner).count();
        self.leave_out(surplus + inner);
        let length = self.beginning.len();
        cut_before_half_a_character(&mut self.beginning);
        self.left_out += (length - self.beginning.len()) as u64;
        let mut text = lossy(self.beginning);
        text.push_str(&mark(self.left_out));
        text.push_str(&lossy(self.end));
        ErrorText {
            text,
            is_whole: false,
        }
    }
}

/// The text shortened to about `most` bytes, its beginning and its end kept.
pub fn shorten(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.ceil_char_boundary(text.len() - most / 4);
    let beginning = text.floor_char_boundary((most - most / 4).min(end));
    let first = text.get(..beginning).unwrap_or_default();
    let last = text.get(end..).unwrap_or_default();
    format!("{first}{}{last}", mark((end - beginning) as u64))
}

/// The text of an answer that is no JSON, shortened as an error's.
pub(super) fn excerpt_of(text: &str) -> String {
    let mut excerpt = Excerpt::default();
    excerpt.push(text.as_bytes());
    excerpt.finish(true).text
}

fn mark(left_out: u64) -> String {
    format!(" … ({left_out} bytes left out) … ")
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn cut_before_half_a_character(bytes: &mut Vec<u8>) {
    let Some(behind) = bytes.iter().rev().take(4).position(|byte| *byte >= 0xc0) else {
        return;
    };
    let start = bytes.len() - behind - 1;
    let is_half = bytes.get(start..).is_some_and(|last| {
        std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none())
    });
    if is_half {
        bytes.truncate(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn excerpt(text: &str, piece: usize, has_end: bool) -> ErrorText {
        let mut excerpt = Excerpt::default();
        for piece in text.as_bytes().chunks(piece) {
            excerpt.push(piece);
            assert!(excerpt.beginning.len() + excerpt.end.len() <= BEGINNING + 2 * END);
        }
        excerpt.finish(has_end)
    }

    #[test]
    fn a_text_of_64_kib_is_whole_and_a_longer_one_keeps_both_ends() {
        let whole = "x".repeat(64 * 1024);
        let kept = excerpt(&whole, 1000, true);
        assert!(kept.is_whole() && kept.text() == whole);
        let long = format!("begins {} dropped=7", "é".repeat(100_000));
        for piece in [1, 3, 4096, 1 << 20] {
            let kept = excerpt(&long, piece, true);
            assert!(!kept.is_whole() && kept.text().len() < 66_000);
            assert!(kept.text().starts_with("begins éé"));
            assert!(kept.text().ends_with("é dropped=7"));
            assert!(kept.text().contains(" bytes left out) … é"), "{piece}");
            assert!(!kept.text().contains('\u{fffd}'));
        }
    }

    #[test]
    fn half_a_character_at_the_end_is_left_out() {
        let mut excerpt = Excerpt::default();
        excerpt.push(b"caf\xc3");
        let kept = excerpt.finish(false);
        assert_eq!((kept.text(), kept.is_whole()), ("caf", false));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in ".{0,300}", repeated in 1_usize..600, piece in 1_usize..9000, has_end: bool) {
            let text = text.repeat(repeated);
            let kept = excerpt(&text, piece, has_end);
            prop_assert_eq!(&kept, &excerpt(&text, usize::MAX, has_end));
            prop_assert!(kept.text().len() <= BEGINNING + END + 100);
            let strange = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
            prop_assert!(strange(&text) || !strange(kept.text()));
        }

        #[test]
        fn shortened_texts_are_short(text in ".{0,300}", most in 4_usize..100) {
            let short = shorten(&text, most);
            prop_assert!(short.len() <= most + 60);
            prop_assert!(text.len() > most || short == text);
        }
    }
}
