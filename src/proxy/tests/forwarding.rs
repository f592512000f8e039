//! Reads of a replicated pool.

use std::time::Duration;

use super::client::Answer;
use super::harness::{Running, SOON, replicated, server, until};
use super::stand_in::{Behaviour, StandIn};

async fn pair(first: Behaviour, second: Behaviour) -> (StandIn, StandIn, Running) {
    let a = StandIn::start("a", first).await;
    let b = StandIn::start("b", second).await;
    let proxy = Running::start(replicated(vec![
        server("a", a.address),
        server("b", b.address),
    ]));
    (a, b, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_take_turns_and_connections_are_kept() {
    let (a, b, proxy) = pair(Behaviour::Answer, Behaviour::Answer).await;
    let mut client = proxy.connect().await;
    let mut bodies = String::new();
    for _ in 0..10 {
        let answer = client.get("/query?q=SELECT+v+FROM+m").await;
        assert_eq!(answer.header("connection"), Some("keep-alive"));
        assert_eq!(
            answer.header("keep-alive"),
            None,
            "it speaks of the other connection"
        );
        bodies += &answer.body;
    }
    assert_eq!(bodies, "ababababab");
    assert_eq!((a.connections(), b.connections()), (1, 1));
    let stats = &proxy.stats.backends[0];
    until("all are counted", || stats.traffic.requests.get() == 10).await;
    assert_eq!(stats.servers[0].traffic.requests.get(), 5);
    assert_eq!(stats.traffic.responses.of_class(2), 10);
    assert_eq!(stats.traffic.bytes_out.get(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_moves_on_until_its_answer_has_begun() {
    for failing in [
        Behaviour::Reset,
        Behaviour::ResetAfterHeader,
        Behaviour::CloseAfter,
    ] {
        let (a, b, proxy) = pair(failing, Behaviour::Answer).await;
        for _ in 0..4 {
            let mut client = proxy.connect().await;
            let answer = client.post("/query", "q=SELECT").await;
            assert_eq!(answer.status, 200, "{failing:?}");
            let expected = if failing == Behaviour::CloseAfter {
                "ab"
            } else {
                "b"
            };
            assert!(expected.contains(&answer.body), "{failing:?}");
        }
        assert!(
            a.requests()
                .iter()
                .all(|request| request.ends_with("q=SELECT"))
        );
        assert!(
            b.requests()
                .iter()
                .all(|request| request.ends_with("q=SELECT"))
        );
        let redispatches = proxy.stats.backends[0].servers[0].redispatches.get();
        assert_eq!(redispatches > 0, failing != Behaviour::CloseAfter);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_ended_a_server_is_not_tried_on_another() {
    for kept in [false, true] {
        let (mut a, mut b, proxy) = pair(Behaviour::Answer, Behaviour::Answer).await;
        if kept {
            // On connections that are kept.
            for _ in 0..2 {
                assert_eq!(proxy.get("/query?q=SELECT+other").await.status, 200);
            }
        }
        a.set(Behaviour::End);
        b.set(Behaviour::End);
        let answer = proxy.get("/query?q=SELECT+deadly").await;
        assert_eq!(answer.status, 502, "{kept}");
        assert!(answer.body.contains("no other server is asked"));
        let ends = |server: usize| proxy.stats.backends[0].servers[server].ends.get();
        until("it is counted", || ends(0) + ends(1) == 1).await;
        let survivor = if ends(0) == 1 { &mut b } else { &mut a };
        survivor.set(Behaviour::Answer);
        assert_eq!(
            proxy.get("/query?q=SELECT+other").await.status,
            200,
            "{kept}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_was_answered_before_survives_the_end_of_one_server() {
    let (a, b, proxy) = pair(Behaviour::Answer, Behaviour::Answer).await;
    let read = |time: u64| format!("/query?q=SELECT+v+FROM+m+WHERE+time%3E{time}ms");
    assert_eq!(proxy.get(&read(1_700_000_000_000)).await.status, 200);
    b.set(Behaviour::End);
    assert_eq!(proxy.get(&read(1_700_000_005_000)).await.body, "a");
    assert_eq!(proxy.stats.backends[0].servers[1].ends.get(), 1);
    assert_eq!(a.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_moves_any_request() {
    let (mut a, b, proxy) = pair(Behaviour::Answer, Behaviour::Answer).await;
    a.refuse().await;
    for target in ["/query", "/other", "/query", "/other"] {
        let mut client = proxy.connect().await;
        assert_eq!(client.post(target, "x").await.body, "b");
    }
    assert_eq!(b.requests().len(), 4);
    assert!(proxy.stats.backends[0].servers[0].connect_errors.get() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_happen_twice_does_not() {
    let (a, b, proxy) = pair(Behaviour::Reset, Behaviour::Reset).await;
    let mut client = proxy.connect().await;
    let answer = client.post("/other?bucket=x", "{}").await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("influx_back"));
    assert_eq!(a.requests().len() + b.requests().len(), 1);
    // The connection is as good as before.
    assert_eq!(client.get("/query").await.status, 502);
    assert_eq!(a.requests().len() + b.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_must_not_repeat_goes_out_on_an_idle_connection() {
    let (a, _b, proxy) = pair(Behaviour::Answer, Behaviour::Answer).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.get("/query").await;
    }
    for _ in 0..2 {
        client.post("/other", "{}").await;
    }
    assert_eq!(a.connections(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_servers_failing_is_said_by_how_they_failed() {
    let (mut a, mut b, proxy) = pair(Behaviour::Reset, Behaviour::Reset).await;
    assert_eq!(proxy.get("/query").await.status, 502);
    a.refuse().await;
    b.refuse().await;
    let answer = proxy.get("/query").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.body.contains("could be reached"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_a_504_and_asked_once() {
    let a = StandIn::start("a", Behaviour::Hang).await;
    let b = StandIn::start("b", Behaviour::Hang).await;
    let mut config = replicated(vec![server("a", a.address), server("b", b.address)]);
    config.backends[0].server_timeout = Duration::from_millis(100);
    let proxy = Running::start(config);
    assert_eq!(proxy.get("/query").await.status, 504);
    assert_eq!(a.requests().len() + b.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_pass_as_they_come() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(replicated(vec![server("a", node.address)]));
    let pieces = node.stream().await;
    let mut client = proxy.connect().await;
    client
        .send("GET /query?chunked=true HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    // The node has sent its header, and nothing may have come through: it could still fail.
    until("the node has the request", || !node.requests().is_empty()).await;
    let early = tokio::time::timeout(Duration::from_millis(100), client.stream.readable()).await;
    assert!(early.is_err(), "the header came before the body began");
    for piece in ["first", "second"] {
        pieces.send(piece).await.unwrap();
        if piece == "first" {
            let header = client.header().await;
            assert_eq!(header.header("transfer-encoding"), Some("chunked"));
        }
        assert_eq!(client.chunk().await, piece);
    }
    drop(pieces);
    assert_eq!(client.chunk().await, "");
    node.set(Behaviour::Answer);
    assert_eq!(client.get("/query").await.body, "node");
    assert_eq!(node.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_answer_ends_the_connection_before_its_end() {
    let (a, b, proxy) = pair(Behaviour::ResetAfterPiece, Behaviour::ResetAfterPiece).await;
    let mut client = proxy.connect().await;
    client.send("GET /query HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.header().await.status, 200);
    assert_eq!(client.chunk().await, "first");
    assert!(client.is_closed().await);
    assert_eq!(a.requests().len() + b.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_frees_the_server() {
    let node = StandIn::start("node", Behaviour::Hang).await;
    let proxy = Running::start(replicated(vec![server("a", node.address)]));
    let mut client = proxy.connect().await;
    client.send("GET /query HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until("the node has the request", || node.open() == 1).await;
    drop(client);
    until("the connection to the node is closed", || node.open() == 0).await;

    // And in the middle of an answer.
    let pieces = node.stream().await;
    let mut client = proxy.connect().await;
    client.send("GET /query HTTP/1.1\r\nHost: x\r\n\r\n").await;
    pieces.send("first").await.unwrap();
    client.header().await;
    drop(client);
    until("the connection to the node is closed", || node.open() == 0).await;
    tokio::time::timeout(SOON, proxy.in_flight.none_left())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_stay_so() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(replicated(vec![server("a", node.address)]));
    let mut client = proxy.connect().await;
    client.send("HEAD /ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = client.header().await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("4"))
    );
    for status in [204, 304] {
        node.set(Behaviour::Status(status));
        let answer = client.get("/ping").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("transfer-encoding"), None);
    }
    node.set(Behaviour::Answer);
    assert_eq!(client.get("/query").await.body, "node");
    assert_eq!(node.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_clients_and_old_servers_are_understood() {
    let node = StandIn::start("node", Behaviour::UntilClosed).await;
    let proxy = Running::start(replicated(vec![server("a", node.address)]));
    // The end of a body that ends with its connection is made plain for a new client.
    let answer = proxy.get("/query").await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.body, "node");
    // And pieces are put together for an old one.
    let pieces = node.stream().await;
    let mut client = proxy.connect().await;
    client.send("GET /query HTTP/1.0\r\n\r\n").await;
    pieces.send("one").await.unwrap();
    pieces.send("two").await.unwrap();
    drop(pieces);
    let answer = client.answer().await;
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(answer.body, "onetwo");
    let request = node.requests().pop().unwrap();
    assert!(request.starts_with("GET /query HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains(&format!("Host: {}", node.address)),
        "{request}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_may_continue_and_the_server_hears_nothing_of_it() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(replicated(vec![server("a", node.address)]));
    let mut client = proxy.connect().await;
    client
        .send(
            "POST /query HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        )
        .await;
    assert_eq!(client.header().await.status, 100);
    client.send("body").await;
    assert_eq!(client.answer().await.body, "node");
    let request = node.requests().pop().unwrap();
    assert!(
        request.ends_with("body") && !request.contains("Expect"),
        "{request}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_requests_arrive_whole_and_large_ones_not_at_all() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(replicated(vec![server("a", node.address)]));
    let mut client = proxy.connect().await;
    client
        .send("POST /query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.body, "node");
    let request = node.requests().pop().unwrap();
    assert!(request.ends_with("\r\n\r\nabcdefg"), "{request}");

    let large = 17 << 20;
    let mut client = proxy.connect().await;
    client
        .send(&format!(
            "POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: {large}\r\nExpect: 100-continue\r\n\r\n"
        ))
        .await;
    assert_eq!(client.answer().await.status, 413);

    let mut client = proxy.connect().await;
    client
        .send("POST /query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let mebibyte = "x".repeat(1 << 20);
    for _ in 0..17 {
        client.send(&format!("100000\r\n{mebibyte}\r\n")).await;
    }
    assert_eq!(client.answer().await.status, 413);
    assert_eq!(node.requests().len(), 1);
    assert_eq!(proxy.stats.frontends[0].request_errors.get(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_bodies_that_are_held_have_a_limit_and_are_counted() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = replicated(vec![server("a", node.address)]);
    (
        config.server.max_query_body,
        config.server.max_query_inflight,
        config.server.max_query_share,
    ) = (16_384, 24_000, 24_000);
    config.server.body_wait = Duration::from_millis(100);
    let proxy = Running::start(config);
    let begin = "POST /query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let piece = format!("4000\r\n{}\r\n", "x".repeat(16_384));
    let held = || proxy.stats.query_inflight.held.get();
    let mut first = proxy.connect().await;
    first.send(begin).await;
    first.send(&piece).await;
    until("it is held", || held() == 16_384).await;
    // One that is past the limit is taken too, until a third one waits for room: then it came too slowly.
    let mut second = proxy.connect().await;
    second.send(begin).await;
    second.send(&piece).await;
    until("both are held", || held() == 32_768).await;
    let mut third = proxy.connect().await;
    third.send(begin).await;
    third.send(&piece).await;
    assert_eq!(second.answer().await.status, 503);
    assert_eq!(proxy.stats.query_inflight.refused.get(), 1);
    third.send("0\r\n\r\n").await;
    assert_eq!(third.answer().await.body, "node");
    first.send("0\r\n\r\n").await;
    assert_eq!(first.answer().await.body, "node");
    until("nothing is held", || held() == 0).await;
    assert_eq!(node.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_sent_ahead_are_answered_in_order() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(replicated(vec![server("a", node.address)]));
    let mut client = proxy.connect().await;
    let one = "GET /query?n=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let two = "POST /query?n=2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab";
    let three = "GET /haproxy?stats HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(&format!("{one}{two}{three}")).await;
    let bodies: Vec<Answer> = vec![
        client.answer().await,
        client.answer().await,
        client.answer().await,
    ];
    let bodies: Vec<_> = bodies.iter().map(|answer| answer.body.as_str()).collect();
    assert_eq!(bodies, ["node", "node", "status"]);
    // And one that comes while the first waits for its server.
    let pieces = node.stream().await;
    client.send(one).await;
    until("the node has the request", || node.requests().len() == 3).await;
    client.send(three).await;
    pieces.send("late").await.unwrap();
    drop(pieces);
    assert_eq!(client.answer().await.body, "late");
    assert_eq!(client.answer().await.body, "status");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_is_named_where_that_is_wanted() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = replicated(vec![server("a", node.address)]);
    config.frontends[0].forwarded_for = true;
    let proxy = Running::start(config);
    let mut client = proxy.connect().await;
    client
        .send("GET /query HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.9.9.9\r\n\r\n")
        .await;
    client.answer().await;
    let request = node.requests().pop().unwrap();
    assert!(
        request.contains("X-Forwarded-For: 10.9.9.9, 127.0.0.1\r\n"),
        "{request}"
    );
    assert!(request.contains("X-Forwarded-Proto: http\r\n"), "{request}");
}
