//! What a node says about a record, without what the record must not show.
//!
//! InfluxDB quotes pieces of what it refuses. Texts are kept and shown to people, so passwords are taken out before.

use super::change::Change;
use super::statement::StatementRecord;
use super::write::Destination;
use crate::influx::Credentials;
use crate::shown::may_hold_secret;

/// Stands for what is taken out; also where a statement is shown.
const HIDDEN: &str = "[REDACTED]";

/// A refusal that begins so quotes a word of the statement, whatever it is.
const QUOTES_A_WORD: &str = "error parsing query";

/// The text without what the record must not show.
pub fn without_secrets(text: &str, record: &Change) -> String {
    match record {
        Change::Write(write) => without_secrets_of_write(text, &write.destination),
        Change::Statement(statement) => without_secrets_of_statement(text, statement),
    }
}

/// The text without the credentials of a write, and nothing of it if a name of where it goes may hold some: the text may quote it.
pub fn without_secrets_of_write(text: &str, destination: &Destination) -> String {
    let Destination {
        database,
        retention_policy,
        credentials,
        ..
    } = destination;
    if may_hold_secret(database) || may_hold_secret(retention_policy) {
        return HIDDEN.to_owned();
    }
    without_credentials(text, credentials)
}

/// The text without the statement's credentials, and nothing of it if the statement has a password and the text quotes anything.
pub fn without_secrets_of_statement(text: &str, statement: &StatementRecord) -> String {
    let quotes = text.contains(['\'', '"']) || text.starts_with(QUOTES_A_WORD);
    if quotes && statement.shown.contains(HIDDEN) {
        return HIDDEN.to_owned();
    }
    without_credentials(text, &statement.credentials)
}

/// The text without these credentials, however it writes them.
fn without_credentials(text: &str, credentials: &Credentials) -> String {
    let secrets = credentials.secrets();
    let hide_one = |text: String, secret: &String| text.replace(secret.as_str(), HIDDEN);
    secrets.iter().fold(text.to_owned(), hide_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_however_they_are_written() {
        let parameters = Credentials::Parameters {
            user: b"admin".to_vec(),
            password: b"a/b c".to_vec(),
        };
        // admin:a/b c
        let basic = Credentials::Authorization(b"Basic YWRtaW46YS9iIGM=".to_vec());
        let token = Credentials::Authorization(b"Token admin:a/b c".to_vec());
        let bearer = Credentials::Authorization(b"Bearer a/b c".to_vec());
        for credentials in [&parameters, &basic, &token, &bearer] {
            assert_eq!(
                without_credentials("a/b c, a%2Fb%20c, a%2Fb+c", credentials),
                "[REDACTED], [REDACTED], [REDACTED]"
            );
        }
        assert_eq!(
            without_credentials("no Basic YWRtaW46YS9iIGM=", &basic),
            "no Basic [REDACTED]"
        );
        assert_eq!(
            without_credentials("as it is", &Credentials::None),
            "as it is"
        );
    }
}
