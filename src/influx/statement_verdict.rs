//! What a replica's answer to a changing statement means (`/query`, and what else changes data beside writes).
//!
//! InfluxDB sends 200 before it executes, so a refusal of a statement stands in the body of a 200:
//!
//! | status | text | verdict |
//! | --- | --- | --- |
//! | 200 of `/query` | results without an error | `Applied` |
//! | 200 of `/query` | `max-concurrent-queries limit exceeded…`, `query engine shutdown`, `query controller shutdown` (Flux, 1.11 –), `engine is closed` and whatever else is closed while a node stops, `shard is disabled`, … (`OF_THE_NODE`), also behind `shard N: ` and `[shard N] ` | `Ill` |
//! | 200 of `/query` | of the node's system, about one of its files: `write /…: no space left on device`, … | `Ill` |
//! | 200 of `/query` | `engine: cache-max-memory-size exceeded…`, `write failed`, … (`OF_BOTH`), behind shards, too | `TryAgain` |
//! | 200 of `/query` | `query interrupted` (`KILL QUERY`), `query-timeout limit exceeded` (the node's own): a person or the node's configuration ended it | `Refused`, and [a part may be done](may_be_half_done) |
//! | 200 of `/query` | `timeout`: InfluxDB's own write timeout, of an `INTO` | `TimedOut`: its points may still be written |
//! | 200 of `/query` | `user not found`, `retention policy already exists`, `retention policy not found: …`, `database not found: …`, `continuous query already exists`, … (`SUPERSEDED`) | `Refused`, `superseded`: what a statement meets where a later one has changed or removed what it speaks of |
//! | 200 of `/query` | `… not authorized …`, `create admin user first …` | `Unauthorized` |
//! | 200 of `/query` | any other error | `Refused` |
//! | 200 of `/query` | `json: error calling MarshalJSON …` or `json: unsupported value: …` in place of JSON or behind it: a row holds a number that JSON cannot express | `Applied`: it was carried out, and no node can tell its answer |
//! | 200 of `/query` | no JSON | `Unexpected`: something else listens there |
//! | 2xx of any other endpoint | | `Applied` |
//! | 400 | the body could not be read | `TryAgain` |
//! | 400 | any other: nothing ran | `Refused` |
//! | 401, 403 | | `Unauthorized`: nothing ran |
//! | 408, 429 | | `TryAgain` |
//! | other 4xx | of a node that does not know the endpoint, for instance | `Refused` |
//! | 500 | `Internal Server Error` in plain text: the handler panicked | `Refused`, or it would block its replica for ever |
//! | 500 of an endpoint other than `/query` | those of a 200 of `/query` that pass | `Ill`, `TryAgain` |
//! | 500 of an endpoint other than `/query` | any other | `Refused`: those report errors of the request so |
//! | 502, 504 | of a proxy that waited for the node in vain | `Unanswered` |
//! | other 5xx | | `TryAgain` |
//! | anything else | | `Unexpected` |
//!
//! Of several statements the first error counts. InfluxDB overwrites the error of one that is not the last by `not executed`:
//! then it cannot be told whether it would pass, and it is taken as a refusal.

use super::answer_scan::{Scanned, scan_answer};
use super::error_text::ErrorText;

/// What became of a changing request at one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementVerdict {
    /// All of it was carried out.
    Applied,
    /// Refused; of several statements the first ones may have been carried out.
    Refused {
        /// It is also what a statement meets at a node to which data was copied that a later statement has left: there it counts as
        /// applied, because the later one comes as well.
        superseded: bool,
    },
    /// The credentials are not good, or not good for this. Nothing was carried out.
    Unauthorized,
    /// Not carried out, or not wholly, for a reason that passes, unless it lies in the statement itself.
    TryAgain,
    /// As [`TryAgain`](Self::TryAgain), but whatever the statement is: the node is busy, stops, or its disk is full or ill.
    Ill,
    /// As [`TryAgain`](Self::TryAgain), but the points of an `INTO` may still land.
    TimedOut,
    /// The node gave no answer to who asked it for us: it may still be carried out.
    Unanswered,
    /// Nothing that InfluxDB says.
    Unexpected,
}

use StatementVerdict::{
    Applied, Ill, Refused, TimedOut, TryAgain, Unanswered, Unauthorized, Unexpected,
};

const REFUSED: StatementVerdict = Refused { superseded: false };

/// Judges the whole answer to a request to `/query` that was asked for in JSON (`is_query`), or to another changing endpoint.
pub fn judge_statement(is_query: bool, status: u16, body: &[u8]) -> StatementVerdict {
    judge_scanned_statement(is_query, status, body, &scan_answer(body))
}

