//! `haflux mend` where InfluxDB holds, by Prometheus' way, names that no line can express.

use crate::known::know_by_one;
use crate::support::http::{self, query_string};
use crate::support::lab::brisk;
use crate::support::{Influxd, Lab, Options};

/// `WriteRequest { timeseries: [{ labels, samples: [{ value, time }] }] }`; the field is called `value`.
fn remote_write(node: &Influxd, policy: &str, labels: &[(&str, &str)], value: f64, time: u8) {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("a short field");
        [&[number << 3 | 2, length], bytes].concat()
    }
    let labels = labels.iter().flat_map(|(name, value)| {
        let label = [field(1, name.as_bytes()), field(2, value.as_bytes())].concat();
        field(1, &label)
    });
    let labels: Vec<u8> = labels.collect();
    let sample = [&[1 << 3 | 1][..], &value.to_le_bytes(), &[2 << 3, time]].concat();
    let series = [labels, field(2, &sample)].concat();
    let body = snap::raw::Encoder::new().compress_vec(&field(1, &series));
    let parameters = query_string(&[("db", "one"), ("rp", policy)]);
    let url = format!("{}/api/v1/prom/write?{parameters}", node.url());
    let answer = http::post(&url, body.expect("a small body"));
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// A `DELETE` knows no policy, so it takes equal points with it, and these could not be written again.
#[test]
fn what_no_line_can_say_is_not_deleted() {
    let lab = Lab::start_of(2, Options::default(), brisk);
    know_by_one(&lab);
    for node in lab.nodes() {
        node.query(
            "",
            "CREATE RETENTION POLICY other ON one DURATION INF REPLICATION 1",
        );
    }
    for label in [("k", "a\nb"), ("path", "C:\\temp\\")] {
        let labels = [("__name__", "m"), label];
        for node in lab.nodes() {
            remote_write(node, "other", &labels, 1.5, 10);
        }
        remote_write(&lab.node2, "autogen", &labels, 9.0, 10);
    }
    let said = lab.haflux.told(&["mend", "--from", "influxlab", "--yes"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("m in one: points are not deleted"), "{text}");
    let [one, two] =
        [&lab.node1, &lab.node2].map(|node| node.query("one", "SELECT * FROM other.m GROUP BY *"));
    assert_eq!(one, two);
    assert_eq!(lab.node2.count("one", "m", "value"), 2);
}
