//! What a node answered to one statement that haflux asked it, as JSON: `{"results":[{"series":[…]}]}`, or an error under
//! status 200.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::go_text;

/// An answer to one statement.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryAnswer {
    /// It was carried out; these are the rows, of all series, in their order.
    Rows(Vec<Row>),
    /// It failed.
    Failed(String),
}

/// A row's values by their column.
pub type Row = Vec<(String, Value)>;

/// A retention policy of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Its name.
    pub name: String,
    /// How long it keeps points; `None` is for ever.
    pub duration: Option<Duration>,
}

/// The rows of one series, and its name: empty where InfluxDB gives none.
pub type NamedRows = (String, Vec<Row>);

#[derive(Deserialize)]
struct Document {
    results: Vec<StatementResult>,
}

/// One of the documents of an answer in chunks.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    results: Vec<StatementResult>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct StatementResult {
    #[serde(default)]
    series: Vec<Series>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    name: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    values: Vec<Vec<Value>>,
}

/// Reads the body of an answer with status 200; `None` if it is not one of InfluxDB's.
pub fn read_query_answer(body: &[u8]) -> Option<QueryAnswer> {
    let document: Document = serde_json::from_slice(body).ok()?;
    let result = document.results.into_iter().next()?;
    if let Some(error) = result.error {
        return Some(QueryAnswer::Failed(error));
    }
    let rows = result.series.into_iter().flat_map(Series::into_rows);
    Some(QueryAnswer::Rows(rows.collect()))
}

/// Reads the body of an answer in chunks (`chunked=true`) with status 200, series by series: each in its own document, a long one in
/// several. A series' tags stand behind the columns of each of its rows. `Err` has what a statement says is wrong. `None` if it is not
/// one of InfluxDB's.
pub fn read_chunked_answer(body: &[u8]) -> Option<Result<Vec<NamedRows>, String>> {
    let mut all = Vec::new();
    for chunk in serde_json::Deserializer::from_slice(body).into_iter::<Chunk>() {
        let chunk = chunk.ok()?;
        let mut error = chunk.error;
        for result in chunk.results {
            error = error.or(result.error);
            for mut series in result.series {
                let name = std::mem::take(&mut series.name);
                let tags = std::mem::take(&mut series.tags).into_iter();
                let tags: Row = tags.map(|(key, tag)| (key, Value::String(tag))).collect();
                let rows = series.into_rows();
                let rows = rows.map(|row| row.into_iter().chain(tags.iter().cloned()).collect());
                all.push((name, rows.collect()));
            }
        }
        if let Some(error) = error {
            return Some(Err(error));
        }
    }
    Some(Ok(all))
}

impl Series {
    fn into_rows(self) -> impl Iterator<Item = Row> {
        let columns = self.columns;
        let with_columns =
            move |values| columns.iter().cloned().zip::<Vec<Value>>(values).collect();
        self.values.into_iter().map(with_columns)
    }
}

impl QueryAnswer {
    /// The texts of one column; none of a failure.
    pub fn texts<'answer>(
        &'answer self,
        column: &'answer str,
    ) -> impl Iterator<Item = &'answer str> {
        let rows = match self {
            QueryAnswer::Rows(rows) => rows.as_slice(),
            QueryAnswer::Failed(_) => &[],
        };
        rows.iter().filter_map(move |row| text(row, column))
    }
}

fn text<'row>(row: &'row Row, name: &str) -> Option<&'row str> {
    let value = row.iter().find(|(column, _)| column == name);
    value.and_then(|(_, value)| value.as_str())
}

/// The policies in an answer to `SHOW RETENTION POLICIES`; what cannot be read is left out.
pub fn retention_policies(rows: &[Row]) -> Vec<RetentionPolicy> {
    let policy = |row: &Row| {
        let duration = policy_duration(text(row, "duration")?)?;
        Some(RetentionPolicy {
            name: text(row, "name")?.to_owned(),
            duration: (!duration.is_zero()).then_some(duration),
        })
    };
    rows.iter().filter_map(policy).collect()
}

/// A policy's duration, as InfluxDB lists it (`168h0m0s`) or as InfluxQL writes it without days and weeks; zero is for ever.
pub fn policy_duration(text: &str) -> Option<Duration> {
    let nanoseconds = u64::try_from(go_text::duration(text)?).ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_rows_from_errors() {
        let rows = |body: &str| match read_query_answer(body.as_bytes()) {
            Some(QueryAnswer::Rows(rows)) => Some(rows.len()),
            _ => None,
        };
        let one = r#"{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","v"],"values":[[5,1]]}]}]}"#;
        assert_eq!(rows(one), Some(1));
        assert_eq!(rows(r#"{"results":[{"statement_id":0}]}"#), Some(0));
        assert_eq!(
            read_query_answer(
                br#"{"results":[{"statement_id":0,"error":"database not found: d"}]}"#
            ),
            Some(QueryAnswer::Failed("database not found: d".to_owned()))
        );
        for other in [
            "",
            "{}",
            "{\"results\":[]}",
            "Grafana",
            "{\"results\":[{\"series\":[{",
        ] {
            assert_eq!(read_query_answer(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn reads_an_answer_in_chunks() {
        let series = |name: &str, value: u8| {
            format!(
                r#"{{"results":[{{"statement_id":0,"series":[{{"name":"{name}","columns":["v"],"values":[[{value}]]}}]}}]}}"#
            ) + "\n"
        };
        let row = |value: u8| vec![("v".to_owned(), Value::from(value))];
        let body = series("a", 1) + &series("b", 2);
        assert_eq!(
            read_chunked_answer(body.as_bytes()),
            Some(Ok(vec![
                ("a".to_owned(), vec![row(1)]),
                ("b".to_owned(), vec![row(2)])
            ]))
        );
        let failed = body.clone() + r#"{"results":[{"statement_id":0,"error":"timeout"}]}"#;
        assert_eq!(
            read_chunked_answer(failed.as_bytes()),
            Some(Err("timeout".to_owned()))
        );
        assert_eq!(read_chunked_answer(b"{}\n"), Some(Ok(Vec::new())));
        assert_eq!(
            read_chunked_answer((body + "{\"results\":[").as_bytes()),
            None
        );
    }

    #[test]
    fn reads_retention_policies() {
        let body = br#"{"results":[{"statement_id":0,"series":[{"columns":["name","duration","shardGroupDuration","replicaN","default"],"values":[["autogen","0s","168h0m0s",1,true],["r p","1h30m0s","1h0m0s",1,false],["odd","soon","",1,false]]}]}]}"#;
        let Some(QueryAnswer::Rows(rows)) = read_query_answer(body) else {
            panic!("rows");
        };
        let policy = |name: &str, duration: Option<u64>| RetentionPolicy {
            name: name.to_owned(),
            duration: duration.map(Duration::from_secs),
        };
        assert_eq!(
            retention_policies(&rows),
            [policy("autogen", None), policy("r p", Some(5400))]
        );
        assert_eq!(policy_duration("99999999999999999999h"), None);
        assert_eq!(policy_duration("5"), None);
        let odd = Some(Duration::from_millis(3_601_500));
        for text in ["1h0m1.5s", "3601500ms"] {
            assert_eq!(policy_duration(text), odd);
        }
    }
}
