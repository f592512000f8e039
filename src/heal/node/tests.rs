//! On real nodes: what is read from one and written to another is the same.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../../../tests/support/door.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod door;
#[path = "../../../tests/support/http.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod http;
#[path = "../../../tests/support/influxd.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod influxd;
#[path = "../../../tests/support/lock.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod lock;
#[path = "../../../tests/support/ports.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod ports;
#[path = "../../../tests/support/process.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod process;
#[path = "../../../tests/support/wait.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod wait;

use std::time::Duration;

use super::*;
use crate::heal::schema::{self, Schema};
use influxd::{Influxd, Options};

fn node(of: &Influxd, asker: Option<Account>) -> Node {
    let address = of.address().parse().unwrap();
    Node::new(
        "one".to_owned(),
        address,
        Arc::default(),
        asker,
        Duration::from_secs(30),
    )
}

fn slice(measurement: impl Into<BString>, policy: &str) -> Slice {
    Slice {
        database: "d b".to_owned(),
        policy: policy.to_owned(),
        measurement: measurement.into(),
        from: i64::MIN + 2,
        until: i64::MAX,
    }
}

async fn all(node: &Node, slice: &Slice) -> Vec<Series> {
    let mut stream = node.points(slice).await.unwrap();
    let mut all = Vec::new();
    while let Some(series) = stream.next().await.unwrap() {
        all.push(series);
    }
    assert!(stream.bytes() > 0);
    all
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(test)
}

/// Names and values that are hard to write, each line as InfluxDB reads it.
const ODD: &str = r#"m,a=t a=1i,b=-0,c=1e308,d=5e-324,e=t,f="x y" 1
m,a=t,z=C:\dir a=-9223372036854775808i,b=0.1,f="say \"\\\" 
and more" 2
m a=9223372036854775807i,c=1.7976931348623157e308,e=F 3
"quoted",k\ e\,y\==v\ a\,l\=ue,select="\\\\server\\x" f\ i\,e\=ld\"s=1,größe="ü€🙂" 4
o\ d\,d,tag=# from=127i 5
SELECT "a"=1,time_=2,\\x=3 6
un\\c,t=\\\\server\\share g=1 7
un\\c,t=a\\\ b,u=x"y f="a=b, \"c" 8
"#;

#[test]
fn what_one_node_has_another_gets_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let source = Influxd::start(&folder.path().join("source"));
    let target = Influxd::start(&folder.path().join("target"));
    run(async {
        let (from, to) = (node(&source, None), node(&target, None));
        for node in [&from, &to] {
            node.ask("", "CREATE DATABASE \"d b\"").await.unwrap();
        }
        let written = from
            .write("d b", "autogen", Bytes::from(ODD))
            .await
            .unwrap();
        assert_eq!(written, Written::All);
        let names = schema::measurements(&from, "d b").await.unwrap();
        let expected = ["\"quoted\"", "SELECT", "m", "o d,d", "un\\\\c"];
        assert_eq!(names, expected);
        let mut values = 0;
        for name in &names {
            let slice = slice(name.clone(), "autogen");
            let points = all(&from, &slice).await;
            assert!(!points.is_empty(), "{name}");
            let mut lines = Vec::new();
            for series in &points {
                assert_eq!(
                    append_lines(&mut lines, name.as_bstr(), series),
                    0,
                    "{name}"
                );
                let rows = series.rows.iter();
                values += rows.flat_map(|(_, values)| values).flatten().count();
            }
            let written = to.write("d b", "autogen", lines.into()).await.unwrap();
            assert_eq!(written, Written::All);
            let there = all(&to, &slice).await;
            assert_eq!(format!("{there:?}"), format!("{points:?}"));
        }
        assert_eq!(values, 6 + 3 + 3 + 2 + 1 + 3 + 1 + 1);
        let m = all(&from, &slice("m", "autogen")).await;
        // Ordered by tags, the series without any first.
        assert_eq!(m[1].tags, [("a".into(), "t".into())]);
        let a = m[1].fields.iter().position(|name| name == "a").unwrap();
        assert_eq!(m[1].rows[0].1[a], Some(Value::Integer(1)));
        let b = m[1].fields.iter().position(|name| name == "b").unwrap();
        let Some(Value::Float(zero)) = m[1].rows[0].1[b] else {
            panic!("{m:?}");
        };
        assert_eq!(zero.to_bits(), (-0.0_f64).to_bits());
    });
}

