//! Records that no client waits for: the lines of datagrams, and the database that they need.

use std::time::Duration;

use crate::influx::influxql::identifier;
use crate::influx::{FORM, read_query_answer};
use crate::journal::AppendError;
use crate::relay::intake::relay::Relay;
use crate::relay::record::statement::{STATEMENT, StatementMethod, StatementRecord};
use crate::relay::record::write::{Destination, FieldTooLong, WRITE, WriteRecord};
use crate::relay::replica::questions::{Asked, DatabaseAnswer};
use crate::relay::replica::request::{Pieces, query_request};

/// How long a replica may take to say which databases it has.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Why what no client waits for was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AppendUnattendedError {
    /// A field does not fit into a record.
    #[error(transparent)]
    Field(#[from] FieldTooLong),
    /// The journal does not take it.
    #[error("the journal takes no writes: {0}")]
    Journal(#[from] AppendError),
}

impl Relay {
    /// Appends a write that no client waits for: whatever the replicas make of it, nobody is told. It is refused only if the
    /// journal takes nothing now.
    ///
    /// # Errors
    /// [`AppendUnattendedError`]: nothing was stored.
    pub async fn append_unattended(
        &self,
        record: WriteRecord,
    ) -> Result<(), AppendUnattendedError> {
        let head = record.encode_head()?;
        let payload = vec![head, record.body];
        let append = || self.journal.append(WRITE, payload);
        self.gate.pass(append).await?;
        self.stats.records.increment();
        self.stats.lines.add(u64::from(record.lines));
        Ok(())
    }

    /// Appends a `CREATE DATABASE` for writes to this destination, as InfluxDB's UDP listener runs one before its first batch. Done
    /// twice it does nothing.
    ///
    /// # Errors
    /// [`AppendUnattendedError`]: nothing was stored.
    pub async fn create_database(
        &self,
        destination: &Destination,
    ) -> Result<(), AppendUnattendedError> {
        let name = &destination.database;
        let statement = format!("CREATE DATABASE {}", identifier(name));
        let form: String =
            percent_encoding::utf8_percent_encode(&statement, percent_encoding::NON_ALPHANUMERIC)
                .collect();
        let record = StatementRecord {
            method: StatementMethod::Post,
            target: "/query".to_owned(),
            content_type: FORM.to_owned(),
            shown: statement,
            databases: Some(vec![name.clone()]),
            credentials: destination.credentials.clone(),
            body: format!("q={form}").into(),
        };
        let head = record.encode_head()?;
        let payload = vec![head, record.body];
        let append = || self.journal.append(STATEMENT, payload);
        self.gate.pass(append).await?;
        self.stats.statements.increment();
        Ok(())
    }

    /// Whether every replica that answers has the database of these writes. False too if none answers, or one does not tell.
    pub async fn has_database(&self, destination: &Destination) -> bool {
        self.ready().await;
        let mut answered = false;
        for replica in &self.replicas {
            let Some(address) = replica.trusted_address().filter(|_| replica.follows()) else {
                continue;
            };
            let mut request = Pieces::default();
            request.push(query_request(
                "SHOW DATABASES",
                "",
                &destination.credentials,
                replica.client.recipient(address),
            ));
            let asked = replica.client.exchange(address, request);
            let Ok(Ok(answer)) = tokio::time::timeout(ASK_TIMEOUT, asked).await else {
                continue;
            };
            if answer.status != 200 || !lists(&answer.body, &destination.database) {
                return false;
            }
            answered = true;
        }
        answered
    }

    /// What each replica that answers says of such writes, by its name.
    pub(in crate::relay) async fn answers_to(
        &self,
        destination: &Destination,
    ) -> Vec<(String, DatabaseAnswer)> {
        let mut said = Vec::new();
        for replica in &self.replicas {
            let Some(address) = replica.trusted_address().filter(|_| replica.follows()) else {
                continue;
            };
            let client = &replica.client;
            let asked = Asked { client, address };
            let answer = tokio::time::timeout(ASK_TIMEOUT, asked.database(destination)).await;
            if let Ok(Ok(answer)) = answer {
                said.push((replica.stats.name.clone(), answer));
            }
        }
        said
    }
}

/// Whether the answer to `SHOW DATABASES` has this name.
fn lists(answer: &[u8], name: &str) -> bool {
    read_query_answer(answer).is_some_and(|answer| answer.texts("name").any(|found| found == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_found_in_the_answer_or_it_is_not_there() {
        let answer = br#"{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["_internal"],["a b"]]}]}]}"#;
        assert!(lists(answer, "a b"));
        assert!(!lists(answer, "a"));
        assert!(!lists(
            br#"{"results":[{"statement_id":0,"error":"no"}]}"#,
            "a"
        ));
        assert!(!lists(b"", "a"));
    }
}
