//! What nodes answer.

use super::choice;
use crate::http_response::ResponseReader;
use crate::influx::message_pack::{Extent, Reader};
use crate::influx::query_answer::read_chunked_answer;
use crate::influx::results::render;
use crate::influx::{
    AnswerScan, Format, judge_statement, judge_write, read_query_answer, read_started, scan_answer,
};

/// An answer as it comes over a connection.
pub(super) fn http_response(mut bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let mut reader = ResponseReader::new(&mut bytes);
        let Ok(head) = reader.begin().await else {
            return;
        };
        assert!(head.fields().all(|(name, _)| !name.is_empty()));
        while let Ok(Some(piece)) = reader.piece().await {
            assert!(!piece.is_empty());
        }
    });
}

/// What an answer to a write, a statement or a query says, and the same in other formats.
pub(super) fn answer(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    let whole = scan_answer(body);
    let mut scan = AnswerScan::default();
    for piece in body.chunks(usize::from(first) + 1) {
        scan.read(piece);
    }
    assert_eq!(scan.finish(), whole, "pieces make no difference");
    let status = [200, 204, 400, 401, 403, 404, 500, 503].get(usize::from(first & 7));
    let status = status.copied().unwrap_or_default();
    judge_write(status, body);
    judge_statement(first & 8 == 0, status, body);
    read_query_answer(body);
    let _ = read_chunked_answer(body);
    read_started(body);
    for format in [Format::TextCsv, Format::ApplicationCsv, Format::MessagePack] {
        let _ = render(body, format, first & 16 == 0, None);
    }
}

/// MessagePack, whole and as it comes.
pub(super) fn message_pack(bytes: &[u8]) {
    let whole = Extent::new().whole(bytes);
    let mut coming = Extent::new();
    let mut found = Ok(None);
    for end in 0..=bytes.len() {
        found = coming.whole(bytes.get(..end).unwrap_or_default());
        if !matches!(found, Ok(None)) {
            break;
        }
    }
    assert_eq!(found.ok().flatten(), whole.ok().flatten());
    let mut reader = Reader::new(bytes);
    while reader.skip().is_ok() {}
}
