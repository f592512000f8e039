//! What [`crate::fuzzing`] tries of a client's bytes.

use super::framing::Framing;
use super::header::{shown, understand};

/// A request's header is understood, or refused with words for the log; what is handed on is understood as the same.
pub(crate) fn header(bytes: &[u8]) {
    let (method, path) = shown(bytes);
    assert!(!method.is_empty() && !path.is_empty());
    let Ok(Some(header)) = understand(bytes) else {
        return;
    };
    assert!(header.length <= bytes.len());
    let again = understand(&header.text).expect("what is handed on is sound");
    let again = again.expect("and whole");
    assert_eq!(again.text, header.text);
    assert_eq!(again.framing, header.framing);
    assert_eq!(again.length, header.text.len());
}

/// Where a chunked body ends does not depend on the pieces in which it comes.
pub(crate) fn body(bytes: &[u8]) {
    let Some((piece, body)) = bytes.split_first() else {
        return;
    };
    let mut whole = Framing::CHUNKED;
    let Ok(taken) = whole.advance(body) else {
        return;
    };
    let mut framing = Framing::CHUNKED;
    let mut rest = body;
    let mut in_pieces = 0;
    while framing != Framing::Ended && !rest.is_empty() {
        let (now, _) = rest
            .split_at_checked(usize::from(*piece) + 1)
            .unwrap_or((rest, &[]));
        let here = framing.advance(now).expect("as the whole is sound");
        assert!(here > 0, "it goes on");
        in_pieces += here;
        rest = rest.get(here..).unwrap_or_default();
    }
    assert_eq!(in_pieces, taken);
    assert_eq!(framing == Framing::Ended, whole == Framing::Ended);
}
