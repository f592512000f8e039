//! `haflux compare` where sums say nothing of their values.

use crate::known::know_by_one;
use crate::support::lab::brisk;
use crate::support::{Lab, Options};
use serde_json::Value;

/// Two nodes that know the database `one`.
fn lab(options: Options) -> Lab {
    let lab = Lab::start_of(2, options, brisk);
    know_by_one(&lab);
    lab
}

fn report(lab: &Lab, arguments: &[&str]) -> Value {
    let said = lab
        .haflux
        .told(&[&["compare", "--json"], arguments].concat());
    serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// Sums that overflow are the same for any large values.
#[test]
fn floats_whose_sum_overflows_are_read() {
    let lab = lab(Options::default());
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
    for arguments in [&[][..], &["--full"]] {
        let report = report(&lab, arguments);
        assert_eq!(report["differing"], 1, "{arguments:?}: {report}");
        let place = report["differences"][0]["place"].as_str().expect("a place");
        assert!(place.starts_with("one.autogen.m "), "{place}");
    }
}

/// A week has 168 hours.
#[test]
fn where_a_node_makes_few_sums_all_is_read() {
    let lab = lab(Options::default().set("coordinator", "max-select-buckets", "100"));
    for (node, value) in [(&lab.node1, 1), (&lab.node2, 2)] {
        let line = format!("m v={value}i 1000000000");
        assert_eq!(node.write("one", &line).status, 204);
    }
    let report = report(&lab, &[]);
    assert_eq!(report["differing"], 1, "{report}");
    let place = report["differences"][0]["place"].as_str().expect("a place");
    assert!(place.starts_with("one.autogen.m "), "{place}");
}
