//! Can a node parse a query? Asked so that nothing runs, whatever the answer is.
//!
//! InfluxDB parses all statements of a request before it asks for rights or runs the first one (httpd handler.go `serveQuery`,
//! influxql `ParseQuery`). So a query with a word behind it that begins no statement never runs: the node refuses that word, on a line
//! of its own, if it could read everything before it, and else says where the query breaks off.

use crate::influx::influxql::Canonical;
use crate::influx::{Credentials, refusal_of_text};
use crate::relay::intake::judge::{Ask, Judgement};
use crate::relay::intake::sent_query::Sent;
use crate::relay::record::statement::StatementRecord;
use crate::relay::replica::answer::ReplicaAnswer;
use crate::relay::replica::request::{Pieces, Recipient, statement_head};

/// Begins no statement in any release.
const NO_STATEMENT: &str = "haflux_asks_whether_this_can_be_parsed";

/// The question about one query.
#[derive(Debug)]
pub(in crate::relay) struct ParseQuestion {
    request: StatementRecord,
    /// Where the query's own lines end.
    end: Position,
}

/// As InfluxDB counts: from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    line: usize,
    character: usize,
}

impl ParseQuestion {
    /// About the query of this request, by whom these credentials name.
    pub(in crate::relay) fn of(canonical: &Canonical, credentials: &Credentials) -> ParseQuestion {
        let mut asked = canonical.clone();
        let end = Position::behind(&asked.query);
        asked.query.extend_from_slice(b"\n;\n");
        asked.query.extend_from_slice(NO_STATEMENT.as_bytes());
        let Sent {
            method,
            target,
            content_type,
            body,
        } = Sent::of(&asked);
        ParseQuestion {
            request: StatementRecord {
                method,
                target,
                content_type,
                shown: String::new(),
                databases: None,
                credentials: credentials.clone(),
                body,
            },
            end,
        }
    }

    fn read_refusal(&self, status: u16, words: &str) -> Judgement {
        let Position { line, character } = self.end;
        let found = |what: &str| format!("error parsing query: found {what}, expected ");
        let is_at = |line: usize| words.ends_with(&format!(" at line {line}, char 1"));
        if words.starts_with(&found(NO_STATEMENT)) && is_at(line + 2) {
            return Judgement::Accepted;
        }
        let of_the_query = match words.strip_prefix(&found(";")) {
            // What the query lacks was looked for in what stands behind it.
            Some(expected) if is_at(line + 1) => {
                let expected = expected.rsplit_once(" at line ");
                let expected = expected.map_or("", |(expected, _)| expected);
                let end = found("EOF");
                format!("{end}{expected} at line {line}, char {character}")
            }
            _ => words.to_owned(),
        };
        Judgement::Refused(refusal_of_text(status, of_the_query))
    }
}

impl Ask for ParseQuestion {
    /// Of a user only.
    fn database(&self) -> &str {
        ""
    }

    fn request(&self, to: Recipient<'_>) -> Pieces {
        let mut pieces = Pieces::default();
        pieces.push(statement_head(&self.request, to));
        pieces.push(self.request.body.clone());
        pieces
    }

    fn read(&self, answer: &ReplicaAnswer) -> Judgement {
        match answer.status {
            408 | 429 | 500.. => Judgement::Silent,
            400.. => self.read_refusal(answer.status, &answer.words()),
            // No InfluxDB: it runs a query before it has read all of it.
            _ => Judgement::Accepted,
        }
    }
}

impl Position {
    /// Where InfluxDB finds the end of a text; the carriage returns are line ends to it.
    fn behind(text: &[u8]) -> Position {
        let text = String::from_utf8_lossy(text).replace("\r\n", "\n");
        let mut lines = text.split(['\n', '\r']);
        let last = lines.next_back().unwrap_or_default();
        Position {
            line: lines.count() + 1,
            character: last.chars().count() + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question_about(query: &str) -> ParseQuestion {
        let canonical = Canonical {
            query: query.as_bytes().to_vec(),
            database: Some(b"d".to_vec()),
            retention_policy: None,
            parameters: None,
            answer: Default::default(),
            credentials: Default::default(),
        };
        ParseQuestion::of(&canonical, &Credentials::None)
    }

    fn said(query: &str, words: &str) -> Judgement {
        question_about(query).read_refusal(400, words)
    }

    #[test]
    fn what_a_node_says_of_the_word_behind_a_query_says_that_the_query_can_be_read() {
        let found = |line: usize| {
            format!(
                "error parsing query: found {NO_STATEMENT}, expected SELECT, DELETE at line {line}, char 1"
            )
        };
        assert_eq!(said("DROP DATABASE d", &found(3)), Judgement::Accepted);
        assert_eq!(said("DROP\r\nDATABASE d", &found(4)), Judgement::Accepted);
        // A client who writes that word on a line of its own does not pass.
        assert!(matches!(
            said("FOO;\n;\nhaflux", &found(3)),
            Judgement::Refused(_)
        ));
    }

    #[test]
    fn what_a_query_lacks_is_told_as_of_the_query_alone() {
        let expected = refusal_of_text(
            400,
            "error parsing query: found EOF, expected identifier at line 1, char 15".to_owned(),
        );
        let words = "error parsing query: found ;, expected identifier at line 2, char 1";
        assert_eq!(said("SELECT v INTO", words), Judgement::Refused(expected));
        let own = "error parsing query: found FOO, expected SELECT at line 1, char 1";
        let expected = refusal_of_text(400, own.to_owned());
        assert_eq!(said("FOO", own), Judgement::Refused(expected));
    }

    #[test]
    fn the_query_is_asked_about_with_all_that_belongs_to_it() {
        let asked = question_about("DROP FOO").request;
        let body = String::from_utf8_lossy(&asked.body);
        let expected = format!("q=DROP%20FOO%0A%3B%0A{NO_STATEMENT}&db=d");
        assert_eq!(body, expected);
    }
}
