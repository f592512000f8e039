//! Whether replicas have all that the relay has taken.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::influxd::Influxd;
use super::lab::Lab;
use super::status;

/// Whether a replica has applied everything, and nothing is in doubt. `relay` and `replica` are what the status page says of them.
pub fn is_level(relay: &Value, replica: &Value) -> bool {
    replica["cursor"] == relay["head"]
        && replica["lag"]["records"] == 0
        && replica["in_doubt"] == false
}

/// Waits until both replicas are level, and the nodes work on nothing any more. If they do not get there within `limit`, the
/// error tells what the relay says.
pub fn wait_until_level(lab: &Lab, limit: Duration) -> Result<(), String> {
    let end = Instant::now() + limit;
    loop {
        let relay = status::relay(&lab.influx_url());
        let replicas = relay["replicas"].as_array().map_or(&[][..], Vec::as_slice);
        let level = replicas.len() == lab.nodes().len()
            && replicas.iter().all(|replica| is_level(&relay, replica));
        if level && lab.nodes().into_iter().all(is_at_rest) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("the nodes do not catch up: {relay:#}"));
        }
        // Between two looks at the page.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a node has no request under way but the one that asks: one that haflux gave up may still be there. A node that does
/// not answer is not at rest.
fn is_at_rest(node: &Influxd) -> bool {
    let Some(answer) = node.try_query("", "SHOW STATS FOR 'httpd'") else {
        return false;
    };
    let series = &answer["results"][0]["series"][0];
    let column = series["columns"]
        .as_array()
        .and_then(|columns| columns.iter().position(|name| name == "reqActive"))
        .expect("InfluxDB counts requests under way");
    series["values"][0][column].as_u64() <= Some(1)
}
