//! The identity point that a node is who it was (rule R1): a point that it accepted, and how to ask for it.
//!
//! Only its name is kept, never its value. It is asked for in the name of who wrote it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::influx::influxql::{identifier, string};
use crate::influx::{Credentials, Point, Precision, first_point};
use crate::relay::record::write::{Destination, Form, WriteRecord};

/// Bytes of all texts of an identity point: it is kept in the metadata of a cursor, where it is at most six times as long.
const MAX_LENGTH: usize = 4096;

/// A point that a replica accepted. `Debug` shows no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::relay) struct IdentityPoint {
    pub(in crate::relay) database: String,
    /// As the write named it; empty for the default one of its time.
    pub(in crate::relay) retention_policy: String,
    /// Who wrote it.
    #[serde(with = "credentials")]
    pub(in crate::relay) credentials: Credentials,
    pub(in crate::relay) point: Point,
}

impl IdentityPoint {
    /// A point of a record that was accepted; `None` if none of them can be asked for.
    pub(in crate::relay) fn of(record: &WriteRecord) -> Option<IdentityPoint> {
        let destination = &record.destination;
        if destination.form != Form::LineProtocol {
            return None;
        }
        let identity_point = IdentityPoint {
            point: first_point(&record.body, destination.precision)?,
            database: destination.database.clone(),
            retention_policy: destination.retention_policy.clone(),
            credentials: destination.credentials.clone(),
        };
        let named = [&identity_point.database, &identity_point.retention_policy];
        let has_control = |text: &&String| text.chars().any(char::is_control);
        (!named.iter().any(has_control) && identity_point.length() <= MAX_LENGTH)
            .then_some(identity_point)
    }

    /// Asks for the point in its policy, or in the default one.
    pub(in crate::relay) fn question(&self) -> String {
        let policies = match self.retention_policy.as_str() {
            "" => Vec::new(),
            policy => vec![policy],
        };
        self.question_in(&policies)
    }

    /// Asks for the point in any of these policies; in the default one if there are none.
    pub(in crate::relay) fn question_in(&self, policies: &[&str]) -> String {
        let point = &self.point;
        let measurement = identifier(&point.measurement);
        let sources: Vec<String> = match policies {
            [] => vec![measurement],
            _ => policies
                .iter()
                .map(|policy| format!("{}.{measurement}", identifier(policy)))
                .collect(),
        };
        // A tag and a field may have the same name.
        let mut question = format!(
            "SELECT {}::field FROM {} WHERE time = {}",
            identifier(&point.field),
            sources.join(", "),
            point.time
        );
        for (name, value) in &point.tags {
            // Writing to a String cannot fail.
            let _ = write!(
                question,
                " AND {}::tag = {}",
                identifier(name),
                string(value)
            );
        }
        question.push_str(" LIMIT 1");
        question
    }

    /// Asks which policies the database has.
    pub(in crate::relay) fn question_for_policies(&self) -> String {
        format!("SHOW RETENTION POLICIES ON {}", identifier(&self.database))
    }

    /// Where a write to the same place would go.
    pub(in crate::relay) fn destination(&self) -> Destination {
        Destination {
            form: Form::LineProtocol,
            precision: Precision::Nanoseconds,
            consistency: None,
            database: self.database.clone(),
            retention_policy: String::new(),
            credentials: self.credentials.clone(),
        }
    }

    fn length(&self) -> usize {
        let credentials = self.credentials.length();
        let point = &self.point;
        let tags = point
            .tags
            .iter()
            .map(|(name, value)| name.len() + value.len());
        let names = [
            &self.database,
            &self.retention_policy,
            &point.measurement,
            &point.field,
        ];
        credentials + names.map(String::len).iter().sum::<usize>() + tags.sum::<usize>()
    }
}

/// Credentials in JSON. They are bytes: each becomes the character of its number.
pub(in crate::relay) mod credentials {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::influx::Credentials;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Text {
        None,
        Parameters { user: String, password: String },
        Authorization(String),
    }

    pub(in crate::relay) fn serialize<S: Serializer>(
        credentials: &Credentials,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
        match credentials {
            Credentials::None => Text::None,
            Credentials::Parameters { user, password } => Text::Parameters {
                user: text(user),
                password: text(password),
            },
            Credentials::Authorization(value) => Text::Authorization(text(value)),
        }
        .serialize(serializer)
    }

    pub(in crate::relay) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Credentials, D::Error> {
        let bytes = |text: String| {
            let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
            // The text itself is a secret.
            bytes.map_err(|_| D::Error::custom("credentials are no bytes"))
        };
        Ok(match Text::deserialize(deserializer)? {
            Text::None => Credentials::None,
            Text::Parameters { user, password } => Credentials::Parameters {
                user: bytes(user)?,
                password: bytes(password)?,
            },
            Text::Authorization(value) => Credentials::Authorization(bytes(value)?),
        })
    }
}

#[cfg(test)]
pub(in crate::relay) mod tests {

    use super::*;

    use crate::relay::record::samples::write_record;

    pub(in crate::relay) fn record(body: &str) -> WriteRecord {
        let mut record = write_record(body);
        record.destination.database = "my \"db".to_owned();
        record.destination.credentials = Credentials::Parameters {
            user: b"adam".to_vec(),
            password: b"s\xffcret".to_vec(),
        };
        record
    }

    #[test]
    fn the_question_names_the_point_and_nothing_gets_out_of_its_quotes() {
        let mut odd = record(r#"m\ "x,host=it's,dir=C:\x f"f=1 -5"#);
        let identity_point = IdentityPoint::of(&odd).expect("a proof");
        assert_eq!(
            identity_point.question(),
            r#"SELECT "f\"f"::field FROM "m \"x" WHERE time = -5000000000 AND "host"::tag = 'it\'s' AND "dir"::tag = 'C:\\x' LIMIT 1"#
        );
        assert_eq!(
            identity_point.question_for_policies(),
            r#"SHOW RETENTION POLICIES ON "my \"db""#
        );
        assert!(
            identity_point
                .question_in(&["a", "b"])
                .contains(r#"FROM "a"."m \"x", "b"."m \"x" WHERE"#)
        );
        odd.destination.retention_policy = "r p".to_owned();
        let identity_point = IdentityPoint::of(&odd).expect("a proof");
        assert!(
            identity_point
                .question()
                .contains(r#"FROM "r p"."m \"x" WHERE"#)
        );
    }

    #[test]
    fn what_cannot_be_asked_for_is_no_identity_point() {
        let mut prometheus = record("m v=1 5");
        prometheus.destination.form = Form::Prometheus;
        assert_eq!(IdentityPoint::of(&prometheus), None);
        assert_eq!(IdentityPoint::of(&record("odd")), None);
        let long = "x".repeat(MAX_LENGTH);
        assert_eq!(
            IdentityPoint::of(&record(&format!("m,t={long} v=1 5"))),
            None
        );
    }

    #[test]
    fn it_survives_the_note_and_debug_shows_no_secret() {
        let identity_point = IdentityPoint::of(&record("m,a=b v=1 5")).expect("a proof");
        let text = serde_json::to_string(&identity_point).expect("JSON");
        assert_eq!(
            serde_json::from_str::<IdentityPoint>(&text).expect("a proof"),
            identity_point
        );
        let shown = format!("{identity_point:?}");
        assert!(
            !shown.contains("cret") && !shown.contains("adam"),
            "{shown}"
        );
        let broken = text.replace("adam", "ada\u{2603}");
        let error = serde_json::from_str::<IdentityPoint>(&broken).expect_err("no bytes");
        assert!(!error.to_string().contains("ada"), "{error}");
    }
}