/// Judges an answer of any length by its status, the beginning of its body, and what was found in all of it.
pub fn judge_scanned_statement(
    is_query: bool,
    status: u16,
    body: &[u8],
    scanned: &Scanned,
) -> StatementVerdict {
    let error = scanned.error.as_ref().map(ErrorText::text);
    match status {
        200..=299 if !is_query => Applied,
        200 => match error {
            Some(text) => judge_text(text),
            None if scanned.is_results || scanned.is_unsupported => Applied,
            None => Unexpected,
        },
        400 => match error {
            Some(text) if was_not_read(text) => TryAgain,
            _ => REFUSED,
        },
        401 | 403 => Unauthorized,
        408 | 429 => TryAgain,
        402..=499 => REFUSED,
        500 if !is_query => match error {
            Some(text) => passing(text).unwrap_or(REFUSED),
            None => REFUSED,
        },
        500 if body.trim_ascii() == b"Internal Server Error" => REFUSED,
        502 | 504 => Unanswered,
        500.. => TryAgain,
        _ => Unexpected,
    }
}

fn was_not_read(text: &str) -> bool {
    matches!(text, "EOF" | "unexpected EOF")
        || text.starts_with("http: ")
        || text.starts_with("read tcp ")
}

/// How errors begin of a statement that was begun, and ended by a person or by the node's own limit.
const ENDED: [&str; 2] = ["query interrupted", "query-timeout limit exceeded"];

/// Whether a statement that was refused in these words may be carried out in part: InfluxDB writes what a `SELECT … INTO` finds while
/// it reads on.
pub fn may_be_half_done(words: &str) -> bool {
    ENDED.iter().any(|start| words.starts_with(start))
}

/// How errors begin that pass, unless the statement is too much for the node.
const OF_BOTH: [&str; 4] = [
    "engine: cache-max-memory-size exceeded",
    "cache-max-memory-size exceeded",
    "engine: write ",
    "write failed",
];

/// How errors begin that say nothing of the statement: the node is busy, stops, or starts.
const OF_THE_NODE: [&str; 19] = [
    "max-concurrent-queries limit exceeded",
    "query aborted",
    "query engine shutdown",
    "query controller shutdown",
    "engine is closed",
    "shard is disabled",
    "shard is being deleted",
    "store is closed",
    "WAL closed",
    "tsm file closed",
    "file still in use",
    "snapshots disabled",
    "snapshot in progress",
    "compactions disabled",
    "index is closing",
    "tsdb: series file closed",
    "tsdb: series partition closed",
    "meta service unavailable",
    "raft store already closed",
];

/// What the node's system says when its disk, or another thing that it lacks, is at fault.
const OF_THE_SYSTEM: [&str; 13] = [
    "no space left on device",
    "disk quota exceeded",
    "input/output error",
    "read-only file system",
    "permission denied",
    "too many open files",
    "too many open files in system",
    "cannot allocate memory",
    "device or resource busy",
    "stale NFS file handle",
    "stale file handle",
    "interrupted system call",
    "file already closed",
];

/// The calls that it says so of.
const CALLS: [&str; 16] = [
    "open",
    "read",
    "write",
    "sync",
    "fsync",
    "close",
    "rename",
    "link",
    "remove",
    "unlinkat",
    "mkdir",
    "truncate",
    "seek",
    "stat",
    "lstat",
    "readdirent",
];

/// The verdict of an error that passes.
fn passing(text: &str) -> Option<StatementVerdict> {
    let text = without_shards(text);
    let begins_as = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    if begins_as(&OF_THE_NODE) || is_of_the_system(text) {
        return Some(Ill);
    }
    begins_as(&OF_BOTH).then_some(TryAgain)
}

/// What stands behind `shard 3: ` and `[shard 3] `, as often as they come: InfluxDB says so of what it does to many shards at once.
fn without_shards(mut text: &str) -> &str {
    loop {
        let (rest, end) = match (text.strip_prefix("shard "), text.strip_prefix("[shard ")) {
            (Some(rest), _) => (rest, ": "),
            (None, Some(rest)) => (rest, "] "),
            (None, None) => return text,
        };
        text = match rest.split_once(end) {
            Some((number, inner)) if number.bytes().all(|byte| byte.is_ascii_digit()) => inner,
            _ => return text,
        };
    }
}

/// As Go reports a call of the system: `write /var/lib/influxdb/…: no space left on device`.
fn is_of_the_system(text: &str) -> bool {
    let call = text.split_once(" /").map_or("", |(call, _)| call);
    let names_a_file = CALLS.contains(&call);
    names_a_file
        && text
            .rsplit_once(": ")
            .is_some_and(|(_, reason)| OF_THE_SYSTEM.contains(&reason))
}

/// How errors begin of a statement that speaks of what a later one has made otherwise, or removed.
const SUPERSEDED: [&str; 13] = [
    "user not found",
    "user already exists",
    "subscription not found",
    "subscription already exists",
    "database not found: ",
    "retention policy not found",
    "retention policy already exists",
    "retention policy name already exists",
    "retention policy conflicts with an existing policy",
    "retention policy duration must be greater than the shard duration",
    "continuous query already exists",
    "continuous query not found",
    "measurement not found",
];

