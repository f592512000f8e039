//! Nodes that haflux knows by a point that each of them holds.

use crate::support::wait::SOON;
use crate::support::{Lab, wait_until};

/// Makes the database `one`, and waits until each node holds a point in it.
#[track_caller]
pub fn know_by_one(lab: &Lab) {
    lab.create_database("one");
    wait_until("both nodes to be in reach", SOON, || {
        lab.write("one", "known v=1 1").status == 204
            && lab
                .nodes()
                .iter()
                .all(|node| node.count("one", "known", "v") == 1)
    });
}
