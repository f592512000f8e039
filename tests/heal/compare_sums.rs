//! `haflux compare` where sums say nothing of their values.

use crate::support::lab::brisk;
use crate::support::wait::SOON;
use crate::support::{Lab, Options, wait_until};
use serde_json::Value;

/// Sums that overflow are the same for any large values.
#[test]
fn floats_whose_sum_overflows_are_read() {
    let lab = Lab::start_of(2, Options::default(), brisk);
    lab.create_database("one");
    wait_until("both nodes to be in reach", SOON, || {
        lab.write("one", "known v=1 1").status == 204
            && lab
                .nodes()
                .iter()
                .all(|node| node.count("one", "known", "v") == 1)
    });
    let points = |first: &str| {
        // Not among the two newest.
        let values = [first, "1.7e308", "1", "1"];
        let lines = values.iter().enumerate();
        let lines = lines.map(|(second, value)| format!("m v={value} {second}000000000\n"));
        lines.collect::<String>()
    };
    let same = points("1.7e308").replace('m', "same");
    for (node, first) in [(&lab.node1, "1.7e308"), (&lab.node2, "1.1e308")] {
        let lines = points(first) + &same;
        assert_eq!(node.write("one", &lines).status, 204);
    }
    for arguments in [&["compare", "--json"][..], &["compare", "--json", "--full"]] {
        let said = lab.haflux.told(arguments);
        let report: Value = serde_json::from_slice(&said.stdout).expect("a report");
        assert_eq!(report["differing"], 1, "{arguments:?}: {report}");
        let place = report["differences"][0]["place"].as_str().expect("a place");
        assert!(place.starts_with("one.autogen.m "), "{place}");
    }
}