/// Error texts repeat names that clients choose, so they are compared from their beginning, where InfluxDB's own words stand.
fn judge_text(text: &str) -> StatementVerdict {
    if text == "timeout" {
        return TimedOut;
    }
    if let Some(verdict) = passing(text) {
        return verdict;
    }
    if text.starts_with("error authorizing query: ") || text.starts_with("create admin user first")
    {
        return Unauthorized;
    }
    Refused {
        superseded: SUPERSEDED.iter().any(|start| text.starts_with(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn result(error: &str) -> String {
        format!(
            "{{\"results\":[{{\"statement_id\":0,\"error\":{}}}]}}\n",
            serde_json::to_string(error).expect("JSON")
        )
    }

    #[test]
    fn errors_under_200_are_errors() {
        let superseded = Refused { superseded: true };
        let table = [
            (
                "retention policy conflicts with an existing policy",
                superseded,
            ),
            ("database not found: x", superseded),
            ("not executed", REFUSED),
            ("user not found", superseded),
            ("subscription already exists", superseded),
            ("max-concurrent-queries limit exceeded(1, 1)", Ill),
            ("query interrupted", REFUSED),
            ("query-timeout limit exceeded", REFUSED),
            ("timeout", TimedOut),
            ("engine: cache-max-memory-size exceeded: (9/8)", TryAgain),
            ("invalid name timeout", REFUSED),
            ("shard 1: engine is closed", Ill),
            ("[shard 12] WAL closed", Ill),
            ("shard 1: [shard 1] tsdb: series file closed", Ill),
            ("write /var/lib/x/_1.wal: no space left on device", Ill),
            ("shard 3: open /x/1.tombstone.tmp: permission denied", Ill),
            ("rename /a b/m.tmp /a b/m: read-only file system", Ill),
            // What a client may have chosen the end of.
            (
                "database not found: x /: no space left on device",
                superseded,
            ),
            ("measurement /x: no space left on device", REFUSED),
            ("retention policy not found: engine is closed", superseded),
            ("shard x: engine is closed", REFUSED),
            ("shard 1: fields not supported in WHERE clause", REFUSED),
            ("open /x: what nobody has heard of", REFUSED),
            (
                "error authorizing query: create admin user first or disable authentication",
                Unauthorized,
            ),
        ];
        for (text, expected) in table {
            assert_eq!(
                judge_statement(true, 200, result(text).as_bytes()),
                expected,
                "{text}"
            );
        }
        assert_eq!(
            judge_statement(true, 200, b"{\"results\":[{\"statement_id\":0}]}\n"),
            Applied
        );
        assert_eq!(judge_statement(true, 200, b"{}\n"), Applied);
        assert_eq!(judge_statement(true, 200, b""), Unexpected);
        assert_eq!(judge_statement(true, 200, b"<html>"), Unexpected);
        let unsupported = b"{\"results\":[{\"statement_id\":0}]}\njson: unsupported value: +Inf";
        assert_eq!(judge_statement(true, 200, unsupported), Applied);
        assert_eq!(
            judge_statement(true, 200, b"{\"results\":[{\"st"),
            Unexpected
        );
    }

    #[test]
    fn of_several_documents_and_statements_the_first_error_counts() {
        let two = b"{\"results\":[{\"statement_id\":0}]}\n{\"results\":[{\"statement_id\":1,\"error\":\"timeout\"},{\"error\":\"not executed\"}]}\n";
        assert_eq!(judge_statement(true, 200, two), TimedOut);
    }

    #[test]
    fn statuses() {
        let parse = b"{\"error\":\"error parsing query: found X\"}";
        let table: [(bool, u16, &[u8], StatementVerdict); 18] = [
            (true, 400, parse, REFUSED),
            (true, 400, b"{\"error\":\"unexpected EOF\"}", TryAgain),
            (true, 400, b"", REFUSED),
            (true, 401, b"", Unauthorized),
            (true, 403, b"", Unauthorized),
            (true, 404, b"404 page not found\n", REFUSED),
            (false, 204, b"", Applied),
            (false, 200, b"", Applied),
            (true, 204, b"", Unexpected),
            (true, 429, b"", TryAgain),
            (true, 500, b"Internal Server Error\n", REFUSED),
            (true, 500, b"{\"error\":\"x\"}", TryAgain),
            (true, 504, b"<html>", Unanswered),
            (false, 502, b"", Unanswered),
            (false, 500, b"{\"error\":\"x\"}", REFUSED),
            (
                false,
                500,
                b"{\"error\":\"shard 1: engine is closed\"}",
                Ill,
            ),
            (
                false,
                500,
                b"{\"error\":\"query controller shutdown\"}",
                Ill,
            ),
            (true, 302, b"", Unexpected),
        ];
        for (is_query, status, body, expected) in table {
            assert_eq!(
                judge_statement(is_query, status, body),
                expected,
                "{status} {body:?}"
            );
        }
        assert_eq!(judge_statement(false, 503, b""), TryAgain);
    }

    proptest! {
        #[test]
        fn never_panics(is_query: bool, status: u16, body in proptest::collection::vec(any::<u8>(), 0..100)) {
            judge_statement(is_query, status, &body);
        }
    }
}