/// A short name of letters that lines, statements, or both treat specially.
fn odd_name(random: &mut fastrand::Rng) -> BString {
    const SPECIAL: [char; 12] = [
        '\\', '\\', ' ', ',', '=', '"', '\'', '#', '\t', '\n', '\r', 'ü',
    ];
    let length = random.usize(1..=5);
    let letter = |_| match random.bool() {
        true => SPECIAL[random.usize(..SPECIAL.len())],
        false => random.lowercase(),
    };
    (0..length).map(letter).collect::<String>().into()
}

#[test]
fn names_of_any_letters_are_written_right_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let source = Influxd::start(&folder.path().join("source"));
    let mut random = fastrand::Rng::with_seed(1);
    run(async {
        let node = node(&source, None);
        node.ask("", "CREATE DATABASE \"d b\"").await.unwrap();
        let (mut lines, mut written, mut left_out) = (Vec::new(), Vec::new(), 0);
        for time in 0..1000 {
            let measurement = odd_name(&mut random);
            let series = Series {
                tags: vec![(odd_name(&mut random), odd_name(&mut random))],
                fields: vec![odd_name(&mut random)],
                rows: vec![(time, vec![Some(Value::Text(odd_name(&mut random)))])],
            };
            match append_lines(&mut lines, measurement.as_bstr(), &series) {
                0 => written.push((measurement, series)),
                one => left_out += one,
            }
        }
        assert!(written.len() > 300 && left_out > 100, "{left_out}");
        let answer = node.write("d b", "", lines.into()).await;
        assert_eq!(answer.unwrap(), Written::All);
        let mut found = Vec::new();
        for measurement in schema::measurements(&node, "d b").await.unwrap() {
            for mut series in all(&node, &slice(measurement.clone(), "autogen")).await {
                for (time, mut values) in std::mem::take(&mut series.rows) {
                    let field = values.iter().position(Option::is_some).unwrap();
                    let one = Series {
                        tags: series.tags.clone(),
                        fields: vec![series.fields[field].clone()],
                        rows: vec![(time, vec![values.swap_remove(field)])],
                    };
                    found.push((measurement.clone(), one));
                }
            }
        }
        let missing: Vec<_> = written.iter().filter(|one| !found.contains(one)).collect();
        let other: Vec<_> = found.iter().filter(|one| !written.contains(one)).collect();
        assert!(
            missing.is_empty() && other.is_empty(),
            "{missing:#?} {other:#?}"
        );
        assert_eq!(found.len(), written.len());
    });
}

