//! Reads under way at a server that says nothing more and is marked down.

use std::time::Duration;

use super::client::Answer;
use super::harness::{Running, replicated, server, until};
use super::stand_in::{Behaviour, StandIn};
use crate::proxy::pool::known_reads::QUICK;

/// How long a server may be silent here.
const TIMEOUT: Duration = Duration::from_secs(4);

struct Pair {
    a: StandIn,
    b: StandIn,
    proxy: Running,
}

async fn pair() -> Pair {
    let a = StandIn::start("a", Behaviour::Answer).await;
    let b = StandIn::start("b", Behaviour::Answer).await;
    let mut config = replicated(vec![server("a", a.address), server("b", b.address)]);
    config.backends[0].server_timeout = TIMEOUT;
    let proxy = Running::start(config);
    Pair { a, b, proxy }
}

impl Pair {
    /// Sends a read to b, which is silent from now on, has b marked down, and waits for the answer.
    async fn ask_b(&self, target: &str, before_mark: impl AsyncFnOnce()) -> Answer {
        self.b.set(Behaviour::Hang);
        let had = self.b.requests().len();
        let answer = self.proxy.get(target);
        let down = async {
            until("b has it", || self.b.requests().len() > had).await;
            before_mark().await;
            self.proxy.pools[0].mark(1, false, "it is silent");
        };
        tokio::join!(answer, down).0
    }
}

const KNOWN: &str = "/query?q=SELECT+known";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_was_answered_before_leaves_a_server_that_is_marked_down() {
    let pair = pair().await;
    assert_eq!(pair.proxy.get(KNOWN).await.body, "a");
    let answer = tokio::time::timeout(TIMEOUT / 2, pair.ask_b(KNOWN, async || ()));
    assert_eq!(answer.await.expect("it does not wait").body, "a");
    let servers = &pair.proxy.stats.backends[0].servers;
    assert_eq!(servers[1].response_errors.get(), 1);
    assert_eq!(servers[1].redispatches.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_other_read_may_be_what_silenced_it_and_silences_no_second_one() {
    let pair = pair().await;
    assert_eq!(pair.proxy.get(KNOWN).await.body, "a");
    let answer = pair.ask_b("/query?q=SELECT+new", async || ()).await;
    assert_eq!(answer.status, 504);
    assert_eq!(pair.a.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_the_server_had_for_long_while_it_answered_others_may_be_it_too() {
    let pair = pair().await;
    assert_eq!(pair.proxy.get(KNOWN).await.body, "a");
    let answer = pair.ask_b(KNOWN, async || {
        tokio::time::sleep(QUICK + Duration::from_millis(100)).await;
        let server = pair.proxy.pools[0].server(1).expect("b");
        server.handle.note_answer();
    });
    assert_eq!(answer.await.status, 504);
    assert_eq!(pair.a.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_waits_on_where_no_other_server_could_answer() {
    let pair = pair().await;
    assert_eq!(pair.proxy.get(KNOWN).await.body, "a");
    let begun = tokio::time::Instant::now();
    let answer = pair.ask_b(KNOWN, async || {
        pair.proxy.pools[0].mark(0, false, "it is away");
    });
    assert_eq!(answer.await.status, 504);
    assert!(begun.elapsed() >= TIMEOUT);
}
