//! Files that tests may hold open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// As many as may be: tests that run at once share a process, and some of them hold a thousand connections. What they start
/// inherits it.
pub fn allow_many() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the limit can be raised up to its maximum");
}
