//! `haflux mend` where points have more bytes than a node takes by one request.

use crate::known::know_by_one;
use crate::support::lab::{brisk, relay_keys};
use crate::support::{Influxd, Lab, Options};
use serde_json::Value;

/// In seconds.
const BEGIN: i64 = 1_700_000_000;

/// A gate that all points of a batch are written in, however long that takes.
fn lab() -> Lab {
    let lab = Lab::start_of(2, Options::default(), |text| {
        relay_keys("heal = { gate = \"20s\" }")(brisk(text))
    });
    know_by_one(&lab);
    lab
}

/// So many points of `m`, each a second behind the other with a text of `length` bytes.
fn sow(nodes: &[&Influxd], points: i64, length: usize) {
    let texts = ["a", "b", "c"].map(|text| text.repeat(length));
    let times: Vec<i64> = (0..points).collect();
    for times in times.chunks(100) {
        let lines: String = times
            .iter()
            .zip(texts.iter().cycle())
            .map(|(time, text)| format!("m text=\"{text}\" {}000000000\n", BEGIN + time))
            .collect();
        for node in nodes {
            assert_eq!(node.write("one", &lines).status, 204);
        }
    }
}

/// Exit status, and the notes.
#[track_caller]
fn mend(lab: &Lab) -> (Option<i32>, String) {
    let said = lab
        .haflux
        .told(&["mend", "--json", "--from", "influxlab", "--yes"]);
    let report: Value =
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    (said.status.code(), report["notes"].to_string())
}

#[test]
fn a_batch_of_long_texts_is_written_in_pieces() {
    let lab = lab();
    sow(&[&lab.node1], 900, 30_000);
    let (status, notes) = mend(&lab);
    assert_eq!(status, Some(0), "{notes}");
    assert!(!notes.contains("is not mended"), "{notes}");
    assert!(
        notes.contains("influxlab2, database one: 900 points written"),
        "{notes}"
    );
    assert_eq!(lab.node2.count("one", "m", "text"), 900);
}

#[test]
fn a_large_measurement_with_another_type_is_copied_in_pieces() {
    let lab = lab();
    sow(&[&lab.node1, &lab.node2], 12_000, 2_600);
    for (node, value) in [(&lab.node1, "1i"), (&lab.node2, "1.5")] {
        let line = format!("m v={value} {BEGIN}000000000");
        assert_eq!(node.write("one", &line).status, 204);
    }
    let (status, notes) = mend(&lab);
    assert_eq!(status, Some(0), "{notes}");
    assert!(!notes.contains("is not mended"), "{notes}");
    assert!(
        notes.contains("m was copied whole, 12000 points"),
        "{notes}"
    );
    assert_eq!(lab.node2.count("one", "m", "text"), 12_000);
    let answer = lab.node2.query("one", "SELECT v FROM m");
    assert_eq!(answer["results"][0]["series"][0]["values"][0][1], 1);
}