#[test]
fn a_long_series_comes_in_parts_and_errors_under_status_200_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let source = Influxd::start_with(
        &folder.path().join("source"),
        Options::default().set("http", "max-row-limit", "10"),
    );
    run(async {
        let node = node(&source, None);
        node.ask("", "CREATE DATABASE \"d b\"").await.unwrap();
        let lines: String = (0..1500)
            .map(|at| format!("m,t=1 v={at}i {at}\nm{at} v=1 1\n"))
            .collect();
        node.write("d b", "", lines.into()).await.unwrap();
        let parts = all(&node, &slice("m", "autogen")).await;
        let lengths: Vec<usize> = parts.iter().map(|part| part.rows.len()).collect();
        assert_eq!(lengths, [500, 500, 500]);
        let mut rows = parts.iter().flat_map(|part| &part.rows).zip(0..);
        assert!(
            rows.all(|((time, values), at)| *time == at && *values == [Some(Value::Integer(at))])
        );
        assert_eq!(
            schema::measurements(&node, "d b").await.unwrap().len(),
            1501
        );

        let refused = node.ask("", "SHOW RETENTION POLICIES ON nowhere").await;
        assert!(
            matches!(refused, Err(NodeError::Refused { .. })),
            "{refused:?}"
        );
        let refused = node.ask("", "SHOW").await;
        assert!(
            matches!(refused, Err(NodeError::Refused { .. })),
            "{refused:?}"
        );
        let nowhere = Slice {
            database: "nowhere".to_owned(),
            ..slice("m", "autogen")
        };
        let question = |statement: &str| Question {
            slice: &nowhere,
            tags: None,
            statement: statement.to_owned(),
        };
        let asked = node.select(&question("SELECT v FROM m")).await;
        let mut failed = asked.unwrap();
        let failed = failed.next().await;
        assert!(
            matches!(failed, Err(NodeError::Refused { .. })),
            "{failed:?}"
        );
        let failed = node.select(&question("SELECT FROM")).await.err();
        assert!(
            matches!(&failed, Some(NodeError::Refused { reason, .. }) if reason.starts_with("error parsing query")),
            "{failed:?}"
        );
        assert!(all(&node, &slice("none", "autogen")).await.is_empty());
        let refused = node.write("d b", "", Bytes::from("m v=\"text\" 1\n")).await;
        assert!(
            matches!(refused, Err(NodeError::Refused { .. })),
            "{refused:?}"
        );

        node.ask(
            "",
            "CREATE RETENTION POLICY short ON \"d b\" DURATION 1h REPLICATION 1",
        )
        .await
        .unwrap();
        let old = node
            .write("d b", "short", Bytes::from("m v=1 1\nm v=1 2\n"))
            .await;
        assert_eq!(old.unwrap(), Written::Expired(2));
    });
}

#[test]
fn large_points_come_in_smaller_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let source = Influxd::start(&folder.path().join("source"));
    run(async {
        let node = node(&source, None);
        node.ask("", "CREATE DATABASE \"d b\"").await.unwrap();
        let text = "x".repeat(220_000);
        for time in 0..320 {
            let line = Bytes::from(format!("m v=\"{text}\" {time}\n"));
            assert_eq!(node.write("d b", "", line).await.unwrap(), Written::All);
        }
        let large = slice("m", "autogen");
        let asked = node.points(&large).await.unwrap().next().await;
        assert!(
            matches!(asked, Err(NodeError::LargeChunk { .. })),
            "{asked:?}"
        );
        let points = all(&node, &large).await;
        assert!(points.iter().all(|part| part.rows.len() <= 10));
        let rows = points.iter().map(|part| part.rows.len()).sum::<usize>();
        assert_eq!(rows, 320);
    });
}

#[test]
fn no_password_stands_in_the_nodes_log() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default().set("http", "log-enabled", "true");
    let mut source = Influxd::start_with(&folder.path().join("source"), options);
    run(async {
        let node = node(&source, None);
        for statement in [
            "CREATE USER u WITH PASSWORD 'zQ7 zQ7'",
            "SET PASSWORD FOR u = 'zQ7 zQ7'",
        ] {
            node.ask("d", statement).await.unwrap();
        }
    });
    let log = source.log();
    assert_eq!(log.matches("POST /query?").count(), 2, "{log}");
    assert!(!log.contains("zQ7"), "{log}");
    source.stop();
}

#[test]
fn the_schema_is_listed_in_the_name_of_an_administrator() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Influxd::start_with(&folder.path().join("source"), Options::default().auth());
    run(async {
        let who = |password: &str| {
            let password = password.as_bytes().to_vec();
            Some(Account::new("adm in".to_owned(), password))
        };
        let unknown = node(&source, None);
        unknown
            .ask(
                "",
                "CREATE USER \"adm in\" WITH PASSWORD 'se:cret' WITH ALL PRIVILEGES",
            )
            .await
            .unwrap();
        let wrong = node(&source, who("wrong")).ask("", "SHOW DATABASES").await;
        let Err(NodeError::Unauthorized {
            status: 401, user, ..
        }) = wrong
        else {
            panic!("{wrong:?}");
        };
        assert_eq!(user.as_deref(), Some("adm in"));
        let node = node(&source, who("se:cret"));
        for statement in [
            "CREATE DATABASE \"z \\\"z\"",
            "CREATE DATABASE a WITH DURATION 3d SHARD DURATION 2h NAME \"the policy\"",
            "CREATE RETENTION POLICY b ON a DURATION INF REPLICATION 2",
            "CREATE CONTINUOUS QUERY \"c q\" ON a BEGIN SELECT mean(v) INTO b.n FROM \"the policy\".m GROUP BY time(1h) END",
            "CREATE USER reader WITH PASSWORD 'x'",
            "GRANT READ ON a TO reader",
            "GRANT ALL ON \"z \\\"z\" TO reader",
            "REVOKE ALL ON \"z \\\"z\" FROM reader",
        ] {
            node.ask("", statement).await.unwrap();
        }
        let schema = Schema::of(&node).await.unwrap();
        let names: Vec<&str> = schema
            .databases
            .iter()
            .map(|each| each.name.as_str())
            .collect();
        assert_eq!(names, ["a", "z \"z"]);
        let policy =
            |name: &str, duration: &str, shard: &str, replication, is_default| schema::Policy {
                name: name.to_owned(),
                duration: duration.to_owned(),
                shard_duration: shard.to_owned(),
                replication,
                is_default,
                future_limit: String::new(),
                past_limit: String::new(),
            };
        assert_eq!(
            schema.databases[0].policies,
            [
                policy("b", "0s", "168h0m0s", 2, false),
                policy("the policy", "72h0m0s", "2h0m0s", 1, true)
            ]
        );
        let [query] = schema.databases[0].queries.as_slice() else {
            panic!("{schema:?}");
        };
        assert_eq!(query.name, "c q");
        assert!(
            query
                .text
                .starts_with("CREATE CONTINUOUS QUERY \"c q\" ON a BEGIN SELECT "),
            "{query:?}"
        );
        assert_eq!(
            schema.users,
            [
                schema::User {
                    name: "adm in".to_owned(),
                    own_name: None,
                    is_admin: true,
                    grants: Vec::new()
                },
                schema::User {
                    name: "reader".to_owned(),
                    own_name: None,
                    is_admin: false,
                    grants: vec![("a".to_owned(), "READ".to_owned())]
                }
            ]
        );
        let times = [
            (i64::MIN + 2).to_string(),
            (i64::MAX - 1).to_string(),
            "-1".to_owned(),
            "0".to_owned(),
        ];
        for time in &times {
            let line = Bytes::from(format!("m v=1 {time}\n"));
            assert_eq!(node.write("a", "b", line).await.unwrap(), Written::All);
        }
        let groups = schema::shard_groups(&node).await.unwrap();
        assert_eq!(groups.len(), 3, "{groups:?}");
        assert_eq!(groups.first().unwrap().from, i64::MIN + 2);
        assert_eq!(groups.last().unwrap().until, i64::MAX);
        let mut found = 0;
        for group in groups {
            let slice = Slice {
                database: group.database,
                policy: group.policy,
                measurement: "m".into(),
                from: group.from,
                until: group.until,
            };
            found += all(&node, &slice)
                .await
                .iter()
                .map(|part| part.rows.len())
                .sum::<usize>();
        }
        assert_eq!(found, times.len());
        // An idle connection that the node closed is not used again.
        source.restart();
        node.ask("", "SHOW DATABASES").await.unwrap();
    });
    source.stop();
}
